'use strict';
/**
 * Heads as clients send them: in pieces, slowly, too long, not at all. Nothing of them is ever kept from the worker,
 * and none costs another client anything.
 */
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { once } = require('node:events');
const test = require('node:test');
const { setTimeout: pause, setImmediate: turn } = require('node:timers/promises');
const { head, receiveAll, receiveBytes } = require('./clients');
const proc = require('./proc');
const { eventually, run } = require('./harness');

const ANSWER = '--workers 2 --policy sid --dialect cluster -- node workers/answer.js';
const ECHO = '--workers 2 --policy sid --dialect cluster -- node workers/echo.js';

const jsonOf = (answer) => JSON.parse(answer.text.split('\r\n\r\n')[1]);

const elapsedMs = (since) => Number(process.hrtime.bigint() - since) / 1e6;

/** What one client does, as two counts before and after it. */
async function counted(limpet, name, client) {
	const before = (await limpet.counts())[name];
	const result = await client();
	await eventually(`one more is ${name}`, async () => (await limpet.counts())[name] === before + 1);
	return result;
}

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

test('a silent client is closed at the deadline, without a word', run(`--head-timeout 1s ${ANSWER}`, async (limpet) => {
	const began = process.hrtime.bigint();
	const { text } = await counted(limpet, 'closed_early', async () => receiveAll(await limpet.connect()));
	assert.equal(text, '');
	// The kernel itself holds a silent connection back, for a few seconds at most.
	assert.ok(elapsedMs(began) >= 900 && elapsedMs(began) < 8000, `after ${elapsedMs(began)} ms`);
}));

test('the deadline is for the whole head, however it drips', run(`--head-timeout 1s ${ANSWER}`, async (limpet) => {
	const began = process.hrtime.bigint();
	const { text } = await counted(limpet, 'refused', async () => {
		const socket = await limpet.connect();
		const drip = setInterval(() => socket.write('x'), 100);
		socket.write('GET /');
		return receiveAll(socket).finally(() => clearInterval(drip));
	});
	assert.match(text, /^HTTP\/1\.1 408 /);
	assert.ok(elapsedMs(began) >= 900 && elapsedMs(began) < 3000, `after ${elapsedMs(began)} ms`);
}));

test('a partial head costs no processor time', run(ANSWER, async (limpet) => {
	const sockets = await Promise.all(Array.from({ length: 50 }, () => limpet.connect()));
	sockets.forEach((socket) => socket.write('GET / HTTP/1.1\r\nHost: lim'));
	await eventually('they wait', async () => (await limpet.counts()).waiting === 50);
	const before = proc.cpuMs(limpet.pid);
	await pause(1000);
	assert.ok(proc.cpuMs(limpet.pid) - before <= 30, `${proc.cpuMs(limpet.pid) - before} ms of a second`);

	const answers = sockets.map((socket) => receiveAll(socket));
	sockets.forEach((socket) => socket.write('pet\r\nConnection: close\r\n\r\n'));
	for (const answer of await Promise.all(answers))
		assert.equal(jsonOf(answer).headers.host, 'limpet');
}));

test('an oversize head is answered with 431', run(`--max-head 1k ${ANSWER}`, async (limpet) => {
	const fits = head('/', { headers: { 'X-Long': 'x'.repeat(900) } });
	assert.equal(jsonOf(await limpet.exchange(fits)).headers['x-long'].length, 900);

	const long = head('/', { headers: { 'X-Long': 'x'.repeat(20_000) } });
	const { text, reset } = await counted(limpet, 'refused', () => limpet.exchange(long));
	assert.match(text, /^HTTP\/1\.1 431 Request Header Fields Too Large\r\n[^]*\r\n\r\n431 /);
	assert.equal(reset, false, 'the answer arrives before the end');
}));

test('a client that ends its side behind the head is served', run(ANSWER, async (limpet) => {
	const socket = await limpet.connect();
	const answer = receiveAll(socket);
	socket.end(head('/half'));
	assert.equal(jsonOf(await answer).url, '/half');
}));

test('a client that leaves before its head is complete is closed early', run(ANSWER, async (limpet) => {
	await counted(limpet, 'closed_early', async () => {
		const socket = await limpet.connect();
		socket.end('GET / HT');
		assert.equal((await receiveAll(socket)).text, '');
	});
	await counted(limpet, 'closed_early', async () => {
		const socket = await limpet.connect();
		socket.write('GET / HT');
		await eventually('it waits', async () => (await limpet.counts()).waiting === 1);
		socket.resetAndDestroy();
	});
	assert.equal((await limpet.get('/')).status, 200);
}));

test('a client that resets as soon as its head is sent harms nobody', run(ANSWER, async (limpet) => {
	for (let i = 0; i < 50; i++) {
		const socket = await limpet.connect();
		socket.write(head('/'));
		await turn();
		socket.resetAndDestroy();
	}
	await eventually('all are accounted for', async () => {
		const { waiting, in_flight } = await limpet.counts();
		return waiting + in_flight === 0;
	});
	assert.equal((await limpet.get('/')).status, 200);
}));

/** A ClientHello that asks for "limpet.example", from a TLS client that is given no answer. */
async function clientHello() {
	const tls = require('node:tls');
	const { Duplex } = require('node:stream');
	return new Promise((resolve) => {
		const wire = new Duplex({ read() {}, write: (chunk, encoding, done) => (resolve(chunk), done()) });
		tls.connect({ socket: wire, servername: 'limpet.example' }).on('error', () => {});
	});
}

test('what is not HTTP/1 is routed all the same, each byte of it', run(ECHO, async (limpet) => {
	const strangers = {
		'an HTTP/2 preface': Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1'),
		'a TLS ClientHello': await clientHello(),
		garbage: Buffer.from('\0\x01\x02 no protocol\r\n\r\n', 'latin1'),
		'a head with a bare line feed': Buffer.from('GET / HTTP/1.1\nHost: limpet\n\n'),
		'a NUL in a header': Buffer.from('GET / HTTP/1.1\r\nHost: lim\0pet\r\n\r\n', 'latin1'),
		'a folded header': Buffer.from('GET / HTTP/1.1\r\nHost: limpet\r\nX: a\r\n b\r\n\r\n'),
	};
	for (const [name, bytes] of Object.entries(strangers)) {
		const socket = await limpet.connect();
		socket.write(bytes);
		assert.ok(bytes.equals(await receiveBytes(socket, bytes.length)), name);
		socket.end('and more');
		assert.equal((await receiveAll(socket)).text, 'and more', name);
	}
}));

test('a ClientHello in two pieces is waited for', run(
	'--workers 2 --policy ./by_name.lua --dialect cluster -- node workers/echo.js',
	{
		files: {
			'by_name.lua': `return {
				  on_hello = function(conn, workers)
				    limpet.log.info("asked for " .. tostring(conn.sni))
				    return workers[2]
				  end,
				}`,
		},
	},
	async (limpet) => {
		const bytes = await clientHello();
		const socket = await limpet.connect();
		socket.setNoDelay();
		socket.write(bytes.subarray(0, 50));
		await eventually('it waits', async () => (await limpet.counts()).waiting === 1);
		socket.write(bytes.subarray(50));
		assert.ok(bytes.equals(await receiveBytes(socket, bytes.length)));
		await limpet.said(/asked for limpet\.example/);
		assert.equal((await limpet.worker(2)).connections, 1);
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
