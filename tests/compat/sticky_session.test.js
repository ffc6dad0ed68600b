'use strict';
/**
 * sticky-session 1.1.2: the tests that its package brings, each a program that ends with 0. With $PRIMARY=theirs they run
 * as they are; else shim.js starts limpet where its primary would begin.
 *
 * Their port is fixed; here each test is a copy with a free one in its place, and nothing else changed.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const test = require('node:test');
const { deadline } = require('../e2e/patience');
const proc = require('../e2e/proc');

const MARK = 'LIMPET_COMPAT';
const PACKAGE = path.resolve(path.dirname(require.resolve('sticky-session')), '..');
const LIMPET = path.resolve(process.env.LIMPET ?? path.join(__dirname, '../../build/limpet'));

async function freePort() {
	const server = net.createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	await once(server.close(), 'close');
	return port;
}

for (const name of fs.readdirSync(path.join(PACKAGE, 'test')).sort())
	test(name, async () => {
		const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-compat-'));
		const text = fs.readFileSync(path.join(PACKAGE, 'test', name), 'utf8');
		const copy = path.join(folder, name);
		fs.writeFileSync(copy, text.replace('13845', await freePort())
			.replace("require('../')", `require(${JSON.stringify(PACKAGE)})`));
		const shim = process.env.PRIMARY === 'theirs' ? [] : ['--require', require.resolve('./shim')];
		const child = spawn(process.execPath, [...shim, copy], {
			env: { ...process.env, LIMPET, [MARK]: folder },
			stdio: ['ignore', 'inherit', 'inherit'],
		});
		const end = deadline(() => child.kill('SIGKILL'));
		try {
			assert.deepEqual(await once(child, 'exit'), [0, null]);
		} finally {
			end.cancel();
			proc.withVariable(MARK, folder).forEach((pid) => process.kill(pid, 'SIGKILL'));
			fs.rmSync(folder, { recursive: true });
		}
	});
