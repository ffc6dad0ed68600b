'use strict';
/**
 * Real Socket.IO clients, by each transport, against the workers of each package as its README shows them. None of the
 * workers knows of limpet.
 */
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { once } = require('node:events');
const { setImmediate: turn } = require('node:timers/promises');
const test = require('node:test');
const { acknowledged, connected, receiveAll, head } = require('./clients');
const { run } = require('./harness');

const FORWARDED = { 'X-Forwarded-For': '203.0.113.9' };

const WORKERS = {
	'@socket.io/sticky 1.0.4':
		'--policy sid --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky104',
	'@socket.io/sticky 2.0.1':
		'--policy sid --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201',
	'sticky-session 1.1.2':
		'--policy ip_hash --dialect sticky-session -- node workers/sticky_session.js',
	'socketio-sticky-session 0.4.3':
		'--policy ip_hash --dialect socketio-sticky-session -- node workers/socketio_sticky_session.js',
	'socketio-sticky-session 0.4.3 behind a proxy':
		'--policy forwarded_for --trust 127.0.0.0/8 --dialect socketio-sticky-session ' +
		'-- node workers/socketio_sticky_session.js proxy',
	'a plain cluster worker':
		'--policy ip_hash --dialect cluster -- node workers/cluster_socketio.js',
};

/** Long-polling opens a connection for every request, so each of them has to find its session's worker. */
const TRANSPORTS = [['polling'], ['websocket'], ['polling', 'websocket']];

async function open(limpet, transports) {
	const client = limpet.socket({ transports, extraHeaders: FORWARDED });
	const upgrade = transports.length > 1 && once(client.io.engine, 'upgrade');
	await connected(client);
	await upgrade;
	assert.equal(client.io.engine.transport.name, transports.at(-1));
	return client;
}

function echo(client, message) {
	return acknowledged(client, 'echo', message);
}

/** The head in two pieces, the body in ten. */
async function postInPieces(limpet, body) {
	const socket = await limpet.connect();
	const answer = receiveAll(socket);
	const top = head('/', { method: 'POST', headers: FORWARDED, length: body.length });
	const pieces = [Buffer.from(top.slice(0, 20)), Buffer.from(top.slice(20))];
	for (let i = 0; i < body.length; i += body.length / 10)
		pieces.push(body.subarray(i, i + body.length / 10));
	socket.setNoDelay();
	for (const piece of pieces) {
		socket.write(piece);
		await turn();
	}
	return JSON.parse((await answer).text.split('\r\n\r\n')[1]);
}

for (const [name, command] of Object.entries(WORKERS)) {
	test(name, run(`--workers 3 ${command}`, async (limpet) => {
		for (const transports of TRANSPORTS) {
			const opened = await Promise.all(Array.from({ length: 4 }, () => open(limpet, transports)));
			await Promise.all(opened.map(async (client, i) => assert.equal(await echo(client, i), i)));

			const megabyte = crypto.randomBytes(1 << 20);
			assert.ok(megabyte.equals(await echo(opened[0], megabyte)), `1 MB by ${transports}`);
			opened.forEach((client) => client.close());
		}

		const body = crypto.randomBytes(300_000);
		const received = await postInPieces(limpet, body);
		assert.equal(received.length, body.length);
		assert.equal(received.sha256, crypto.createHash('sha256').update(body).digest('hex'));
	}));
}

/** As limpet finds by itself: beside these scripts several sticky packages are installed, and what each does decides. */
for (const [name, command] of Object.entries(WORKERS))
	test(`${name}, without --dialect`, run(
		`--workers 3 ${command.replace(/--dialect \S+ /, '')}`,
		async (limpet) => {
			for (const transports of TRANSPORTS) {
				const client = await open(limpet, transports);
				assert.equal(await echo(client, 7), 7);
				client.close();
			}
			await limpet.said(/dialect node: node is a Node program/);
		}));
