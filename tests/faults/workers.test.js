'use strict';
/**
 * Workers die, stop, crash on and on, talk in pieces, or never finish. What they had not begun is answered by others.
 */
const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const test = require('node:test');
const { receiveAll } = require('../e2e/clients');
const { eventually, mostStarts, run } = require('../e2e/harness');
const proc = require('../e2e/proc');

/** Worker 1, as long as it can take connections. */
const FIRST = { 'first.lua': 'return { on_connect = function(conn, workers) return workers[1] end }' };

const REQUESTS = 60;

test('32: a connection queued for a killed worker is answered by another', async (t) => {
	for (const [dialect, worker] of [
		['cluster', 'node workers/answer.js'],
		['socket.io-sticky', 'node workers/socketio_sticky.js sticky201'],
		['sticky-session', 'node workers/sticky_session.js'],
		['socketio-sticky-session', 'node workers/socketio_sticky_session.js'],
		['native', 'python3 workers/native.py'],
	])
		await t.test(dialect, run(
			`--workers 2 --ack-timeout 0 --policy round_robin --dialect ${dialect} -- ${worker}`,
			async (limpet) => {
				const { pid } = await limpet.worker(1);
				process.kill(pid, 'SIGSTOP');
				const answers = Array.from({ length: REQUESTS }, (_, i) => limpet.get(`/?request=${i}`));
				await eventually('half wait at the stopped worker, the other half is answered', async () => {
					const counts = await limpet.counts();
					return counts.in_flight === REQUESTS / 2 && counts.acknowledged === REQUESTS / 2;
				});
				process.kill(pid, 'SIGKILL');

				for (const { status, json } of await Promise.all(answers)) {
					assert.equal(status, 200);
					assert.notEqual(json.pid, pid);
				}
				await eventually('all are counted', async () => (await limpet.counts()).moved === REQUESTS / 2);
				const { acknowledged, returned, returned_lost } = await limpet.counts();
				assert.deepEqual([acknowledged, returned, returned_lost], Array(3).fill(REQUESTS / 2));
				await limpet.said(/^limpet: worker 1 \(pid \d+\) was killed by signal 9/);
			}));
});

test('33: a worker that is stopped under load gets no more, has no rival for what it has, and is killed in the end', run(
	'--workers 3 --ack-timeout 300ms --kill-stuck 6s --policy round_robin --dialect cluster -- node workers/answer.js',
	{ env: { SERVED: 'served' } },
	async (limpet, t) => {
		const load = limpet.startLoad(16);
		const stop = async (id) => {
			const { pid } = await limpet.worker(id);
			const since = limpet.now;
			process.kill(pid, 'SIGSTOP');
			await limpet.said(new RegExp(`^limpet: worker ${id} \\(pid ${pid}\\) has not taken .*: no new ones`), since);
			return { pid, since };
		};
		for (const [turn, id] of [1, 2, 3, 1].entries()) {
			const { pid, since } = await stop(id);
			const answers = Array.from({ length: 20 }, (_, i) => limpet.get(`/?turn=${turn}&request=${i}`));
			assert.ok((await Promise.all(answers)).every(({ json }) => json.worker !== id));
			process.kill(pid, 'SIGCONT');
			await limpet.said(new RegExp(`^limpet: worker ${id} \\(pid ${pid}\\) takes connections again`), since);
		}
		assert.equal((await limpet.counts()).returned, 0);
		const { pid, since } = await stop(2);
		await limpet.said(new RegExp(`^limpet: worker 2 \\(pid ${pid}\\) was killed by signal 9`), since);
		const { requests, failures } = await load.stop();

		/*
		 * A request may fail that the killed worker had begun, and no other. It notes each as soon as it has read it, and may
		 * be stopped in between: FIN, and no reset, tells that it had read everything.
		 */
		const served = limpet.read('served').trim().split('\n').map((line) => line.split(' '));
		const times = new Map();
		served.forEach(([, url]) => times.set(url, (times.get(url) ?? 0) + 1));
		const { worker_ejections, stuck_kills, returned_lost } = await limpet.counts();
		t.diagnostic(`${requests} requests, ${worker_ejections} ejections, ${returned_lost} returned by the kill, ` +
			`${failures.length} failed`);
		assert.deepEqual([...times].filter(([, count]) => count > 1), [], 'none is served twice');
		const unnoted = failures.filter(({ path }) => !served.some(([id, url]) => id === '2' && url === path));
		assert.deepEqual(unnoted.filter(({ failure }) => failure), []);
		assert.ok(unnoted.length <= 1, JSON.stringify(unnoted.map(({ path }) => path)));
		assert.equal(stuck_kills, 1);
	}));

test('37: messages that a worker writes in pieces, or many at once, mean the same', async (t) => {
	for (const manner of ['byte by byte', 'in odd pieces', 'all together', 'between giants and garbage'])
		await t.test(manner, run(
			'--workers 1 --policy sid --head-timeout 60s --dialect socket.io-sticky -- python3 workers/pieces.py',
			{ env: { MANNER: manner, TOGETHER: String(REQUESTS) } },
			async (limpet) => {
				const answers = Array.from({ length: REQUESTS }, (_, i) => limpet.get(`/?request=${i}`));
				for (const { status, text } of await Promise.all(answers))
					assert.deepEqual([status, text], [200, 'whole']);
				await eventually('each has its session', async () => (await limpet.counts()).sessions === REQUESTS);
				await eventually('each is acknowledged', async () =>
					(await limpet.counts()).acknowledged === REQUESTS);
				assert.deepEqual((await limpet.get('/?sid=session1')).text, 'whole');
			}));
});

test('38: a descriptor that was watched, and passed on, wakes limpet no more', run(
	'--workers 1 --policy sid --dialect native -- python3 workers/native.py',
	async (limpet) => {
		const socket = await limpet.connect();
		socket.write('GET / HTTP/1.1\r\n');
		await eventually('it is watched', async () => (await limpet.counts()).waiting === 1);
		socket.write('Host: limpet\r\n\r\n');
		await once(socket, 'data');
		await eventually('limpet has closed its own', async () => (await limpet.counts()).acknowledged === 1);

		const before = proc.sleeps(limpet.pid);
		for (let i = 0; i < 1000; i++) {
			socket.write('GET / HTTP/1.1\r\n\r\n');
			await once(socket, 'data');
		}
		const between = proc.sleeps(limpet.pid) - before;
		assert.ok(between < 100, `limpet woke ${between} times while 1000 requests went by it`);
	}));

test('39: a worker that crashes again and again is started ever less often, and the others serve', async (t) => {
	await t.test('as soon as it starts', run(
		'--workers 2 --dialect native -- python3 workers/native.py',
		{ ready: false, env: { CRASH: '1' } },
		async (limpet) => {
			const began = Date.now();
			await limpet.said(/^limpet: worker 2 is ready/);
			const load = limpet.startLoad(4);
			await limpet.saidTimes(5, /^limpet: worker 1 \(pid \d+\) ended with status 3; .* after a pause/);
			await load.reaches(100);
			const { failures } = await load.stop();
			assert.deepEqual(failures, []);

			const { counts } = await limpet.status();
			const most = mostStarts(Date.now() - began);
			assert.ok(counts.worker_starts <= 1 + most, `${counts.worker_starts} starts, and ${most} of worker 1 were possible`);
			assert.ok(!(await limpet.worker(1)).usable);
		}));

	await t.test('with each connection that it gets', run(
		'--workers 2 --policy ./first.lua --dialect native -- python3 workers/native.py',
		{ files: FIRST, env: { POISONED: '1' } },
		async (limpet) => {
			for (let i = 0; i < 20; i++)
				assert.equal((await limpet.get('/')).json.worker, 2);
			await eventually('a connection came back for each death', async () => {
				const { worker_exits, returned_lost } = await limpet.counts();
				return worker_exits >= 1 && worker_exits <= 20 && returned_lost === worker_exits;
			});
		}));
});

test('40: all workers are dead: clients are held, answered by the first that is back, else told at the deadline', run(
	'--workers 2 --head-timeout 3s --dialect native -- python3 workers/native.py',
	{ files: { healthy: '' }, env: { NEEDS: 'healthy' } },
	async (limpet) => {
		fs.rmSync(`${limpet.folder}/healthy`);
		for (const { pid } of (await limpet.status()).workers)
			process.kill(pid, 'SIGKILL');
		await eventually('none is left', async () =>
			(await limpet.status()).workers.every(({ usable }) => !usable));

		const began = process.hrtime.bigint();
		const { status } = await limpet.get('/');
		const tookMs = Number(process.hrtime.bigint() - began) / 1e6;
		assert.equal(status, 503);
		assert.ok(tookMs >= 3000, `told after ${tookMs} ms`);

		const held = Array.from({ length: 20 }, () => limpet.get('/'));
		await eventually('they are held', async () => (await limpet.counts()).waiting === held.length);
		limpet.write('healthy', '');
		assert.deepEqual((await Promise.all(held)).map((answer) => answer.status), Array(20).fill(200));
	}));

test('41: a drain that never ends meets its deadline', async (t) => {
	await t.test('a request that is never answered', run(
		'--workers 2 --drain-timeout 500ms --dialect cluster -- node workers/answer.js',
		async (limpet) => {
			const answer = limpet.get('/?wait=never').catch((error) => error);
			await limpet.said(/waits for never$/);
			limpet.signal('SIGTERM');
			await limpet.said(/^limpet: .*not finished in time/);
			assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
			assert.equal((await answer).code, 'ECONNRESET');
		}));

	for (const [what, unwilling] of [
		['a worker that ignores SIGTERM', () => {}],
		['a worker that is stopped', (pid) => process.kill(pid, 'SIGSTOP')],
	])
		await t.test(`${what}, with a client that waits and one that stays`, run(
			'--workers 1 --policy sid --drain-timeout 500ms --head-timeout 60s --dialect native ' +
				'-- python3 workers/native.py',
			{ env: { IGNORES_TERM: '1' } },
			async (limpet) => {
				const [stays, waits] = await Promise.all([limpet.connect(), limpet.connect()]);
				const ends = [stays, waits].map(receiveAll);
				stays.write('GET / HTTP/1.1\r\n\r\n');
				waits.write('GET / HTTP/1.1\r\n');
				await eventually('one is there, the other waits', async () => {
					const { acknowledged, waiting } = await limpet.counts();
					return acknowledged === 1 && waiting === 1;
				});
				unwilling((await limpet.worker(1)).pid);
				limpet.signal('SIGTERM');
				await limpet.said(/^limpet: worker 1 \(pid \d+\) was killed by signal 9/);
				assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
				const [, { text }] = await Promise.all(ends);
				assert.match(text, /^HTTP\/1\.1 503 /);
			}));
});
