'use strict';
/**
 * strong-cluster-socket.io-store 0.1.8 with socket.io 0.9.19 and its client. Its package has no tests in it, so what its
 * workers rely on is written down here.
 *
 * One worker after the other gets a connection, and polling opens many: so a session is served by all workers, which find
 * out about it from each other.
 */
const assert = require('node:assert/strict');
const { once } = require('node:events');
const test = require('node:test');
const { connect } = require('socketio09-client');
const { within } = require('../e2e/patience');
const { app, eventually } = require('./app');

function old(name, body) {
	const settings = { workers: 3, worker: ['socketio09.js'], ours: '--dialect cluster --policy round_robin', theirs: ['strong'] };
	test(name, app(settings, async (running) => {
		const clients = [];
		const open = async (transport) => {
			const socket = connect(`http://${running.address}`, {
				'force new connection': true, reconnect: false, transports: [transport],
			});
			clients.push(socket);
			socket.news = [];
			socket.on('news', (message) => socket.news.push(message));
			[socket.worker] = await once(socket, 'worker');
			return socket;
		};
		// A client may come to a worker before the news of its handshake does, whoever the primary is, and is sent away.
		const client = async (transport) => {
			for (let tries = 1; ; tries++)
				try {
					return await open(transport);
				} catch (error) {
					if (!/not handshaken/.test(error) || tries === 20)
						throw error;
				}
		};
		try {
			await body(running, client);
		} finally {
			clients.forEach((socket) => socket.disconnect());
		}
	}));
}

/** Emit, and resolve to what the other side answers. */
function ask(socket, ...args) {
	return within(`an answer to ${args[0]}`, new Promise((resolve) => socket.emit(...args, resolve)));
}

/** Clients until each worker has one. */
async function oneEach(running, client) {
	const clients = new Map();
	while (clients.size < running.ids.length) {
		const socket = await client('websocket');
		clients.set(socket.worker, socket);
	}
	return running.ids.map((id) => clients.get(id));
}

for (const transport of ['websocket', 'xhr-polling'])
	old(`a session by ${transport}`, async (running, client) => {
		const socket = await client(transport);
		for (let i = 0; i < 5; i++)
			assert.equal(await ask(socket, 'echo', i), i);
	});

old('to all, whichever worker they are at', async (running, client) => {
	const clients = await oneEach(running, client);
	await running.on(2, 'emit', 'news', { n: 1 });
	await eventually('all have it', () => clients.every(({ news }) => news.length === 1));
	assert.deepEqual(clients.map(({ news }) => news), Array(3).fill([{ n: 1 }]));
});

old('to a room, whichever worker they are at', async (running, client) => {
	const clients = await oneEach(running, client);
	await ask(clients[0], 'join', 'club');
	await ask(clients[2], 'join', 'club');
	await running.on(2, 'room', 'club', 'news', 'for the club');
	await running.on(2, 'emit', 'news', 'for all');
	await eventually('all have it', () => clients.every(({ news }) => news.includes('for all')));
	assert.deepEqual(clients.map(({ news }) => news), [['for the club', 'for all'], ['for all'], ['for the club', 'for all']]);
});

old('from one client to all others', async (running, client) => {
	const clients = await oneEach(running, client);
	clients[0].emit('others', 'hello');
	await eventually('the others have it', () => clients.slice(1).every(({ news }) => news.length === 1));
	assert.deepEqual(clients[0].news, []);
});

old('what is kept for a client', async (running, client) => {
	const [one, two] = await oneEach(running, client);
	await ask(one, 'keep', 'name', 'ada');
	assert.equal(await ask(one, 'kept', 'name'), 'ada');
	assert.equal(await ask(two, 'kept', 'name') ?? null, null);
});
