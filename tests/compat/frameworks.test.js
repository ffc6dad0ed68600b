'use strict';
/**
 * Frameworks as npm has them, started by a plain command: their servers know nothing of limpet. Each of four processes serves
 * requests, on connections of their own and on kept ones, and each session comes back to its process.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { createRequire } = require('node:module');
const { once } = require('node:events');
const test = require('node:test');
const { assertRequests, assertSessions, many, registered, workerPids } = require('../e2e/any_server');
const { atPort } = require('../e2e/first_hour');
const { within } = require('../e2e/patience');

const FOLDER = path.join(__dirname, 'frameworks');
const NODE = path.join(__dirname, 'node_versions/node_modules/node24/bin/node');
const MODULES = path.join(FOLDER, 'node_modules');
const skip = !(fs.existsSync(MODULES) && fs.existsSync(NODE)) &&
	'npm ci in tests/compat/frameworks and node_versions brings them; tests/run -L compat does that';
const packages = createRequire(path.join(FOLDER, 'package.json'));

/** Processes of each. */
const WORKERS = 4;

const serve = (command, flags = '--policy sid') => `--workers ${WORKERS} ${flags} -- ${command}`;

/** What a command finds: the port, and our Node before all others. */
const ENVIRONMENT = {
	PORT: 'PORT', NEXT_TELEMETRY_DISABLED: '1', PATH: `${path.dirname(NODE)}:${MODULES}/.bin:${process.env.PATH}`,
};

/** The packages are where a command looks for them: in the folder that it runs in. */
const SETTINGS = { env: ENVIRONMENT, prepare: (folder) => fs.symlinkSync(MODULES, path.join(folder, 'node_modules')) };

const framework = (name, command, body, flags) =>
	test(name, { skip }, atPort(serve(command, flags), SETTINGS, async (limpet) => {
		await registered(limpet, WORKERS);
		await body(limpet);
	}));

/** Requests, and Socket.IO. */
const assertServes = (path) => async (limpet) => {
	assert.deepEqual(await assertRequests(limpet, 24, path), await workerPids(limpet), 'every process has answered');
	assert.deepEqual(await assertSessions(limpet, ['polling', 'websocket', 'upgrade'], 24), await workerPids(limpet));
};

for (const [name, file] of Object.entries({ Express: 'express.js', Fastify: 'fastify.js', Koa: 'koa.js', NestJS: 'nest.mjs' }))
	framework(`${name}: requests and Socket.IO`, `node ${FOLDER}/${file}`, assertServes('/'));

test('Next, with a custom server: pages, routes and Socket.IO', { skip }, async (t) => {
	const built = spawnSync(NODE, [path.join(MODULES, 'next/dist/bin/next'), 'build', path.join(FOLDER, 'next')],
		{ encoding: 'utf8', env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1' } });
	assert.equal(built.status, 0, built.stdout + built.stderr);
	await atPort(serve(`node ${FOLDER}/next.js`), SETTINGS, async (limpet) => {
		await registered(limpet, WORKERS);
		assert.match((await limpet.get('/')).text, /process <!-- -->\d+/);
		await assertServes('/api/pid')(limpet);
	})(t);
});

framework('ws: a websocket stays where it began, and all processes have some', `node ${FOLDER}/ws.js`, async (limpet) => {
	const { WebSocket } = packages('ws');
	const pids = await many(24, () => within('a websocket', (async () => {
		const socket = new WebSocket(`ws://${limpet.address}/`);
		const ask = async (text) => {
			socket.send(text);
			const [bytes] = await once(socket, 'message');
			return JSON.parse(bytes);
		};
		await once(socket, 'open');
		const { pid } = await ask('first');
		const long = 'x'.repeat(1 << 20);
		assert.deepEqual(await ask(long), { pid, text: long });
		socket.close();
		return pid;
	})()));
	assert.deepEqual([...pids].sort(), await workerPids(limpet));
});

/** A session of SockJS is in its path; each request on a kept connection goes to its own. */
const BY_PATH = `return {
	route_each = "request",
	on_request = function(conn, workers)
		local session = conn.path:match("^/echo/[^/]+/([^/]+)/")
		return session and workers:hash(session)
	end,
}`;

for (const transport of ['websocket', 'xhr-streaming', 'xhr-polling'])
	test(`SockJS: ${transport}`, { skip }, atPort(
		serve(`node ${FOLDER}/sockjs.js`, '--policy ./by_path.lua'), { ...SETTINGS, files: { 'by_path.lua': BY_PATH } },
		async (limpet) => {
			await registered(limpet, WORKERS);
			const SockJS = packages('sockjs-client');
			const pids = await many(16, () => within('a session', new Promise((resolve, reject) => {
				const socket = new SockJS(`http://${limpet.address}/echo`, null, { transports: transport });
				const seen = new Set();
				let asked = 0;
				const ask = () => (asked < 5 ? socket.send(String(++asked)) : socket.close());
				socket.onopen = ask;
				socket.onmessage = ({ data }) => {
					const { pid, text } = JSON.parse(data);
					seen.add(pid);
					assert.equal(text, String(asked));
					ask();
				};
				socket.onclose = ({ code, reason }) => {
					if (asked === 5 && seen.size === 1)
						resolve([...seen][0]);
					else
						reject(new Error(`${asked} asked, ${seen.size} processes: ${code} ${reason}`));
				};
			})));
			assert.ok(pids.size > 1, 'not all in one process');
		}));

for (const command of [
	`node --import tsx ${FOLDER}/typescript.ts`,
	`tsx ${FOLDER}/typescript.ts`,
	`npx --no-install tsx ${FOLDER}/typescript.ts`,
	`nodemon --quiet ${FOLDER}/express.js`,
	`node --watch ${FOLDER}/express.js`,
])
	framework(command.replaceAll(`${FOLDER}/`, ''), command, assertServes('/'));
