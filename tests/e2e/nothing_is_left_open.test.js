'use strict';
// A balancer's whole life under valgrind: at its end nothing is allocated, no descriptor of its own is open, and not a
// byte was read that nobody had written.
const { test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const real = path.resolve(process.env.LIMPET ?? path.join(__dirname, '../../build/limpet'));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-valgrind-'));
const report = path.join(folder, 'report');
const wrapper = path.join(folder, 'limpet');

fs.writeFileSync(wrapper, `#!/bin/sh
exec valgrind --track-fds=yes --leak-check=full --error-exitcode=99 --log-file=${report} ${real} "$@"
`, { mode: 0o755 });
process.env.LIMPET = wrapper;

const { handshakeAndReturn } = require('./clients');
const { run } = require('./harness');

const skip = fs.readFileSync(real).includes('__asan_init') && 'AddressSanitizer and valgrind exclude each other';

test('sessions, a reload, a worker that dies, a refusal and a drain', { skip }, async (t) => {
	await run('--workers 2 --policy ./refuse.lua --policy sid --listen 127.0.0.1:0 --listen unix:./path ' +
		'--dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201', {
		files: {
			'refuse.lua': `return { on_request = function(conn)
				return conn.path == "/no" and limpet.refuse(403) or nil
			end }`,
		},
	}, async (limpet) => {
		await Promise.all(Array.from({ length: 20 }, () => handshakeAndReturn(limpet.address)));
		assert.equal((await limpet.get('/no')).status, 403);
		limpet.signal('SIGHUP');
		await limpet.said(/reloaded the policies/);
		const { now } = limpet;
		process.kill((await limpet.worker(1)).pid, 'SIGKILL');
		await limpet.said(/worker 1 is ready/, now);
		await handshakeAndReturn(limpet.address);
	})(t);
	const text = fs.readFileSync(report, 'utf8');
	const ours = text.split('\n').filter((line, i, lines) =>
		/Open (file descriptor|AF_)/.test(line) && !/inherited from parent/.test(lines[i + 1]));
	assert.deepEqual(ours, [], text);
	assert.match(text, /All heap blocks were freed/, text);
	assert.match(text, /ERROR SUMMARY: 0 errors/, text);
});
