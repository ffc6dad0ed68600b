'use strict';
/**
 * A kept connection carries requests of several sessions, or tenants. Each of them comes to its own worker, whole, and
 * the client's connection stays the same.
 */
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { Readable } = require('node:stream');
const { setImmediate: turn } = require('node:timers/promises');
const test = require('node:test');
const { AT_PORT, KeptConnection, many, registered, workerPids } = require('./any_server');
const { ENGINE } = require('./clients');
const proc = require('./proc');
const { eventually, run } = require('./harness');

const TENANTS = 'workers/any_server/tenants.lua';
const serve = (policy, server) => `--workers 2 --policy ${policy} --dialect preload -- ${AT_PORT} ${server} PORT`;
const node = (policy) => serve(policy, 'node workers/any_server/chat.js');

async function keep(limpet) {
	return new KeptConnection(await limpet.connect());
}

/** Bytes in so many pieces, each in a segment of its own as far as the kernel goes along. */
async function writeInPieces(socket, bytes, pieces) {
	socket.setNoDelay();
	const size = Math.ceil(bytes.length / pieces);
	for (let at = 0; at < bytes.length; at += size) {
		socket.write(bytes.slice(at, at + size));
		await turn();
	}
}

test('sessions that are opened and used on connections that all of them share', run(
	node('sid').replace('--workers 2', '--workers 3'),
	async (limpet) => {
		const agent = new http.Agent({ keepAlive: true });
		const answers = await many(1500, async () => {
			const sid = /"sid":"([^"]+)"/.exec((await limpet.get(ENGINE, { agent })).text)[1];
			const options = { agent, method: 'POST', body: '3', headers: { 'Content-Type': 'text/plain' } };
			return (await limpet.get(`${ENGINE}&sid=${sid}`, options)).text;
		}, 40);
		agent.destroy();
		assert.deepEqual([...answers], ['ok']);
	}));

test('one that comes back while another is decided does not stand in its place', run(
	node('sid --policy ./homes.lua'),
	{ files: { 'homes.lua': 'return { on_request = function(conn, workers) return workers[tonumber(conn:header("Tenant"))] end }' } },
	async (limpet) => {
		const pids = (await limpet.status()).workers.map(({ pid }) => pid);
		const sid = /"sid":"([^"]+)"/.exec((await limpet.get(ENGINE, { headers: { Tenant: 2 } })).text)[1];
		const kept = await keep(limpet);
		assert.equal((await kept.ask('/', { Tenant: 1 })).json.pid, pids[0]);
		await eventually('nothing else is open', async () => (await limpet.worker(2)).connections === 0);

		/* limpet finds, in this order: one whose sid nobody knows, so that it asks its workers; and what one of them has to say. */
		limpet.signal('SIGSTOP');
		const unknown = limpet.get('/?EIO=4&sid=unknown', { headers: { Tenant: 1 } });
		await eventually('it was sent', () => proc.bytesWaiting(limpet.address) > 0);
		const before = proc.descriptors(pids[0]);
		const given = kept.ask(`/?EIO=4&sid=${sid}`);
		await eventually('it was given back', () => proc.descriptors(pids[0]) < before);
		limpet.signal('SIGCONT');
		assert.equal((await unknown).json.pid, pids[0]);
		assert.equal((await given).json.pid, pids[1]);
	}));

test('with route_each = "request" each request reaches its tenant\'s worker', run(node(TENANTS), async (limpet) => {
	const pids = (await limpet.status()).workers.map(({ pid }) => pid);
	const kept = await keep(limpet);
	for (const tenant of [1, 2, 2, 1, 1, 2, 1]) {
		const { json } = await kept.ask(`/${tenant}`, { Tenant: tenant });
		assert.deepEqual([json.pid, json.tenant, json.url], [pids[tenant - 1], String(tenant), `/${tenant}`]);
	}
}));

test('head and body in pieces arrive whole at the other worker', run(node(TENANTS), async (limpet) => {
	const pids = (await limpet.status()).workers.map(({ pid }) => pid);
	const kept = await keep(limpet);
	for (const [tenant, length] of [[1, 10], [2, 100_000], [1, 1], [2, 3_000_000], [2, 0], [1, 70_000]]) {
		const head = `POST /${length} HTTP/1.1\r\nHost: limpet\r\nTenant: ${tenant}\r\nContent-Length: ${length}\r\n\r\n`;
		await writeInPieces(kept.socket, head, 5);
		await writeInPieces(kept.socket, 'x'.repeat(length), 10);
		const { json } = await kept.answer();
		assert.deepEqual([json.pid, json.received], [pids[tenant - 1], length]);
	}
}));

test('and by a server whose compiler has put checks before its reads', run(
	serve(TENANTS, './fortified'),
	{
		prepare: (folder) => {
			const source = path.join(__dirname, 'workers/any_server/fortified.c');
			execFileSync('cc', ['-O2', '-D_FORTIFY_SOURCE=2', '-o', path.join(folder, 'fortified'), source]);
		},
	},
	async (limpet) => {
		const pids = (await limpet.status()).workers.map(({ pid }) => pid);
		const kept = await keep(limpet);
		for (const tenant of [1, 2, 1])
			assert.equal((await kept.ask('/', { Tenant: tenant })).json.pid, pids[tenant - 1]);
	}));

test('requests sent ahead of their answers are all answered, in order', run(node(TENANTS), async (limpet) => {
	const kept = await keep(limpet);
	const requests = [1, 2, 1, 1, 2].map((tenant, i) =>
		`POST /${i} HTTP/1.1\r\nHost: limpet\r\nTenant: ${tenant}\r\nContent-Length: 3\r\n\r\nabc`);
	kept.socket.write(requests.join(''));
	for (let i = 0; i < requests.length; i++) {
		const { json } = await kept.answer();
		assert.deepEqual([json.url, json.received], [`/${i}`, 3]);
	}
	assert.equal((await kept.ask('/last', { Tenant: 2 })).json.url, '/last');
}));

test('also by a server whose events come once, when bytes arrive', run(
	'--workers 1 --policy sid --dialect preload -- workers/any_server/nginx',
	async (limpet) => {
		await registered(limpet, 2);
		const kept = await keep(limpet);
		kept.socket.write('GET / HTTP/1.1\r\nHost: limpet\r\n\r\n'.repeat(5));
		for (let i = 0; i < 5; i++)
			assert.match((await kept.answer()).head, /^HTTP\/1\.1 200 /);
	}));

/** A request whose body comes in chunks, as bytes; with trailers, if there are some. */
const chunked = (tenant, trailers = '') =>
	`POST / HTTP/1.1\r\nHost: limpet\r\nTenant: ${tenant}\r\nTransfer-Encoding: chunked\r\n\r\n` +
	`5\r\nabcde\r\n3;note="a b"\r\nfgh\r\n0\r\n${trailers}\r\n`;

test('requests with chunked bodies come to their workers, and so does what follows them', run(node(TENANTS), async (limpet) => {
	const pids = (await limpet.status()).workers.map(({ pid }) => pid);
	const kept = await keep(limpet);
	for (const [tenant, trailers, pieces] of [[1, '', 1], [2, '', 7], [1, 'A: b\r\nC:\r\n', 1], [2, 'A: b\r\n', 40], [2, '', 3]]) {
		await writeInPieces(kept.socket, chunked(tenant, trailers), pieces);
		const { json } = await kept.answer();
		assert.deepEqual([json.pid, json.received], [pids[tenant - 1], 8]);
		assert.equal((await kept.ask('/', { Tenant: 3 - tenant })).json.pid, pids[2 - tenant]);
	}
}));

test('a large body in chunks arrives whole', run(node(TENANTS), async (limpet) => {
	const pids = (await limpet.status()).workers.map(({ pid }) => pid);
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	for (const tenant of [1, 2, 1]) {
		const body = Readable.from(Array.from({ length: 50 }, (_, i) => Buffer.alloc(1 + 1000 * i, 'x')));
		const headers = { Tenant: tenant, 'Transfer-Encoding': 'chunked' };
		const { json } = await limpet.get('/', { agent, method: 'POST', headers, body });
		assert.deepEqual([json.pid, json.received], [pids[tenant - 1], 50 + 1000 * 49 * 25]);
	}
	agent.destroy();
}));

/** Requests whose end a server and we could see in two places. */
const DOUBTFUL = {
	'a CR inside a header': 'GET / HTTP/1.1\r\nHost: limpet\r\nX: a\rb\r\n\r\n',
	'a folded header': 'GET / HTTP/1.1\r\nHost: limpet\r\nX: a\r\n b\r\n\r\n',
	'a head that is too long': `GET / HTTP/1.1\r\nHost: limpet\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
	'two lengths': 'POST / HTTP/1.1\r\nHost: limpet\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n',
};

for (const [name, bytes] of Object.entries(DOUBTFUL))
	test(`behind ${name}, a connection is ended before a request of another worker's session`, run(
		serve('sid', '/usr/bin/python3 workers/any_server/tolerant.py'),
		async (limpet) => {
			const kept = await keep(limpet);
			const { pid } = (await kept.ask('/')).json;
			kept.socket.write(bytes);
			assert.equal((await kept.answer()).json.pid, pid);
			for (let i = 0; i < 3; i++)
				assert.equal((await kept.ask('/')).json.pid, pid);
			await assert.rejects(kept.ask('/?EIO=4&sid=of-another'), /^Error: the connection ended behind ""$/);
			assert.equal(kept.socket.errored, null);
		}));

test('a cookie that --learn names brings a login back to its process', run(
	`--workers 1 --policy ./logins.lua --learn cookie:JSESSIONID --dialect preload -- ${AT_PORT} ` +
	'gunicorn --chdir workers/any_server -b 127.0.0.1:PORT -w 3 -k gthread --threads 20 logins:app',
	{
		files: {
			'logins.lua': `return {
				route_each = "request",
				on_request = function(conn, workers)
					local login = conn:cookie("JSESSIONID")
					return login and workers:session(login)
				end,
			}`,
		},
	},
	async (limpet) => {
		await registered(limpet, 3);
		for (const keepAlive of [false, true]) {
			const agent = new http.Agent({ keepAlive });
			const pids = await many(24, async () => {
				const { headers, json } = await limpet.get('/login', { agent });
				const [cookie] = headers['set-cookie'][0].split(';');
				for (let visits = 2; visits < 7; visits++) {
					const visit = await limpet.get('/', { agent, headers: { Cookie: cookie } });
					assert.deepEqual(visit.json, { pid: json.pid, visits });
				}
				return json.pid;
			});
			agent.destroy();
			assert.deepEqual([...pids].sort(), await workerPids(limpet));
		}
	}));

test('a reload changes which requests are looked at', run(
	node('./tenants.lua'),
	{
		prepare: (folder) => {
			const text = fs.readFileSync(path.join(__dirname, TENANTS), 'utf8');
			fs.writeFileSync(path.join(folder, 'tenants.lua'), text.replace('"request"', '"connection"'));
		},
	},
	async (limpet) => {
		const pids = (await limpet.status()).workers.map(({ pid }) => pid);
		const serves = async (kept, tenant) => pids.indexOf((await kept.ask('/', { Tenant: tenant })).json.pid) + 1;
		const before = await keep(limpet);
		assert.equal(await serves(before, 1), 1);
		assert.equal(await serves(before, 2), 1, 'it stays');

		const text = limpet.read('tenants.lua');
		limpet.write('tenants.lua', text.replace('"connection"', '"request"'));
		let since = limpet.now;
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: .*loaded/, since);
		const after = await keep(limpet);
		assert.equal(await serves(after, 1), 1);
		assert.equal(await serves(after, 2), 2, 'it is given back');
		assert.equal(await serves(before, 2), 1, 'what was there before stays');

		since = limpet.now;
		limpet.write('tenants.lua', text);
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: .*loaded/, since);
		const last = await keep(limpet);
		assert.equal(await serves(last, 2), 2);
		assert.equal(await serves(last, 1), 2, 'it stays again');
	}));
