'use strict';
/**
 * Bun and Deno, which are no Node: a plain command, and each of their processes keeps its Socket.IO sessions.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { assertRequests, assertSessions, registered, workerPids } = require('../e2e/any_server');
const { atPort } = require('../e2e/first_hour');

const PACKAGES = path.join(__dirname, 'runtimes/node_modules');
const PATH = `${PACKAGES}/@oven/bun-linux-x64/bin:${PACKAGES}/@deno/linux-x64-glibc:${process.env.PATH}`;
const skip = !fs.existsSync(PACKAGES) && 'npm ci in tests/compat/runtimes brings them; tests/run -L compat does that';

const SETTINGS = {
	env: { PORT: 'PORT', PATH, DENO_NO_UPDATE_CHECK: '1', DENO_DIR: './deno' },
	files: { 'package.json': '{"type":"commonjs"}' },
	prepare(folder) {
		fs.symlinkSync(path.join(__dirname, '../e2e/node_modules'), path.join(folder, 'node_modules'));
		fs.copyFileSync(path.join(__dirname, '../e2e/workers/first_hour/server.js'), path.join(folder, 'server.js'));
		fs.writeFileSync(path.join(folder, 'deno.js'),
			'Deno.serve({ port: Number(Deno.env.get("PORT")), hostname: "127.0.0.1" }, () => Response.json({ pid: Deno.pid }));\n');
		fs.writeFileSync(path.join(folder, 'bun.js'),
			'Bun.serve({ port: process.env.PORT, fetch: () => Response.json({ pid: process.pid }) });\n');
	},
};

for (const command of ['bun server.js', 'deno run --allow-all server.js'])
	test(`${command}: Socket.IO`, { skip }, atPort(`--workers 3 --policy sid -- ${command}`, SETTINGS, async (limpet) => {
		await registered(limpet, 3);
		assert.deepEqual(await assertSessions(limpet, ['polling', 'websocket', 'upgrade'], 24), await workerPids(limpet));
	}));

for (const command of ['bun bun.js', 'deno run --allow-all deno.js'])
	test(`${command}: its own server`, { skip }, atPort(`--workers 3 -- ${command}`, SETTINGS, async (limpet) => {
		await registered(limpet, 3);
		assert.deepEqual(await assertRequests(limpet, 24), await workerPids(limpet));
	}));
