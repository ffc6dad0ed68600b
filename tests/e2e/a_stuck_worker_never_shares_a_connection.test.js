'use strict';
/**
 * A worker that lives and takes nothing: what was sent to it stays with it alone, new connections go to others, and it
 * is back with the first connection that it takes. Only its death lets others have what it never took. However it ends,
 * each request is served exactly once: the workers note what they serve.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { setTimeout: pause } = require('node:timers/promises');
const { ENGINE, head } = require('./clients');
const proc = require('./proc');
const { DIALECT, eventually, run } = require('./harness');

const REQUESTS = 60;

const WORKERS = {
	cluster: 'node workers/answer.js',
	'socket.io-sticky': 'node workers/socketio_sticky.js sticky201',
	'sticky-session': 'node workers/sticky_session.js',
	'socketio-sticky-session': 'node workers/socketio_sticky_session.js',
	native: 'python3 workers/native.py',
};

const EJECTED = /^limpet: worker 1 \(pid \d+\) has not taken a connection for \S+ s: no new ones go to it/;
const BACK = /^limpet: worker 1 \(pid \d+\) takes connections again/;
const KILLED = /^limpet: worker 1 \(pid \d+\) has not taken a connection for 4 s: it is killed/;

const SERVED = { env: { SERVED: 'served' } };

/** Ask for `count` different things at once. */
const ask = (limpet, name, count) => Array.from({ length: count }, (_, i) => limpet.get(`/${name}?${i}`));

/** Stop worker 1 and give both workers something to do, until the stopped one is ejected: its pid, how many it has. */
async function stopAndQueue(limpet) {
	const { pid } = await limpet.worker(1);
	const since = limpet.now;
	process.kill(pid, 'SIGSTOP');
	const answers = ask(limpet, 'queued', REQUESTS);
	await limpet.said(EJECTED, since);
	await eventually('the others are answered', async () => {
		const { accepted, acknowledged, in_flight } = await limpet.counts();
		return accepted === REQUESTS && acknowledged + in_flight === REQUESTS &&
			(await limpet.worker(1)).waiting === in_flight;
	});
	const { waiting, usable, stuck } = await limpet.worker(1);
	assert.deepEqual({ usable, stuck }, { usable: false, stuck: true });
	assert.ok(waiting > 0, 'something waits for it');
	return { pid, answers, waiting };
}

async function assertServedOnce(limpet, names) {
	const lines = limpet.read('served').trim().split('\n');
	const urls = lines.map((line) => line.split(' ')[1]).sort();
	const expected = names.flatMap((name) => Array.from({ length: REQUESTS }, (_, i) => `/${name}?${i}`)).sort();
	assert.deepEqual(urls, expected);
}

const byPid = (answers, pid) => answers.filter(({ json }) => json.pid === pid).length;

for (const [dialect, worker] of Object.entries(WORKERS)) {
	const command = `--workers 2 --policy round_robin --dialect ${dialect}`;

	test(`${dialect}: stopped, queued on, continued`, run(
		`${command} --ack-timeout 1s -- ${worker}`, SERVED,
		async (limpet) => {
			const { pid, answers, waiting } = await stopAndQueue(limpet);
			const later = await Promise.all(ask(limpet, 'later', REQUESTS));
			assert.equal(byPid(later, pid), 0);

			process.kill(pid, 'SIGCONT');
			assert.equal(byPid(await Promise.all(answers), pid), waiting);
			await limpet.said(BACK);
			await eventually('it is asked again', async () => (await limpet.worker(1)).usable);
			await assertServedOnce(limpet, ['queued', 'later']);
			assert.ok((await limpet.status()).latency_us.max >= 1e6, 'what waited has its time in the histogram');
			const { moved, returned, worker_ejections, stuck_kills } = await limpet.counts();
			assert.deepEqual([moved, returned, stuck_kills], [0, 0, 0]);
			assert.ok(worker_ejections >= 1);
		}));

	test(`${dialect}: stopped, queued on, killed by --kill-stuck`, run(
		`${command} --ack-timeout 500ms --kill-stuck 4s -- ${worker}`, SERVED,
		async (limpet) => {
			const { pid, answers, waiting } = await stopAndQueue(limpet);
			await limpet.said(KILLED);
			assert.equal(byPid(await Promise.all(answers), pid), 0);
			await limpet.said(/^limpet: worker 1 \(pid \d+\) was killed by signal 9/);
			await assertServedOnce(limpet, ['queued']);
			await eventually('they are counted', async () => (await limpet.counts()).moved === waiting);
			const { returned_lost, stuck_kills } = await limpet.counts();
			assert.deepEqual([returned_lost, stuck_kills], [waiting, 1]);
		}));
}

test('with no other worker connections wait for it', run(
	'--workers 1 --ack-timeout 200ms --dialect cluster -- node workers/answer.js',
	async (limpet) => {
		const { pid } = await limpet.worker(1);
		process.kill(pid, 'SIGSTOP');
		const first = limpet.get('/');
		await limpet.said(EJECTED);
		const second = limpet.get('/');
		await eventually('it waits', async () => (await limpet.counts()).waiting === 1);
		process.kill(pid, 'SIGCONT');
		assert.equal((await first).status, 200);
		assert.equal((await second).status, 200);
	}));

/** Sessions begin at worker 1, and what names none goes there too. */
const FIRST = { 'first.lua': 'return { on_request = function(conn, workers) return workers[1] end }' };
const SESSIONS = '--workers 2 --ack-timeout 200ms --policy sid --policy ./first.lua --dialect socket.io-sticky';
const SESSION_WORKER = '-- node workers/socketio_sticky.js sticky201';

/** Begin a session at worker 1, stop that, let it be ejected, and go on with the session. */
async function goOnWhileStuck(limpet) {
	const opened = await limpet.exchange(head(ENGINE));
	const sid = /"sid":"([^"]+)"/.exec(opened.text)[1];
	const { pid } = await limpet.worker(1);
	const since = limpet.now; // A worker's first connection takes it long enough to be ejected for it.
	process.kill(pid, 'SIGSTOP');
	const queued = limpet.get('/').catch((error) => error);
	await limpet.said(EJECTED, since);
	const answer = limpet.exchange(head(`${ENGINE}&sid=${sid}`, { method: 'POST', length: 1 }) + '1'); // "Close."
	await eventually('it waits, or has', async () => {
		const { waiting, refused } = await limpet.counts();
		return waiting + refused === 1;
	});
	assert.notEqual((await limpet.get('/')).json.pid, pid, 'what belongs to no session does not wait');
	return { pid, queued, answer };
}

test('a session of a stuck worker waits for it', run(
	`${SESSIONS} ${SESSION_WORKER}`, { files: FIRST },
	async (limpet) => {
		const { pid, queued, answer } = await goOnWhileStuck(limpet);
		process.kill(pid, 'SIGCONT');
		assert.match((await answer).text, /^HTTP\/1\.1 200 OK/);
		assert.equal((await queued).json.pid, pid);
	}));

test('until that is dead, and the session with it', run(
	`${SESSIONS} ${SESSION_WORKER}`, { files: FIRST },
	async (limpet) => {
		const { pid, queued, answer } = await goOnWhileStuck(limpet);
		process.kill(pid, 'SIGKILL');
		assert.match((await answer).text, /^HTTP\/1\.1 400 [^]*Session ID unknown/);
		assert.notEqual((await queued).json.pid, pid);
	}));

test('or the time of a waiting connection is over', run(
	`${SESSIONS} --head-timeout 1s ${SESSION_WORKER}`, { files: FIRST },
	async (limpet) => {
		const { pid, queued, answer } = await goOnWhileStuck(limpet);
		assert.match((await answer).text, /^HTTP\/1\.1 503 /);
		process.kill(pid, 'SIGCONT');
		assert.equal((await queued).json.pid, pid);
	}));

test('a connection that a worker acknowledged, and was stopped before it read, is kept for long', run(
	'--workers 2 --policy round_robin --dialect cluster -- node workers/stops_itself.js',
	{ env: { STOPS: '1', SERVED: 'served' } },
	async (limpet) => {
		const { pid } = await limpet.worker(1);
		const answer = limpet.get('/queued?0');
		await eventually('it has stopped', () => proc.stateOf(pid) === 'T');
		await eventually('it had acknowledged', async () => (await limpet.worker(1)).waiting === 0);
		await pause(2000); // Twice what a worker that runs would have had.
		assert.equal((await limpet.counts()).in_flight, 1);
		process.kill(pid, 'SIGKILL');
		assert.notEqual((await answer).json.pid, pid);
		assert.equal(limpet.read('served'), '2 /queued?0\n');
	}));

/** In the dialect `node` the worker is the server itself, and never its shell. */
const SHELL = { skip: process.env.LIMPET_E2E_DIALECT === 'node' };

test('a server that outlives its shell is killed before others get what it had', SHELL, run(
	'--workers 2 --ack-timeout 500ms --policy round_robin --dialect cluster -- sh ./server.sh',
	{ env: { SERVED: 'served' }, files: { 'server.sh': 'node workers/answer.js\nexit 1\n' } },
	async (limpet) => {
		const { pid } = await limpet.worker(1);
		const server = proc.childrenOf(pid)[0];
		const since = limpet.now;
		process.kill(server, 'SIGSTOP');
		const answers = ask(limpet, 'queued', REQUESTS);
		await limpet.said(EJECTED, since);
		process.kill(pid, 'SIGKILL');
		assert.equal(byPid(await Promise.all(answers), server), 0);
		await eventually('it is dead', () => [undefined, 'Z'].includes(proc.stateOf(server)));
		await assertServedOnce(limpet, ['queued']);
	}));
