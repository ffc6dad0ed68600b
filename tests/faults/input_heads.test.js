'use strict';
/**
 * Faults 1 to 6: clients that say nothing, too little, too slowly, or more than limpet wants to see.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { setTimeout: pause } = require('node:timers/promises');
const { head, receiveAll } = require('../e2e/clients');
const { eventually, run } = require('../e2e/harness');
const { stopwatch } = require('../e2e/patience');
const proc = require('../e2e/proc');
const { assertWhole, send, sendCutEverywhere } = require('./inspected');

const ANSWER = '--workers 2 --policy sid --dialect cluster -- node workers/answer.js';
const INSPECT = '--workers 2 --policy sid --dialect native -- python3 workers/inspector.py';

const waiting = (limpet, count) =>
	eventually(`${count} wait`, async () => (await limpet.counts()).waiting === count);

test('1: silent clients are closed at the deadline, without a word', run(
	`--listen 127.0.0.1:0 --listen unix:./socket --head-timeout 1s ${ANSWER}`,
	async (limpet) => {
		const took = stopwatch();
		const addresses = Array.from({ length: 40 }, (_, i) => limpet.addresses[i % 2]);
		const sockets = await Promise.all(addresses.map((address) => limpet.connect(address)));
		const ends = await Promise.all(sockets.map((socket) => receiveAll(socket)));
		ends.forEach(({ text }) => assert.equal(text, ''));
		// The kernel itself holds silent connections back, for a few seconds at most.
		assert.ok(took.ms() >= 900 && took.quietMs() < 8000, `after ${took.ms()} ms`);
		const counts = await limpet.counts();
		assert.deepEqual([counts.closed_early, counts.refused, counts.waiting], [40, 0, 0]);
	}));

test('2: the deadline is for the whole head, however it drips', run(`--head-timeout 1s ${ANSWER}`, async (limpet) => {
	const took = stopwatch();
	const socket = await limpet.connect();
	const drip = setInterval(() => socket.write('x'), 100);
	socket.write('GET /');
	const { text } = await receiveAll(socket).finally(() => clearInterval(drip));
	assert.match(text, /^HTTP\/1\.1 408 /);
	assert.ok(took.ms() >= 900 && took.quietMs() < 3000, `after ${took.ms()} ms`);
	assert.equal((await limpet.counts()).refused, 1);
}));

test('3: a partial head wakes limpet once for what comes, and spins nothing', run(ANSWER, async (limpet) => {
	const sockets = await Promise.all(Array.from({ length: 50 }, () => limpet.connect()));
	sockets.forEach((socket) => socket.setNoDelay().write('GET / HTTP/1.1\r\nHost: lim'));
	await waiting(limpet, 50);

	let [sleeps, cpuMs] = [proc.sleeps(limpet.pid), proc.cpuMs(limpet.pid)];
	await pause(1000);
	[sleeps, cpuMs] = [proc.sleeps(limpet.pid) - sleeps, proc.cpuMs(limpet.pid) - cpuMs];
	assert.ok(sleeps <= 20, `woken ${sleeps} times in a second in which nothing came`);
	assert.ok(cpuMs <= 30, `${cpuMs} ms of a second`);

	sleeps = proc.sleeps(limpet.pid);
	for (let i = 0; i < 50; i++) {
		sockets[i].write('p');
		await pause(2);
	}
	sleeps = proc.sleeps(limpet.pid) - sleeps;
	assert.ok(sleeps >= 1 && sleeps <= 70, `woken ${sleeps} times by 50 bytes`);

	const answers = sockets.map((socket) => receiveAll(socket));
	sockets.forEach((socket) => socket.write('et\r\nConnection: close\r\n\r\n'));
	for (const { text } of await Promise.all(answers))
		assert.match(text, /"host":"limpet"/);
}));

test('4: a worker gets its socket as a new one is: SO_RCVLOWAT 1, blocking', run(
	`--listen 127.0.0.1:0 --listen unix:./socket ${INSPECT}`,
	async (limpet) => {
		const bytes = Buffer.from(head('/', { headers: { 'X-Mark': 'limpet' } }));
		const answers = await sendCutEverywhere(limpet, bytes);
		for (const address of limpet.addresses)
			answers.push(await send(limpet, bytes, { address }));
		for (const { seen } of answers)
			assert.deepEqual([seen.lowat, seen.blocking], [1, true]);
	}));

/** A ClientHello's beginning that announces 16 KiB. */
const LONG_HELLO = Buffer.concat([Buffer.of(22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3), Buffer.alloc(5000, 1)]);

test('5: an oversize head is answered with 431, and an oversize hello is no hello', run(
	`--max-head 1k --workers 2 --policy ./names.lua --dialect native -- python3 workers/inspector.py`,
	{ files: { 'names.lua': 'return { on_hello = function() return limpet.refuse(403) end, on_request = function() end }' } },
	async (limpet) => {
		const sized = (length) => {
			const empty = head('/', { headers: { X: '' } }).length;
			return Buffer.from(head('/', { headers: { X: 'x'.repeat(length - empty) } }));
		};
		assertWhole(await send(limpet, sized(1024)), sized(1024), 'the longest head');
		for (const bytes of [sized(1025), sized(20_000), sized(1 << 20)]) {
			const socket = await limpet.connect();
			const answer = receiveAll(socket);
			socket.write(bytes);
			const { text } = await answer;
			assert.match(text, /^HTTP\/1\.1 431 Request Header Fields Too Large\r\n[^]*\r\n\r\n431 /, `${bytes.length} bytes`);
		}
		// So much is read and thrown away that the answer arrives, and is not reset.
		assert.equal((await limpet.exchange(sized(20_000))).reset, false);
		assertWhole(await send(limpet, LONG_HELLO), LONG_HELLO, 'a hello past --max-head');
		assert.equal((await limpet.counts()).refused, 4);
	}));

test('6: a body and a second request behind the head are left to the worker unread', run(INSPECT, async (limpet) => {
	const first = Buffer.from(head('/first', { method: 'POST', length: 20_000 }));
	const bytes = Buffer.concat([first, Buffer.alloc(20_000, 'body '), Buffer.from(head('/second'))]);
	const whole = await send(limpet, bytes);
	assertWhole(whole, bytes, 'at once');
	assert.equal(whole.seen.unread, bytes.length);

	for (const place of [1, 20, first.length - 1]) {
		const socket = await limpet.connect();
		socket.setNoDelay().write(bytes.subarray(0, place));
		await waiting(limpet, 1);
		const answer = receiveAll(socket);
		socket.end(bytes.subarray(place));
		const { text } = await answer;
		const line = text.indexOf('\n');
		assert.equal(JSON.parse(text.slice(0, line)).unread, bytes.length, `cut at ${place}`);
		assert.equal(text.slice(line + 1), bytes.toString('latin1'), `cut at ${place}`);
	}
}));
