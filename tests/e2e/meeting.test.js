'use strict';
/**
 * Workers speak to each other through limpet as they do through a Node primary, by the packages that they use for it.
 */
const assert = require('node:assert/strict');
const { once } = require('node:events');
const test = require('node:test');
const WebSocket = require('ws');
const proc = require('./proc');
const { eventually, run, sanitized } = require('./harness');
const { NAMED, ask, known } = require('./named');

const ROOMS = '--workers 4 --policy ./named.lua --dialect cluster -- node workers/rooms.js';
const SHARES = '--workers 3 --policy ./named.lua --dialect cluster -- node workers/shares.js';
const ALL = [1, 2, 3, 4];

/** A Socket.IO client of a worker. */
async function join(limpet, worker) {
	const client = limpet.socket({ transports: ['websocket'], query: { worker } });
	client.news = [];
	client.on('news', (text) => client.news.push(text));
	client.on('ask', (reply) => reply(worker));
	assert.deepEqual(await once(client, 'worker'), [worker]);
	return client;
}

async function allHear(clients, text) {
	await eventually(`all hear ${text}`, () => clients.every((client) => client.news.includes(text)));
}

for (const adapter of ['@socket.io/cluster-adapter', 'adapter02'])
	test(`${adapter}: rooms, questions and answers across workers, also behind a worker's death`, run(
		`${ROOMS} ${adapter}`,
		{ files: NAMED },
		async (limpet) => {
			await known(limpet, ALL);
			const clients = await Promise.all(ALL.map((worker) => join(limpet, worker)));
			const ids = () => clients.filter((client) => client.connected).map((client) => client.id).sort();

			await ask(limpet, 1, 'emit', { with: 'to all, "\\" and é' });
			await allHear(clients, 'to all, "\\" and é');
			await ask(limpet, 2, 'join', { with: 'room' });
			await ask(limpet, 3, 'toRoom', { with: 'room' });
			await allHear(clients, 'to room');
			assert.deepEqual(await ask(limpet, 4, 'fetch'), ids());
			assert.deepEqual((await ask(limpet, 1, 'who')).sort(), [2, 3, 4]);
			assert.deepEqual((await ask(limpet, 1, 'acks')).sort(), ALL);

			const since = limpet.now;
			const died = once(clients[1], 'disconnect');
			const { pid } = await limpet.worker(2);
			process.kill(pid, 'SIGSTOP');
			// The old one forgets whom it waits for only in what it asks from then on.
			const asked = adapter === 'adapter02' ? undefined : ask(limpet, 1, 'fetch');
			process.kill(pid, 'SIGKILL');
			await died;
			assert.deepEqual(await asked ?? ids(), ids());
			await limpet.said(/^limpet: worker 2 is ready/, since);
			await known(limpet, ALL);
			assert.deepEqual(await ask(limpet, 1, 'fetch'), ids());
			assert.deepEqual((await ask(limpet, 3, 'who')).sort(), [1, 2, 4]);
		}));

test('two versions of the adapter at once: each hears only its own, and none ends the other', run(
	`${ROOMS} @socket.io/cluster-adapter adapter02`,
	{ files: NAMED },
	async (limpet) => {
		const old = [1, 3];
		const current = [2, 4];
		for (const worker of ALL)
			await eventually(`worker ${worker} knows one other`, async () => await ask(limpet, worker, 'count') === 2);
		const clients = await Promise.all(ALL.map((worker) => join(limpet, worker)));
		const of = (workers) => workers.map((worker) => clients[worker - 1]);

		await ask(limpet, 1, 'join', { with: 'room' });
		await ask(limpet, 1, 'leave', { with: 'room' }); // A newer one would take it for the order to disconnect.
		await ask(limpet, 1, 'emit', { with: 'old' });
		await allHear(of(old), 'old');
		await ask(limpet, 2, 'emit', { with: 'current' });
		await allHear(of(current), 'current');

		const pids = await Promise.all(old.map(async (worker) => (await limpet.worker(worker)).pid));
		const since = limpet.now;
		process.kill((await limpet.worker(2)).pid, 'SIGKILL'); // An older one would fail over its goodbye.
		await limpet.said(/^limpet: worker 2 is ready/, since);
		for (const worker of ALL)
			await eventually(`worker ${worker} knows one other`, async () => await ask(limpet, worker, 'count') === 2);
		assert.deepEqual(await Promise.all(old.map(async (worker) => (await limpet.worker(worker)).pid)), pids);
		assert.deepEqual(await ask(limpet, 1, 'fetch'), of(old).map(({ id }) => id).sort());
		assert.deepEqual(await ask(limpet, 4, 'fetch'), of([4]).map(({ id }) => id));
		for (const [worker, client] of clients.entries())
			assert.equal(client.connected, worker !== 1);
		assert.ok(!of(old).some(({ news }) => news.includes('current')));
		assert.ok(!of(current).some(({ news }) => news.includes('old')));
	}));

for (const serialization of ['json', 'advanced'])
	test(`engines without stickiness, ${serialization}: a session is found where it is, and no answer goes astray`, run(
		`--workers 4 --policy ./named.lua --dialect cluster --node-serialization ${serialization} -- node workers/engine.js`,
		{ files: NAMED },
		async (limpet) => {
			const packet = serialization === 'json' ? 'text "é"' : Buffer.from([0, 1, 255]);
			const data = Buffer.from(packet).toString('base64');
			await ask(limpet, 1, 'open', { sid: 'A', data, binary: serialization === 'advanced' });
			assert.deepEqual(await ask(limpet, 2, 'poll', { sid: 'A' }), { type: 'message', data });
			assert.deepEqual(await ask(limpet, 3, 'poll', { sid: 'A' }), { type: 'message', data });
			// Those two have asked, and only they have been answered.
			assert.deepEqual(await ask(limpet, 2, 'heard'), ['1', '2', '0 of 3']);
			assert.deepEqual(await ask(limpet, 3, 'heard'), ['0 of 2', '1', '2']);
			assert.deepEqual(await ask(limpet, 4, 'heard'), ['0 of 2', '0 of 3']);

			const dead = await ask(limpet, 2, 'id');
			const since = limpet.now;
			process.kill((await limpet.worker(2)).pid, 'SIGKILL');
			await limpet.said(/^limpet: worker 2 is ready/, since);
			await ask(limpet, 1, 'answer', { id: dead }); // Too late: its request is one that each of the others has made.
			assert.deepEqual(await ask(limpet, 3, 'poll', { sid: 'A' }), { type: 'message', data });
			assert.deepEqual(await ask(limpet, 4, 'poll', { sid: 'A' }), { type: 'message', data });
			assert.deepEqual((await ask(limpet, 3, 'heard')).slice(3), ['1', '2', '0 of 4']);
			assert.deepEqual((await ask(limpet, 4, 'heard')).slice(2), ['0 of 3', '1', '2']);
		}));

test('a stopped worker holds nobody up, and what waits for it is bounded', run(
	`${ROOMS} @socket.io/cluster-adapter`,
	{ files: NAMED },
	async (limpet) => {
		await known(limpet, ALL);
		const clients = await Promise.all(ALL.map((worker) => join(limpet, worker)));
		const { pid } = await limpet.worker(4);
		const before = proc.residentKib(limpet.pid);
		const counts = clients.map(() => 0);
		clients.forEach((client, i) => client.on('flood', () => counts[i]++));
		process.kill(pid, 'SIGSTOP');
		for (let round = 1; round <= 40; round++) {
			await ask(limpet, 1, 'flood', { with: 1000 });
			await eventually('the others hear it all',
				() => counts.slice(0, 3).every((count) => count === round * 1000));
		}
		await limpet.said(/^limpet: worker 4 does not read its messages \(\d+ bytes wait\); one for it is dropped/);
		if (!sanitized)
			assert.ok(proc.residentKib(limpet.pid) - before < 64 * 1024, 'memory is bounded');
		process.kill(pid, 'SIGCONT');
		await eventually('it hears what was kept', () => counts[3] > 10_000);
		assert.ok(counts[3] < 40_000);
		await eventually('and what comes now', async () => {
			await ask(limpet, 1, 'emit', { with: 'awake' });
			return clients[3].news.includes('awake');
		});
	}));

test('strong-store-cluster: a value is shared, a lock is one worker\'s, and passes on when that dies', run(
	SHARES,
	{ files: NAMED },
	async (limpet) => {
		await ask(limpet, 1, 'set', { key: 'k', value: 'ü "1"' });
		assert.equal(await ask(limpet, 2, 'get', { key: 'k' }), 'ü "1"');
		assert.equal(await ask(limpet, 2, 'acquire', { key: 'k' }), 'ü "1"');
		const asked = limpet.now;
		const third = ask(limpet, 3, 'acquire', { key: 'k' });
		await limpet.said(/worker 3 is asked to \/acquire/, asked);
		await ask(limpet, 2, 'release', { key: 'k', value: 'two' });
		assert.equal(await third, 'two');

		const since = limpet.now;
		const first = ask(limpet, 1, 'acquire', { key: 'k' });
		await limpet.said(/worker 1 is asked to \/acquire/, since);
		process.kill((await limpet.worker(3)).pid, 'SIGKILL');
		assert.equal(await first, 'two');
		await ask(limpet, 1, 'release', { key: 'k' });

		await ask(limpet, 1, 'configure', { value: '{"expireKeys":0.05}' });
		await eventually('it expires', async () => { // Between two questions: each of them keeps it for longer.
			await new Promise((resolve) => setTimeout(resolve, 100));
			return await ask(limpet, 2, 'get', { key: 'k' }) === undefined;
		});
		for (const action of ['set', 'del', 'set', 'del'])
			await ask(limpet, 2, action, { key: 'k', value: 'x' });
	}));

test('strong-mq: what is published goes to all, what is pushed to one', run(
	SHARES,
	{ files: NAMED },
	async (limpet) => {
		await ask(limpet, 1, 'push', { value: 'early' });
		await ask(limpet, 2, 'pull');
		await eventually('it comes', async () => (await ask(limpet, 2, 'received')).length === 1);
		await ask(limpet, 3, 'pull');
		for (let i = 0; i < 4; i++)
			await ask(limpet, 1, 'push', { value: `job ${i}` });
		await ask(limpet, 2, 'publish', { key: 'a.b', value: 'news' });
		await ask(limpet, 2, 'publish', { key: 'b', value: 'not wanted' });
		await eventually('all have the news', async () => {
			const received = await Promise.all([1, 2, 3].map((worker) => ask(limpet, worker, 'received')));
			return received.every((list) => list.includes('news'));
		});
		const received = await Promise.all([1, 2, 3].map((worker) => ask(limpet, worker, 'received')));
		assert.deepEqual(received[0], ['news']);
		assert.equal(received[1].length, 4);
		assert.deepEqual([...received[1], ...received[2]].sort(),
			['early', 'job 0', 'job 1', 'job 2', 'job 3', 'news', 'news']);
	}));

test('socket.io 0.9 with strong-cluster-socket.io-store: a session is known to every worker', run(
	'--workers 3 --policy ./named.lua --dialect cluster -- node workers/socketio_0_9.js',
	{ files: NAMED },
	async (limpet) => {
		for (let round = 0; round < 6; round++) {
			const { text } = await limpet.get(`/socket.io/1/?worker=${1 + round % 3}`);
			const [sid] = text.split(':');
			const worker = 1 + (round + 1) % 3;
			const socket = new WebSocket(`ws://${limpet.address}/socket.io/1/websocket/${sid}?worker=${worker}`);
			const packets = [];
			socket.on('message', (data) => packets.push(data.toString()));
			const has = (begin) => eventually(begin, () => packets.some((packet) => packet.startsWith(begin)));
			await has(`5:::{"name":"worker","args":[${worker}]}`);
			socket.send('5:1+::{"name":"set","args":["v"]}');
			await has('6:::1');
			socket.send('5:2+::{"name":"get"}');
			await has('6:::2+["v"]');
			socket.close();
			await once(socket, 'close');
		}
	}));
