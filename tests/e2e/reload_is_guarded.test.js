'use strict';
/**
 * A reload is tried before it is used: policies that fail on made-up or recent connections, or that would move too many
 * clients, are refused; those that fail on their first live connections are undone. What they are tried on can be written
 * to a file.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { setTimeout: pause } = require('node:timers/promises');
const { run, runToItsEnd } = require('./harness');

/** A policy file with one on_request; its first line is line 4 of the file. */
const policy = (body) => `--- Made by a test.
return {
  on_request = function(conn, workers)
    ${body}
  end,
}
`;

const always = (id) => policy(`return workers[${id}]`);
const COMMAND = '--workers 2 --policy ./p.lua --dialect cluster -- node workers/answer.js';

const by = async (limpet, target = '/') => (await limpet.get(target)).json.worker;

function reload(limpet, text) {
	const since = limpet.now;
	limpet.write('p.lua', text);
	limpet.signal('SIGHUP');
	return since;
}

test('a policy that fails on a made-up connection is refused, and the line is named', run(
	COMMAND,
	{ files: { 'p.lua': always(2) } },
	async (limpet) => {
		reload(limpet, policy('local worker = workers:hash(conn.sid) return worker'));
		const [line] = await limpet.said(/^limpet: reload refused: .*; keeping the policies loaded at \d{4}-\d\d-\d\dT[\d:]{8}Z$/);
		assert.match(line, /policy \.\/p\.lua:4: .*tried on a made-up connection at 127\.0\.0\.1:0: GET \//);
		assert.equal(await by(limpet), 2);
		const counts = await limpet.counts();
		assert.deepEqual([counts.reloads, counts.failed_reloads, counts.policy_errors], [0, 1, 0]);
	}));

test('a policy that fails on a made-up connection at the start runs, and a warning names the line', run(
	COMMAND,
	{ files: { 'p.lua': policy('return workers:hash(conn.sid .. "") and workers[2]') } },
	async (limpet) => {
		const [line] = await limpet.said(/^limpet: .*; starting all the same, a reload would be refused$/);
		assert.match(line, /policy \.\/p\.lua:4: .*; tried on a made-up connection at 127\.0\.0\.1:0: GET \/ over IPv4; /);
		assert.equal(await by(limpet, '/?sid=abc'), 2);
		assert.equal((await limpet.counts()).policy_errors, 0);
	}));

test('a module is read again on a reload, and a broken one is refused', run(
	COMMAND,
	{ files: { 'p.lua': `local m = require "m"\n${policy('return workers[m.id]')}`, 'm.lua': 'return { id = 2 }' } },
	async (limpet) => {
		assert.equal(await by(limpet), 2);
		limpet.write('m.lua', 'return { id = 1 }');
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: reloaded the policies/);
		assert.equal(await by(limpet), 1);
		limpet.write('m.lua', 'return {\n  id = limpet.nwo() }');
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: policy \.\/m\.lua:2: .*did you mean limpet\.now\(\).*; keeping the policies/);
		assert.equal(await by(limpet), 1);
	}));

test('a policy that fails on a recent connection only is refused too', run(
	COMMAND,
	{ files: { 'p.lua': always(2) } },
	async (limpet) => {
		const broken = policy('return conn:header("x-tenant") and workers:hash(conn.nothing) or workers[1]');
		await limpet.get('/orders?sid=secret', { headers: { 'X-Tenant': 'acme' } });
		reload(limpet, broken);
		const [line] = await limpet.said(/^limpet: reload refused: .*/);
		assert.match(line, /p\.lua:4: .*tried on a recent connection at \S+: GET \/orders from 127\.0\.0\.1;/);
		assert.doesNotMatch(line, /secret/);
		assert.equal(await by(limpet), 2);
	}));

test('trying changes nothing that another policy could see', run(
	COMMAND,
	{ files: { 'p.lua': policy('limpet.shared:incr("asked") return workers:next()') } },
	async (limpet) => {
		const first = await by(limpet);
		const since = reload(limpet, policy('return limpet.shared:get("asked") == 1 and workers:next() or nil'));
		await limpet.said(/^limpet: reloaded /, since);
		assert.equal(await by(limpet), 3 - first);
	}));

test('the policies of before come back also when others were loaded in between', run(
	COMMAND,
	{ files: { 'p.lua': always(2) } },
	async (limpet) => {
		const failing = (path) => policy(`if conn.path == "${path}" then error("no") end return workers[1]`);
		await limpet.said(/^limpet: reloaded /, reload(limpet, failing('/a')));
		await limpet.get('/a');
		const since = reload(limpet, failing('/b'));
		await limpet.said(/^limpet: reloaded /, since);
		for (let i = 0; i < 3; i++)
			await limpet.get('/b');
		await limpet.said(/^limpet: rolled back: /);
		assert.equal(await by(limpet), 2);
		assert.equal((await limpet.counts()).policy_errors, 4);
	}));

test('a policy that has done well stays, whatever it does later', run(
	COMMAND,
	{ files: { 'p.lua': always(2) } },
	async (limpet) => {
		await limpet.said(/^limpet: reloaded /, reload(limpet, policy(
			'if conn.path == "/new" then error("new") end return workers[1]')));
		for (let i = 0; i < 20; i++)
			assert.equal(await by(limpet), 1);
		for (let i = 0; i < 20; i++)
			await limpet.get('/new');
		assert.equal(await by(limpet), 1);
		assert.equal((await limpet.counts()).rollbacks, 0);
	}));

test('--max-moved refuses what would send recent clients elsewhere', run(
	`--max-moved 10 ${COMMAND}`,
	{ files: { 'p.lua': always(2) } },
	async (limpet) => {
		for (let i = 0; i < 10; i++) {
			await limpet.get(`/${i}`);
			await pause(2); /* One connection a millisecond is recorded. */
		}
		reload(limpet, always(1));
		await limpet.said(/^limpet: reload refused: (\d+) of \1 recent connections and sessions would go elsewhere \(worker 2 to 1: \1\); --max-moved 10 allows [01]; keeping/);
		assert.equal(await by(limpet), 2);

		const since = reload(limpet, policy('return conn.path == "/3" and workers[1] or workers[2]'));
		await limpet.said(/^limpet: reloaded /, since);
		assert.equal(await by(limpet, '/3'), 1);
		assert.equal((await limpet.counts()).failed_reloads, 1);
	}));

test('--max-moved keeps sessions with their workers', run(
	'--max-moved 0 --workers 3 --policy ./p.lua --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201',
	{ files: { 'p.lua': policy('return conn.sid and workers:session(conn.sid)') } },
	async (limpet) => {
		const client = limpet.socket({ transports: ['polling'] });
		await new Promise((resolve) => client.once('connect', resolve));
		reload(limpet, policy('return conn.side and workers:session(conn.side)'));
		await limpet.said(/^limpet: reload refused: /);
		const since = reload(limpet, policy('return nil'));
		await limpet.said(/^limpet: reload refused: .* would go elsewhere \(worker \d to the least busy: /, since);
		await limpet.said(/^limpet: reloaded .*1 sessions kept/, reload(limpet, policy(
			'local sid = conn.sid return sid and workers:session(sid)')));
		client.close();
	}));

test('limpet record writes the recent connections, without their credentials', run(
	COMMAND,
	{ files: { 'p.lua': always(2) } },
	async (limpet) => {
		const control = path.join(limpet.folder, 'control');
		const headers = { Cookie: 'io=secret; theme=secret', Authorization: 'Bearer secret' };
		await limpet.get('/orders', { headers });

		const { status, output } = await runToItsEnd(`record --control ${control}`);
		assert.equal(status, 0);
		const [first, connection, request] = output.split('\n');
		assert.equal(first, 'limpet recording 1');
		const length = Number(/^127\.0\.0\.1 \d+ 2 (\d+) 127\.0\.0\.1:0$/.exec(connection)?.[1]);
		assert.equal(request, 'GET /orders HTTP/1.1\r');
		assert.equal(output.length, `${first}\n${connection}\n`.length + length + '\n'.length);
		assert.match(output, /Cookie: io=x{6}; theme=x{6}\r\n/);
		assert.match(output, /Authorization: x{13}\r\n/);
		assert.doesNotMatch(output, /secret/);

		const file = path.join(limpet.folder, 'recording');
		assert.deepEqual(await runToItsEnd(`record --raw --out ${file} --control ${control}`),
			{ status: 0, output: '', log: '' });
		assert.match(limpet.read('recording'), /Cookie: io=secret; theme=secret\r\n/);
		assert.equal(limpet.read('recording').length, output.length);
		assert.equal((fs.statSync(file).mode & 0o777).toString(8), '600');

		const { status: nobody } = await runToItsEnd(`record --out ${file} --control ${control}.none`);
		assert.equal(nobody, 1);
		assert.equal(limpet.read('recording').length, output.length, 'the recording of before is kept');
	}));

test('limpet route --replay shows which recorded connections would go elsewhere', run(
	COMMAND,
	{ files: { 'p.lua': policy('return workers[1]') } },
	async (limpet) => {
		for (const target of ['/a?sid=one', '/b', '/c']) {
			await limpet.get(target);
			await pause(2); /* One connection a millisecond is recorded. */
		}
		const [recording, file, other] = ['recording', 'p.lua', 'q.lua'].map((name) => path.join(limpet.folder, name));
		const { status } = await runToItsEnd(`record --out ${recording} --control ${path.join(limpet.folder, 'control')}`);
		assert.equal(status, 0);
		limpet.write('q.lua', policy('return conn.sid and workers:session(conn.sid) or conn.path == "/b" and workers[2]'));
		assert.deepEqual(await runToItsEnd(`route --replay ${recording} ${file} ${other}`), {
			status: 0,
			output: '127.0.0.1 GET /b: worker 1 -> worker 2\n'
				+ '127.0.0.1 GET /c: worker 1 -> the least busy\n2 of 3 connections go elsewhere\n',
			log: '',
		});
		assert.equal((await runToItsEnd(`route --replay ${recording} ${file}`)).status, 2);
		assert.match((await runToItsEnd(`route --replay ${file} ${file} ${file}`)).log, /is no recording/);
	}));
