'use strict';
/**
 * A worker may have servers on several of limpet's ports and paths: each gets what comes there. limpet opens no port because
 * a worker asks for it, and says so. Where the ports are limpet's, they are told to the workers when the kernel has chosen.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { DIALECT, eventually, run } = require('./harness');

const WORKERS = '--workers 2 --policy round_robin --dialect cluster -- node workers/servers.js';
const TWO_PORTS = `--listen 127.0.0.1:0 --listen 127.0.0.1:0 ${WORKERS}`;
const LATE = { ready: false };

/** In the dialect `node` a server that is not at an address of limpet's really listens there. */
const LISTENS = DIALECT === 'node';

/** A port that is none of limpet's. In `cluster` nobody binds it. */
const FOREIGN = LISTENS ? 0 : 9;

const port = (address) => Number(address.split(':').at(-1));

/** Say what the servers of both workers are, and wait for those that wait for nothing else. */
async function serve(limpet, servers) {
	limpet.write('servers.json', JSON.stringify(servers));
	if (!LISTENS || !servers.some(({ after }) => after)) // There, who listens elsewhere is not ready yet.
		await limpet.ready();
	await limpet.saidTimes(2 * servers.filter(({ after }) => !after).length, /^worker \d listens at /);
}

/** Once limpet listens at so many addresses: these. */
async function listening(limpet, count) {
	await limpet.saidTimes(count, /^limpet: listening on /);
	return limpet.addresses;
}

/** Who answers so many requests in turn: ["SERVER of WORKER", …], each once. */
async function answers(limpet, address, requests = 4) {
	const found = new Set();
	for (let i = 0; i < requests; i++) {
		const { json } = await limpet.get('/', { address });
		found.add(`${json.server} of ${json.worker}`);
	}
	return [...found].sort();
}

/** Each worker answers there in its turn, once limpet has heard of both servers: workers may say it here before. */
async function bothAnswer(limpet, address, server) {
	await eventually('both serve there', async () => (await answers(limpet, address)).length === 2);
	assert.deepEqual(await answers(limpet, address), [`${server} of 1`, `${server} of 2`]);
}

/** Have a worker's server do something; asked for through an address at which every worker answers. */
async function have(limpet, worker, action, address) {
	await eventually('both serve there', async () => (await answers(limpet, address)).length === 2);
	await eventually(`worker ${worker} is asked to ${action}`,
		async () => (await limpet.get('/', { address })).json.worker !== worker);
	assert.equal((await limpet.get(action, { address })).json.worker, worker);
}

test('two ports and a path', run(
	`--listen 127.0.0.1:0 --listen 127.0.0.1:0 --listen unix:./limpet.socket ${WORKERS}`, LATE,
	async (limpet) => {
		const [a, b, path] = await listening(limpet, 3);
		await serve(limpet, [
			{ name: 'path', at: './limpet.socket' }, { name: 'b', at: port(b) }, { name: 'a', at: port(a) },
		]);
		await bothAnswer(limpet, a, 'a');
		await bothAnswer(limpet, b, 'b');
		await bothAnswer(limpet, path, 'path');
	}));

test('a port that no worker has asked for: the first server', { skip: LISTENS }, run(TWO_PORTS, LATE, async (limpet) => {
	const [a, b] = await listening(limpet, 2);
	await serve(limpet, [{ name: 'only', at: 0 }]);
	await bothAnswer(limpet, a, 'only');
	await bothAnswer(limpet, b, 'only');
	await limpet.said(new RegExp(`listens at .*"port":${port(a)}\\b`));
}));

test('a port where limpet does not listen: nothing comes there, and the log says what to do', { skip: LISTENS }, run(
	WORKERS, LATE,
	async (limpet) => {
		const [main] = await listening(limpet, 1);
		await serve(limpet, [{ name: 'metrics', at: FOREIGN }, { name: 'app', at: port(main) }]);
		await bothAnswer(limpet, main, 'app');
		const told = limpet.lines.filter((line) => /nothing comes to it/.test(line));
		assert.equal(told.length, 1, 'once for all workers');
		assert.match(told[0], /^limpet: worker \d has a server on port 9, .*; add --listen :9$/);
	}));

test('nor where the first server serves whatever comes', { skip: LISTENS }, run(
	WORKERS, LATE,
	async (limpet) => {
		await listening(limpet, 1);
		await serve(limpet, [{ name: 'app', at: 3000 }, { name: 'metrics', at: FOREIGN }, { name: 'path', at: './path' }]);
		await limpet.said(/has a server on port 9, where limpet does not listen/);
		await limpet.said(/has a server on a unix path, and limpet none: nothing comes to it; add --listen unix:/);
		await bothAnswer(limpet, limpet.address, 'app');
		assert.deepEqual(limpet.lines.filter((line) => /server on port 3000/.test(line)), []);
	}));

test('a worker that has yet to ask for the port gets none of it', run(
	WORKERS, LATE,
	async (limpet) => {
		const [main] = await listening(limpet, 1);
		limpet.write('go2', '');
		await serve(limpet, [{ name: 'metrics', at: FOREIGN }, { name: 'app', at: port(main), after: 'go' }]);
		await limpet.said(new RegExp(`worker 2 listens at .*"port":${port(main)}`));
		assert.deepEqual(await answers(limpet, main, 6), ['app of 2']);
		limpet.write('go1', '');
		await limpet.said(new RegExp(`worker 1 listens at .*"port":${port(main)}`));
		await bothAnswer(limpet, main, 'app');
	}));

test('a server that closes in one worker: the others have its port until it listens again', run(
	TWO_PORTS, LATE,
	async (limpet) => {
		const [a, b] = await listening(limpet, 2);
		await serve(limpet, [{ name: 'a', at: port(a) }, { name: 'b', at: port(b) }]);
		await have(limpet, 1, '/close?a', b);
		assert.deepEqual(await answers(limpet, a, 6), ['a of 2']);
		await bothAnswer(limpet, b, 'b');
		await have(limpet, 1, '/listen?a', b);
		await bothAnswer(limpet, a, 'a');
	}));

test('a server that closes in all workers: what comes waits until one listens again', run(
	TWO_PORTS, LATE,
	async (limpet) => {
		const [a, b] = await listening(limpet, 2);
		await serve(limpet, [{ name: 'a', at: port(a) }, { name: 'b', at: port(b) }]);
		await have(limpet, 1, '/close?a', b);
		await have(limpet, 2, '/close?a', b);
		const answer = limpet.get('/', { address: a });
		// Where workers say at which addresses they listen, it is not even sent.
		await eventually('it waits', async () => {
			const counts = await limpet.counts();
			return LISTENS ? counts.waiting : counts.returned_refused >= 2;
		});
		await have(limpet, 2, '/listen?a', b);
		assert.deepEqual((await answer).json, { worker: 2, server: 'a' });
	}));

test('the only server closes and listens again: its worker is back', run(
	WORKERS, LATE,
	async (limpet) => {
		await listening(limpet, 1);
		await serve(limpet, [{ name: 'only', at: port(limpet.address) }]);
		const { json } = await limpet.get('/relisten?again');
		await eventually('it gets no more', async () => !(await limpet.worker(json.worker)).usable);
		assert.deepEqual(await answers(limpet, limpet.address), [`only of ${3 - json.worker}`]);
		limpet.write('again', '');
		await eventually('it does again', async () => (await limpet.worker(json.worker)).usable);
		await bothAnswer(limpet, limpet.address, 'only');
		assert.equal((await limpet.counts()).worker_exits, 0);
	}));

test('workers of a sticky package that listen besides: each server gets what comes through its own port', run(
	'--listen 127.0.0.1:0 --listen 127.0.0.1:0 --workers 2 --policy round_robin --dialect socket.io-sticky -- ' +
		'node workers/sticky_besides.js',
	LATE,
	async (limpet) => {
		const [main, metrics] = await listening(limpet, 2);
		await serve(limpet, [{ name: 'metrics', at: port(metrics) }, { name: 'foreign', at: 9 }]);
		await limpet.said(/has a server on port 9, where limpet does not listen/);
		await bothAnswer(limpet, metrics, 'metrics');
		await bothAnswer(limpet, main, 'io');
		await have(limpet, 1, '/close?metrics', metrics);
		assert.deepEqual(await answers(limpet, metrics, 6), ['metrics of 2']);
		await bothAnswer(limpet, main, 'io');
	}));

test('a program that listens elsewhere only: the log says where, and what to do', { skip: !LISTENS }, run(
	WORKERS, LATE,
	async (limpet) => {
		const [main] = await listening(limpet, 1);
		limpet.write('servers.json', JSON.stringify([{ name: 'app', at: 0 }]));
		const [, at] = await limpet.said(/^worker \d listens at .*"port":(\d+)/);
		await limpet.said(new RegExp(`listens on ${at}, limpet on ${port(main)}: make them the same`));
	}));

test('a port and a path that are not limpet\'s: all workers have them, until the last one closes them', { skip: !LISTENS }, run(
	WORKERS, LATE,
	async (limpet) => {
		const [main] = await listening(limpet, 1);
		await serve(limpet, [
			{ name: 'metrics', at: 0 }, { name: 'tool', at: './tool.socket' }, { name: 'app', at: port(main) },
		]);
		const ports = limpet.lines.map((line) => /^worker \d listens at .*"port":(\d+)/.exec(line)?.[1]);
		const [metrics, other] = ports.filter((one) => one && Number(one) !== port(main));
		assert.equal(metrics, other, 'one port for both');
		const [address, path] = [`127.0.0.1:${metrics}`, `unix:${limpet.folder}/tool.socket`];
		for (const [at, name] of [[address, 'metrics'], [path, 'tool']])
			assert.equal((await limpet.get('/', { address: at })).json.server, name);
		await bothAnswer(limpet, main, 'app');
		const before = (await limpet.counts()).accepted;
		process.kill((await limpet.worker(1)).pid, 'SIGKILL');
		assert.equal((await limpet.get('/', { address })).json.server, 'metrics', 'a death leaves it');
		assert.equal((await limpet.counts()).accepted, before, 'limpet sees nothing of it');
		await limpet.said(/worker 1 is ready/, limpet.now);
		for (const worker of [1, 2]) {
			await have(limpet, worker, '/close?metrics', main);
			await have(limpet, worker, '/close?tool', main);
		}
		await eventually('nobody listens there', () => limpet.get('/', { address }).then(() => false, () => true));
		await eventually('nor there', () => limpet.get('/', { address: path }).then(() => false, () => true));
	}));
