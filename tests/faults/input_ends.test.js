'use strict';
/**
 * Faults 15 to 20: clients that end or reset their connections where it hurts, one by one and in floods.
 */
const assert = require('node:assert/strict');
const path = require('node:path');
const test = require('node:test');
const { AT_PORT, KeptConnection } = require('../e2e/any_server');
const { ENGINE, head, receiveAll } = require('../e2e/clients');
const { eventually, run } = require('../e2e/harness');
const proc = require('../e2e/proc');

const WORKERS = {
	cluster: 'node workers/answer.js',
	'socket.io-sticky': 'node workers/socketio_sticky.js sticky201',
	native: `python3 ${path.join(__dirname, '../../examples/native_worker/worker.py')}`,
};

const ANSWER = `--log-level debug --workers 2 --policy sid --dialect cluster -- ${WORKERS.cluster}`;

const waiting = (limpet, count) =>
	eventually(`${count} wait`, async () => (await limpet.counts()).waiting === count);

const connectMany = (limpet, count, address) =>
	Promise.all(Array.from({ length: count }, () => limpet.connect(address)));

const pids = async (limpet) => (await limpet.status()).workers.map(({ pid }) => pid);

/** Wait until nothing waits and nothing is on its way. */
const settled = (limpet) => eventually('all are accounted for', async () => {
	const counts = await limpet.counts();
	return counts.waiting + counts.in_flight === 0;
});

/** How many descriptors limpet has open, once it has what it opens at its first connection. */
async function warmDescriptors(limpet) {
	await limpet.exchange(head('/'));
	await settled(limpet);
	await limpet.said(/^limpet: counting open connections/);
	return proc.descriptors(limpet.pid);
}

test('15: a client that ends its side behind its head is routed and answered', run(
	`--listen 127.0.0.1:0 --listen unix:./socket ${ANSWER}`,
	async (limpet) => {
		const answered = async (address, ...pieces) => {
			const socket = await limpet.connect(address);
			const answer = receiveAll(socket);
			for (const piece of pieces.slice(0, -1)) {
				socket.write(piece);
				await waiting(limpet, 1);
			}
			// So that limpet finds the rest and the end at once.
			limpet.signal('SIGSTOP');
			await new Promise((resolve) => socket.end(pieces.at(-1), resolve));
			limpet.signal('SIGCONT');
			assert.match((await answer).text, /^HTTP\/1\.1 200 OK\r\n/);
		};
		const request = head('/half');
		for (const address of limpet.addresses) {
			await answered(address, request);
			await answered(address, request.slice(0, 20), request.slice(20));
			await answered(address, request.slice(0, -1), request.slice(-1));
		}
		await settled(limpet);
		const { acknowledged, closed_early, refused } = await limpet.counts();
		assert.deepEqual([acknowledged, closed_early, refused], [6, 0, 0]);
	}));

test('16: a client that ends before its head is complete is closed early, and counted', run(
	`--listen 127.0.0.1:0 --listen unix:./socket ${ANSWER}`,
	async (limpet) => {
		for (const address of limpet.addresses)
			for (const bytes of ['', 'G', 'GET / HT', head('/').slice(0, -1)]) {
				const [atOnce, later] = await connectMany(limpet, 2, address);
				const ends = [receiveAll(atOnce), receiveAll(later)];
				atOnce.end(bytes);
				if (bytes) {
					later.write(bytes);
					await eventually('it waits', async () => (await limpet.counts()).waiting >= 1);
				}
				later.end();
				for (const { text } of await Promise.all(ends))
					assert.equal(text, '');
			}
		const { accepted, closed_early, handed_over, refused } = await limpet.counts();
		assert.deepEqual([accepted, closed_early, handed_over, refused], [16, 16, 0, 0]);
	}));

test('17: a reset in the middle of a head takes that connection, and no other', run(ANSWER, async (limpet) => {
	const before = await warmDescriptors(limpet);
	const sockets = await connectMany(limpet, 200);
	sockets.forEach((socket) => socket.write('GET / HTTP/1.1\r\nHost: lim'));
	await waiting(limpet, 200);

	const [lost, kept] = [sockets.filter((_, i) => i % 2), sockets.filter((_, i) => i % 2 === 0)];
	lost.forEach((socket) => socket.resetAndDestroy());
	await waiting(limpet, 100);
	assert.equal((await limpet.counts()).closed_early, 100);

	const answers = kept.map((socket) => receiveAll(socket));
	kept.forEach((socket) => socket.write('pet\r\nConnection: close\r\n\r\n'));
	for (const { text } of await Promise.all(answers))
		assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
	await settled(limpet);
	const { acknowledged, closed_early } = await limpet.counts();
	assert.deepEqual([acknowledged, closed_early], [101, 100]);
	await eventually('its descriptors are closed', () => proc.descriptors(limpet.pid) <= before);
}));

test('18: a worker is none the worse for descriptors whose clients have reset', async (t) => {
	for (const [dialect, worker] of Object.entries(WORKERS))
		await t.test(dialect, run(`--workers 2 --policy sid --dialect ${dialect} -- ${worker}`, async (limpet) => {
			const before = await pids(limpet);
			const since = limpet.now;

			// Reset before limpet has accepted them: they are dead when they are sent.
			limpet.signal('SIGSTOP');
			const early = await connectMany(limpet, 50);
			await Promise.all(early.map((socket) => new Promise((resolve) => socket.write(head('/'), resolve))));
			early.forEach((socket) => socket.resetAndDestroy());
			limpet.signal('SIGCONT');
			await eventually('all were accepted', async () => (await limpet.counts()).accepted === 50);
			await settled(limpet);

			// Reset when they are in a worker's channel: they are dead when they are received.
			before.forEach((pid) => process.kill(pid, 'SIGSTOP'));
			const late = await connectMany(limpet, 50);
			late.forEach((socket) => socket.write(head('/')));
			await eventually('they are in flight', async () => (await limpet.counts()).in_flight === 50);
			late.forEach((socket) => socket.resetAndDestroy());
			before.forEach((pid) => process.kill(pid, 'SIGCONT'));
			await settled(limpet);

			assert.match((await limpet.exchange(head('/'))).text, /^HTTP\/1\.1 200 OK\r\n/);
			assert.deepEqual(await pids(limpet), before);
			const lines = limpet.lines.slice(since).filter((line) => /^limpet: (?!counting open connections)/.test(line));
			assert.deepEqual(lines, [], 'nothing is said of it');
			const { accepted, handed_over, closed_early } = await limpet.counts();
			assert.equal(accepted, 101);
			assert.equal(handed_over + closed_early, 101);
			assert.ok(handed_over >= 51, `${handed_over} were handed over`);
		}));
});

/** What the clients of the flood do as soon as they are connected. */
const FLOODS = [
	(socket) => socket.resetAndDestroy(),
	(socket) => socket.end(),
	(socket) => (socket.write('GET / HT'), socket.resetAndDestroy()),
	(socket) => socket.end('GET / HT'),
	(socket) => (socket.write(head('/no')), socket.resetAndDestroy()),
	(socket) => socket.end(head('/no')),
	(socket) => socket.end(head('/', { headers: { X: 'x'.repeat(2000) } })),
	(socket) => socket.end(head('/fails')),
];

test('19: a flood of connections that are closed at once is counted, and logged in a few lines', run(
	`--no-defer-accept --log-level debug --max-head 1k --workers 2 --policy ./no.lua --dialect cluster -- ${WORKERS.cluster}`,
	{
		files: {
			'no.lua': `return { on_request = function(conn)
				limpet.log.info("asked")
				if conn.path == "/fails" then error("it fails") end
				return conn.path == "/no" and limpet.refuse(403) or nil
			end }`,
		},
	},
	async (limpet) => {
		const descriptors = await warmDescriptors(limpet);
		const since = limpet.now;
		const began = Date.now();
		for (let batch = 0; batch < 30; batch++) {
			const sockets = await connectMany(limpet, 100);
			const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
			sockets.forEach((socket, i) => (socket.resume(), FLOODS[i % FLOODS.length](socket)));
			await Promise.all(closed);
		}
		await eventually('all were accepted', async () => (await limpet.counts()).accepted === 3001);
		await settled(limpet);

		// Three kinds of line, each ten a second and one that counts those withheld.
		const seconds = Math.ceil((Date.now() - began) / 1000) + 1;
		const lines = limpet.lines.slice(since).filter((line) => line.startsWith('limpet: '));
		assert.ok(lines.length <= 3 * 11 * seconds, `${lines.length} lines in ${seconds} s`);
		assert.ok(lines.length >= 3, 'it did happen');
		const counts = await limpet.counts();
		assert.equal((await limpet.get('/')).status, 200);
		assert.equal(counts.accepted, counts.acknowledged + counts.refused + counts.closed_early);
		assert.ok(counts.policy_errors >= 200, `${counts.policy_errors} policy errors`);
		await eventually('its descriptors are closed', () => proc.descriptors(limpet.pid) <= descriptors);
	}));

test('20: a kept connection asks for sessions of other workers: it is given back, 1000 of 1000 reach their own', run(
	`--workers 2 --policy sid --dialect preload -- ${AT_PORT} node workers/any_server/chat.js PORT`,
	async (limpet) => {
		const sids = [];
		for (let i = 0; i < 4; i++)
			sids.push(/"sid":"([^"]+)"/.exec((await limpet.get(ENGINE)).text)[1]);
		const kept = new KeptConnection(await limpet.connect());
		for (let i = 0; i < 1000; i++) {
			kept.socket.write(`POST ${ENGINE}&sid=${sids[i % 4]} HTTP/1.1\r\nHost: limpet\r\n`
				+ 'Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n3');
			const { head: answer, text } = await kept.answer();
			assert.match(answer, /^HTTP\/1\.1 200 /, `request ${i}: ${text}`);
		}
		const { bounced, sessions } = await limpet.counts();
		assert.equal(sessions, 4);
		assert.ok(bounced > 200, `${bounced} were given back`);
	}));
