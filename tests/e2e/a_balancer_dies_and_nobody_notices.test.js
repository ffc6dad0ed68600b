'use strict';
/**
 * kill -9 of the balancer, again and again, under load: the keeper starts another one, which goes on with the same workers. No
 * worker ends, no websocket closes, no client is refused, and sessions stay where they are.
 *
 * A connection that a balancer has accepted and not yet handed over dies with it: its client sees a reset. That is one for
 * each client of the load and each death, at most.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const test = require('node:test');
const { setTimeout: pause } = require('node:timers/promises');
const { AT_PORT } = require('./any_server');
const { ENGINE, acknowledged, connected } = require('./clients');
const { eventually, run } = require('./harness');
const proc = require('./proc');

const DEATHS = 12;
const EVERY_MS = 200;

/** Side by side, each on a connection of its own. */
const LOAD = 4;

/** The balancer that runs now, or undefined between two. */
function balancerOf(limpet) {
	return proc.childrenOf(limpet.pid).find((pid) => {
		try {
			return fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('limpet: balancer');
		} catch {
			return false;
		}
	});
}

/** Kill the balancer, and wait until another one serves. */
async function killBalancer(limpet, signal = 'SIGKILL') {
	const since = limpet.now;
	const balancer = balancerOf(limpet); // It has said that it serves, so it is there.
	process.kill(balancer, signal);
	await limpet.said(new RegExp(`^limpet: the balancer \\(pid ${balancer}\\) was killed by signal`), since);
}

/** The workers' processes, by number. */
async function workersOf(limpet) {
	const { workers } = await limpet.status();
	return Object.fromEntries(workers.filter(({ pid }) => pid).map(({ id, pid }) => [id, pid]));
}

/** Kill it again and again while clients come. */
async function killUnderLoad(limpet) {
	const load = limpet.startLoad(LOAD);
	for (let i = 0; i < DEATHS; i++) {
		await load.reaches(i * LOAD);
		await pause(EVERY_MS);
		await killBalancer(limpet);
	}
	await load.reaches(DEATHS * LOAD);
	const { requests, failures } = await load.stop();
	const refused = failures.filter(({ failure, answer }) => failure === 'ECONNREFUSED' || answer);
	assert.deepEqual(refused, [], `of ${requests} requests`);
	assert.ok(failures.length <= DEATHS * LOAD, `${failures.length} of ${requests} requests were lost`);
}

/** What must hold after it. */
async function assertGoesOn(limpet, workers) {
	await eventually('all workers take connections', async () =>
		(await limpet.status()).workers.filter(({ state }) => state === 'ready').length === Object.keys(workers).length);
	assert.deepEqual(await workersOf(limpet), workers, 'the same workers are in the same slots');
	const { pid, processes } = await limpet.status();
	assert.deepEqual(processes, { keeper: limpet.pid, balancer: balancerOf(limpet), balancer_deaths: DEATHS });
	assert.equal(pid, limpet.pid, 'the process to signal is the keeper');
	await limpet.counts();
}

const PLAIN = {
	'a plain cluster worker': '--dialect cluster -- node workers/answer.js',
	'any Node program': '--dialect node -- node workers/answer.js',
	'any program': `--dialect preload -- ${AT_PORT} /usr/bin/python3 -m http.server --protocol HTTP/1.1 PORT`,
	'native workers': '--dialect native -- python3 workers/native.py',
};

for (const [name, command] of Object.entries(PLAIN))
	test(`${name}: the workers stay, and nobody is refused`, run(`--keeper on --workers 2 ${command}`, async (limpet) => {
		const workers = await workersOf(limpet);
		await killUnderLoad(limpet);
		await assertGoesOn(limpet, workers);
	}));

const SOCKET_IO = {
	'@socket.io/sticky 2.0.1': '--policy sid --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201',
	'a sticky program that chooses its dialect': '--policy sid --dialect node -- node workers/socketio_sticky.js sticky201',
	'a plain Socket.IO server': '--policy sid --dialect node -- node workers/cluster_socketio.js',
	'with advanced serialization':
		'--policy sid --node-serialization advanced --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201',
};

/** A session of long-polling that only its worker knows: its id, and the worker's. */
async function openSession(limpet) {
	const { text } = await limpet.get(ENGINE);
	return /"sid":"([^"]+)"/.exec(text)[1];
}

for (const [name, command] of Object.entries(SOCKET_IO))
	test(`${name}: no websocket closes, and sessions stay`, run(`--keeper on --workers 2 ${command}`, async (limpet) => {
		const workers = await workersOf(limpet);
		const clients = await Promise.all(Array.from({ length: 6 },
			() => connected(limpet.socket({ transports: ['websocket'] }))));
		const closed = [];
		clients.forEach((client) => client.once('disconnect', (why) => closed.push(why)));
		const sids = await Promise.all(Array.from({ length: 6 }, () => openSession(limpet)));

		await killUnderLoad(limpet);
		await assertGoesOn(limpet, workers);
		assert.deepEqual(closed, []);
		for (const client of clients)
			assert.equal(await acknowledged(client, 'echo', 'still there'), 'still there');
		for (const sid of sids) {
			const { status, text } = await limpet.get(`${ENGINE}&sid=${sid}`, { method: 'POST', body: '40' });
			assert.equal(status, 200, text);
		}
	}));

test('what one balancer dies of five times is not what the next one begins with', run(
	'--keeper on --workers 1 --dialect cluster -- node workers/answer.js', async (limpet) => {
		for (let i = 0; i < 5; i++)
			await killBalancer(limpet, 'SIGABRT');
		await limpet.said(/^limpet: balancers died 5 times in 10 seconds by errors of their own: /);
		await eventually('a worker answers', async () => (await limpet.get('/')).status === 200);
	}));

test('a stop that was begun goes on', run(
	'--keeper on --workers 1 --drain-timeout 60s --dialect cluster -- node workers/answer.js', async (limpet) => {
		const answer = limpet.get('/?wait=told');
		await limpet.said(/^worker 1 waits for told/);
		limpet.signal('SIGTERM');
		await limpet.said(/^limpet: draining/);
		const since = limpet.now;
		process.kill(balancerOf(limpet), 'SIGKILL');
		await limpet.said(/^limpet: draining/, since);
		limpet.write('told', '');
		assert.equal((await answer).status, 200);
		assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
	}));

test('it has its own name in ps and top', run(
	'--keeper on --workers 1 --dialect cluster -- node workers/answer.js', async (limpet) => {
		const balancer = balancerOf(limpet);
		assert.equal(fs.readFileSync(`/proc/${balancer}/comm`, 'utf8'), 'limpet-balancer\n');
		assert.match(fs.readFileSync(`/proc/${balancer}/cmdline`, 'utf8'), /^limpet: balancer\0+$/);
		assert.match(fs.readFileSync(`/proc/${limpet.pid}/cmdline`, 'utf8'), /\0run\0.*\0--keeper\0on\0/);
	}));

test('without a keeper there is one process', run(
	'--keeper off --workers 1 --dialect cluster -- node workers/answer.js', async (limpet) => {
		const { processes } = await limpet.status();
		assert.deepEqual(processes, { keeper: null, balancer: limpet.pid, balancer_deaths: 0 });
	}));
