'use strict';
/**
 * `limpet why` and `limpet tail`: what policies saw, what they answered, and what came of it, for one connection after
 * the other.
 */
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const readline = require('node:readline');
const test = require('node:test');
const { BINARY, eventually, run, runToItsEnd } = require('./harness');

const POLICY = `return {
	name = "tenants",
	on_request = function(conn, workers)
		if conn.path == "/deny" then return limpet.refuse(403) end
		if conn.path == "/fail" then return nosuch() end
		if conn.path == "/second" then return workers[2] end
		local key = conn:query("key")
		return key and (workers:session(key) or workers:bind(key, workers[1]))
	end,
}
`;
const COMMAND = '--workers 2 --policy ./p.lua --dialect cluster -- node workers/answer.js';
const files = { 'p.lua': POLICY };

const why = (limpet, words = '') => runToItsEnd(`why ${words} --control ${limpet.folder}/control`);

/** The last records, as JSON. */
async function records(limpet, words) {
	const { status, output, log } = await why(limpet, `--json ${words}`);
	assert.equal(status, 0, log);
	return output.trim().split('\n').map((line) => JSON.parse(line));
}

const last = async (limpet, words = '') => (await records(limpet, `--last 1 ${words}`))[0];

test('a decision names the policy, the worker and the outcome', run(COMMAND, { files }, async (limpet) => {
	await limpet.get('/second');
	await eventually('it has arrived', async () => (await last(limpet)).outcome === 'arrived');
	const decision = await last(limpet);
	assert.equal(decision.client, '127.0.0.1');
	assert.equal(decision.method, 'GET');
	assert.equal(decision.target, '/second');
	assert.equal(decision.decision, 'worker');
	assert.equal(decision.decided_by, './p.lua:3 on_request (tenants)');
	assert.equal(decision.worker, 2);
	assert.ok(Math.abs(Date.parse(decision.time) - Date.now()) < 60_000);

	await limpet.get('/');
	assert.deepEqual([(await last(limpet)).decision, (await last(limpet)).decided_by], ['least_busy', null]);
	await limpet.get('/deny');
	const refused = await last(limpet);
	assert.deepEqual([refused.decision, refused.outcome, refused.status], ['refuse', 'refused_by_policy', 403]);
	await limpet.get('/fail');
	assert.equal((await last(limpet)).policy_failed, true);

	const { output } = await why(limpet, '127.0.0.1');
	assert.match(output, /^#1 {2}\d{4}-\d\d-\d\d \S+ UTC {2}127\.0\.0\.1:\d+ at 127\.0\.0\.1:0\n {2}asked {4}GET \/second\n {2}decided {2}\.\/p\.lua:3 on_request \(tenants\) chose worker 2, after \d+ ms\n {2}outcome {2}worker 2 took it, after \d+ ms\n#2 /);
	assert.match(output, /a policy refused it; answered 403/);
	assert.match(output, /a hook failed, and the log says how/);
}));

test('a session is found by its id and by its hash, and its id is shown only if revealed', run(
	COMMAND, { files }, async (limpet) => {
		await limpet.get('/?key=very-secret');
		await limpet.get('/?key=very-secret');
		await limpet.get('/');
		await eventually('each has its outcome', async () => (await limpet.counts()).acknowledged === 3);
		const found = await records(limpet, 'very-secret');
		assert.equal(found.length, 2);
		assert.deepEqual(found.map(({ session_worker }) => session_worker), [0, 1]);
		assert.equal(found[0].session, found[1].session);
		assert.deepEqual(await records(limpet, found[0].session), found);
		const { output } = await why(limpet);
		assert.ok(!output.includes('very-secret'), output);
		assert.match(output, new RegExp(`session  ${found[0].session}, of worker 1`));
		assert.match((await why(limpet, '--reveal')).output, /GET \/\?key=very-secret\n {2}session {2}very-secret, of worker 1/);
	}));

test('a client that was never decided about is there, too, with the reason', run(
	`--head-timeout 150ms --max-head 256 ${COMMAND}`, { files }, async (limpet) => {
		const half = await limpet.connect();
		half.write('GET / HT');
		await eventually('its time is over', async () => (await limpet.counts()).refused === 1);
		assert.deepEqual([(await last(limpet)).outcome, (await last(limpet)).status], ['head_timeout', 408]);
		await limpet.exchange(`GET /${'a'.repeat(400)} HTTP/1.1\r\n`);
		assert.deepEqual([(await last(limpet)).outcome, (await last(limpet)).status], ['head_too_long', 431]);
		const left = await limpet.connect();
		left.write('GET');
		await eventually('it is looked at', async () => (await limpet.counts()).waiting === 1);
		left.destroy();
		await eventually('it has left', async () => (await limpet.counts()).closed_early === 1);
		assert.equal((await last(limpet)).outcome, 'client_left');
		assert.match((await why(limpet, '--last 3')).output, /its request head did not come within --head-timeout; answered 408/);
	}));

test('a connection that came back says from whom and why', run(
	'--workers 2 --policy ./first.lua --dialect native -- python3 workers/native.py', {
		files: { 'first.lua': 'return { on_connect = function(conn, workers) return workers[1] end }' },
		env: { ROOM: '1 1' },
	}, async (limpet) => {
		const first = await limpet.connect();
		first.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
		await once(first, 'data');
		const second = await limpet.connect();
		second.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
		await once(second, 'data');
		await eventually('it has arrived', async () => (await last(limpet)).outcome === 'arrived');
		const decision = await last(limpet);
		assert.deepEqual([decision.worker, decision.returned_by, decision.return_reason, decision.returns],
			[2, 1, 'no_room', 1]);
		assert.match((await why(limpet, '--last 1')).output, /returned by worker 1: it is at its limit of open files/);
		const [one, two] = (await limpet.status()).workers;
		assert.deepEqual([one.returned, two.moved, two.returned], [1, 1, 0]);
	}));

test('who is not found ends with status 1', run(COMMAND, { files }, async (limpet) => {
	const none = await why(limpet);
	assert.equal(none.status, 1);
	assert.match(none.log, /there is none of the last 0 connections/);
	const { status, log } = await why(limpet, '10.9.8.7');
	assert.equal(status, 1);
	assert.match(log, /"10\.9\.8\.7" is none of the last 0 connections/);
	assert.equal((await why(limpet, 'a b')).status, 2);
}));

test('tail prints each connection once, when its outcome is known', run(COMMAND, { files }, async (limpet) => {
	await limpet.get('/before');
	for (const [flag, show] of [['', (line) => line], ['--json', (line) => JSON.parse(line).target]]) {
		const tail = spawn(BINARY, ['tail', '--control', `${limpet.folder}/control`, ...flag ? [flag] : []],
			{ stdio: ['ignore', 'pipe', 'inherit'] });
		const lines = readline.createInterface({ input: tail.stdout })[Symbol.asyncIterator]();
		try {
			/* It tells of what comes after it began, and nobody outside sees when that is. */
			const first = lines.next();
			let begun = false;
			first.then(() => { begun = true; });
			await eventually('it follows', async () => (await limpet.get('/first'), begun));
			assert.match(show((await first).value), /\/first/);
			await limpet.get('/last');
			let line;
			do
				line = show((await lines.next()).value);
			while (!line.includes('/last'));
			if (!flag)
				assert.match(line, /^[\d:.]+ {2}127\.0\.0\.1:\d+ {2}GET \/last {2}-> worker \d \(least busy\) {2}arrived {2}\d+ ms$/);
		} finally {
			const ended = once(tail, 'exit');
			tail.kill();
			await ended;
		}
	}
}));

test('tail ends when the balancer does', run(COMMAND, { files }, async (limpet) => {
	const tail = runToItsEnd(`tail --control ${limpet.folder}/control`);
	await limpet.stop();
	const { status, log } = await tail;
	assert.equal(status, 1);
	assert.match(log, /no balancer answers at|does not answer/);
}));
