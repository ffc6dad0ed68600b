'use strict';
/**
 * What a worker can see of itself and of where it runs: the same with a Node primary, with pm2 and with limpet, but for what
 * is written down here.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const test = require('node:test');
const { deadline } = require('../e2e/patience');
const proc = require('../e2e/proc');

const LIMPET = path.resolve(process.env.LIMPET ?? path.join(__dirname, '../../build/limpet'));
const PM2 = require.resolve('@socket.io/pm2/bin/pm2-runtime');
const WHO = path.join(__dirname, 'workers/who.js');
const MARK = 'LIMPET_COMPAT';

/** node's flags, and the script with its arguments. */
const NODE = ['--max-old-space-size=100', '--no-warnings'];
const SCRIPT = [WHO, 'one', '--two', 'three four'];
const run = (...flags) => [LIMPET, 'run', '--listen', '127.0.0.1:0', '--workers', '2', '--drain-timeout', '1s', ...flags, '--',
	process.execPath, ...NODE, ...SCRIPT];

/**
 * Run a command until two workers have said who they are, and a third, in place of the first that is killed: what each says,
 * in that order, the first two by id.
 */
async function ask([program, ...args], env = {}) {
	const mark = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-compat-'));
	const child = spawn(program, args, {
		cwd: __dirname,
		env: { ...process.env, NODE_OPTIONS: '--stack-trace-limit=7', PM2_HOME: mark, [MARK]: mark, ...env },
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	const exited = once(child, 'exit');
	const end = deadline(() => child.kill('SIGKILL'));
	try {
		const found = await new Promise((resolve, reject) => {
			const said = [];
			readline.createInterface(child.stdout).on('line', (line) => {
				end.advanced();
				const [, json] = /who: (\{.*\})$/.exec(line) ?? [];
				if (!json)
					return;
				said.push(JSON.parse(json));
				if (said.length === 2)
					process.kill(said.sort((one, other) => one.id - other.id)[0].pid, 'SIGKILL');
				if (said.length === 3)
					resolve(said);
			});
			exited.then(() => reject(new Error(`it ended when ${said.length} workers had said who they are`)));
		});
		return found.map(({ env: { [MARK]: _, PM2_HOME, ...variables }, pid, ...who }) => ({ env: variables, ...who }));
	} finally {
		child.kill('SIGTERM');
		await exited;
		end.cancel();
		proc.withVariable(MARK, mark).forEach((left) => process.kill(left, 'SIGKILL'));
		fs.rmSync(mark, { recursive: true });
	}
}

/** Without some members. */
function without(object, ...names) {
	return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

test('as with a Node primary, but that a successor has the number of whom it succeeds', async () => {
	const theirs = await ask([process.execPath, ...NODE, ...SCRIPT]);
	const ours = await ask(run('--dialect', 'cluster'));
	assert.deepEqual(theirs.map(({ id }) => id), [1, 2, 3]);
	assert.deepEqual(ours.map(({ id }) => id), [1, 2, 1]);
	for (const [i, their] of theirs.entries()) {
		const our = { ...ours[i], env: without(ours[i].env, 'LIMPET_WORKER_ID') };
		assert.deepEqual(without(our, 'id'), without(their, 'id'));
	}
	assert.deepEqual(ours[0].argv, [process.execPath, ...SCRIPT]);
	assert.deepEqual(ours[0].execArgv, NODE);
	assert.equal(ours[0].stackTraceLimit, 7);
});

test('as with pm2: the numbers, the arguments and the flags', async () => {
	const app = { name: 'who', script: WHO, cwd: __dirname, instances: 2, exec_mode: 'cluster', args: SCRIPT.slice(1), node_args: NODE };
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-compat-'));
	const config = path.join(folder, 'ecosystem.config.js');
	fs.writeFileSync(config, `module.exports = ${JSON.stringify({ apps: [app] })};`);
	try {
		const theirs = await ask([process.execPath, PM2, 'start', config], { PM2_PORT: '0' });
		const ours = await ask(run('--dialect', 'socket.io-sticky'));
		const seen = ({ env, argv, execArgv, isWorker, main, cwd }) => ({
			instance: env.NODE_APP_INSTANCE, pm_id: env.pm_id, instances: env.instances,
			args: argv.slice(-app.args.length), // Before them pm2-runtime, which is no daemon, leaves its own.
			execArgv, isWorker, main, cwd,
		});
		assert.deepEqual(ours.map(seen), theirs.map(seen));
		assert.deepEqual(ours.map((one) => seen(one).instance), ['0', '1', '0']);
	} finally {
		fs.rmSync(folder, { recursive: true });
	}
});
