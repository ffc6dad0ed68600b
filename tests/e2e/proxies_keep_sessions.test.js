'use strict';
/**
 * nginx with `keepalive`, HAProxy with `http-reuse`, in front of limpet: sessions of many clients on the same few connections
 * come to their workers, whatever requests look like, and new ones are spread over all.
 */
const assert = require('node:assert/strict');
const http = require('node:http');
const { test } = require('node:test');
const { AT_PORT, assertSessions, many, registered, workerPids } = require('./any_server');
const { ENGINE, destination, request } = require('./clients');
const { run } = require('./harness');
const { within } = require('./patience');
const { PROXIES, startProxy } = require('./proxies');

const WORKERS = 3;
const serve = (dialect, flags, server) =>
	`--workers ${WORKERS} ${flags} --dialect ${dialect} -- ${AT_PORT} node workers/${server} PORT`;
const CHAT = 'any_server/chat.js';

/** The sid of a new session. */
async function handshake(address) {
	return /"sid":"([^"]+)"/.exec((await request(address, ENGINE)).text)[1];
}

/** A POST whose body has chunks, one byte each, and no length: its status and what was answered. */
function postChunks(address, path, text, agent) {
	return within('an answer to chunks', new Promise((resolve, reject) => {
		const call = http.request({ ...destination(address), path, method: 'POST', agent, headers: { 'Content-Type': 'text/plain' } });
		call.on('error', reject);
		call.on('response', async (response) =>
			resolve({ status: response.statusCode, text: Buffer.concat(await response.toArray()).toString() }));
		for (const letter of text)
			call.write(letter);
		call.end();
	}));
}

/** A Streamable HTTP session of MCP: initialize, then calls, each of which must find its session. */
async function useMcp(address, calls = 5) {
	const ask = async (method, params, session, id) => {
		const headers = {
			'Content-Type': 'application/json', Accept: 'application/json, text/event-stream',
			...session && { 'Mcp-Session-Id': session },
		};
		const body = JSON.stringify({ jsonrpc: '2.0', method, params, ...id && { id } });
		const answer = await request(address, '/mcp', { method: 'POST', headers, body });
		assert.ok(answer.status === 200 || answer.status === 202, `${method}: ${answer.status} ${answer.text}`);
		return { session: answer.headers['mcp-session-id'], data: /^data: (.*)$/m.exec(answer.text)?.[1] };
	};
	const clientInfo = { name: 'test', version: '1.0.0' };
	const { session } = await ask('initialize', { protocolVersion: '2025-03-26', capabilities: {}, clientInfo }, undefined, 1);
	await ask('notifications/initialized', undefined, session);
	const pids = new Set();
	for (let call = 1; call <= calls; call++) {
		const { data } = await ask('tools/call', { name: 'count', arguments: {} }, session, call + 1);
		const answer = JSON.parse(JSON.parse(data).result.content[0].text);
		assert.equal(answer.calls, call);
		pids.add(answer.pid);
	}
	assert.equal(pids.size, 1);
	return [...pids][0];
}

for (const proxy of Object.keys(PROXIES))
	for (const dialect of ['preload', 'node']) {
		test(`${proxy}, ${dialect}: Socket.IO by polling, websocket and upgrade`, run(
			serve(dialect, '--policy sid', CHAT), async (limpet, t) => {
				await registered(limpet, WORKERS);
				const address = await startProxy(t, proxy, limpet.address);
				const served = await assertSessions(limpet, ['polling', 'websocket', 'upgrade'], 24, address);
				assert.deepEqual(served, await workerPids(limpet), 'every process has served');
			}));

		test(`${proxy}, ${dialect}: 60 new sessions, 20 at each worker, with sid alone`, run(
			serve(dialect, '--policy sid', CHAT), async (limpet, t) => {
				await registered(limpet, WORKERS);
				const address = await startProxy(t, proxy, limpet.address);
				for (let i = 0; i < 60; i++)
					await handshake(address);
				const { workers } = await limpet.status();
				assert.deepEqual(workers.map(({ sessions }) => sessions), [20, 20, 20]);
			}));

		test(`${proxy}, ${dialect}: requests in chunks, each for another worker's session`, run(
			serve(dialect, '--policy sid', CHAT), async (limpet, t) => {
				await registered(limpet, WORKERS);
				const address = await startProxy(t, proxy, limpet.address);
				const sids = await Promise.all(Array.from({ length: 6 }, () => handshake(address)));
				const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
				for (let i = 0; i < 120; i++)
					assert.deepEqual(await postChunks(address, `${ENGINE}&sid=${sids[i % 6]}`, '3\x1e3', agent), { status: 200, text: 'ok' });
				agent.destroy();
			}));

		test(`${proxy}, ${dialect}: 60 sessions of MCP`, run(
			serve(dialect, '--session mcp', 'mcp.mjs'), async (limpet, t) => {
				await registered(limpet, WORKERS);
				const address = await startProxy(t, proxy, limpet.address);
				const pids = await many(60, () => useMcp(address), 8);
				assert.deepEqual([...pids].sort(), await workerPids(limpet));
			}));
	}
