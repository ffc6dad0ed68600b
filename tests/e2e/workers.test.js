'use strict';
/**
 * Workers come, go, refuse and are told to finish.
 */
const assert = require('node:assert/strict');
const { once } = require('node:events');
const test = require('node:test');
const { receiveAll } = require('./clients');
const { DIALECT, eventually, mostStarts, run, runToItsEnd } = require('./harness');

/** Worker 1, as long as it can take connections. */
const FIRST = { 'first.lua': 'return { on_connect = function(conn, workers) return workers[1] end }' };

const CLUSTER = '--workers 2 --policy ./first.lua --dialect cluster -- node workers/answer.js';

/** Begin a request that is answered once `limpet.write(file, "")` says so; `answer` is that, or its error. */
async function begin(limpet, file) {
	const since = limpet.now;
	const answer = limpet.get(`/?wait=${file}`).catch((error) => error);
	await limpet.said(new RegExp(`waits for ${file}$`), since);
	return { answer };
}

test('a worker that dies comes back into its slot', run(
	'--workers 2 --dialect cluster -- node workers/answer.js',
	async (limpet) => {
		const before = await limpet.worker(2);
		const since = limpet.now;
		process.kill(before.pid, 'SIGKILL');
		await limpet.said(/^limpet: worker 2 \(pid \d+\) was killed by signal 9 .*; starting another/, since);
		await limpet.said(/^limpet: worker 2 is ready/, since);

		const { workers, counts } = await limpet.status();
		assert.deepEqual(workers.map(({ id, usable }) => [id, usable]), [[1, true], [2, true]]);
		assert.notEqual(workers[1].pid, before.pid);
		assert.equal(counts.worker_starts, 3);
		assert.equal(counts.worker_exits, 1);
	}));

test('a worker that cannot even start is tried ever less often', run(
	'--workers 2 --dialect native -- node -e process.exit(3)',
	{ ready: false },
	async (limpet) => {
		const began = Date.now();
		await limpet.saidTimes(6, /^limpet: worker 1 \(pid \d+\) ended with status 3/);
		const tookMs = Date.now() - began;
		assert.ok(tookMs >= 2000, `six starts in ${tookMs} ms`);
		const { workers, counts } = await limpet.status();
		assert.deepEqual(workers.filter(({ usable }) => usable), []);
		const most = mostStarts(Date.now() - began);
		assert.ok(counts.worker_starts <= 2 * most, `${counts.worker_starts} starts, and ${most} of each were possible`);
	}));

test('a program that does not exist is told at once', async () => {
	const { status, log } = await runToItsEnd('run --listen 127.0.0.1:0 --dialect native -- ./no-such-program');
	assert.equal(status, 1);
	assert.match(log, /\.\/no-such-program: no such program/);
});

test('what workers write is passed on', run(
	'--workers 2 --dialect cluster -- node workers/answer.js',
	async (limpet) => {
		for (const id of [1, 2]) {
			await limpet.said(new RegExp(`^worker ${id} writes to standard output$`));
			await limpet.said(new RegExp(`^worker ${id} writes to standard error$`));
		}
		assert.equal(limpet.output.filter((line) => /standard error/.test(line)).length, 0);
	}));

test('with --worker-prefix behind its number', run(
	'--workers 2 --worker-prefix --dialect cluster -- node workers/answer.js',
	async (limpet) => {
		for (const id of [1, 2]) {
			await limpet.said(new RegExp(`^\\[${id}\\] worker ${id} writes to standard output$`));
			await limpet.said(new RegExp(`^\\[${id}\\] worker ${id} writes to standard error$`));
		}
		assert.equal(limpet.output.filter((line) => /standard error/.test(line)).length, 0);
	}));

for (const signal of ['SIGTERM', 'SIGINT'])
	test(`${signal}: what has begun is finished, what comes is not taken`, run(
		'--workers 2 --drain-timeout 60s --dialect cluster -- node workers/answer.js',
		async (limpet) => {
			const { answer } = await begin(limpet, 'go');
			limpet.signal(signal);
			await limpet.said(/^limpet: draining/);
			await assert.rejects(limpet.get('/'), { code: 'ECONNREFUSED' });
			limpet.write('go', '');
			assert.equal((await answer).status, 200);
			assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
		}));

test('SIGTERM: a native worker, too, finishes what it has', run(
	'--workers 2 --drain-timeout 60s --dialect native -- python3 workers/native.py',
	async (limpet) => {
		const socket = await limpet.connect();
		const answer = receiveAll(socket);
		socket.write('GET / HTTP/1.1\r\n');
		await eventually('it is at its worker', async () => (await limpet.counts()).acknowledged === 1);
		limpet.signal('SIGTERM');
		await limpet.said(/^limpet: draining/);
		socket.write('Connection: close\r\n\r\n');
		assert.match((await answer).text, /^HTTP\/1\.1 200 OK/);
		assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
	}));

test('SIGTERM: what waits is still decided', run(
	'--workers 2 --drain-timeout 60s --policy sid --dialect cluster -- node workers/answer.js',
	async (limpet) => {
		const socket = await limpet.connect();
		const answer = receiveAll(socket);
		socket.write('GET / HTTP/1.1\r\n');
		await eventually('it waits', async () => (await limpet.counts()).waiting === 1);
		limpet.signal('SIGTERM');
		await limpet.said(/^limpet: draining: 1 connections? wait/);
		socket.write('Host: limpet\r\nConnection: close\r\n\r\n');
		assert.match((await answer).text, /^HTTP\/1\.1 200 OK/);
		assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
	}));

test('a second SIGTERM stops at once', run(
	'--workers 2 --drain-timeout 60s --dialect cluster -- node workers/answer.js',
	async (limpet) => {
		const { answer } = await begin(limpet, 'never');
		limpet.signal('SIGTERM');
		await limpet.said(/^limpet: draining/);
		limpet.signal('SIGTERM');
		assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
		assert.equal((await answer).code, 'ECONNRESET');
	}));

test('SIGQUIT stops at once', run(
	'--workers 2 --drain-timeout 60s --dialect cluster -- node workers/answer.js',
	async (limpet) => {
		const { answer } = await begin(limpet, 'never');
		await limpet.stop('SIGQUIT');
		assert.equal((await answer).code, 'ECONNRESET');
	}));

// With a listener of its own it is net.Server that drops what is too much, as without a primary.
test('a worker at its maxConnections is passed over', { skip: DIALECT === 'node' }, run(
	CLUSTER,
	{ files: FIRST, env: { ONE_AT_A_TIME: '1' } },
	async (limpet) => {
		const { answer } = await begin(limpet, 'go');
		for (let i = 0; i < 5; i++)
			assert.equal((await limpet.get('/')).json.worker, 2);
		await eventually('they are counted', async () => (await limpet.counts()).moved === 5);
		assert.equal((await limpet.counts()).returned_refused, 5);
		limpet.write('go', '');
		assert.equal((await answer).json.worker, 1);
		await eventually('it is asked again', async () => (await limpet.get('/')).json.worker === 1);
	}));

test('a worker that closes its server gets no more', run(CLUSTER, { files: FIRST }, async (limpet) => {
	assert.equal((await limpet.get('/?close')).json.worker, 1);
	await eventually('limpet has heard', async () => !(await limpet.worker(1)).usable);
	for (let i = 0; i < 5; i++)
		assert.equal((await limpet.get('/')).json.worker, 2);
}));

test('workers of sticky-session that close: each finishes, then one comes in its place, and never more than there were', run(
	'--workers 2 --policy round_robin --drain-timeout 60s --dialect sticky-session -- node workers/sticky_session.js',
	async (limpet) => {
		const pids = new Set(limpet.lines.map((line) => /is ready \(pid (\d+)\)/.exec(line)?.[1]).filter(Boolean));
		for (let closes = 1; closes <= 4; closes++) {
			const { answer } = await begin(limpet, `go${closes}`);
			const since = limpet.now;
			const { worker, pid } = (await limpet.get('/?close')).json;
			await eventually('limpet has heard', async () => !(await limpet.worker(worker)).usable);
			for (let i = 0; i < 3; i++)
				assert.equal((await limpet.get('/')).json.worker, 3 - worker);
			limpet.write(`go${closes}`, '');
			assert.equal((await answer).status, 200);
			await limpet.said(new RegExp(`^limpet: worker ${worker} \\(pid ${pid}\\) ended with status 0; starting`), since);
			const [, next] = await limpet.said(new RegExp(`^limpet: worker ${worker} is ready \\(pid (\\d+)\\)`), since);
			assert.ok(!pids.has(next));
			pids.add(next);
			const { worker_starts, worker_exits } = await limpet.counts();
			assert.deepEqual([worker_starts, worker_exits], [2 + closes, closes]);
		}
	}));

test('a worker of sticky-session that closes its server ends, and another takes its place', run(
	'--workers 1 --dialect sticky-session -- node workers/sticky_session.js',
	async (limpet) => {
		const { pid } = (await limpet.get('/?close')).json;
		const { status, json } = await limpet.get('/');
		assert.equal(status, 200);
		assert.notEqual(json.pid, pid);
	}));

test('clients that come before the first worker is ready are held, not turned away', run(
	'--workers 1 --dialect cluster -- node workers/answer.js',
	{ ready: false },
	async (limpet) => {
		await limpet.said(/^limpet: listening/);
		const answer = limpet.get('/');
		assert.equal((await answer).status, 200);
	}));

test('with no worker at all they are told so at the deadline', run(
	'--workers 1 --head-timeout 500ms --dialect native -- sleep 3600',
	{ ready: false },
	async (limpet) => {
		await limpet.said(/^limpet: listening/);
		assert.equal((await limpet.get('/')).status, 503);
		assert.equal((await limpet.counts()).refused, 1);
		await limpet.stop('SIGQUIT');
	}));
