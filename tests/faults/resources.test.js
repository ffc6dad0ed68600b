'use strict';
/**
 * limpet, or a worker, is out of something: descriptors, memory, room in a channel. Connections wait or go elsewhere, the
 * processor is not burnt, and everything goes on when there is room again.
 */
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { setTimeout: pause } = require('node:timers/promises');
const { head, receiveAll } = require('../e2e/clients');
const { eventually, run, sanitized } = require('../e2e/harness');
const proc = require('../e2e/proc');
const { Faults, preloaded } = require('./inject');

const CLUSTER = '--dialect cluster -- node workers/answer.js';

function limitDescriptors(pid, soft, as = []) {
	const [program, ...words] = [...as, 'prlimit', '--pid', String(pid), `--nofile=${soft}:`];
	execFileSync(program, words);
}
const descriptorLimit = (pid) =>
	execFileSync('prlimit', ['--pid', String(pid), '--nofile', '--output=SOFT', '--noheadings', '--raw'],
		{ encoding: 'utf8' }).trim();

/** Processor time that limpet takes while a second goes by. */
async function cpuInASecond(limpet) {
	const before = proc.cpuMs(limpet.pid);
	await pause(1000);
	return proc.cpuMs(limpet.pid) - before;
}

/** Ask on connections of their own, which are there before this returns. */
async function askAll(limpet, count) {
	const sockets = await Promise.all(Array.from({ length: count }, () => limpet.connect()));
	return sockets.map((socket, i) => {
		const answer = receiveAll(socket);
		socket.write(head(`/?request=${i}`));
		return answer;
	});
}

/** Each got its answer whole, and limpet knows of them all and of no other. */
async function allAreAnswered(limpet, answers) {
	for (const { text, reset } of await Promise.all(answers)) {
		assert.equal(reset, false);
		assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
	}
	await eventually('all are acknowledged', async () => {
		const { acknowledged, moved } = await limpet.counts();
		return acknowledged + moved === answers.length;
	});
	assert.equal((await limpet.counts()).accepted, answers.length);
}

test('29: no descriptor left: clients wait in the backlog, nothing spins, and all are answered then', async (t) => {
	for (const [what, limitFor] of [
		['at the last descriptor', (limpet) => proc.nextDescriptor(limpet.pid)],
		['far below those that are open', () => 4],
	])
		await t.test(`EMFILE, the limit ${what}`, run(
			`--workers 2 ${CLUSTER}`,
			async (limpet) => {
				const limit = descriptorLimit(limpet.pid);
				limitDescriptors(limpet.pid, limitFor(limpet));
				const answers = await askAll(limpet, 50);
				const counts = limpet.counts(); // It, too, has to wait.
				await limpet.said(/^limpet: 127\.0\.0\.1:0: a connection cannot be accepted: .*too many open files/);
				const cpuMs = await cpuInASecond(limpet);
				assert.ok(cpuMs <= 100, `${cpuMs} ms of processor time in a second of waiting`);

				limitDescriptors(limpet.pid, limit);
				await allAreAnswered(limpet, answers);
				await counts;
			}));

	await t.test('EMFILE, more slow clients than descriptors: each that leaves makes room for one that waits', run(
		`--workers 2 --policy sid ${CLUSTER}`,
		{ under: ['prlimit', '--nofile=64:64'] },
		async (limpet) => {
			const sockets = await Promise.all(Array.from({ length: 200 }, () => limpet.connect()));
			const answers = sockets.map(receiveAll);
			sockets.forEach((socket) => socket.write('GET / HTTP/1.1\r\n'));
			await limpet.said(/^limpet: 127\.0\.0\.1:0: a connection cannot be accepted: .*too many open files/);
			sockets.forEach((socket) => socket.write('Host: limpet\r\nConnection: close\r\n\r\n'));
			await allAreAnswered(limpet, answers);
		}));

	await t.test('ENFILE', run(
		`--workers 2 ${CLUSTER}`,
		{ under: preloaded },
		async (limpet) => {
			const faults = new Faults(limpet);
			faults.fail('accept4', 'ENFILE', 1e9);
			const answers = await askAll(limpet, 50);
			const counts = limpet.counts();
			await limpet.said(/^limpet: 127\.0\.0\.1:0: a connection cannot be accepted: file table overflow/);
			const cpuMs = await cpuInASecond(limpet);
			assert.ok(cpuMs <= 100, `${cpuMs} ms of processor time in a second of waiting`);

			faults.fail('accept4', 'ENFILE', 0);
			await allAreAnswered(limpet, answers);
			await counts;
		}));
});

test('30: accept fails: it is tried again, and no client feels it', async (t) => {
	for (const error of ['ECONNABORTED', 'EPROTO', 'ENETDOWN', 'ENOBUFS', 'ENOMEM', 'EINTR'])
		await t.test(error, run(
			`--workers 2 ${CLUSTER}`,
			{ under: preloaded },
			async (limpet) => {
				const faults = new Faults(limpet);
				faults.fail('accept4', error, 5);
				await allAreAnswered(limpet, await askAll(limpet, 20));
				assert.equal(faults.done('accept4'), 5);
			}));

	await t.test('for ever: it neither spins nor keeps limpet from stopping', run(
		`--workers 1 ${CLUSTER}`,
		{ under: preloaded },
		async (limpet) => {
			const faults = new Faults(limpet);
			faults.fail('accept4', 'EPERM', 2 ** 31 - 1);
			const socket = await limpet.connect();
			socket.write(head('/'));
			await limpet.said(/^limpet: 127\.0\.0\.1:0: a connection cannot be accepted: operation not permitted/);
			const cpuMs = await cpuInASecond(limpet);
			assert.ok(cpuMs <= 100, `${cpuMs} ms of processor time in a second of waiting`);
			await limpet.stop();
			assert.ok(faults.done('accept4') > 64);
		}));
});

test('31: ENOMEM: a connection that there is no memory for is closed, and the others are served', {
	skip: sanitized && 'AddressSanitizer takes more address space than a limit would leave',
}, run(
	`--workers 2 --policy sid --max-waiting 100000 --max-per-ip 0 --head-timeout 60s ${CLUSTER}`,
	{ env: { MALLOC_ARENA_MAX: '1' } }, // A second arena has address space in reserve.
	async (limpet, t) => {
		const limitMemory = (bytes) => execFileSync('prlimit', ['--pid', String(limpet.pid), `--as=${bytes}:`]);
		const usedKib = parseInt(proc.statusOf(limpet.pid, 'VmSize'), 10);
		limitMemory(usedKib * 1024);
		const slow = [];
		let last;
		do {
			const more = await Promise.all(Array.from({ length: 200 }, () => limpet.connect()));
			more.forEach((socket) => socket.write('GET / HTTP/1.1\r\n'));
			slow.push(...more.map((socket) => ({ socket, answer: receiveAll(socket) })));
			last = await limpet.exchange(head('/')); // Accepted behind those.
		} while (last.text.startsWith('HTTP/1.1 200 '));
		assert.equal(last.text, '');

		limitMemory('unlimited');
		await eventually('it has memory again', async () =>
			(await limpet.exchange(head('/'))).text.startsWith('HTTP/1.1 200 '));
		slow.forEach(({ socket }) => socket.write('Host: limpet\r\nConnection: close\r\n\r\n'));
		const answers = await Promise.all(slow.map(({ answer }) => answer));
		const closed = answers.filter(({ text }) => text === '').length;
		assert.ok(answers.every(({ text }) => text === '' || text.startsWith('HTTP/1.1 200 ')));
		const { closed_early, refused } = await limpet.counts();
		t.diagnostic(`${slow.length} connections, ${closed + 1} closed for want of memory`);
		assert.equal(refused, 0);
		assert.equal(closed_early, closed + 1);
	}));

/** Worker 1, as long as it can take connections. */
const FIRST = { 'first.lua': 'return { on_connect = function(conn, workers) return workers[1] end }' };

/** More than one channel holds: the kernel some 278, limpet 1024. */
const CROWD = 2000;
const QUEUE = 1024;

test('34: a channel that nobody reads: a bounded queue, then the other workers, then 503', async (t) => {
	await t.test('the others get the rest, and a death loses nothing', run(
		'--workers 2 --ack-timeout 0 --policy ./first.lua --head-timeout 60s --dialect native -- python3 workers/native.py',
		{ files: { ...FIRST, deaf: '' }, env: { DEAF: '1 deaf' } },
		async (limpet, t) => {
			const { pid } = await limpet.worker(1);
			const answers = await askAll(limpet, CROWD);
			let usable, waiting;
			await eventually('the second worker has had the rest', async () => {
				const { counts, workers } = await limpet.status();
				({ usable, waiting } = workers[0]);
				return counts.acknowledged > 0 && counts.acknowledged + waiting === CROWD;
			});
			assert.equal(usable, false);
			t.diagnostic(`${waiting} wait for the worker that does not read`);
			assert.ok(waiting >= QUEUE && waiting < CROWD - 100, `${waiting} wait for worker 1`);

			fs.rmSync(path.join(limpet.folder, 'deaf')); // The one that takes its place will hear.
			process.kill(pid, 'SIGKILL');
			await allAreAnswered(limpet, answers);
			await eventually('they are counted', async () => (await limpet.counts()).moved === waiting);
		}));

	await t.test('of all: clients are told so at the deadline, and no sooner', run(
		'--workers 1 --ack-timeout 0 --head-timeout 6s --dialect native -- python3 workers/native.py',
		{ files: { deaf: '' }, env: { DEAF: '1 deaf' } },
		async (limpet) => {
			const began = process.hrtime.bigint();
			const answers = (await askAll(limpet, CROWD)).map((answer) => answer.then(({ text }) => ({
				status: Number(text.slice('HTTP/1.1 '.length).slice(0, 3)),
				afterMs: Number(process.hrtime.bigint() - began) / 1e6,
			})));
			let counts;
			await eventually('the rest was refused', async () => {
				counts = await limpet.counts();
				return counts.refused > 0 && counts.waiting === 0;
			});
			assert.ok(counts.in_flight >= QUEUE && counts.in_flight < CROWD - 100, `${counts.in_flight} wait`);
			fs.rmSync(path.join(limpet.folder, 'deaf'));
			process.kill((await limpet.worker(1)).pid, 'SIGKILL');
			const all = await Promise.all(answers);
			const refused = all.filter(({ status }) => status === 503);
			assert.equal(refused.length, counts.refused);
			assert.ok(refused.every(({ afterMs }) => afterMs >= 6000), 'not before the deadline');
			assert.equal(all.filter(({ status }) => status === 200).length, CROWD - counts.refused);
		}));
});

const ONE_OF_TWO = '--workers 2 --policy ./first.lua';

test('35: a worker at its limit of descriptors gives the connection back, and another answers', async (t) => {
	await t.test('native', run(
		`${ONE_OF_TWO} --dialect native -- python3 workers/native.py`,
		{ files: FIRST, env: { ROOM: '1 2' } },
		async (limpet) => {
			const kept = await Promise.all([limpet.connect(), limpet.connect()]);
			kept.forEach((socket) => socket.write('GET / HTTP/1.1\r\n\r\n'));
			await Promise.all(kept.map((socket) => once(socket, 'data')));
			assert.equal((await limpet.worker(1)).connections, 2);
			for (let i = 0; i < 5; i++)
				assert.equal((await limpet.get('/')).json.worker, 2);
			await eventually('they are counted', async () => (await limpet.counts()).moved === 5);

			kept.forEach((socket) => socket.destroy());
			await eventually('it has room again', async () => (await limpet.get('/')).json.worker === 1);
		}));

	for (const [dialect, worker] of [
		['cluster', 'node workers/answer.js'],
		['socket.io-sticky', 'node workers/socketio_sticky.js sticky201'],
		['sticky-session', 'node workers/sticky_session.js'],
		['socketio-sticky-session', 'node workers/socketio_sticky_session.js'],
	])
		await t.test(dialect, run(
			`${ONE_OF_TWO} --dialect ${dialect} -- ${worker}`,
			{ files: FIRST },
			async (limpet) => {
				assert.equal((await limpet.get('/')).json.worker, 1); // It has all its modules now.
				await eventually('that is over', async () => (await limpet.worker(1)).connections === 0);
				const { pid } = await limpet.worker(1);
				const limit = descriptorLimit(pid);
				limitDescriptors(pid, proc.nextDescriptor(pid));
				const requests = Array.from({ length: 20 }, () => limpet.get('/'));
				for (const { status, json } of await Promise.all(requests))
					assert.deepEqual([status, json.worker], [200, 2]);
				assert.ok((await limpet.counts()).returned_no_room >= 20);

				limitDescriptors(pid, limit);
				await eventually('it has room again', async () => (await limpet.get('/')).json.worker === 1);
			}));

	await t.test('all workers at theirs: the client waits, and is answered by the first with room', run(
		`--workers 2 ${CLUSTER}`,
		async (limpet) => {
			const pids = (await limpet.status()).workers.map(({ pid }) => pid);
			const limit = descriptorLimit(pids[0]);
			pids.forEach((pid) => limitDescriptors(pid, proc.nextDescriptor(pid)));
			const answer = limpet.get('/');
			await eventually('both have given it back, more than once', async () =>
				(await limpet.counts()).returned_no_room > 4);
			limitDescriptors(pids[1], limit);
			assert.equal((await answer).json.worker, 2);
		}));
});

/** The kernel's bound on descriptors in flight is for each user, and not for root. So: a user of its own, if we are root. */
const SOMEBODY = 40_000 + (process.pid % 20_000);
const AS_SOMEBODY = process.getuid() !== 0 ? [] :
	['setpriv', `--reuid=${SOMEBODY}`, `--regid=${SOMEBODY}`, '--clear-groups'];
const COPY = ['sh', '-c', `cp "$1" limpet && chown ${SOMEBODY} . && shift && exec ${AS_SOMEBODY.join(' ')} ./limpet "$@"`, 'sh'];
const NATIVE = path.join(__dirname, '../e2e/workers/native.py');

test('36: too many descriptors on their way: the connection is sent a little later', async (t) => {
	for (const error of ['ETOOMANYREFS', 'ENOBUFS', 'ENOMEM'])
		await t.test(`${error}, injected`, run(
			`--workers 2 ${CLUSTER}`,
			{ under: preloaded },
			async (limpet) => {
				const faults = new Faults(limpet);
				faults.fail('sendmsg', error, 20);
				await allAreAnswered(limpet, await askAll(limpet, 50));
				assert.equal(faults.done('sendmsg'), 20);
				assert.equal((await limpet.counts()).moved, 0);
				await limpet.said(/^limpet: worker \d cannot be sent a connection: .*; trying again/);
			}));

	await t.test('ETOOMANYREFS, real', run(
		'--workers 1 --ack-timeout 0 --policy sid --head-timeout 60s --dialect native -- python3 native.py',
		{ under: AS_SOMEBODY.length ? COPY : [], files: { 'native.py': fs.readFileSync(NATIVE, 'utf8') } },
		async (limpet) => {
			const { pid } = await limpet.worker(1);
			const slow = await Promise.all(Array.from({ length: 20 }, () => limpet.connect()));
			const late = slow.map(receiveAll);
			slow.forEach((socket) => socket.write('GET / HTTP/1.1\r\n'));
			await eventually('they wait', async () => (await limpet.counts()).waiting === slow.length);
			process.kill(pid, 'SIGSTOP');
			const answers = await askAll(limpet, 120);
			await eventually('the others are on their way', async () => (await limpet.counts()).in_flight === 120);

			limitDescriptors(limpet.pid, 64, AS_SOMEBODY); // Nothing else of this user has a descriptor on its way.
			slow.forEach((socket) => socket.write('Host: limpet\r\nConnection: close\r\n\r\n'));
			await limpet.said(/^limpet: worker 1 cannot be sent a connection: Too many references/);
			process.kill(pid, 'SIGCONT');
			for (const { text } of await Promise.all([...answers, ...late]))
				assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
			assert.equal((await limpet.counts()).moved, 0);
		}));
});
