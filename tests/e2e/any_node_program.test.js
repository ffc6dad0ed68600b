'use strict';
/**
 * Whatever is behind `--`, and without --dialect: the process that listens is the worker, with the number of its slot, and what
 * is started in between ends as ever.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { eventually, run } = require('./harness');
const proc = require('./proc');

/** A server that says who it is; and a script that has to end. */
const FILES = {
	'server.js': `
		const cluster = require('node:cluster');
		const server = require('node:http').createServer((request, response) => {
			response.setHeader('Connection', 'close');
			response.end(JSON.stringify({
				id: cluster.worker?.id, isWorker: cluster.isWorker, pid: process.pid, x: process.env.X,
				options: process.env.NODE_OPTIONS, channel: process.env.NODE_CHANNEL_FD,
			}));
		});
		server.listen(process.env.PORT);
	`,
	'migrate.js': `
		setTimeout(() => console.log('migrated'), 20);
	`,
	'package.json': JSON.stringify({ name: 'app', scripts: { start: 'node migrate.js && node server.js' } }),
	'start.sh': 'node migrate.js\nexec node server.js\n',
	'start': '#!/usr/bin/env node\nrequire("./server.js");\n',
	/** As nodemon and the command of tsx do it: with a channel of its own. */
	'runner.js': `
		const { spawn } = require('node:child_process');
		const child = spawn(process.execPath, ['server.js'], { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
		process.on('SIGTERM', () => child.kill());
		child.on('exit', (code) => process.exit(code ?? 0));
	`,
	/** A program that would make workers of its own. */
	'forks.js': `
		const cluster = require('node:cluster');
		if (cluster.isPrimary) {
			for (let i = 0; i < 3; i++)
				cluster.fork();
		} else {
			require('./server.js');
		}
	`,
	/** A worker whose child listens, too. */
	'parent.js': `
		require('./server.js');
		require('node:child_process').fork('./server.js');
	`,
	'one.lua': 'return { on_connect = function(conn, workers) return workers:next() end }',
};

const at = (command, flags = '') => `--workers 2 --policy ./one.lua ${flags} -- ${command}`;
const prepare = (folder) => require('node:fs').chmodSync(`${folder}/start`, 0o755);
const settings = { files: FILES, prepare, env: { NODE_OPTIONS: '--no-warnings' } };

/** Who answers so many requests: by number. */
async function who(limpet, requests = 4) {
	const found = new Map();
	for (let i = 0; i < requests; i++) {
		const { json } = await limpet.get('/');
		found.set(json.id, json);
	}
	return found;
}

for (const [name, command, migrates] of [
	['node', 'node server.js'],
	['a script whose first line names node', './start'],
	['env', 'env X=1 node server.js'],
	['a shell that runs one thing after the other', 'sh start.sh', true],
	['npm start', 'npm start', true],
	['npx', 'npx --no-install --yes --package . -- node server.js'],
	['nice', 'nice node server.js'],
])
	test(`${name}: the server has its slot's number`, run(at(command), settings, async (limpet) => {
		const found = await who(limpet);
		assert.deepEqual([...found.keys()].sort(), [1, 2]);
		for (const { isWorker, options, channel, x } of found.values())
			assert.deepEqual([isWorker, options, channel, x], [true, '--no-warnings', undefined, /X=1/.test(command) ? '1' : undefined]);
		if (migrates)
			assert.equal(limpet.lines.filter((line) => line === 'migrated').length, 2);
		const { pid } = found.get(1);
		assert.equal((await limpet.worker(1)).pid, pid);
		const { now } = limpet;
		process.kill(pid, 'SIGKILL');
		await limpet.said(/limpet: worker 1 is ready/, now);
		assert.deepEqual([...(await who(limpet)).keys()].sort(), [1, 2], 'so has its successor');
	}));

test('a script alone ends, and is started again like any worker that ends', run(
	'--workers 1 -- node migrate.js', { ...settings, ready: false },
	async (limpet) => {
		await limpet.saidTimes(2, /^migrated$/);
		await limpet.said(/\(pid \d+\) ended with status 0/);
	}));

test('behind a program that has a channel of its own to the server: it serves, and the log says what is missing', run(
	at('node runner.js'), settings,
	async (limpet) => {
		const { json } = await limpet.get('/');
		assert.deepEqual([json.id, json.isWorker], [undefined, false]);
		await limpet.said(/has Node's channel from the program that started it.* node --import tsx main\.ts$/);
		assert.equal(limpet.lines.filter((line) => /has Node's channel from/.test(line)).length, 1);
	}));

test('node --watch: the server serves', run(at('node --watch server.js'), settings, async (limpet) => {
	assert.equal((await limpet.get('/')).json.isWorker, false);
}));

test('a program with a cluster of its own: each of its processes is a worker', run(at('node forks.js'), settings, async (limpet) => {
	const found = await who(limpet);
	assert.deepEqual([...found.keys()].sort(), [1, 2]);
	for (const { pid } of found.values())
		assert.deepEqual(proc.childrenOf(pid), [], 'it has not forked');
}));

test('a child of a worker that listens where limpet does is one more worker', run(at('node parent.js'), settings, async (limpet) => {
	await eventually('both children are there', async () => (await limpet.status()).workers.filter(({ usable }) => usable).length === 4);
	const pids = new Set();
	for (let i = 0; i < 8; i++)
		pids.add((await limpet.get('/')).json.pid);
	assert.equal(pids.size, 4);
}));

test('two processes of one program that listen: both serve, each once', run(
	'--workers 1 --policy ./one.lua -- sh both.sh',
	{ ...settings, files: { ...FILES, 'both.sh': 'node server.js & node server.js & wait\n' } },
	async (limpet) => {
		await eventually('both are there', async () => (await limpet.status()).workers.filter(({ usable }) => usable).length === 2);
		const pids = new Set();
		for (let i = 0; i < 4; i++)
			pids.add((await limpet.get('/')).json.pid);
		assert.equal(pids.size, 2);
	}));
