'use strict';
/**
 * Processes that the preloaded library makes workers come, die, run out of descriptors and outlive limpet.
 */
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const proc = require('./proc');
const { AT_PORT, assertSessions, registered, workerPids } = require('./any_server');
const { acknowledged, connected, receiveAll } = require('./clients');
const { eventually, run } = require('./harness');

const GUNICORN =
	`--workers 1 --policy sid --dialect preload -- ${AT_PORT} gunicorn --chdir workers/any_server -b 127.0.0.1:PORT ` +
	'-w 3 -k eventlet chat_wsgi:app';
const EVENTLET = { env: { ASYNC_MODE: 'eventlet' } };
const node = (programs, policy = 'sid') =>
	`--workers ${programs} --policy ${policy} --dialect preload -- ${AT_PORT} node workers/any_server/chat.js PORT`;

/** Whoever can take connections and has the lowest id. */
const FIRST = { 'first.lua': 'return { on_connect = function(conn, workers) return workers[1] end }' };

/** A Socket.IO client that is connected, and the process that has it. */
async function open(limpet, transport) {
	const client = await connected(limpet.socket({ transports: [transport] }));
	return { client, pid: (await acknowledged(client, 'pid', 1)).pid };
}

test('a worker that is killed loses its own clients, and its successor registers', run(GUNICORN, EVENTLET, async (limpet) => {
	await registered(limpet, 3);
	const opened = await Promise.all(Array.from({ length: 9 }, () => open(limpet, 'websocket')));
	const victim = opened[0].pid;
	const lost = opened.filter(({ pid }) => pid === victim);
	assert.ok(lost.length < opened.length);
	const ends = lost.map(({ client }) => once(client, 'disconnect'));
	process.kill(victim, 'SIGKILL');
	await Promise.all(ends);
	await registered(limpet, 4, 3);
	for (const { client, pid } of opened.filter((other) => other.pid !== victim))
		assert.equal((await acknowledged(client, 'pid', 1)).pid, pid);
	assert.ok(!(await workerPids(limpet)).includes(victim));
	await assertSessions(limpet, ['polling', 'websocket'], 12);
}));

for (const [name, command, settings, workers] of [
	['gunicorn', GUNICORN, EVENTLET, 3],
	['uvicorn', `--workers 1 --policy sid --dialect preload -- ${AT_PORT} uvicorn --app-dir workers/any_server --port PORT --workers 3 chat_asgi:app`, {}, 3],
	['Node', node(2), {}, 2],
])
	test(`limpet is killed and comes back: ${name}'s clients do not notice`, run(command, settings, async (limpet) => {
		await registered(limpet, workers);
		const sockets = await Promise.all(Array.from({ length: 8 }, () => open(limpet, 'websocket')));
		const pollers = await Promise.all(Array.from({ length: 8 }, () => open(limpet, 'polling')));
		const pids = await workerPids(limpet);

		const since = limpet.now;
		await limpet.killAndRestart();
		await limpet.saidTimes(workers, /^limpet: worker \d+ is ready/, since);
		assert.deepEqual(await workerPids(limpet), pids, 'the same processes');
		for (const { client, pid } of sockets)
			assert.equal((await acknowledged(client, 'pid', 1)).pid, pid);
		await assertSessions(limpet, ['polling', 'websocket'], 12);

		/* A poll that found nobody listening has ended its session; those that waited at their worker go on. */
		for (const { client, pid } of pollers.filter((poller) => poller.client.connected))
			assert.equal((await acknowledged(client, 'pid', 1)).pid, pid);
		sockets.forEach(({ client }) => assert.ok(client.connected));
	}));

test('a polling session that is known to its worker alone is told to the next limpet', run(node(2), async (limpet) => {
	await registered(limpet, 2);
	const opened = await Promise.all(Array.from({ length: 6 }, async () => {
		const { text } = await limpet.get('/socket.io/?EIO=4&transport=polling');
		return /"sid":"([^"]+)"/.exec(text)[1];
	}));
	const since = limpet.now;
	await limpet.killAndRestart();
	await limpet.saidTimes(2, /^limpet: worker \d+ is ready/, since);
	assert.equal((await limpet.counts()).sessions, 6);
	for (const sid of opened) {
		const { status } = await limpet.get(`/socket.io/?EIO=4&transport=polling&sid=${sid}`, { method: 'POST', body: '40' });
		assert.equal(status, 200);
	}
}));

test('a worker without room for a descriptor gives the connection to another', run(
	node(2, './first.lua'),
	{ files: FIRST },
	async (limpet) => {
		const [, second] = (await limpet.status()).workers.map(({ pid }) => pid);
		const { pid } = await limpet.worker(1);
		await limpet.get('/');
		await eventually('its connection is closed', async () => (await limpet.worker(1)).connections === 0);
		execFileSync('prlimit', ['--pid', String(pid), `--nofile=${proc.nextDescriptor(pid)}:`]);
		for (let i = 0; i < 5; i++)
			assert.equal((await limpet.get('/')).json.pid, second);
		await eventually('they are counted', async () => (await limpet.counts()).returned_no_room === 5);
	}));

test('a client that is gone before it is accepted harms nobody', run(node(1, 'ip_hash'), async (limpet) => {
	const { pid } = await limpet.worker(1);
	process.kill(pid, 'SIGSTOP');
	for (let i = 0; i < 5; i++) {
		const socket = await limpet.connect();
		socket.write('GET / HTTP/1.1\r\nHost: limpet\r\n\r\n');
		await eventually('it is on its way', async () => (await limpet.counts()).handed_over === i + 1);
		socket.resetAndDestroy();
	}
	process.kill(pid, 'SIGCONT');
	assert.equal((await limpet.get('/')).json.pid, pid);
	await eventually('they are gone', async () => (await limpet.worker(1)).connections === 0);
}));

for (const kind of ['fork', 'thread'])
	test(`a server with a blocking accept and a ${kind} for each connection`, run(
		`--workers 2 --policy ip_hash --policy round_robin --dialect preload -- ${AT_PORT} /usr/bin/python3 workers/any_server/forking.py PORT ${kind}`,
		async (limpet) => {
			const pids = await workerPids(limpet);
			await limpet.saidTimes(2, /^neighbour at \d+$/);
			for (let i = 0; i < 20; i++) {
				const { json } = await limpet.get(`/${i}`);
				assert.ok(pids.includes(kind === 'fork' ? json.parent : json.pid));
				assert.equal(json.path, `/${i}`, 'its other sockets are its own');
				assert.equal(json.peer[0], '127.0.0.1');
				assert.ok(json.ttl > 0, 'its listener has what sockets have, for those that copy it to connections');
			}
			assert.deepEqual(await workerPids(limpet), pids, 'a child for one connection is no worker');
		}));

test('a number that was a connection is a file, or another socket, behind it', run(
	`--workers 1 --policy workers/any_server/tenants.lua --dialect preload -- ${AT_PORT} node workers/any_server/neighbours.js PORT`,
	async (limpet) => {
		const read = fs.statSync(path.join(__dirname, 'workers/any_server/neighbours.js')).size;
		const { pid } = (await limpet.status()).workers[0];
		const together = 6;
		await Promise.all(Array.from({ length: together }, () => limpet.get('/', { headers: { Tenant: 1, Together: together } })));
		await eventually('they are closed', async () => (await limpet.worker(1)).connections === 0);
		for (let i = 0; i < 5; i++)
			assert.deepEqual((await limpet.get('/', { headers: { Tenant: 1 } })).json, { pid, read, greeting: 'STORED\r\n' });
	}));

test('SIGTERM: open requests are finished, and gunicorn ends as it means to', run(
	GUNICORN.replace('--workers 1', '--workers 1 --drain-timeout 60s'),
	EVENTLET,
	async (limpet) => {
		await registered(limpet, 3);
		const socket = await limpet.connect();
		const answer = receiveAll(socket);
		socket.write('POST / HTTP/1.1\r\nHost: limpet\r\nConnection: close\r\nContent-Length: 5\r\n\r\nab');
		await eventually('it is at its worker', async () => (await limpet.counts()).acknowledged === 1);
		limpet.signal('SIGTERM');
		await limpet.said(/^limpet: draining/);
		socket.write('cde');
		assert.match((await answer).text, /"received": 5/);
		assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
		await limpet.said(/Shutting down: Master/);
		assert.equal(limpet.lines.filter((line) => /Traceback|terminated|SIGKILL/.test(line)).length, 0);
	}));

test('a program that is not reached is told of', run(
	'--workers 1 --policy sid --dialect preload -- ./unreached',
	{
		ready: false,
		files: {
			'unreached.c': `#include <sys/socket.h>
				#include <unistd.h>
				int main(void)
				{
					int fd = socket(AF_INET, SOCK_STREAM, 0);
					if (listen(fd, 1))
						return 1;
					for (;;)
						pause();
				}`,
		},
		prepare: (folder) => execFileSync('cc', ['-static', '-o', 'unreached', 'unreached.c'], { cwd: folder }),
	},
	async (limpet) => {
		await limpet.said(/^limpet: unreached \(pid \d+\) listens on \d+ by itself: .*static/);
	}));
