'use strict';
/**
 * The policies are loaded anew on SIGHUP while connections keep coming: none is refused or lost, nothing grows, and a
 * file that does not load changes nothing.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { setTimeout: pause } = require('node:timers/promises');
const proc = require('./proc');
const { eventually, run, sanitized } = require('./harness');

const RELOADS = 200;
const PACE_MS = 50;

/** A policy that chooses one worker. */
const always = (id) => `--- Worker ${id}, whoever asks.
return {
  on_request = function(conn, workers)
    return workers[${id}]
  end,
}
`;

const by = async (limpet) => (await limpet.get('/')).json.worker;

test(`${RELOADS} reloads in ${(RELOADS * PACE_MS) / 1000} s under load`, run(
	'--workers 2 --policy sid --policy ./always.lua --dialect cluster -- node workers/answer.js',
	{ files: { 'always.lua': always(1) } },
	async (limpet, t) => {
		await limpet.get('/');
		const descriptors = proc.descriptors(limpet.pid);
		const load = limpet.startLoad(8);
		const kib = [];
		for (let i = 1; i <= RELOADS; i++) {
			limpet.write('always.lua', always(1 + (i % 2)));
			limpet.signal('SIGHUP');
			await pause(PACE_MS);
			if (i % (RELOADS / 4) === 0)
				kib.push(proc.residentKib(limpet.pid));
		}
		const { requests, failures } = await load.stop();
		assert.deepEqual(failures, []);
		assert.ok(requests > 1000, `${requests} requests are no load`);

		const counts = await limpet.counts();
		t.diagnostic(`${requests} requests, ${counts.reloads} reloads, ${kib} KiB`);
		assert.ok(counts.reloads > RELOADS / 2, 'most signals come one by one');
		assert.equal(counts.failed_reloads + counts.policy_errors + counts.refused, 0);
		assert.equal(counts.worker_starts, 2);

		assert.ok(sanitized || kib[3] - kib[0] < 4096, 'a reload keeps no memory');
		await eventually('every descriptor is closed', () => proc.descriptors(limpet.pid) === descriptors);
	}));

test('a broken file leaves the old policy in place, and says where it is broken', run(
	'--workers 2 --policy ./always.lua --dialect cluster -- node workers/answer.js',
	{ files: { 'always.lua': always(2) } },
	async (limpet) => {
		assert.equal(await by(limpet), 2);

		limpet.write('always.lua', always('1)'));
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: policy \.\/always\.lua:4: .*; keeping the policies loaded at [\d:]{8}$/);
		assert.equal(await by(limpet), 2);

		limpet.write('always.lua', 'error("not today")\n');
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: policy \.\/always\.lua:1: not today; keeping/);
		assert.equal(await by(limpet), 2);
		assert.equal((await limpet.counts()).failed_reloads, 2);

		limpet.write('always.lua', always(1));
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: reloaded /);
		assert.equal(await by(limpet), 1);
	}));

test('a storm of signals is a few reloads, and the last file counts', run(
	'--workers 2 --policy ./always.lua --dialect cluster -- node workers/answer.js',
	{ files: { 'always.lua': always(1) } },
	async (limpet) => {
		const began = Date.now();
		for (let i = 1; i < 2000; i++)
			limpet.signal('SIGHUP');
		limpet.write('always.lua', always(2));
		limpet.signal('SIGHUP');
		await eventually('the last file is in use', async () => (await by(limpet)) === 2);
		const { reloads } = await limpet.counts();
		const tookMs = Date.now() - began;
		assert.ok(reloads >= 1 && reloads <= tookMs / 10 + 2, `${reloads} reloads in ${tookMs} ms`);
	}));

test('sessions outlive a reload', run(
	'--workers 3 --policy sid --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201',
	async (limpet) => {
		const clients = Array.from({ length: 6 }, () => limpet.socket({ transports: ['polling'] }));
		await eventually('all have connected', () => clients.every((client) => client.connected));
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: reloaded .*6 sessions kept/);
		for (const client of clients)
			assert.equal(await client.timeout(5000).emitWithAck('echo', 'still here'), 'still here');
		clients.forEach((client) => client.close());
	}));
