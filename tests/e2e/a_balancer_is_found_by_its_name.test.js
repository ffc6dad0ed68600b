'use strict';
/**
 * Tools find a running balancer without a flag while there is one, and by its name when there are several.
 *
 * Each test has a run-time folder of its own, as systemd would give a service one; balancers of other tests are elsewhere.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { run, runToItsEnd } = require('./harness');

const WORKER = '--workers 1 --dialect cluster -- node workers/answer.js';

/** A body that gets a fresh run-time folder, and the environment that names it. */
function withFolder(body) {
	return async (t) => {
		const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-run-'));
		t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
		await body({ RUNTIME_DIRECTORY: folder }, folder, t);
	};
}

const named = (env) => ({ env, without: ['--control'] });

test('without a balancer, a tool says that none runs', withFolder(async (env) => {
	const { status, log } = await runToItsEnd('status', env);
	assert.equal(status, 1);
	assert.match(log, /^limpet: no balancer runs here; start one with limpet run/);
}));

test('the only balancer needs no flag, and is called after its port', withFolder(async (env, folder, t) => {
	await run(WORKER, named(env), async (limpet) => {
		const { status, output } = await runToItsEnd('status --json', env);
		assert.equal(status, 0);
		const { name, pid } = JSON.parse(output);
		assert.equal(name, limpet.address.split(':').at(-1));
		assert.equal(pid, limpet.pid);
		assert.deepEqual(fs.readdirSync(folder), [`${name}.control`]);
		assert.equal((fs.statSync(path.join(folder, `${name}.control`)).mode & 0o777).toString(8), '600');
	})(t);
	assert.deepEqual(fs.readdirSync(folder), [], 'its socket is gone');
}));

test('of several balancers one is chosen by its name', withFolder(async (env, folder, t) => {
	await run(`--name web ${WORKER}`, named(env), (web) => run(`--name api ${WORKER}`, named(env), async (api) => {
		const { status, log } = await runToItsEnd('status', env);
		assert.equal(status, 1);
		assert.match(log, /^limpet: 2 balancers run: api and web; choose one with --name NAME\n$/);
		for (const [name, { pid }] of Object.entries({ web, api })) {
			const { output } = await runToItsEnd(`status --json --name ${name}`, env);
			assert.deepEqual([JSON.parse(output).name, JSON.parse(output).pid], [name, pid]);
		}
		const wrong = await runToItsEnd('status --name wbe', env);
		assert.match(wrong.log, /no balancer is called wbe; running: api and web/);
	})(t))(t);
}));

test('a second balancer of one name is refused', withFolder(async (env, folder, t) => {
	await run(`--name web ${WORKER}`, named(env), async () => {
		const { status, log } = await runToItsEnd(`run --listen 127.0.0.1:0 --name web ${WORKER}`, env);
		assert.equal(status, 1);
		assert.match(log, /another balancer is called web; choose another --name/);
	})(t);
}));

test('a balancer whose run-time folder cannot be used runs, and says so', withFolder(async (env, folder, t) => {
	fs.chmodSync(folder, 0o777);
	await run(WORKER, named(env), async (limpet) => {
		await limpet.said(/there is no control socket.*can be written to by other users.*--control/);
		assert.equal((await limpet.get('/')).status, 200);
		const { status, log } = await runToItsEnd('status', env);
		assert.equal(status, 1);
		assert.match(log, /can be written to|operation not permitted/);
	})(t);
}));

test('a balancer that was killed leaves a socket that its successor takes over', withFolder(async (env, folder, t) => {
	await run(`--name web ${WORKER}`, named(env), async (limpet) => {
		await limpet.killAndRestart();
		const { output } = await runToItsEnd('status --json', env);
		assert.equal(JSON.parse(output).pid, limpet.process.pid);
	})(t);
}));
