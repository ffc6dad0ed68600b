'use strict';
/**
 * One client for each way to take places, time or memory that belong to others. It is at 127.0.0.2; the others, at 127.0.0.1,
 * are all served, and hardly later than before.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { head } = require('../e2e/clients');
const { eventually, run, sanitized } = require('../e2e/harness');
const proc = require('../e2e/proc');
const { Neighbours } = require('./neighbours');

/** Connections that the client holds, or tries to hold. */
const MANY = 600;

/** limpet's memory may grow by so much meanwhile. */
const GROWTH_KIB = 64 * 1024;

const COMMAND = '--max-waiting 1000 --head-timeout 60s --session-wait 4s --workers 2 --policy sid --dialect cluster -- node workers/answer.js';

/** What the client does with each of its connections, once it is connected. */
const HARMS = {
	'says nothing': () => {},
	'says a byte': (socket) => socket.write('G'),
	'drips a head': (socket) => {
		socket.write('GET / HTTP/1.1\r\n');
		socket.drip = setInterval(() => socket.writable && socket.write('X'), 20);
	},
	'has a head of 16 KiB but for its end': (socket) => socket.write(`GET / HTTP/1.1\r\nX: ${'x'.repeat(16000)}`),
	'has sessions that nobody knows': (socket, i) => socket.write(head(`/?EIO=4&sid=unknown-${i}`)),
	'closes one direction': (socket) => socket.end('GET / HT'),
	'sends noise': (socket) => socket.write(Buffer.from(Array.from({ length: 4000 }, (_, i) => (i * 7919) % 256))),
	'sends the beginning of a TLS hello': (socket) => socket.write(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3])),
	'sends a request in front of many': (socket) => socket.write(head('/').repeat(50)),
};

for (const [harm, act] of Object.entries(HARMS))
	test(`a client ${harm}`, run(COMMAND, async (limpet) => {
		const others = new Neighbours(limpet);
		await others.measure('quiet');
		const before = proc.residentKib(limpet.pid);
		const sockets = [];
		const client = async (i) => {
			const socket = await limpet.connect(limpet.address, { localAddress: '127.0.0.2' }).catch(() => undefined);
			if (!socket)
				return;
			sockets.push(socket);
			socket.resume();
			act(socket, i);
		};
		for (let i = 0; i < MANY; i += 50)
			await Promise.all(Array.from({ length: 50 }, (_, k) => client(i + k)));
		await others.measure('loud');
		if (!sanitized)
			assert.ok(proc.residentKib(limpet.pid) - before < GROWTH_KIB, 'its memory is bounded');
		for (const socket of sockets) {
			clearInterval(socket.drip);
			socket.destroy();
		}
		others.assertUnharmed();
		await eventually('nobody waits', async () => (await limpet.counts()).waiting === 0);
	}));

test('a client that connects and resets all the time', run(COMMAND, async (limpet) => {
	const others = new Neighbours(limpet);
	await others.measure('quiet');
	let going = true;
	const flood = async () => {
		while (going) {
			const socket = await limpet.connect(limpet.address, { localAddress: '127.0.0.2' }).catch(() => undefined);
			socket?.write('GET /');
			socket?.resetAndDestroy();
		}
	};
	const floods = Promise.all(Array.from({ length: 20 }, flood));
	await others.measure('loud');
	going = false;
	await floods;
	others.assertUnharmed();
}));
