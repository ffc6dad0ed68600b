'use strict';
/**
 * @socket.io/sticky 1.0.4. Its package has no tests in it, so what its workers rely on is written down here.
 */
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { once } = require('node:events');
const { setImmediate: turn } = require('node:timers/promises');
const test = require('node:test');
const { acknowledged, connect, handshakeAndReturn, head, receiveAll } = require('../e2e/clients');
const { app, eventually } = require('./app');

const POLICY = { 'least-connection': 'least_sessions', 'round-robin': 'round_robin', random: 'random' };

function sticky(method, body) {
	const ours = `--dialect socket.io-sticky --policy sid --policy ${POLICY[method]}`;
	return app({ workers: 3, worker: ['sticky.js'], ours, theirs: [`sticky=${method}`] }, body);
}

async function echoes(client, message) {
	assert.deepEqual(await acknowledged(client, 'echo', message), message);
}

for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']])
	test(`a client by ${transports.join(', then ')}`, sticky('least-connection', async (running) => {
		const client = await running.client({ transports });
		if (transports.length > 1 && client.io.engine.transport.name === 'polling')
			await once(client.io.engine, 'upgrade');
		assert.equal(client.io.engine.transport.name, transports.at(-1));
		await echoes(client, 'hello');
	}));

test('twenty polling clients at once', sticky('least-connection', async (running) => {
	const clients = await Promise.all(Array.from({ length: 20 }, () => running.client({ transports: ['polling'] })));
	await Promise.all(clients.map((client, i) => echoes(client, i)));
}));

test('random: every session is found again', sticky('random', async (running) => {
	for (let i = 0; i < 10; i++)
		await echoes(await running.client({ transports: ['polling'] }), i);
}));

test('round-robin: two sessions for each of three workers', sticky('round-robin', async (running) => {
	for (let i = 0; i < 6; i++)
		await running.client({ transports: ['websocket'] });
	assert.deepEqual(await running.onAll('sessions'), [2, 2, 2]);
}));

test('least-connection: a session goes where the fewest are, of equals to the lowest id', sticky('least-connection', async (running) => {
	const clients = [];
	for (let i = 0; i < 6; i++)
		clients.push(await running.client({ transports: ['websocket'] }));
	assert.deepEqual(clients.map(({ worker }) => worker), [1, 2, 3, 1, 2, 3]);
	assert.deepEqual(await running.onAll('sessions'), [2, 2, 2]);

	clients.filter(({ worker }) => worker === 2).forEach((client) => client.close());
	await eventually('worker 2 has none', async () => await running.on(2, 'sessions') === 0);
	// The primary hears of it after the worker knows; a request's answer comes later still.
	await running.client({ transports: ['websocket'] }).then((client) => client.close());
	await eventually('worker 2 has none', async () => await running.on(2, 'sessions') === 0);
	assert.equal((await running.client({ transports: ['websocket'] })).worker, 2);
}));

test('a body in many pieces arrives whole', sticky('least-connection', async (running) => {
	const body = crypto.randomBytes(300_000);
	const socket = await connect(running.address);
	const answer = receiveAll(socket);
	socket.setNoDelay();
	socket.write(head('/', { method: 'POST', length: body.length }));
	for (let i = 0; i < body.length; i += 10_000) {
		socket.write(body.subarray(i, i + 10_000));
		await turn();
	}
	const { sha256 } = JSON.parse((await answer).text.split('\r\n\r\n')[1]);
	assert.equal(sha256, crypto.createHash('sha256').update(body).digest('hex'));
}));

test('a session used at once is known', sticky('least-connection', async (running) => {
	const answers = [];
	for (let i = 0; i < 300; i++)
		answers.push(await handshakeAndReturn(running.address));
	assert.deepEqual(answers.filter((answer) => answer !== 'ok'), []);
}));

test('a worker dies: the others keep their clients', sticky('round-robin', async (running) => {
	const clients = await Promise.all([1, 2, 3, 4, 5, 6].map(() => running.client({ transports: ['websocket'] })));
	const [dead, alive] = [true, false].map((is) => clients.filter(({ worker }) => (worker === 1) === is));
	const gone = Promise.all(dead.map((client) => once(client, 'disconnect')));
	running.kill(1);
	await gone;
	await Promise.all(alive.map((client) => echoes(client, 'still here')));
	await echoes(await running.client({ transports: ['polling'] }), 'new');
}));
