'use strict';
/**
 * A stopped worker takes no connections, but its channel does. When the worker is killed then, each of those
 * connections goes, whole and unread, to one that lives.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { eventually, run } = require('./harness');

const REQUESTS = 60;

const WORKERS = {
	cluster: 'node workers/answer.js',
	'socket.io-sticky': 'node workers/socketio_sticky.js sticky201',
	'sticky-session': 'node workers/sticky_session.js',
	'socketio-sticky-session': 'node workers/socketio_sticky_session.js',
	native: 'python3 workers/native.py',
};

for (const [dialect, worker] of Object.entries(WORKERS)) {
	test(dialect, run(`--workers 2 --ack-timeout 0 --policy round_robin --dialect ${dialect} -- ${worker}`, async (limpet) => {
		const { pid } = await limpet.worker(1);
		process.kill(pid, 'SIGSTOP');

		const answers = Array.from({ length: REQUESTS }, (_, i) => limpet.get(`/?request=${i}`));
		await eventually('half wait at the stopped worker, and the other half is answered', async () => {
			const counts = await limpet.counts();
			return counts.in_flight === REQUESTS / 2 && counts.acknowledged === REQUESTS / 2;
		});
		process.kill(pid, 'SIGKILL');

		for (const { status, json } of await Promise.all(answers)) {
			assert.equal(status, 200);
			assert.notEqual(json.pid, pid);
		}
		await eventually('all are counted', async () => (await limpet.counts()).moved === REQUESTS / 2);
		const { acknowledged, returned, returned_lost } = await limpet.counts();
		assert.deepEqual([acknowledged, returned, returned_lost], Array(3).fill(REQUESTS / 2));
		await limpet.said(/^limpet: worker 1 \(pid \d+\) was killed by signal 9/);
	}));
}
