'use strict';
/**
 * The first hour: what people reported of other balancers, tried on this one.
 */
const assert = require('node:assert/strict');
const http = require('node:http');
const test = require('node:test');
const { assertSessions, many, registered, workerPids } = require('./any_server');
const { ENGINE, connected, request } = require('./clients');
const { atPort } = require('./first_hour');
const { stopwatch } = require('./patience');

const SERVER = 'node workers/first_hour/server.js';
const PORT = { env: { PORT: 'PORT' } };

/** The middle one of some numbers. */
const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

test('a Node program that forks a cluster of its own: each process that limpet starts is one of its workers', atPort(
	'--workers 3 --policy sid -- node workers/first_hour/clustered.js', PORT,
	async (limpet) => {
		await registered(limpet, 3);
		const served = await assertSessions(limpet, ['polling', 'websocket', 'upgrade'], 24);
		assert.deepEqual(served, await workerPids(limpet), 'every process has served');
	}));

test('a query that is called sid and is not Engine.IO\'s costs nothing: nobody waits, and nothing is given back', atPort(
	`--workers 3 --policy sid -- ${SERVER}`, PORT,
	async (limpet) => {
		await registered(limpet, 3);
		const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
		const time = async (path) => {
			const took = [];
			for (let i = 0; i < 20; i++)
				for (const options of [{}, { agent }]) {
					const watch = stopwatch();
					assert.equal((await request(limpet.address, path, options)).status, 200);
					took.push(watch.ms());
				}
			return median(took);
		};
		await time('/forum');
		const plain = await time('/forum');
		const named = await time('/forum?sid=abcdef0123');
		agent.destroy();
		assert.ok(named < 5 * plain + 5, `${named} ms beside ${plain} ms`);
		assert.equal((await limpet.counts()).bounced, 0);
	}));

test('an unknown session of Engine.IO is unknown after a round trip', atPort(
	`--workers 3 --policy sid -- ${SERVER}`, PORT,
	async (limpet) => {
		await registered(limpet, 3);
		const time = async (path, status) => {
			const took = [];
			for (let i = 0; i < 40; i++) {
				const watch = stopwatch();
				assert.equal((await limpet.get(path)).status, status);
				took.push(watch.ms());
			}
			return median(took);
		};
		await time('/forum', 200);
		const plain = await time('/forum', 200);
		const unknown = await time(`${ENGINE}&sid=AAAAAAAAAAAAAAAAAAAA`, 400);
		assert.ok(unknown < 5 * plain + 5, `${unknown} ms beside ${plain} ms`);
	}));

for (const [name, worker] of Object.entries({
	'a plain server': SERVER,
	'@socket.io/sticky 2.0.1, which closes after each response': 'node workers/socketio_sticky.js sticky201',
	'@socket.io/sticky 1.0.4, which does not': 'node workers/socketio_sticky.js sticky104',
}))
	test(`twelve sessions that share one connection, ${name}`, atPort(
		`--workers 3 --policy sid -- ${worker}`, PORT,
		async (limpet) => {
			const sids = [...await many(12, async () => /"sid":"([^"]+)"/.exec((await limpet.get(ENGINE)).text)[1])];
			const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
			for (let turn = 0; turn < 3; turn++)
				for (const sid of sids) {
					const options = { agent, method: 'POST', body: '3' };
					assert.equal((await request(limpet.address, `${ENGINE}&sid=${sid}`, options)).text, 'ok');
				}
			agent.destroy();
		}));

test('SIGINT while two websockets are open: limpet says what it waits for, and a second one ends it at once', atPort(
	`--drain-timeout 60s --workers 2 --policy sid -- ${SERVER}`, PORT,
	async (limpet) => {
		await registered(limpet, 2);
		const sockets = [1, 2].map(() => limpet.socket({ transports: ['websocket'] }));
		await Promise.all(sockets.map(connected));
		limpet.signal('SIGINT');
		await limpet.said(/^limpet: 2 workers have 2 clients; press again to stop at once/);
		sockets.forEach((socket) => assert.ok(socket.connected, 'they go on'));
		limpet.signal('SIGINT');
		assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
		assert.deepEqual(limpet.lines.filter((line) => /killed by signal 15/.test(line)), [], 'who was told to end was not killed');
	}));
