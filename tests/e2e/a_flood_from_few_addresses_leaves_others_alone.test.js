'use strict';
/**
 * Limits of addresses: a flood of connections that never say what they want, from a few addresses, takes a bounded number
 * of places, and everybody else is served. How much slower that gets is measured by tests/bench/run flood.
 */
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const net = require('node:net');
const test = require('node:test');
const { destination, head } = require('./clients');
const proc = require('./proc');
const { eventually, run, sanitized } = require('./harness');

const WORKERS = '--workers 2 --policy sid --dialect cluster -- node workers/answer.js';

const FLOOD = 10_000;
const ADDRESSES = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6', '127.0.0.7', '127.0.0.8', '127.0.0.9'];
const AT_A_TIME = 200;
const MAX_PER_IP = 256;

const hard = execFileSync('sh', ['-c', 'ulimit -Hn']).toString().trim();
const needsDescriptors = {
	skip: hard !== 'unlimited' && Number(hard) < FLOOD + 1000 && `the hard limit of descriptors is ${hard}`,
};

/** A connection of the flood: open until limpet closes it, which is no error here. */
function floodOne(limpet, localAddress, bytes) {
	return new Promise((resolve) => {
		const socket = net.connect({ ...destination(limpet.address), localAddress });
		socket.on('error', () => {});
		socket.on('close', resolve);
		socket.on('connect', () => (bytes && socket.write(bytes), resolve(socket)));
		limpet.flood.push(socket);
	});
}

async function flood(limpet, count, bytes, addresses = ADDRESSES) {
	limpet.flood ??= [];
	for (let begun = 0; begun < count; begun += AT_A_TIME) {
		const some = Array.from({ length: Math.min(AT_A_TIME, count - begun) }, (_, i) => i);
		await Promise.all(some.map((i) => floodOne(limpet, addresses[(begun + i) % addresses.length], bytes)));
	}
}

const isOpen = (socket) => !socket.destroyed && socket.readyState === 'open';

const openFrom = (limpet, address) =>
	limpet.flood.filter((socket) => isOpen(socket) && socket.localAddress === address).length;

/** Ask all the time, one by one, on new connections, until told to stop: how many answers came. */
function ask(limpet) {
	let asking = true;
	const answers = (async () => {
		let count = 0;
		for (; asking; count++)
			assert.equal((await limpet.get('/')).status, 200);
		return count;
	})();
	answers.catch(() => {}); // Whoever stops it sees.
	return { stop: () => ((asking = false), answers) };
}

const leave = (limpet) => limpet.flood.forEach((socket) => socket.destroy());

test(`${FLOOD} connections from 8 addresses that begin a head and no more`, needsDescriptors, run(
	`--head-timeout 1h ${WORKERS}`,
	async (limpet) => {
		assert.equal((await limpet.get('/')).status, 200);
		const before = proc.residentKib(limpet.pid);
		const began = Date.now();
		const others = ask(limpet);
		await flood(limpet, FLOOD, 'G');
		const kept = ADDRESSES.length * MAX_PER_IP;
		await eventually('all but those that may wait are closed', async () => {
			const { waiting, over_limit } = await limpet.counts();
			return over_limit === FLOOD - kept && waiting >= kept && waiting <= kept + 1;
		});
		assert.ok(await others.stop() > 0, 'others are served meanwhile');

		await eventually('the clients see it', () =>
			ADDRESSES.every((address) => openFrom(limpet, address) === MAX_PER_IP));
		assert.equal((await limpet.counts()).refused, FLOOD - kept);
		const { descriptors } = await limpet.status();
		assert.ok(descriptors.open < kept + 200, `${descriptors.open} descriptors`);
		if (!sanitized)
			assert.ok(proc.residentKib(limpet.pid) - before < 4096, `${proc.residentKib(limpet.pid) - before} KiB`);
		const told = limpet.lines.filter((line) => /127\.0\.0\.\d is closed: too many/.test(line)).length;
		assert.ok(told > 0 && told <= 10 * ((Date.now() - began) / 1000 + 2), `${told} lines`);

		assert.equal((await limpet.get('/', { localAddress: ADDRESSES[0] })).status, 200, 'a whole head is no flood');
		leave(limpet);
		await eventually('none waits', async () => (await limpet.counts()).waiting === 0);
		await flood(limpet, 10, 'G', ['127.0.0.2']);
		await eventually('they may wait again', async () => (await limpet.counts()).waiting === 10);
		leave(limpet);
	}));

/** The kernel gives these to limpet only after a while, and maybe not all of them. */
test(`${FLOOD} silent connections from 8 addresses`, needsDescriptors, run(
	`--head-timeout 2s ${WORKERS}`,
	async (limpet) => {
		const others = ask(limpet);
		await flood(limpet, FLOOD, '');
		await eventually('some are known', async () => (await limpet.counts()).accepted > 1000);
		let most = 0;
		await eventually('those that came are gone again', async () => {
			const { waiting, closed_early } = await limpet.counts();
			most = Math.max(most, waiting);
			return closed_early > 0 && waiting <= 1;
		});
		assert.ok(await others.stop() > 0, 'others are served meanwhile');
		assert.ok(most <= ADDRESSES.length * MAX_PER_IP + 1, `${most} waited`);
		leave(limpet);
	}));

test('many clients behind one address do not meet its limit', run(
	`--max-per-ip 1 ${WORKERS}`,
	async (limpet) => {
		await flood(limpet, 1, 'G', ['127.0.0.1']);
		await eventually('it waits', async () => (await limpet.counts()).waiting === 1);
		const answers = await Promise.all(Array.from({ length: 50 }, () => limpet.get('/')));
		assert.ok(answers.every(({ status }) => status === 200));
		limpet.flood[0].write(head('/').slice(1));
		await eventually('it is served', async () => (await limpet.counts()).waiting === 0);
		const socket = await limpet.connect();
		socket.write('G');
		await eventually('its place is free', async () => (await limpet.counts()).waiting === 1);
		assert.equal((await limpet.counts()).over_limit, 0);
		leave(limpet);
	}));

test('trusted proxies are exempt, and so are unix sockets', run(
	`--max-per-ip 2 --max-rate-per-ip 2 --trust 127.0.0.2 --listen 127.0.0.1:0 --listen unix:./socket ${WORKERS}`,
	async (limpet) => {
		await flood(limpet, 10, 'G', ['127.0.0.2']);
		const locals = await Promise.all(Array.from({ length: 10 }, () => limpet.connect(limpet.addresses[1])));
		locals.forEach((socket) => socket.write('G'));
		await eventually('all wait', async () => (await limpet.counts()).waiting === 20);
		assert.equal((await limpet.counts()).over_limit, 0);
		await flood(limpet, 10, 'G', ['127.0.0.3']);
		await eventually('two more wait', async () => (await limpet.counts()).over_limit === 8);
		assert.equal((await limpet.counts()).waiting, 22);
		leave(limpet);
	}));

test('an address that opens connections faster than it may is turned away, and no other', run(
	`--max-rate-per-ip 1 ${WORKERS}`,
	async (limpet) => {
		const ask = (localAddress) => limpet.get('/', { localAddress }).then(() => 'served', () => 'closed');
		const answers = await Promise.all(Array.from({ length: 20 }, () => ask('127.0.0.2')));
		const closed = answers.filter((answer) => answer === 'closed').length;
		assert.ok(closed > 0 && closed < 20, `${closed} of 20 are closed`);
		assert.equal((await limpet.counts()).over_limit, closed);
		assert.equal(await ask('127.0.0.3'), 'served');
		await limpet.said(/a connection from 127\.0\.0\.2 is closed: too many come from there \(--max-rate-per-ip\)/);
		await eventually('it may again', async () => await ask('127.0.0.2') === 'served');
	}));

test('a limit of 0 is none', run(`--max-per-ip 0 ${WORKERS}`, async (limpet) => {
	await flood(limpet, 400, 'G', ['127.0.0.2']);
	await eventually('all wait', async () => (await limpet.counts()).waiting === 400);
	leave(limpet);
}));
