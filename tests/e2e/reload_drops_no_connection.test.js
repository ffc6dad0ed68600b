'use strict';
/**
 * The policies are loaded anew on SIGHUP while connections keep coming: none is refused or lost, and nothing grows.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { setTimeout: pause } = require('node:timers/promises');
const proc = require('./proc');
const { acknowledged } = require('./clients');
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

test(`${RELOADS} reloads under load, each ${PACE_MS} ms behind the other or later`, run(
	'--workers 2 --policy sid --policy ./always.lua --dialect cluster -- node workers/answer.js',
	{ files: { 'always.lua': always(1) } },
	async (limpet, t) => {
		await limpet.get('/');
		await limpet.counts(); // The first of each opens some that stay.
		const descriptors = proc.descriptors(limpet.pid);
		const load = limpet.startLoad(8);
		const kib = [];
		for (let i = 1; i <= RELOADS; i++) {
			limpet.write('always.lua', always(1 + (i % 2)));
			limpet.signal('SIGHUP');
			await Promise.all([pause(PACE_MS), eventually('it is loaded', async () => (await limpet.counts()).reloads === i)]);
			if (i % (RELOADS / 4) === 0)
				kib.push(proc.residentKib(limpet.pid));
		}
		await load.reaches(1000);
		const { requests, failures } = await load.stop();
		assert.deepEqual(failures, []);

		const counts = await limpet.counts();
		t.diagnostic(`${requests} requests, ${counts.reloads} reloads, ${kib} KiB`);
		assert.equal(counts.failed_reloads + counts.policy_errors + counts.refused, 0);
		assert.equal(counts.worker_starts, 2);

		assert.ok(sanitized || kib[3] - kib[0] < 4096, 'a reload keeps no memory');
		await eventually('every descriptor is closed', () => proc.descriptors(limpet.pid) === descriptors);
	}));

test('sessions outlive a reload', run(
	'--workers 3 --policy sid --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201',
	async (limpet) => {
		const clients = Array.from({ length: 6 }, () => limpet.socket({ transports: ['polling'] }));
		await eventually('all have connected', () => clients.every((client) => client.connected));
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: reloaded .*6 sessions kept/);
		for (const client of clients)
			assert.equal(await acknowledged(client, 'echo', 'still here'), 'still here');
		clients.forEach((client) => client.close());
	}));
