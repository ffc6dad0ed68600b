'use strict';
/**
 * Commands to a running balancer: status as a table, reload, drain, enable and stop. Each waits for its outcome, prints it
 * and ends with 0 or 1.
 */
const assert = require('node:assert/strict');
const { execFileSync, spawn } = require('node:child_process');
const { createHash } = require('node:crypto');
const { once } = require('node:events');
const test = require('node:test');
const { BINARY, eventually, run, runToItsEnd } = require('./harness');

const COMMAND = '--workers 2 --policy ./p.lua --policy sid --dialect cluster -- node workers/answer.js';
const policy = (body) => `return { on_connect = function(conn, workers) ${body} end }\n`;
const files = { 'p.lua': policy('') };

/** A command to this limpet. */
const tell = (limpet, command) => runToItsEnd(`${command} --control ${limpet.folder}/control`);

/** What a command prints on a terminal. */
function onTerminal(limpet, command, env = {}) {
	const words = `${BINARY} ${command} --control ${limpet.folder}/control`;
	return execFileSync('script', ['-qec', words, '/dev/null'],
		{ env: { ...process.env, ...env }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).replaceAll('\r', '');
}

test('on a terminal status is a table, for a program JSON', run(COMMAND, { files }, async (limpet) => {
	await limpet.get('/');
	const table = onTerminal(limpet, 'status', { NO_COLOR: '1' });
	const lines = table.split('\n');
	assert.match(lines[0], new RegExp(`^limpet \\S+  \\S+ \\(pid ${limpet.pid}\\)  running since \\d{4}-\\d\\d-\\d\\d .* UTC`));
	assert.ok(lines.includes(`listening on ${limpet.address}  (1 accepted)`), table);
	assert.match(table, /connections {2}1 accepted = 1 handed over \+ 0 refused \+ 0 closed early \+ 0 waiting\n/);
	const { workers } = await limpet.status();
	for (const { id, pid } of workers)
		assert.match(table, new RegExp(`^ +${id} +${pid}  ready +`, 'm'));
	const digest = createHash('sha256').update(files['p.lua']).digest('hex').slice(0, 12);
	assert.match(table, new RegExp(`^  ${digest}  \\./p\\.lua$`, 'm'));
	assert.match(table, /^ {2}[0-9a-f]{12} {2}sid \(included\)$/m);
	assert.doesNotMatch(table, /\x1b/, 'no colours with NO_COLOR');
	assert.match(onTerminal(limpet, 'status', { NO_COLOR: '' }), /\x1b\[32mready/);

	for (const text of [onTerminal(limpet, 'status --json'), (await tell(limpet, 'status')).output])
		assert.equal(JSON.parse(text).pid, limpet.pid);
}));

test('a worker\'s totals are those of the whole, and a slot without a process is no worker', run(
	'--workers 2 --policy round_robin --dialect preload -- workers/any_server/at_port python3 -m http.server PORT', async (limpet) => {
		for (let i = 0; i < 6; i++)
			await limpet.get('/');
		await eventually('all have arrived', async () => (await limpet.counts()).acknowledged === 6);
		const { workers, counts, listeners } = await limpet.status();
		assert.deepEqual(workers.map(({ id }) => id), [1, 2]);
		assert.ok(workers.every(({ pid, state, since }) => pid > 0 && state === 'ready' && Date.parse(since)));
		assert.deepEqual(workers.map(({ handed_over }) => handed_over), [3, 3]);
		assert.equal(workers.reduce((sum, { moved }) => sum + moved, 0), counts.moved);
		assert.deepEqual(listeners, [{ listen: '127.0.0.1:0', address: limpet.address, accepted: 6 }]);
	}));

test('reload says what changed, and what was refused and why', run(COMMAND, { files }, async (limpet) => {
	const first = await limpet.status();
	limpet.write('p.lua', policy('return workers[2]'));
	const done = await tell(limpet, 'reload');
	assert.equal(done.status, 0, done.log);
	assert.match(done.output, /^reloaded the policies; 0 sessions are kept\n  \.\/p\.lua: changed, [0-9a-f]{12} -> [0-9a-f]{12}\n  sid: unchanged\n$/);
	const second = await limpet.status();
	assert.notEqual(second.policy_files[0].sha256, first.policy_files[0].sha256);
	assert.equal(second.last_refused_reload, null);

	limpet.write('p.lua', 'return {\n\ton_connect = 1,\n}\n');
	const refused = await tell(limpet, 'reload');
	assert.equal(refused.status, 1);
	assert.match(refused.log, /^limpet: reload refused: policy \.\/p\.lua.*on_connect.*; the policies in use stay\n$/);
	const third = await limpet.status();
	assert.deepEqual(third.policy_files, second.policy_files);
	assert.match(third.last_refused_reload.reason, /p\.lua/);
	assert.ok(Date.parse(third.last_refused_reload.at));
	assert.match(onTerminal(limpet, 'status'), /\nlast refused reload .*\n {2}policy \.\/p\.lua/);

	limpet.write('p.lua', policy('return nosuch()'));
	const tried = await tell(limpet, 'reload');
	assert.equal(tried.status, 1);
	assert.match(tried.log, /^limpet: reload refused: .*p\.lua:1: .*nosuch/);
	assert.equal((await limpet.get('/')).status, 200);
}));

test('a drained worker keeps its sessions and its connections, gets no others, and takes them when enabled', run(
	'--workers 2 --policy ./bind.lua --dialect cluster -- node workers/answer.js', {
		files: {
			'bind.lua': `return { on_request = function(conn, workers)
				local key = conn:query("key")
				if not key then return nil end
				return workers:session(key) or workers:bind(key, workers[#workers])
			end }`,
		},
	}, async (limpet) => {
		const servedBy = async (target) => (await limpet.get(target)).json.worker;
		assert.equal(await servedBy('/?key=mine'), 2);
		const open = await limpet.connect();
		open.write('GET /?key=mine HTTP/1.1\r\nHost: a\r\n\r\n');
		await once(open, 'data');

		const timed = await tell(limpet, 'drain 2 --timeout 300ms');
		assert.equal(timed.status, 1);
		assert.match(timed.output, /^worker 2 drains: 1 connections, 1 sessions\n/);
		assert.match(timed.log, /worker 2 still has 1 connections; it goes on draining/);
		assert.equal((await limpet.worker(2)).state, 'draining');
		for (let i = 0; i < 4; i++)
			assert.equal(await servedBy('/'), 1);
		assert.equal(await servedBy('/?key=other'), 1);
		assert.equal(await servedBy('/?key=mine'), 2, 'its session comes back to it');

		const last = await tell(limpet, 'drain 1');
		assert.equal(last.status, 1);
		assert.match(last.log, /no other worker takes connections, so worker 1 is not drained/);

		const waiting = tell(limpet, 'drain 2');
		open.destroy();
		const { status, output } = await waiting;
		assert.equal(status, 0);
		assert.match(output, /worker 2 is drained: it has no connections; clients of its 1 sessions would still come/);

		assert.deepEqual(await tell(limpet, 'enable 2'),
			{ status: 0, output: 'worker 2 gets new connections\n', log: '' });
		const both = new Set();
		for (let i = 0; i < 8; i++)
			both.add(await servedBy('/'));
		assert.deepEqual([...both].sort(), [1, 2]);
	}));

test('a worker that takes the place of a drained one is not drained', run(COMMAND, { files }, async (limpet) => {
	const { pid } = await limpet.worker(2);
	assert.equal((await tell(limpet, 'drain 2')).status, 0);
	const since = limpet.now;
	process.kill(pid, 'SIGKILL');
	await limpet.said(/worker 2 is ready/, since);
	assert.equal((await limpet.worker(2)).state, 'ready');
}));

test('a number that no worker has is refused', run(COMMAND, { files }, async (limpet) => {
	for (const command of ['drain 3', 'enable 200']) {
		const { status, log } = await tell(limpet, command);
		assert.equal(status, 1);
		assert.match(log, /there is no worker of that number; limpet status shows which there are/);
	}
	for (const wrong of ['drain', 'drain two', 'drain 0', 'drain 257', 'enable 1 2'])
		assert.equal((await tell(limpet, wrong)).status, 2, wrong);
}));

test('stop waits until all has ended', run(COMMAND, { files }, async (limpet) => {
	const { status, output } = await tell(limpet, 'stop');
	assert.equal(status, 0);
	assert.equal(output, 'stopped\n');
	assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
}));

test('stop tells what it waits for, and --now ends that at once', run(
	`--drain-timeout 1h ${COMMAND}`, { files }, async (limpet) => {
		const open = await limpet.connect();
		open.write('GET /?wait=never HTTP/1.1\r\nHost: a\r\n\r\n');
		await eventually('the worker has it', async () => (await limpet.counts()).acknowledged === 1);
		const child = spawn(BINARY, ['stop', '--control', `${limpet.folder}/control`], { stdio: ['ignore', 'pipe', 'inherit'] });
		const ended = once(child, 'close');
		const [text] = await once(child.stdout, 'data');
		assert.equal(text.toString(), '1 worker has 1 connection; limpet stop --now ends them at once\n');
		const { status } = await tell(limpet, 'stop --now');
		assert.equal(status, 0);
		assert.equal((await ended)[0], 0, 'the first one has seen it, too');
		assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
	}));

test('a request that nobody knows is answered with those that there are', run(COMMAND, { files }, async (limpet) => {
	const { text } = await limpet.exchange('statsu\n', `unix:${limpet.folder}/control`);
	assert.match(JSON.parse(text).error, /ask for status, record, reload/);
}));
