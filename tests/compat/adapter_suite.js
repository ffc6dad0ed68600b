'use strict';
/**
 * What an app relies on from @socket.io/cluster-adapter, whichever its version: three workers, a client on each. The
 * packages have no tests in them, so it is written down here. See adapter022.test.js and adapter030.test.js.
 */
const assert = require('node:assert/strict');
const { once } = require('node:events');
const test = require('node:test');
const { stopwatch } = require('../e2e/patience');
const { app, eventually } = require('./app');

/** A client on each worker, in the order of their ids. */
async function oneEach(running) {
	const clients = new Map();
	while (clients.size < running.ids.length) {
		const client = await running.client({ transports: ['websocket'] });
		if (clients.has(client.worker))
			client.close();
		else
			clients.set(client.worker, client);
	}
	return running.ids.map((id) => clients.get(id));
}

/** Who of the clients got an event; the last thing said to each, past the event, is a message that all get. */
async function receivers(running, clients, event) {
	await running.onAll('emit', { local: true }, 'end');
	await Promise.all(clients.map((client) => eventually('the end came', () =>
		client.received.some(([name]) => name === 'end'))));
	return clients.filter(({ received }) => received.some(([name]) => name === event)).map(({ worker }) => worker);
}

/** The workers' channels are in order, but the "end" of a worker may overtake what others say: so ask until it is so. */
async function reaches(running, clients, event, expected) {
	await eventually(`${event} reaches ${expected}`, () => expected.every((id) =>
		clients.find(({ worker }) => worker === id).received.some(([name]) => name === event)));
	await running.onAll('fetch', {}); // Behind this, whatever a worker was sent before has been dealt with.
	assert.deepEqual(await receivers(running, clients, event), expected);
}

module.exports = function suite(version) {
	const adapter = (name, body) => test(name, app({
		workers: 3,
		worker: ['adapter.js', version],
		ours: '--dialect cluster --policy round_robin',
		theirs: [version],
	}, async (running) => body(running, await oneEach(running))));

	adapter('to all', async (running, clients) => {
		await running.on(1, 'emit', {}, 'news', 1, { two: ['3'] });
		await reaches(running, clients, 'news', [1, 2, 3]);
		assert.deepEqual(clients[2].received.find(([name]) => name === 'news'), ['news', 1, { two: ['3'] }]);
	});

	adapter('to a room', async (running, clients) => {
		await running.on(3, 'emit', { to: ['many'] }, 'news');
		await reaches(running, clients, 'news', [1, 2]);
	});

	adapter('except a room', async (running, clients) => {
		await running.on(1, 'emit', { except: ['worker 2'] }, 'news');
		await reaches(running, clients, 'news', [1, 3]);
	});

	adapter('to the own worker only', async (running, clients) => {
		await running.on(2, 'emit', { local: true }, 'news');
		await reaches(running, clients, 'news', [2]);
	});

	adapter('to another namespace', async (running, clients) => {
		const others = clients.map((client) => client.io.socket('/other'));
		const got = others.map((other) => once(other, 'news'));
		await Promise.all(others.map((other) => once(other, 'worker')));
		await running.on(1, 'emit', { nsp: '/other' }, 'news', 'other');
		assert.deepEqual(await Promise.all(got), [['other'], ['other'], ['other']]);
		assert.deepEqual(await receivers(running, clients, 'news'), []);
	});

	adapter('with an answer from every client', async (running, clients) => {
		clients.forEach((client) => client.on('question', (reply) => reply(client.worker)));
		assert.deepEqual(await running.on(1, 'ask', { timeout: 10_000 }, 'question'), { failed: false, answers: [1, 2, 3] });
	});

	adapter('with an answer that one client owes', async (running, clients) => {
		clients.slice(1).forEach((client) => client.on('question', (reply) => reply(client.worker)));
		assert.deepEqual(await running.on(1, 'ask', { timeout: 1000 }, 'question'), { failed: true, answers: [2, 3] });
	});

	adapter('with an answer from nobody, for nobody is asked', async (running) => {
		assert.deepEqual(await running.on(1, 'ask', { to: ['nowhere'], timeout: 1000 }, 'question'),
			{ failed: false, answers: [] });
	});

	adapter('sockets elsewhere join a room, and leave it', async (running, clients) => {
		await running.on(1, 'join', { to: ['worker 2', 'worker 3'] }, 'club');
		await eventually('two are in', async () => (await running.on(1, 'fetch', { to: ['club'] })).length === 2);
		await running.on(1, 'emit', { to: ['club'] }, 'news');
		await reaches(running, clients, 'news', [2, 3]);

		await running.on(2, 'leave', { to: ['worker 3'] }, 'club');
		await eventually('one is in', async () => (await running.on(3, 'fetch', { to: ['club'] })).length === 1);
	});

	adapter('sockets elsewhere are disconnected', async (running, clients) => {
		const gone = once(clients[2], 'disconnect');
		await running.on(1, 'disconnect', { to: ['worker 3'] });
		await gone;
		assert.deepEqual(clients.map(({ connected }) => connected), [true, true, false]);
	});

	adapter('all sockets are listed, with their rooms', async (running, clients) => {
		const sockets = await running.on(2, 'fetch', {});
		assert.deepEqual(new Set(sockets.map(({ id }) => id)), new Set(clients.map(({ id }) => id)));
		assert.ok(sockets.some(({ rooms }) => rooms.includes('few')));
		assert.equal((await running.on(2, 'fetch', { to: ['many'] })).length, 2);
		assert.equal((await running.on(2, 'fetch', { local: true })).length, 1);
	});

	adapter('a word to the other servers', async (running) => {
		await running.on(1, 'note', 'a', 1);
		await Promise.all([2, 3].map((id) => eventually(`worker ${id} hears it`, async () =>
			(await running.on(id, 'heard')).length === 1)));
		assert.deepEqual(await running.onAll('heard'), [[], [['a', 1]], [['a', 1]]]);
	});

	adapter('a question to the other servers', async (running) => {
		assert.deepEqual(await running.on(2, 'who', 'you'), { failed: false, answers: ['you: 1', 'you: 3'] });
	});

	adapter('a question that a server does not answer', async (running) => {
		await running.on(3, 'silence');
		assert.deepEqual(await running.on(2, 'who', 'you'), { failed: true, answers: ['you: 1'] });
	});

	adapter('after a death the living are listed at once', async (running, clients) => {
		const gone = once(clients[2], 'disconnect');
		running.kill(3);
		await gone;
		// 0.2 is not told about a question that is under way when a worker dies: only the next is sure to know.
		if (version === 'adapter022')
			await running.on(1, 'fetch', {}).catch(() => {});
		const took = stopwatch();
		const sockets = await running.on(1, 'fetch', {});
		assert.equal(sockets.length, 2);
		assert.ok(took.quietMs() < 4000, 'sooner than the time-out of 5 s');
	});
};
