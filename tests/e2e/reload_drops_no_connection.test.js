'use strict';
/**
 * The policies are loaded anew on SIGHUP while connections keep coming: none is refused or lost, nothing grows, and a
 * file that does not load changes nothing.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { setTimeout: pause } = require('node:timers/promises');
const { io } = require('socket.io-client');
const { startLoad } = require('./load');
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
		const load = startLoad(limpet.address, 8);
		const measured = [];
		for (let i = 1; i <= RELOADS; i++) {
			limpet.write('always.lua', always(1 + (i % 2)));
			limpet.signal('SIGHUP');
			await pause(PACE_MS);
			if (i % 50 === 0)
				measured.push({ descriptors: proc.descriptors(limpet.pid), kib: proc.residentKib(limpet.pid) });
		}
		const { requests, failures } = await load.stop();
		t.diagnostic(`${requests} requests; ${JSON.stringify(measured)}`);
		assert.deepEqual(failures, []);
		assert.ok(requests > 1000, `${requests} requests are no load`);

		const counts = await limpet.counts();
		assert.ok(counts.reloads > RELOADS * 0.9, `${counts.reloads} reloads`);
		assert.equal(counts.failed_reloads + counts.policy_errors + counts.refused, 0);
		assert.equal(counts.worker_starts, 2);

		// Connections under way come and go with the load; a leak would be one descriptor a reload.
		assert.ok(measured[3].descriptors - measured[0].descriptors < 40);
		if (!sanitized)
			assert.ok(measured[3].kib - measured[0].kib < 4096, 'resident memory stays');
	}));

test('a broken file leaves the old policy in place, and says where it is broken', run(
	'--workers 2 --policy ./always.lua --dialect cluster -- node workers/answer.js',
	{ files: { 'always.lua': always(2) } },
	async (limpet) => {
		assert.equal(await by(limpet), 2);

		limpet.write('always.lua', 'return {\n  on_request = function(conn, workers)\n    return workers[1\n  end,\n}\n');
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: policy \.\/always\.lua:\d: .*; keeping the polic(y|ies) loaded at \d\d:\d\d:\d\d$/);
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
		for (let i = 0; i < 2000; i++) {
			if (i === 1999)
				limpet.write('always.lua', always(2));
			limpet.signal('SIGHUP');
		}
		const tookMs = Date.now() - began;
		await eventually('the last file is in use', async () => (await by(limpet)) === 2);
		const { reloads } = await limpet.counts();
		assert.ok(reloads >= 1 && reloads <= tookMs / 10 + 3, `${reloads} reloads in ${tookMs} ms`);
	}));

test('sessions outlive a reload', run(
	'--workers 3 --policy sid --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201',
	async (limpet) => {
		const clients = Array.from({ length: 6 }, () =>
			io(`http://${limpet.address}`, { transports: ['polling'], forceNew: true, reconnection: false }));
		await eventually('all have connected', () => clients.every((client) => client.connected));
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: reloaded .*6 sessions kept/);
		for (const client of clients)
			assert.equal(await client.timeout(5000).emitWithAck('echo', 'still here'), 'still here');
		clients.forEach((client) => client.close());
	}));
