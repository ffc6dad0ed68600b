'use strict';
/**
 * Workers are killed under load, one after the other. A request may fail only when the worker that died had begun it:
 * the workers keep a ledger (workers/ledger.js) of every connection they took, written before limpet hears of it. What
 * was on the way to a worker, or came while it was away, is answered by another.
 */
const assert = require('node:assert/strict');
const { once } = require('node:events');
const test = require('node:test');
const { setTimeout: pause } = require('node:timers/promises');
const { acknowledged } = require('./clients');
const { eventually, run } = require('./harness');

const KILLS = 40;
const PACE_MS = 500;

/** Ports come again, so that a line of the ledger is a failure's only if it was written during it. */
function ledgerOf(limpet) {
	const entries = limpet.read('ledger').trim().split('\n').map((line) => {
		const [word, port, at] = line.split(' ');
		return { word, port: Number(port), at: BigInt(at) };
	});
	return (word, { port, began, ended }) =>
		entries.some((line) => line.word === word && line.port === port && line.at > began && line.at < ended);
}

test(`${KILLS} workers killed, each ${PACE_MS} ms behind the other or later`, run(
	'--workers 4 --policy least_connections --dialect cluster -- node workers/ledger.js',
	{ env: { LEDGER: 'ledger' } },
	async (limpet, t) => {
		const load = limpet.startLoad(8);
		for (let i = 0; i < KILLS; i++) {
			await pause(PACE_MS);
			let victim;
			await eventually('it is back', async () => (victim = await limpet.worker(1 + (i % 4))).usable);
			process.kill(victim.pid, 'SIGKILL');
		}
		await load.reaches(2000);
		const { requests, failures } = await load.stop();

		const isInLedger = ledgerOf(limpet);
		const read = failures.filter((failure) => isInLedger('read', failure));
		const { worker_exits, moved } = await limpet.counts();
		t.diagnostic(`${requests} requests, ${worker_exits} kills, ${moved} connections moved; ` +
			`${failures.length} requests lost, ${read.length} of them read already`);
		assert.deepEqual(failures.filter((failure) => !isInLedger('took', failure)), []);
		assert.equal(worker_exits, KILLS);
		assert.deepEqual(limpet.lines.filter((line) => /worker [^1-4]/.test(line)), [], 'no new slots');
	}));

test('the sessions of the others stay', run(
	'--workers 3 --policy sid --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201',
	async (limpet) => {
		const clients = await Promise.all(Array.from({ length: 9 }, async (_, i) => {
			const client = limpet.socket({ transports: [i % 2 ? 'polling' : 'websocket'] });
			const [worker] = await once(client, 'worker');
			return { client, worker };
		}));
		for (const id of [2, 3]) {
			const since = limpet.now;
			process.kill((await limpet.worker(id)).pid, 'SIGKILL');
			await limpet.said(new RegExp(`^limpet: worker ${id} is ready`), since);
		}

		const stayed = clients.filter(({ worker }) => worker === 1);
		assert.ok(stayed.length >= 1 && stayed.length < clients.length, `${stayed.length} stay`);
		for (const { client } of stayed)
			assert.equal(await acknowledged(client, 'echo', 'still here'), 'still here');
		await eventually('the others have noticed', () =>
			clients.every(({ client, worker }) => client.connected === (worker === 1)));
		await eventually('dead sessions are forgotten', async () => (await limpet.counts()).sessions === stayed.length);
		clients.forEach(({ client }) => client.close());
	}));
