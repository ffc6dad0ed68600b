'use strict';
/**
 * Requests that a client sends ahead of their answers, and responses that are no answers: on a connection that is kept, every
 * client reads whole responses in the order of its requests, and what is no request is given to nobody else. A client
 * claims no session by what it makes a server say.
 */
const assert = require('node:assert/strict');
const http = require('node:http');
const test = require('node:test');
const { AT_PORT, KeptConnection, many } = require('./any_server');
const clients = require('./clients');
const { eventually, run } = require('./harness');
const proc = require('./proc');

const serve = (policy, more = '') =>
	`--workers 2 --policy ${policy} ${more} --dialect preload -- ${AT_PORT} node workers/any_server/exchanges.js PORT`;
const TENANTS = serve('workers/any_server/tenants.lua');

const request = (tenant, path, method = 'GET', more = '') =>
	`${method} ${path} HTTP/1.1\r\nHost: limpet\r\nTenant: ${tenant}\r\n${more}\r\n`;

const pidsOf = async (limpet) => (await limpet.status()).workers.map(({ pid }) => pid);
const keep = async (limpet) => new KeptConnection(await limpet.connect());

/** Wait until a worker has read all that its clients sent. */
const read = (limpet) => eventually('all was read', () => proc.bytesWaiting(limpet.address) === 0);

/** Read an answer of a tenant. */
async function assertAnswer(kept, tenant, url) {
	const { json } = await kept.answer();
	assert.deepEqual([json.tenant, json.url], [String(tenant), url]);
	return json.pid;
}

for (const path of ['/half', '/hold', '/hints'])
	test(`a request of another worker's behind ${path}, which is not answered yet`, run(TENANTS, async (limpet) => {
		const [first, second] = await pidsOf(limpet);
		const kept = await keep(limpet);
		kept.socket.write(request(1, path));
		if (path === '/hints')
			assert.match((await kept.head()), /^HTTP\/1\.1 103 /);
		else if (path === '/half')
			await eventually('half of it is there', () => kept.socket.readableLength > 0);
		kept.socket.write(request(2, '/'));
		await read(limpet);
		process.kill(first, 'SIGUSR2');
		assert.equal(await assertAnswer(kept, 1, path), first);
		await assertAnswer(kept, 2, '/');
		kept.socket.write(request(2, '/last'));
		assert.equal(await assertAnswer(kept, 2, '/last'), second, 'once all are answered, it is given back');
	}));

test('the first of two requests is answered, the second is not, and a third is of another worker', run(TENANTS, async (limpet) => {
	const [first, second] = await pidsOf(limpet);
	const kept = await keep(limpet);
	kept.socket.write(request(1, '/hold') + request(1, '/half'));
	await read(limpet);
	process.kill(first, 'SIGUSR2');
	assert.equal(await assertAnswer(kept, 1, '/hold'), first);
	kept.socket.write(request(2, '/third'));
	await read(limpet);
	process.kill(first, 'SIGUSR2');
	assert.equal(await assertAnswer(kept, 1, '/half'), first);
	await assertAnswer(kept, 2, '/third');
	kept.socket.write(request(2, '/last'));
	assert.equal(await assertAnswer(kept, 2, '/last'), second);
}));

test('100 Continue is no answer', run(TENANTS, async (limpet) => {
	const [first, second] = await pidsOf(limpet);
	const kept = await keep(limpet);
	kept.socket.write(request(1, '/hold', 'POST', 'Expect: 100-continue\r\nContent-Length: 3\r\n'));
	assert.match(await kept.head(), /^HTTP\/1\.1 100 /);
	kept.socket.write(`abc${request(2, '/')}`);
	await read(limpet);
	process.kill(first, 'SIGUSR2');
	assert.equal(await assertAnswer(kept, 1, '/hold'), first);
	await assertAnswer(kept, 2, '/');
	kept.socket.write(request(2, '/last'));
	assert.equal(await assertAnswer(kept, 2, '/last'), second);
}));

test('many requests ahead of their answers are answered in order', run(TENANTS, async (limpet) => {
	const kept = await keep(limpet);
	const paths = Array.from({ length: 60 }, (_, i) => `/${i}`);
	kept.socket.write(paths.map((path, i) => request(1 + (i % 2), path)).join(''));
	for (const [i, path] of paths.entries())
		await assertAnswer(kept, 1 + (i % 2), path);
	kept.socket.write(request(1, '/last'));
	await assertAnswer(kept, 1, '/last');
}));

test('responses without a body are complete with their heads', run(TENANTS, async (limpet) => {
	const [first, second] = await pidsOf(limpet);
	const kept = await keep(limpet);
	for (const [method, path, status] of [['GET', '/none', 204], ['GET', '/unchanged', 304], ['HEAD', '/', 200]]) {
		kept.socket.write(request(1, path, method));
		assert.match(await kept.head(), new RegExp(`^HTTP/1\\.1 ${status} `));
		kept.socket.write(request(2, '/next'));
		assert.equal(await assertAnswer(kept, 2, '/next'), second);
		kept.socket.write(request(1, '/back'));
		assert.equal(await assertAnswer(kept, 1, '/back'), first);
	}
}));

for (const [name, head] of [
	['a tunnel', 'CONNECT example.org:80 HTTP/1.1\r\nHost: limpet\r\nTenant: 1\r\n\r\n'],
	['a protocol that both have switched to', request(1, '/', 'GET', 'Connection: Upgrade\r\nUpgrade: echo\r\n')],
])
	test(`what looks like a request of another worker's in ${name} stays there`, run(TENANTS, async (limpet) => {
		const [first] = await pidsOf(limpet);
		const kept = await keep(limpet);
		kept.socket.write(request(1, '/'));
		assert.equal(await assertAnswer(kept, 1, '/'), first);
		kept.socket.write(head);
		assert.match(await kept.head(), /^HTTP\/1\.1 (200|101) /);
		for (const text of [`${first} `, request(2, '/'), request(2, '/half'), 'bytes']) {
			if (!text.startsWith(`${first}`))
				kept.socket.write(text);
			assert.equal(await kept.bytes(text.length), text);
		}
	}));

/* Sessions */

const OPEN = (sid) => `0{"sid":"${sid}","upgrades":[],"pingInterval":25000,"pingTimeout":20000}`;

test('what a server echoes claims no session', run(serve('sid', '--policy ./spread.lua'), {
	files: { 'spread.lua': 'return { on_request = function(conn, workers) return workers[tonumber(conn:header("Tenant"))] end }' },
}, async (limpet) => {
	const sessions = async () => (await limpet.counts()).sessions;
	const before = await sessions();
	const claims = ['/echo', '/echo?EIO=4&transport=polling&sid=mine', '/echo?x=0{"sid":"victim"'];
	for (const path of claims) {
		const body = `${OPEN('victim')}${OPEN('another')}`;
		const { text } = await limpet.get(encodeURI(path), { method: 'POST', body, headers: { Tenant: 2 } });
		assert.equal(text, body);
	}
	const within = `x${OPEN('victim')}`;
	await limpet.get('/echo?EIO=4', { method: 'POST', body: within, headers: { Tenant: 2 } });
	assert.deepEqual(await sessions(), before);

	const one = `${OPEN('one')}${OPEN('two')}`;
	await limpet.get('/echo?EIO=4', { method: 'POST', body: one, headers: { Tenant: 2 } });
	const [, second] = await pidsOf(limpet);
	const asked = await limpet.get('/?EIO=4&sid=one', { headers: { Tenant: 1 } });
	assert.equal(asked.json.pid, second, 'the premise: where a body begins, in answer to a request for a session, one is learnt');
}));

test('a cookie that the client brought is not learnt from its repetition', run(
	serve('./logins.lua', '--learn cookie:ID'),
	{
		files: {
			'logins.lua': `return {
				on_request = function(conn, workers)
					local id = conn:cookie("ID")
					return id and workers:session(id) or workers[tonumber(conn:header("Tenant"))]
				end,
			}`,
		},
	},
	async (limpet) => {
		const [first, second] = await pidsOf(limpet);
		const fixed = { Cookie: 'ID=chosen' };
		assert.equal((await limpet.get('/login', { headers: { ...fixed, Tenant: 2 } })).json.pid, second);
		assert.equal((await limpet.get('/', { headers: { ...fixed, Tenant: 1 } })).json.pid, first);

		const answer = await limpet.get('/login', { headers: { Tenant: 2 } });
		const [cookie] = answer.headers['set-cookie'][0].split(';');
		assert.equal((await limpet.get('/', { headers: { Cookie: cookie, Tenant: 1 } })).json.pid, second);
	}));

test('sessions that begin on one kept connection spread over the workers', run(
	`--workers 3 --policy sid --dialect preload -- ${AT_PORT} node workers/any_server/chat.js PORT`,
	async (limpet) => {
		const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
		const sids = await many(60, async () => /"sid":"([^"]+)"/.exec((await limpet.get(clients.ENGINE, { agent })).text)[1], 1);
		agent.destroy();
			const { workers } = await limpet.status();
		for (const worker of workers)
			assert.ok(worker.sessions >= 10, JSON.stringify(workers.map(({ sessions }) => sessions)));
	}));
