'use strict';
/**
 * Workers of each Node that is still in use: a hand-over to each dialect that unchanged Socket.IO workers take, with real
 * clients, every transport, and a message of 1 MB; and the broker, by adapter, store and queues. A plain server whose
 * sockets are the preloaded library's is tried with each, too: every libuv asks the kernel in ways of its own.
 */
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { once } = require('node:events');
const test = require('node:test');
const { AT_PORT, assertAllHear, assertSessions, registered, workerPids } = require('../e2e/any_server');
const { ENGINE, acknowledged, connected, handshakeAndReturn, head } = require('../e2e/clients');
const { run } = require('../e2e/harness');
const { app, eventually } = require('./app');

const WORKERS = {
	cluster: '--policy ip_hash --dialect cluster -- NODE workers/cluster_socketio.js',
	'socket.io-sticky': '--policy sid --dialect socket.io-sticky -- NODE workers/socketio_sticky.js sticky201',
};

/** Each Node that node_versions/ pins: its major version, and where it is. */
const { dependencies } = require('./node_versions/package.json');
const NODES = Object.keys(dependencies).map((name) => ({
	version: name.slice('node'.length),
	node: path.join(__dirname, `node_versions/node_modules/${name}/bin/node`),
}));

const TRANSPORTS = [['polling'], ['websocket'], ['polling', 'websocket']];

/** A client by each transport, one of which changes from polling to a websocket; each gets a megabyte back. */
async function assertEchoes(limpet) {
	for (const transports of TRANSPORTS) {
		const client = limpet.socket({ transports });
		const upgraded = transports.length > 1 && once(client.io.engine, 'upgrade');
		await connected(client);
		await upgraded;
		const megabyte = crypto.randomBytes(1 << 20);
		const back = await acknowledged(client, 'echo', megabyte);
		assert.ok(megabyte.equals(back), `1 MB by ${transports}`);
		client.close();
	}
}

for (const { version, node } of NODES) {
	const skip = !fs.existsSync(node) && 'npm ci in tests/compat/node_versions brings it; tests/run -L compat does that';
	for (const [dialect, command] of Object.entries(WORKERS))
		test(`Node ${version}, ${dialect}`, { skip }, async (t) => {
			assert.match(execFileSync(node, ['--version'], { encoding: 'utf8' }), new RegExp(`^v${version}\\.`));
			await run(`--workers 2 ${command.replace('NODE', node)}`, assertEchoes)(t);
		});

	for (const dialect of ['preload', 'node'])
		test(`Node ${version}, ${dialect}: a plain server, by requests and by Socket.IO`, { skip }, run(
			`--workers 2 --policy sid --dialect ${dialect} -- ${AT_PORT} ${node} workers/any_server/chat.js PORT`,
			async (limpet) => {
				await registered(limpet, 2);
				assert.equal((await limpet.get('/')).status, 200);
				await assertEchoes(limpet);
				assert.deepEqual(await assertSessions(limpet, ['polling', 'websocket', 'upgrade'], 6), await workerPids(limpet));
			}));

	test(`Node ${version}, socket.io-sticky: a session is known when it is used, and an unknown one after one question`, { skip }, run(
		`--session-wait 5s --workers 3 ${WORKERS['socket.io-sticky'].replace('NODE', node)}`,
		async (limpet, t) => {
			const handshakes = await Promise.all(Array.from({ length: 100 }, () => handshakeAndReturn(limpet.address)));
			assert.deepEqual([...new Set(handshakes)], ['ok']);
			const tookMs = [];
			for (let i = 0; i < 40; i++) {
				const began = performance.now();
				assert.match((await limpet.exchange(head(`${ENGINE}&sid=AAAAAAAAAAAAAAAAAAAA`))).text, /Session ID unknown/);
				tookMs.push(performance.now() - began);
			}
			const p50 = tookMs.sort((a, b) => a - b)[20];
			t.diagnostic(`p50 ${p50.toFixed(1)} ms`);
			assert.ok(p50 < 500, `p50 ${p50} ms`);
		}));

	test(`Node ${version}, node: all hear what one says, and every socket is listed`, { skip }, run(
		`--workers 3 --policy sid --dialect node -- ${AT_PORT} ${node} workers/first_hour/adapted.js PORT`,
		async (limpet) => {
			await registered(limpet, 3);
			for (const transports of TRANSPORTS)
				await assertAllHear(limpet, { transports });
		}));

	const meet = (name, worker, body) => test(`Node ${version}, ${name}`, { skip },
		app({ workers: 3, worker, node, ours: '--dialect cluster --policy round_robin' }, body));

	meet('broadcast and questions', ['adapter.js', 'adapter030'], async (running) => {
		const clients = [1, 2, 3].map(() => running.client({ transports: ['websocket'] }));
		const got = (await Promise.all(clients)).map((client) => once(client, 'news'));
		await running.on(1, 'emit', {}, 'news', { text: '"ü\n' });
		assert.deepEqual(await Promise.all(got), Array(3).fill([{ text: '"ü\n' }]));
		assert.equal((await running.on(2, 'fetch', {})).length, 3);
		assert.deepEqual(await running.on(3, 'who', 'you'), { failed: false, answers: ['you: 1', 'you: 2'] });
	});

	meet('store and queues', ['strong.js'], async (running) => {
		await running.onAll('count', 'c', 'n', 20);
		assert.equal(await running.on(1, 'get', 'c', 'n'), 60);
		await running.onAll('subscribe', 'q', '');
		await running.on(2, 'publish', 'q', 'hello');
		await eventually('all have heard', async () => (await running.onAll('heard')).flat().length === 3);
	});
}
