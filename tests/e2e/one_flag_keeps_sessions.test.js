'use strict';
/**
 * --session alone is enough: what names a session is learnt from responses, looked up in requests, and each request of a
 * kept connection comes to its session's worker.
 */
const assert = require('node:assert/strict');
const http = require('node:http');
const { test } = require('node:test');
const { AT_PORT, many } = require('./any_server');
const { run, runToItsEnd } = require('./harness');

const SESSIONS = 100;
const CALLS = 5;
const WORKERS = 3;
/** With the library alone, and with what limpet chooses by itself. */
const serve = (session, server, dialect = '--dialect preload') =>
	`--workers ${WORKERS} ${session} ${dialect} -- ${AT_PORT} node workers/${server}`;

const AGENTS = {
	'each request on a connection of its own': () => new http.Agent({ keepAlive: false }),
	'on kept connections that all sessions share': () => new http.Agent({ keepAlive: true, maxSockets: 10 }),
};

for (const [how, makeAgent] of Object.entries(AGENTS)) {
	const mcp = async (limpet) => {
		const agent = makeAgent();
		const pids = new Set();
		const ask = async (method, params, session, id = 1) => {
			const headers = {
				'Content-Type': 'application/json',
				Accept: 'application/json, text/event-stream',
				...(session && { 'Mcp-Session-Id': session }),
			};
			const body = JSON.stringify({ jsonrpc: '2.0', method, params, ...(id && { id }) });
			const answer = await limpet.get('/mcp', { agent, method: 'POST', headers, body });
			assert.ok(answer.status === 200 || answer.status === 202, `${method}: ${answer.status} ${answer.text}`);
			return { session: answer.headers['mcp-session-id'], data: /^data: (.*)$/m.exec(answer.text)?.[1] };
		};
		const useSession = async () => {
			const clientInfo = { name: 'test', version: '1.0.0' };
			const { session } = await ask('initialize', { protocolVersion: '2025-03-26', capabilities: {}, clientInfo });
			await ask('notifications/initialized', undefined, session, 0);
			const here = new Set();
			for (let call = 1; call <= CALLS; call++) {
				const { data } = await ask('tools/call', { name: 'count', arguments: {} }, session, call + 1);
				const { pid, calls } = JSON.parse(JSON.parse(data).result.content[0].text);
				assert.equal(calls, call);
				here.add(pid);
			}
			pids.add(...here);
			return here.size;
		};
		assert.deepEqual([...await many(SESSIONS, useSession, 10)], [1]);
		assert.equal(pids.size, WORKERS);
		agent.destroy();
	};
	for (const dialect of ['preload', 'node', 'auto'])
		test(`100 MCP sessions, ${how}, dialect ${dialect}`, run(serve('--session mcp', 'mcp.mjs PORT', `--dialect ${dialect}`), mcp));

	test(`100 sessions of express-session, ${how}`, run(serve('--session cookie:connect.sid', 'logins.js PORT'),
		async (limpet) => {
			const agent = makeAgent();
			const pids = new Set();
			const useSession = async () => {
				const first = await limpet.get('/', { agent });
				const headers = { Cookie: `theme=dark; ${first.headers['set-cookie'][0].split(';')[0]}` };
				for (let visits = 2; visits <= CALLS; visits++) {
					const answer = JSON.parse((await limpet.get('/', { agent, headers })).text);
					assert.deepEqual(answer, { pid: JSON.parse(first.text).pid, visits });
				}
				pids.add(JSON.parse(first.text).pid);
				return 'kept';
			};
			assert.deepEqual([...await many(SESSIONS, useSession, 10)], ['kept']);
			assert.equal(pids.size, WORKERS);
			agent.destroy();
		}));

	const TOKENS = {
		'a header of another name': ['header:x-token=query:token', 'tokens.js PORT'],
		'a header of the same name': ['query:token', 'tokens.js PORT token'],
	};
	for (const [where, [what, server]] of Object.entries(TOKENS))
		test(`100 sessions by a token in the query, named by ${where}, ${how}`, run(serve(`--session ${what}`, server),
			async (limpet) => {
				const agent = makeAgent();
				const useSession = async () => {
					const first = JSON.parse((await limpet.get('/', { agent })).text);
					for (let visits = 2; visits <= CALLS; visits++) {
						const { text, status } = await limpet.get(`/?a=1&token=${first.token}`, { agent });
						assert.equal(status, 200, text);
						assert.deepEqual(JSON.parse(text), { ...first, visits });
					}
					return 'kept';
				};
				assert.deepEqual([...await many(SESSIONS, useSession, 10)], ['kept']);
				agent.destroy();
			}));
}

test('several carriers at once, and a policy of the user before them', run(
	serve('--session sid --session mcp --session cookie:connect.sid --policy ./mine.lua --policy session', 'logins.js PORT'),
	{
		files: {
			'mine.lua': `return { on_request = function(conn, workers)
				return conn.path == "/first" and not conn.session and workers[1]
			end }`,
		},
	},
	async (limpet) => {
		const agent = new http.Agent({ keepAlive: true });
		const first = await limpet.get('/', { agent });
		const headers = { Cookie: first.headers['set-cookie'][0].split(';')[0] };
		for (let visits = 2; visits <= 10; visits++)
			assert.equal(JSON.parse((await limpet.get('/', { agent, headers })).text).visits, visits);
		agent.destroy();
	}));

const REFUSED = {
	'cluster by name': ['--session cookie:connect.sid --dialect cluster', /^limpet: --session cookie:connect\.sid: workers of dialect cluster do not report sessions; start .*--dialect node/],
	'sticky packages, for other sessions than theirs': ['--session sid --session mcp --dialect socket.io-sticky', /^limpet: --session mcp: workers of dialect socket\.io-sticky do not report other sessions than Engine\.IO's \(sid\); start /],
	'--learn with cluster': ['--learn cookie:a --dialect cluster', /^limpet: --learn cookie:a: limpet does not see what workers of dialect cluster answer; start /],
	'--learn with native': ['--learn cookie:a --dialect native', /^limpet: --learn cookie:a: .*dialect native answer; its workers name their sessions themselves/],
};
for (const [what, [flags, message]] of Object.entries(REFUSED))
	test(`what nothing would report is refused at start: ${what}`, async () => {
		const { status, log } = await runToItsEnd(`run --listen 127.0.0.1:0 ${flags} -- node workers/answer.js`);
		assert.match(log, message);
		assert.equal(status, 2);
	});
