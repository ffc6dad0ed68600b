'use strict';
/**
 * Heads as honest clients send them: nothing of them is ever kept from the worker. tests/faults has the others.
 */
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { once } = require('node:events');
const test = require('node:test');
const { setImmediate: turn } = require('node:timers/promises');
const { head, receiveAll } = require('./clients');
const { eventually, run } = require('./harness');

const ANSWER = '--workers 2 --policy sid --dialect cluster -- node workers/answer.js';

const jsonOf = (answer) => JSON.parse(answer.text.split('\r\n\r\n')[1]);

test('a head that comes byte by byte arrives whole', run(ANSWER, async (limpet) => {
	const socket = await limpet.connect();
	const answer = receiveAll(socket);
	socket.setNoDelay();
	for (const byte of head('/slow?sid=x', { headers: { 'X-Mark': 'limpet' } })) {
		socket.write(byte);
		await turn();
	}
	const { url, headers } = jsonOf(await answer);
	assert.equal(url, '/slow?sid=x');
	assert.equal(headers['x-mark'], 'limpet');
}));

test('a body behind its head, and a request behind a request, are left to the worker', run(ANSWER, async (limpet) => {
	const body = crypto.randomBytes(1 << 20);
	const first = `POST /first HTTP/1.1\r\nHost: limpet\r\nContent-Length: ${body.length}\r\n\r\n`;
	const { text } = await limpet.exchange(Buffer.concat([Buffer.from(first), body, Buffer.from(head('/second'))]));
	const [one, two] = text.match(/\{.*\}/g).map((json) => JSON.parse(json));
	assert.equal(one.url, '/first');
	assert.equal(one.sha256, crypto.createHash('sha256').update(body).digest('hex'));
	assert.equal(two.url, '/second');
	assert.equal(two.pid, one.pid);
}));

test('a connection that no policy wants to look at is handed over in silence', run(
	'--workers 2 --policy ip_hash --dialect cluster -- node workers/echo.js',
	async (limpet) => {
		const socket = await limpet.connect();
		await eventually('it is at its worker', async () => (await limpet.counts()).acknowledged === 1);
		socket.write('ping');
		const [pong] = await once(socket, 'data');
		assert.equal(pong.toString(), 'ping');
	}));

test('past --max-waiting the oldest incomplete head makes room', run(
	`--max-waiting 10 ${ANSWER}`,
	async (limpet) => {
		const oldest = await limpet.connect();
		oldest.write('GET /');
		await eventually('it waits', async () => (await limpet.counts()).waiting === 1);
		const answer = receiveAll(oldest);
		const others = await Promise.all(Array.from({ length: 10 }, () => limpet.connect()));
		others.forEach((socket) => socket.write('GET /'));
		assert.match((await answer).text, /^HTTP\/1\.1 408 /);
		assert.equal((await limpet.counts()).waiting, 10);
		assert.equal((await limpet.get('/')).status, 200, 'a whole head does not wait');
	}));
