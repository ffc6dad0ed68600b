'use strict';
/**
 * What an operator, or the machine under him, does to a running limpet: broken policies, reloads without end, a kill, a
 * wrong clock, a log that takes nothing, a control socket that is talked nonsense to.
 */
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { receiveAll } = require('../e2e/clients');
const { eventually, run, runToItsEnd, sanitized } = require('../e2e/harness');
const proc = require('../e2e/proc');
const { Faults, preloaded } = require('./inject');

/** A policy file with one on_request; its first line is line 4 of the file. */
const policy = (body) => `--- Made by a test.
return {
  on_request = function(conn, workers)
    ${body}
  end,
}
`;
const always = (id) => policy(`return workers[${id}]`);

const BY_FILE = '--workers 2 --policy ./p.lua --dialect cluster -- node workers/answer.js';

const by = async (limpet, target = '/') => (await limpet.get(target)).json.worker;

test('48: a policy file that is broken, half-written or gone leaves the old policy in place, visibly', run(
	BY_FILE,
	{ files: { 'p.lua': always(2) } },
	async (limpet) => {
		const file = path.join(limpet.folder, 'p.lua');
		let failed = 0;
		const isRefused = async (said) => {
			const since = limpet.now;
			limpet.signal('SIGHUP');
			const [line] = await limpet.said(/^limpet: .*; keeping the policies loaded at \d{4}-\d\d-\d\dT[\d:]{8}Z$/, since);
			assert.match(line, said);
			assert.equal(await by(limpet), 2);
			assert.equal((await limpet.counts()).failed_reloads, ++failed);
		};
		limpet.write('p.lua', always('1)'));
		await isRefused(/policy \.\/p\.lua:4: /);
		limpet.write('p.lua', 'error("not today")\n');
		await isRefused(/policy \.\/p\.lua:1: not today;/);
		limpet.write('p.lua', '');
		await isRefused(/p\.lua/);
		const whole = always(1);
		for (const part of [0.3, 0.6, 0.9]) {
			fs.writeFileSync(file, whole.slice(0, whole.length * part));
			await isRefused(/p\.lua/);
		}
		fs.writeFileSync(file, Buffer.alloc(4096)); // As a crash of the machine leaves it.
		await isRefused(/p\.lua/);
		fs.rmSync(file);
		await isRefused(/p\.lua/);
		fs.mkdirSync(file);
		await isRefused(/p\.lua/);
		fs.rmdirSync(file);
		execFileSync('mkfifo', [file]); // Who reads it waits for ever.
		await isRefused(/p\.lua/);
		fs.rmSync(file);

		limpet.write('p.lua', whole);
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: reloaded /);
		assert.equal(await by(limpet), 1);
	}));

test('49: a policy that loads, and fails on its first live connections, is undone', run(
	BY_FILE,
	{ files: { 'p.lua': always(2) } },
	async (limpet) => {
		limpet.write('p.lua', policy('return conn.path == "/new" and workers:hash(conn.nothing) or workers[1]'));
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: reloaded /);
		assert.equal(await by(limpet), 1);
		for (let i = 0; i < 3; i++)
			assert.equal((await limpet.get('/new')).status, 200);
		await limpet.said(/^limpet: rolled back: of the new policies' first 4 calls 3 failed; using those loaded at /);
		assert.equal(await by(limpet), 2);
		const counts = await limpet.counts();
		assert.deepEqual([counts.reloads, counts.rollbacks, counts.policy_errors], [1, 1, 3]);

		const since = limpet.now;
		limpet.write('p.lua', always(1));
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: reloaded /, since);
		assert.equal(await by(limpet), 1);
	}));

test('50: a storm of SIGHUP is a few reloads, and the last file counts', run(
	BY_FILE,
	{ files: { 'p.lua': always(1) } },
	async (limpet) => {
		const began = Date.now();
		for (let i = 1; i < 2000; i++)
			limpet.signal('SIGHUP');
		limpet.write('p.lua', always(2));
		limpet.signal('SIGHUP');
		await eventually('the last file is in use', async () => (await by(limpet)) === 2);
		const { reloads } = await limpet.counts();
		const tookMs = Date.now() - began;
		assert.ok(reloads >= 1 && reloads <= tookMs / 10 + 2, `${reloads} reloads in ${tookMs} ms`);
	}));

test('51: what is on its way at a reload arrives where it was sent; what waits meets the new policy', run(
	`--ack-timeout 0 ${BY_FILE}`,
	{ files: { 'p.lua': always(1) } },
	async (limpet) => {
		const { pid } = await limpet.worker(1);
		process.kill(pid, 'SIGSTOP');
		const sent = Array.from({ length: 10 }, () => limpet.get('/'));
		const slow = await limpet.connect();
		const late = receiveAll(slow);
		slow.write('GET / HTTP/1.1\r\n');
		await eventually('ten are on their way, one waits', async () => {
			const { in_flight, waiting } = await limpet.counts();
			return in_flight === 10 && waiting === 1;
		});
		limpet.write('p.lua', always(2));
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: reloaded /);
		assert.equal(await by(limpet), 2);
		slow.write('Connection: close\r\nHost: limpet\r\n\r\n');
		assert.match((await late).text, /"worker":2/);

		process.kill(pid, 'SIGCONT');
		assert.deepEqual((await Promise.all(sent)).map(({ json }) => json.worker), Array(10).fill(1));
		assert.equal((await limpet.counts()).moved, 0);
	}));

const RELOADS = 1000;

test(`52: very many reloads, here ${RELOADS}, keep no memory and no descriptor`, run(
	BY_FILE,
	{ files: { 'p.lua': always(1) } },
	async (limpet, t) => {
		await limpet.get('/');
		await limpet.counts(); // The first of each opens some that stay.
		const kib = [];
		const descriptors = proc.descriptors(limpet.pid);
		let reloads = 0;
		const reload = async (times) => {
			for (const last = reloads + times; reloads < last; reloads++) {
				const since = limpet.now;
				limpet.write('p.lua', always(1 + (reloads % 2)));
				limpet.signal('SIGHUP');
				await limpet.said(/^limpet: reloaded /, since);
			}
			kib.push(proc.residentKib(limpet.pid));
		};
		const load = limpet.startLoad(2);
		await reload(RELOADS / 5);
		const { requests, failures } = await load.stop();
		assert.deepEqual(failures, []);
		while (reloads < RELOADS) // Without load: what is remembered of requests grows with them, up to a limit of its own.
			await reload(RELOADS / 5);
		t.diagnostic(`${requests} requests, resident after each ${RELOADS / 5} reloads: ${kib} KiB`);
		assert.equal((await limpet.counts()).reloads, RELOADS);
		assert.ok(sanitized || kib.at(-1) - kib[1] < 512, `${kib} KiB`);
		await eventually('every descriptor is closed', () => proc.descriptors(limpet.pid) <= descriptors);
	}));

/** Ask once more on a connection that stays. */
function ask(socket) {
	socket.write('GET / HTTP/1.1\r\nHost: limpet\r\n\r\n');
	return new Promise((resolve, reject) => {
		socket.once('data', (bytes) => resolve(bytes.toString()));
		socket.once('close', () => reject(new Error('the connection was closed')));
	});
}

test('53: limpet is killed: connections that were passed on live', async (t) => {
	await t.test('native', run(
		'--workers 2 --dialect native -- python3 workers/native.py',
		async (limpet) => {
			const sockets = await Promise.all(Array.from({ length: 10 }, () => limpet.connect()));
			await Promise.all(sockets.map(ask));
			await limpet.kill();
			await assert.rejects(limpet.connect(), { code: 'ECONNREFUSED' });
			for (let i = 0; i < 10; i++)
				for (const answer of await Promise.all(sockets.map(ask)))
					assert.match(answer, /^HTTP\/1\.1 200 OK/);
		}));

	await t.test('a cluster worker ends with its primary, by a rule of Node\'s own; none is left behind', run(
		'--workers 2 --dialect cluster -- node workers/answer.js',
		async (limpet) => {
			const socket = await limpet.connect();
			await ask(socket);
			const end = receiveAll(socket);
			await limpet.kill();
			await end;
		}));
});

test('54: an upgrade that is never ready', { skip: 'limpet has no upgrade of its own program in place' });

test('55: the wall clock jumps: deadlines keep to their time', run(
	'--workers 1 --policy sid --head-timeout 1s --dialect native -- python3 workers/native.py',
	{ under: preloaded },
	async (limpet) => {
		const faults = new Faults(limpet);
		const DAY = 24 * 3600;
		for (const seconds of [36 * 3600, -2 * DAY, 400 * DAY]) {
			const done = faults.done('wall clock');
			const began = process.hrtime.bigint();
			const socket = await limpet.connect();
			const answer = receiveAll(socket);
			socket.write('GET / HTTP/1.1\r\n');
			await eventually('it waits', async () => (await limpet.counts()).waiting === 1);
			faults.jump(seconds);
			const { policies_loaded: before } = await limpet.status();
			limpet.signal('SIGHUP'); // It tells the time, and so reads it.
			await eventually('limpet has met the jump', async () =>
				(await limpet.status()).policies_loaded !== before && faults.done('wall clock') > done);
			assert.match((await answer).text, /^HTTP\/1\.1 408 /);
			const tookMs = Number(process.hrtime.bigint() - began) / 1e6;
			assert.ok(tookMs >= 1000, `closed after ${tookMs} ms`);

			const since = limpet.now;
			process.kill((await limpet.worker(1)).pid, 'SIGKILL'); // Another is started after a pause.
			await limpet.said(/^limpet: worker 1 is ready/, since);
			assert.equal((await limpet.get('/')).status, 200);
		}
	}));

/** A shell that redirects, and becomes limpet. */
const redirected = (script) => ['sh', '-c', script, 'sh'];

/** The same things happen to each log: lines, requests, an end. Returns before the end. */
async function routesOn(limpet) {
	await eventually('the worker is ready', async () =>
		(await limpet.status().catch(() => undefined))?.workers.every(({ usable }) => usable));
	const address = `unix:${limpet.folder}/here`;
	for (let i = 1; i <= 20; i++) {
		limpet.signal('SIGHUP'); // A line of the log.
		assert.equal((await limpet.get('/', { address })).status, 200);
		await eventually('it is reloaded', async () => (await limpet.counts()).reloads === i);
	}
	const { accepted, acknowledged } = await limpet.counts();
	assert.deepEqual({ accepted, acknowledged }, { accepted: 20, acknowledged: 20 });
}

test('56: a log that takes nothing does not hold routing up', async (t) => {
	const command = '--listen unix:./here --workers 1 --dialect native -- python3 workers/native.py';
	for (const [what, script] of [
		['a full disk', 'exec "$@" 2>/dev/full'],
		['a file at its limit of size', 'ulimit -f 0 && exec "$@" 2>log'],
		['a pipe without a reader', 'mkfifo pipe && exec 9<>pipe && exec "$@" 2>pipe 9>&-'],
		['a closed descriptor', 'exec "$@" 2>&-'],
		['no standard descriptor at all', 'exec "$@" <&- >&- 2>&-'],
	])
		await t.test(what, run(command, { ready: false, silent: true, under: redirected(script) }, async (limpet) => {
			await routesOn(limpet);
			for (const fd of [0, 1, 2])
				assert.match(fs.readlinkSync(`/proc/${limpet.pid}/fd/${fd}`), /^\/dev\/|log$|pipe|^socket/);
		}));

	await t.test('a pipe that nobody reads; later it tells how much was lost', run(
		command,
		{
			ready: false,
			silent: true,
			under: redirected('mkfifo pipe && exec 9<>pipe && head -c 65536 /dev/zero >&9 && exec "$@" 2>pipe'),
		},
		async (limpet) => {
			await routesOn(limpet);
			const pipe = fs.openSync(`${limpet.folder}/pipe`, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
			const read = () => {
				const bytes = Buffer.alloc(1 << 20);
				return bytes.toString('latin1', 0, fs.readSync(pipe, bytes));
			};
			assert.equal(read().length, 65536);
			limpet.signal('SIGHUP');
			await eventually('it is reloaded', async () => (await limpet.counts()).reloads === 21);
			assert.match(read(), /^\S+ warning limpet: \d\d lines of this log were lost: .*\n\S+ info limpet: reloaded /);
			fs.closeSync(pipe);
		}));

	await t.test('a reader that goes, and one that stops', run(
		'--listen unix:./here --workers 1 --dialect native -- python3 workers/native.py',
		{ silent: true },
		async (limpet) => {
			limpet.process.stderr.destroy();
			await routesOn(limpet);
		}));
});

test('57: clients of the control socket that talk nonsense, too much, or not at all, harm nobody', run(
	'--workers 2 --policy sid --dialect cluster -- node workers/answer.js',
	async (limpet, t) => {
		const control = `unix:${limpet.folder}/control`;
		const answersAgain = () => eventually('it answers again', async () =>
			(await limpet.status().catch(() => undefined)) !== undefined);
		const load = limpet.startLoad(4);
		assert.match((await limpet.exchange('open sesame\n', control)).text, /error/);
		assert.match((await limpet.exchange('\n', control)).text, /error/);
		assert.match((await limpet.exchange('status\0\n', control)).text, /counts|error/);
		for (const bytes of ['x'.repeat(100_000), '\0'.repeat(256), Buffer.alloc(5000, 0xff), 'GET / HTTP/1.1\r\n\r\n'])
			await limpet.exchange(bytes, control);
		for (let i = 0; i < 200; i++)
			(await limpet.connect(control).catch(() => undefined))?.destroy(); // Its backlog is short.
		await answersAgain();
		const askers = await Promise.all(Array.from({ length: 10 }, () => limpet.connect(control)));
		askers.forEach((socket) => socket.pause().end('record raw\n')); // Who does not read the answer.

		/* Silent ones, until all places are taken; these are free again when their time is up. */
		let silent = 0;
		while (await limpet.status().catch(() => undefined))
			await limpet.connect(control).then(() => silent++, () => {});
		assert.ok(silent <= 16, `${silent} clients at a time`);
		await answersAgain();
		await eventually('there is some load', async () => (await limpet.counts()).acknowledged > 100);

		const { requests, failures } = await load.stop();
		t.diagnostic(`${requests} requests meanwhile`);
		assert.deepEqual(failures, []);
		assert.equal((await limpet.counts()).accepted, requests);
		assert.equal((await runToItsEnd(`status --control ${limpet.folder}/control`)).status, 0);
	}));
