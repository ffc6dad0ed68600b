'use strict';
/**
 * A process that listens at two of limpet's addresses gets each connection where it was meant to arrive, whatever way it
 * waits for them; and what it leaves goes to another process.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { AT_PORT, registered, workerPids } = require('./any_server');
const { eventually, run } = require('./harness');

/** Requests to each of the two addresses, for each way to bring them. */
const REQUESTS = 30;

/** Connections that a process keeps for a listener while it accepts at another: core/preload/accept_queue.h. */
const PLACE_ROOM = 64;

const PORTS = '--listen 127.0.0.1:0 --listen 127.0.0.1:0';
const PATH = '--listen 127.0.0.1:0 --listen unix:./app.sock';
const at = (listen, workers, server, policy = 'round_robin') =>
	`${listen} --workers ${workers} --policy ${policy} --dialect preload -- ${AT_PORT} ${server}`;
const gunicorn = (words) => at(PORTS, 1, `gunicorn -b 127.0.0.1:PORT -b 127.0.0.1:SECOND -w 2 ${words} which:app`);

const WHICH = {
	'which.py': `
import json
import os

PORTS = os.environ["LIMPET_PRELOAD_LISTEN"].split(",")


def app(environ, start_response):
    body = json.dumps({"pid": os.getpid(), "server": PORTS.index(environ["SERVER_PORT"]) + 1}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
`,
};

async function ask(limpet, number, options, addresses = limpet.addresses) {
	return (await limpet.get('/', { address: addresses[number - 1], ...options })).json;
}

/** Both servers answer what is theirs, one request at a time and many at once. Resolves to the processes that did. */
async function assertEach(limpet, addresses) {
	const pids = new Set();
	const look = async (number) => {
		const { pid, server } = await ask(limpet, number, {}, addresses);
		assert.equal(server, number);
		pids.add(pid);
	};
	for (let i = 0; i < REQUESTS; i++) {
		await look(2 - (i % 2));
		await look(1 + (i % 3 === 0));
	}
	await Promise.all(Array.from({ length: 2 * REQUESTS }, (_, i) => look(1 + (i % 2))));
	return pids;
}

/** One server answers what is its. Resolves to the processes that did. */
async function assertOne(limpet, number) {
	const pids = new Set();
	for (let i = 0; i < REQUESTS; i++) {
		const { pid, server } = await ask(limpet, number);
		assert.equal(server, number);
		pids.add(pid);
	}
	return pids;
}

/** The first address is every worker's; the second, the last one's alone. */
const SOME = `
	const http = require('node:http');
	const serve = (server) => http.createServer((request, response) => {
		response.end(JSON.stringify({ pid: process.pid, server }));
	});
	serve(1).listen(Number(process.argv[2]), '127.0.0.1', () => {
		if (process.env.LIMPET_WORKER_ID === '4')
			serve(2).listen(Number(process.argv[3]), '127.0.0.1', () => console.log('both'));
	});
	process.on('SIGTERM', () => process.exit(0));
`;

for (const policy of ['round_robin', 'least_connections', 'ip_hash'])
	test(`one worker of four listens at the second address, and gets all of it: ${policy}`, run(
		at(PORTS, 4, 'node some.js PORT SECOND', policy), { files: { 'some.js': SOME } },
		async (limpet) => {
			await registered(limpet, 4);
			await limpet.said(/^both$/);
			await limpet.said(/limpet: worker 4 is ready/);
			await eventually('it takes connections there', async () => (await ask(limpet, 2)).server === 2);
			const before = (await limpet.counts()).moved;
			const last = (await limpet.worker(4)).pid;
			assert.deepEqual(await assertOne(limpet, 2), new Set([last]));
			assert.ok((await assertOne(limpet, 1)).size >= 1);
			assert.equal((await limpet.counts()).moved, before, 'nothing was sent where it is not wanted');
		}));

for (const [name, command, workers] of [
	['Node, two ports', at(PORTS, 2, 'node workers/any_server/two.js PORT SECOND'), 2],
	['Node, a port and a path', at(PATH, 2, 'node workers/any_server/two.js PORT SECOND'), 2],
	...['threads', 'accept', 'select', 'poll', 'epoll', 'asyncio', 'fork'].map((how) => [
		`Python, ${how}`, at(PORTS, 2, `/usr/bin/python3 workers/any_server/two.py PORT SECOND ${how}`), 2,
	]),
	['Python, select, a port and a path', at(PATH, 1, '/usr/bin/python3 workers/any_server/two.py PORT SECOND select'), 1],
	['gunicorn, sync', gunicorn(''), 2],
	['gunicorn, gthread', gunicorn('-k gthread --threads 8'), 2],
	['gunicorn, eventlet', gunicorn('-k eventlet'), 2],
	['gunicorn, gevent', gunicorn('-k gevent'), 2],
])
	test(name, run(command, { files: WHICH }, async (limpet) => {
		await registered(limpet, workers);
		const pids = await assertEach(limpet);
		if (!name.endsWith('fork'))
			assert.deepEqual([...pids].sort(), await workerPids(limpet));
	}));

for (const hosts of [['127.0.0.1', '127.0.0.2'], ['0.0.0.0', '127.0.0.2'], ['127.0.0.1', '::1'], ['0.0.0.0', '::']])
	test(`${hosts.join(' and ')} at one port`, run(
		at('--listen :0', 1, `node workers/any_server/two.js ${hosts.map((host) => `${host}:PORT`).join(' ')}`),
		async (limpet) => {
			const port = limpet.address.slice(1);
			const reached = hosts.map((host) => ({ '0.0.0.0': '127.0.0.1', '::': '::1' })[host] ?? host);
			await assertEach(limpet, reached.map((host) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)));
		}));

test('limpet is killed and comes back', run(
	at(PATH, 2, 'node workers/any_server/two.js PORT SECOND'),
	async (limpet) => {
		await assertEach(limpet);
		const since = limpet.now;
		await limpet.killAndRestart();
		await limpet.saidTimes(2, /^limpet: worker \d+ is ready/, since);
		await assertEach(limpet);
	}));

for (const word of ['PORT', 'SECOND'])
	test(`a server at one address, ${word}, gets what comes to all`, run(
		at(PORTS, 1, `node workers/any_server/chat.js ${word}`),
		async (limpet) => {
			for (const address of limpet.addresses)
				assert.equal((await limpet.get('/', { address })).json.url, '/');
		}));

test('puma, which looks whether a path is taken, and removes it', run(
	at(PATH, 1, 'puma -b tcp://127.0.0.1:PORT -b unix://SECOND workers/any_server/config.ru'),
	async (limpet) => {
		for (const address of limpet.addresses)
			assert.equal((await limpet.get('/', { address })).status, 200);
	}));

test('a listener that is closed in one process is served by another', run(
	at(PORTS, 2, 'node workers/any_server/two.js PORT SECOND'),
	async (limpet) => {
		const { pid } = await ask(limpet, 1, { method: 'POST', body: '' });
		for (let i = 0; i < 10; i++) {
			const answer = await ask(limpet, 2);
			assert.equal(answer.server, 2);
			assert.notEqual(answer.pid, pid);
		}
		assert.deepEqual([...await assertOne(limpet, 1)].sort(), await workerPids(limpet));
	}));

test('what a process has queued, and no room for, goes to another', run(
	at(PORTS, 2, '/usr/bin/python3 workers/any_server/two.py PORT SECOND late', './first.lua'),
	{ files: { 'first.lua': 'return { on_connect = function(conn, workers) return workers[1] end }' } },
	async (limpet) => {
		const [{ pid: first }, { pid: second }] = (await limpet.status()).workers;
		const more = 6;
		const answers = [];
		const all = Array.from({ length: PLACE_ROOM + more }, async () => answers.push(await ask(limpet, 2)));
		await eventually('they are queued', async () => (await limpet.counts()).returned_no_room === more);
		await eventually('the others are answered', () => answers.length === more);
		assert.equal((await ask(limpet, 1)).pid, first);
		assert.equal(answers.length, more);

		assert.equal((await ask(limpet, 1, { method: 'POST' })).pid, first);
		await Promise.all(all);
		assert.deepEqual([...new Set(answers.map(({ pid, server }) => `${pid} ${server}`))], [`${second} 2`]);
		assert.equal((await limpet.counts()).bounced, PLACE_ROOM);
	}));
