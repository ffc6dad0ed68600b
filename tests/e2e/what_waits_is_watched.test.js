'use strict';
/**
 * A connection that waits for a session or for a worker has its place for as long as its client is there, and one address
 * has no more places than others can spare.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { head, receiveAll } = require('./clients');
const { eventually, run } = require('./harness');

/** /bind gives the session `known` to worker 1. */
const POLICY = {
	'p.lua': `return {
		on_request = function(conn, workers)
			if conn.path == "/bind" then return workers:bind("known", workers[1]) end
			return conn.sid and workers:session(conn.sid)
		end,
	}`,
};
const known = head('/?EIO=4&sid=known');
const unknown = head('/?EIO=4&sid=unknown');
const SERVE = '--ack-timeout 200ms --workers 2 --policy ./p.lua --dialect cluster -- node workers/answer.js';

/** Less than any of the waits below takes. */
const SOON_MS = 8000;

/** Workers of the dialect `node` name a session before its client can: nobody waits for that. */
const ASKS = { skip: process.env.LIMPET_E2E_DIALECT === 'node' };

const waiting = (limpet, count, patienceMs) =>
	eventually(`${count} wait`, async () => (await limpet.counts()).waiting === count, patienceMs);

/** Worker 1 has the session `known`, and takes nothing. */
async function stopWorker(limpet) {
	assert.equal((await limpet.get('/bind')).json.worker, 1);
	const { pid } = await limpet.worker(1);
	process.kill(pid, 'SIGSTOP');
	// What it does not take shows that it is stuck.
	const first = await limpet.connect();
	first.write(known);
	await eventually('it is stuck', async () => (await limpet.worker(1)).stuck);
	return pid;
}

async function ask(limpet, count, bytes, localAddress = '127.0.0.1') {
	const sockets = await Promise.all(Array.from({ length: count }, () => limpet.connect(limpet.address, { localAddress })));
	sockets.forEach((socket) => socket.write(bytes));
	return sockets;
}

for (const [how, end] of [['leave', (socket) => socket.destroy()], ['reset', (socket) => socket.resetAndDestroy()]]) {
	test(`clients that ${how} while their session's worker is stuck free their places`, run(
		`--max-waiting 100 --head-timeout 60s ${SERVE}`,
		{ files: POLICY },
		async (limpet) => {
			const pid = await stopWorker(limpet);
			const before = (await limpet.counts()).closed_early;
			const clients = await ask(limpet, 100, known);
			await waiting(limpet, 100);
			clients.forEach(end);
			await waiting(limpet, 0, SOON_MS);
			assert.equal((await limpet.counts()).closed_early, before + 100);

			const late = await limpet.connect();
			const answer = receiveAll(late);
			late.write(known);
			await waiting(limpet, 1);
			process.kill(pid, 'SIGCONT');
			assert.match((await answer).text, /^HTTP\/1\.1 200 /);
		}));

	test(`clients that ${how} while nobody has named their session free their places`, ASKS, run(
		`--session-wait 10s --head-timeout 60s ${SERVE}`,
		{ files: POLICY },
		async (limpet) => {
			const pids = (await limpet.status()).workers.map(({ pid }) => pid);
			pids.forEach((pid) => process.kill(pid, 'SIGSTOP')); // So that none can be asked.
			const clients = await ask(limpet, 100, unknown);
			await waiting(limpet, 100);
			clients.forEach(end);
			await waiting(limpet, 0, SOON_MS);
			pids.forEach((pid) => process.kill(pid, 'SIGCONT'));
			assert.equal((await limpet.counts()).closed_early, 100);
		}));
}

test('clients that send and leave at once do not keep the next one out', run(
	`--max-waiting 100 --head-timeout 60s ${SERVE}`,
	{ files: POLICY },
	async (limpet) => {
		const pid = await stopWorker(limpet);
		for (let i = 0; i < 200; i++)
			(await limpet.connect()).end(known);
		const late = await limpet.connect();
		const answer = receiveAll(late);
		late.write(known);
		await eventually('it waits, and nobody else does', async () => (await limpet.counts()).waiting === 1, SOON_MS);
		process.kill(pid, 'SIGCONT');
		assert.match((await answer).text, /^HTTP\/1\.1 200 /);
	}));

for (const [what, bytes] of [['for an unknown session', unknown], ['for the worker of a session', known]])
	test(`one address that waits ${what} leaves room for others`, bytes === unknown ? ASKS : {}, run(
		`--max-waiting 100 --session-wait 10s --head-timeout 60s ${SERVE}`,
		{ files: POLICY },
		async (limpet) => {
			const first = await stopWorker(limpet);
			const { pid: second } = await limpet.worker(2);
			process.kill(second, 'SIGSTOP');
			const greedy = await ask(limpet, 100, bytes, '127.0.0.2');
			await waiting(limpet, 100);
			greedy.push(...await ask(limpet, 50, bytes, '127.0.0.2'));
			await eventually('no more can wait', async () => (await limpet.counts()).refused === 50);

			const client = await limpet.connect(limpet.address, { localAddress: '127.0.0.3' });
			const answer = receiveAll(client);
			client.write('GET / HTTP/1.1\r\nHost: ');
			await eventually('it has a place', async () => (await limpet.counts()).refused === 51);
			process.kill(second, 'SIGCONT');
			client.write('limpet\r\nConnection: close\r\n\r\n');
			assert.match((await answer).text, /^HTTP\/1\.1 200 /);
			process.kill(first, 'SIGCONT');
		}));
