'use strict';
/**
 * The first hour: a command after `--` as people type it, and no flag that says what it is. Each Socket.IO session comes back
 * to the process that opened it, by polling, by websocket and from one to the other, and every process serves.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { assertAllHear, assertSessions, registered, workerPids } = require('./any_server');
const { atPort } = require('./first_hour');

const TRANSPORTS = ['polling', 'websocket', 'upgrade'];
const WORKERS = path.join(__dirname, 'workers/first_hour');
const SERVER = path.join(WORKERS, 'server.js');
const PACKAGES = path.join(__dirname, 'node_modules');

/** A folder as `npm init` makes it: a script of ours, the packages, and a command in node_modules/.bin. */
const APP = {
	files: {
		'package.json': '{"name":"app","version":"1.0.0","scripts":{"start":"node server.js","env":"env X=1 node server.js"}}',
		'server.js': `require(${JSON.stringify(SERVER)});\n`,
		'start.sh': 'node migrate.js && exec node server.js\n',
		'piped.sh': 'exec node < server.js\n',
		'both.sh': 'node migrate.js && node server.js\n',
		'migrate.js': 'console.log("migrated");\n',
	},
	env: { PORT: 'PORT', npm_config_update_notifier: 'false' },
	prepare(folder) {
		const bin = path.join(folder, 'node_modules/.bin');
		fs.mkdirSync(bin, { recursive: true });
		fs.writeFileSync(path.join(bin, 'serve'), `#!/usr/bin/env node\nrequire(${JSON.stringify(SERVER)});\n`, { mode: 0o755 });
	},
};

/** Each process that listens is a worker, has sessions, and keeps them. */
async function serves(limpet, processes, transports = TRANSPORTS) {
	await registered(limpet, processes);
	assert.deepEqual(await assertSessions(limpet, transports, 12), await workerPids(limpet), 'every process has served');
}

for (const [command, words] of Object.entries({
	'node server.js': 'node server.js',
	'npm start': 'npm start --silent',
	'npm run, and env in the script': 'npm run env --silent',
	'npx': 'npx --no-install serve',
	'node_modules/.bin/serve': 'node_modules/.bin/serve',
	'env X=1 node server.js': 'env X=1 node server.js',
	'node -e': 'node -e require("./server.js")',
	'a script that Node reads from its standard input': 'sh piped.sh',
	'a shell that becomes the server, behind a script that runs once': 'sh start.sh',
	'a shell that stays, behind a script that runs once': 'sh both.sh',
}))
	test(`${command}: the plainest Socket.IO server keeps its sessions`, atPort(
		`--workers 3 --policy sid -- ${words}`, APP, (limpet) => serves(limpet, 3)));

test('the same by --session sid', atPort(
	'--workers 3 --session sid -- node server.js', APP, (limpet) => serves(limpet, 3)));

test('a sticky package that is installed, and that nobody uses, decides nothing', atPort(
	'--workers 3 --policy sid -- node server.js',
	{
		...APP,
		prepare(folder) {
			fs.mkdirSync(path.join(folder, 'node_modules/@socket.io'), { recursive: true });
			fs.symlinkSync(path.join(PACKAGES, 'sticky201'), path.join(folder, 'node_modules/@socket.io/sticky'));
		},
	},
	(limpet) => serves(limpet, 3)));

const PYTHON = { env: { ASYNC_MODE: 'eventlet' } };

test('gunicorn -w 4 -k eventlet', atPort(
	'--workers 1 --policy sid -- gunicorn -w 4 -k eventlet --chdir workers/any_server -b 127.0.0.1:PORT chat_wsgi:app',
	PYTHON, (limpet) => serves(limpet, 4, ['polling', 'websocket'])));

test('uvicorn --workers 3', atPort(
	'--workers 1 --policy sid -- uvicorn --app-dir workers/any_server --port PORT --workers 3 chat_asgi:app',
	(limpet) => serves(limpet, 3, ['polling', 'websocket'])));

test('python3 -m http.server', atPort('--workers 2 -- python3 -m http.server --bind 127.0.0.1 PORT', async (limpet) => {
	await registered(limpet, 2);
	for (let i = 0; i < 6; i++)
		assert.equal((await limpet.get('/')).status, 200);
}));

test('@socket.io/cluster-adapter: what one client says all hear, and every socket is listed', atPort(
	`--workers 3 --policy sid -- node ${WORKERS}/adapted.js`, { env: { PORT: 'PORT' } },
	async (limpet) => {
		await registered(limpet, 3);
		for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']])
			await assertAllHear(limpet, { transports });
	}));

test('six requests without a policy are not all for worker 1', atPort(
	'--workers 3 -- node server.js', APP,
	async (limpet) => {
		await registered(limpet, 3);
		const pids = [];
		for (let i = 0; i < 6; i++)
			pids.push((await limpet.get('/')).json.pid);
		assert.equal(new Set(pids).size, 3, `${pids}`);
	}));
