'use strict';
/**
 * What `limpet status` says is so: how many connections are open at each worker, also for workers that never tell.
 */
const assert = require('node:assert/strict');
const { once } = require('node:events');
const test = require('node:test');
const { head } = require('./clients');
const { eventually, run, runToItsEnd } = require('./harness');

/** How soon a closed connection is counted so. */
const SOON_MS = 2000;

async function keepAlive(limpet) {
	const socket = await limpet.connect();
	socket.write('GET / HTTP/1.1\r\nHost: limpet\r\n\r\n');
	await once(socket, 'data');
	return socket;
}

const connectionsOf = async (limpet) => (await limpet.status()).workers.map(({ connections }) => connections);

const becomes = (limpet, expected) =>
	eventually(`${expected} are open`, async () => `${await connectionsOf(limpet)}` === `${expected}`, SOON_MS);

const WORKERS = {
	cluster: 'node workers/answer.js',
	'socket.io-sticky': 'node workers/socketio_sticky.js sticky104',
	'sticky-session': 'node workers/sticky_session.js',
	'socketio-sticky-session': 'node workers/socketio_sticky_session.js',
	native: 'python3 workers/native.py',
};

for (const [dialect, worker] of Object.entries(WORKERS))
	test(`open connections of ${dialect} workers`, run(
		`--workers 2 --policy least_connections --dialect ${dialect} -- ${worker}`,
		async (limpet) => {
			const sockets = [];
			for (let i = 0; i < 10; i++) {
				sockets.push(await keepAlive(limpet));
				const arrived = async () => (await limpet.counts()).acknowledged === i + 1;
				await eventually('it is there', arrived);
			}
			assert.deepEqual(await connectionsOf(limpet), [5, 5]);

			[0, 2, 4, 6].forEach((i) => sockets[i].destroy()); // Worker 1 had these, worker 2 the others.
			await becomes(limpet, [1, 5]);

			for (let i = 0; i < 4; i++)
				await keepAlive(limpet);
			assert.deepEqual(await connectionsOf(limpet), [5, 5], 'new ones go to the less busy worker');

			process.kill((await limpet.worker(1)).pid, 'SIGKILL');
			await becomes(limpet, [0, 5]);
		}));

test('sessions of each worker', run(
	'--workers 2 --policy sid --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201',
	async (limpet) => {
		const sessionsOf = async () => (await limpet.status()).workers.map(({ sessions }) => sessions);
		const clients = Array.from({ length: 6 }, () => limpet.socket({ transports: ['websocket'] }));
		await eventually('they are counted', async () => (await limpet.counts()).sessions === 6);
		assert.deepEqual(await sessionsOf(), [3, 3]);
		clients.forEach((client) => client.close());
		await eventually('they are over', async () => (await sessionsOf()).join() === '0,0', SOON_MS);
	}));

test('status tells how long hand-overs took', run(
	'--workers 2 --dialect cluster -- node workers/answer.js',
	async (limpet) => {
		const before = (await limpet.status()).latency_us;
		assert.deepEqual(before, { p50: 0, p99: 0, p999: 0, max: 0, le_us: [], count: [] });
		for (let i = 0; i < 5; i++)
			await limpet.get('/');
		const { p50, p99, p999, max, le_us, count } = (await limpet.status()).latency_us;
		assert.equal(count.reduce((sum, n) => sum + n), 5);
		assert.equal(le_us.length, count.length);
		assert.ok(le_us.every((bound, i) => i === 0 || bound > le_us[i - 1]));
		assert.ok(0 < p50 && p50 <= p99 && p99 <= p999 && p999 <= max && max <= le_us.at(-1));
	}));

test('every connection is in the counts', run(
	'--workers 2 --policy ./some.lua --dialect cluster -- node workers/answer.js',
	{
		files: {
			'some.lua': `return {
				  on_request = function(conn)
				    if conn.path == "/no" then return limpet.refuse(403) end
				  end,
				}`,
		},
	},
	async (limpet) => {
		for (let i = 0; i < 5; i++)
			assert.equal((await limpet.get('/yes')).status, 200);
		for (let i = 0; i < 4; i++)
			assert.equal((await limpet.get('/no')).status, 403);
		for (let i = 0; i < 3; i++)
			(await limpet.connect()).destroy();
		const partial = await Promise.all([limpet.connect(), limpet.connect()]);
		partial.forEach((socket) => socket.write(head('/').slice(0, 20)));

		const expected = { accepted: 14, handed_over: 5, refused: 4, closed_early: 3, waiting: 2 };
		await eventually(`they are ${JSON.stringify(expected)}`, async () => {
			const counts = await limpet.counts();
			return Object.entries(expected).every(([name, count]) => counts[name] === count);
		});
	}));

test('`limpet status` asks a running balancer, and says where it looked when there is none', run(
	'--workers 2 --policy sid --policy least_connections --dialect cluster -- node workers/answer.js',
	async (limpet) => {
		const control = `${limpet.folder}/control`;
		const { status, output } = await runToItsEnd(`status --control ${control}`);
		assert.equal(status, 0);
		const { version, counts, workers, policies } = JSON.parse(output);
		assert.match(version, /^\d+\.\d+\.\d+/);
		assert.equal(counts.accepted, 0);
		assert.deepEqual(workers.map(({ id }) => id), [1, 2]);
		assert.ok(workers.every(({ pid, usable, uptime_ms }) => pid > 1 && usable && uptime_ms >= 0));
		assert.deepEqual(policies, ['sid', 'least_connections']);

		await limpet.stop();
		const late = await runToItsEnd(`status --control ${control}`);
		assert.equal(late.status, 1);
		assert.ok(late.log.includes(control), late.log);
	}));
