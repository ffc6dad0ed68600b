'use strict';
/**
 * Policies as an operator writes them: a file beside the command, what it may answer, and what happens when it fails.
 */
const assert = require('node:assert/strict');
const { once } = require('node:events');
const test = require('node:test');
const { head } = require('./clients');
const { run } = require('./harness');

const WORKERS = '--dialect cluster -- node workers/answer.js';

const by = async (limpet, path, options) => (await limpet.get(path, options)).json.worker;

test('a file chooses by whatever the request says', run(
	`--workers 3 --policy ./tenants.lua --set default=3 ${WORKERS}`,
	{
		files: {
			'tenants.lua': `--- Each tenant has a worker; strangers share one.
				local fallback

				return {
				  setup = function(options)
				    fallback = tonumber(options.default)
				  end,
				  on_request = function(conn, workers)
				    local tenant = conn:header("X-Tenant") or conn:query("t") or conn:cookie("tenant")
				    return workers[tonumber(tenant) or fallback]
				  end,
				}`,
		},
	},
	async (limpet) => {
		assert.equal(await by(limpet, '/', { headers: { 'x-tenant': '1' } }), 1);
		assert.equal(await by(limpet, '/?t=2'), 2);
		assert.equal(await by(limpet, '/', { headers: { Cookie: 'a=b; tenant=1' } }), 1);
		assert.equal(await by(limpet, '/'), 3);
	}));

test('a refusal reaches the client whole', run(
	`--workers 1 --policy ./closed.lua ${WORKERS}`,
	{
		files: {
			'closed.lua': `return {
				  on_request = function(conn, workers)
				    if conn.path == "/private" then return limpet.refuse(403) end
				    if conn.path == "/busy" then return limpet.refuse(503) end
				  end,
				}`,
		},
	},
	async (limpet) => {
		const { status, headers, text } = await limpet.get('/private');
		assert.equal(status, 403);
		assert.equal(headers.connection, 'close');
		assert.match(text, /^403 Forbidden/);

		const busy = head('/busy', { method: 'POST', length: 30_000 });
		const { text: raw, reset } = await limpet.exchange(busy + 'x'.repeat(30_000));
		assert.match(raw, /^HTTP\/1\.1 503 Service Unavailable\r\n/);
		assert.equal(reset, false, 'unread bytes do not reset the answer away');

		const socket = await limpet.connect();
		socket.write(busy);
		await once(socket, 'data');
		for (let i = 0; i < 3; i++)
			await new Promise((resolve) => socket.write('x'.repeat(10_000), resolve));
		socket.end();
		await once(socket, 'close');
		assert.equal(socket.errored, null, 'who still sends its request may finish');

		assert.equal((await limpet.get('/open')).status, 200);
		assert.equal((await limpet.counts()).refused, 3);
	}));

test('a refusal before any byte was looked at', run(
	`--workers 1 --policy ./never.lua ${WORKERS}`,
	{ files: { 'never.lua': 'return { on_connect = function() return limpet.refuse(429) end }' } },
	async (limpet) => {
		assert.equal((await limpet.get('/')).status, 429);
	}));

test('policies are tried in order, and the least busy worker is the last resort', run(
	`--workers 2 --policy ./one.lua --policy ./two.lua ${WORKERS}`,
	{
		files: {
			'one.lua': `return {
				  on_request = function(conn, workers)
				    if conn.path == "/1" then return workers[1] end
				  end,
				}`,
			'two.lua': `return {
				  on_request = function(conn, workers)
				    if conn.path == "/2" then return workers[2] end
				  end,
				}`,
		},
	},
	async (limpet) => {
		assert.equal(await by(limpet, '/1'), 1);
		assert.equal(await by(limpet, '/2'), 2);
		assert.equal((await limpet.get('/3')).status, 200);
	}));

test('without a policy idle workers take turns: six requests reach all four', run(
	'--workers 4 --dialect cluster -- node workers/answer.js',
	async (limpet) => {
		const reached = [];
		for (let i = 0; i < 6; i++)
			reached.push(await by(limpet, '/'));
		assert.deepEqual([...new Set(reached)].sort(), [1, 2, 3, 4], `reached ${reached}`);
	}));

/** Clients as a proxy names them. */
const forwarded = (count) =>
	Array.from({ length: count }, (_, i) => ({ headers: { 'X-Forwarded-For': `198.51.100.${i}` } }));

test('forwarded_for: behind a trusted proxy a client is whom the proxy names', run(
	`--workers 4 --policy forwarded_for --trust 127.0.0.0/8 ${WORKERS}`,
	async (limpet) => {
		const homesOf = () => Promise.all(forwarded(40).map((options) => by(limpet, '/', options)));
		const homes = await homesOf();
		assert.equal(new Set(homes).size, 4);
		assert.deepEqual(await homesOf(), homes);

		for (const headers of [
			{ 'X-Forwarded-For': '198.51.100.7:4321' },
			{ 'X-Forwarded-For': '203.0.113.5, 198.51.100.7' },
			{ 'X-Forwarded-For': '198.51.100.7, 127.0.0.9' },
			{ 'X-Forwarded-For': '198.51.100.7', Forwarded: 'for=198.51.100.8' },
		])
			assert.equal(await by(limpet, '/', { headers }), homes[7], JSON.stringify(headers));
	}));

test('forwarded_for, where the proxy writes Forwarded', run(
	`--workers 4 --policy forwarded_for --trust 127.0.0.0/8 --forwarded-header forwarded ${WORKERS}`,
	async (limpet) => {
		const home = await by(limpet, '/', { headers: { Forwarded: 'for=198.51.100.7' } });
		const homes = await Promise.all(Array.from({ length: 40 }, (_, i) =>
			by(limpet, '/', { headers: { Forwarded: `for=198.51.100.${i}` } })));
		assert.equal(new Set(homes).size, 4);
		assert.equal(homes[7], home);
		for (const headers of [
			{ Forwarded: 'for="198.51.100.7:99";proto=http' },
			{ Forwarded: 'for=198.51.100.7', 'X-Forwarded-For': '198.51.100.8' },
		])
			assert.equal(await by(limpet, '/', { headers }), home, JSON.stringify(headers));
	}));

test('ip_hash: only the clients of a worker that died move, and they come home', run(
	`--workers 4 --policy ip_hash ${WORKERS}`,
	async (limpet) => {
		const all = Array.from({ length: 40 }, (_, i) => ({ localAddress: `127.0.0.${10 + i}` }));
		const homesOf = () => Promise.all(all.map((options) => by(limpet, '/', options)));
		const homes = await homesOf();
		assert.equal(new Set(homes).size, 4);
		assert.deepEqual(await homesOf(), homes);

		const since = limpet.now;
		process.kill((await limpet.worker(2)).pid, 'SIGKILL');
		await limpet.said(/^limpet: worker 2 .* was killed/, since);
		const meanwhile = await homesOf();
		meanwhile.forEach((home, i) => homes[i] === 2 || assert.equal(home, homes[i]));
		await limpet.said(/^limpet: worker 2 is ready/, since);
		assert.deepEqual(await homesOf(), homes);
	}));

test('round_robin goes round', run(`--workers 3 --policy round_robin ${WORKERS}`, async (limpet) => {
	const turns = [];
	for (let i = 0; i < 9; i++)
		turns.push(await by(limpet, '/'));
	assert.deepEqual(turns.slice(3), turns.slice(0, 6));
	assert.equal(new Set(turns).size, 3);
}));

test('a policy knows which listener a connection came through', run(
	`--listen 127.0.0.1:0 --listen unix:./inside --workers 2 --policy ./inside.lua ${WORKERS}`,
	{
		files: {
			'inside.lua': `return {
				  on_connect = function(conn, workers)
				    return workers[conn.listener == "unix:./inside" and 2 or 1]
				  end,
				}`,
		},
	},
	async (limpet) => {
		const [outside, inside] = limpet.addresses;
		assert.equal(await by(limpet, '/', { address: outside }), 1);
		assert.equal(await by(limpet, '/', { address: inside }), 2);
	}));

test('a policy hears of workers that come and go', run(
	`--workers 2 --policy ./watch.lua ${WORKERS}`,
	{
		files: {
			'watch.lua': `return {
				  on_worker_up = function(worker) limpet.log.info("up: " .. worker.id) end,
				  on_worker_down = function(worker) limpet.log.info("down: " .. worker.id) end,
				}`,
		},
	},
	async (limpet) => {
		await limpet.said(/up: 2$/);
		const since = limpet.now;
		process.kill((await limpet.worker(2)).pid, 'SIGKILL');
		await limpet.said(/down: 2$/, since);
		await limpet.said(/up: 2$/, since);
	}));

test('limpet.shared survives a reload', run(
	`--workers 2 --policy ./turns.lua ${WORKERS}`,
	{
		files: {
			'turns.lua': `return {
				  on_request = function(conn, workers)
				    return limpet.refuse(400 + limpet.shared:incr("turns", 1))
				  end,
				}`,
		},
	},
	async (limpet) => {
		assert.equal((await limpet.get('/')).status, 401);
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: reloaded/);
		assert.equal((await limpet.get('/')).status, 402);
	}));
