'use strict';
/**
 * systemd's Type=notify: limpet says when its first worker takes connections, that it is alive, and that it stops. Its workers
 * do not learn where to say so.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const test = require('node:test');
const { eventually, run } = require('./harness');

/** Runs the words behind it with a manager of its own, which writes what it hears to ./heard. */
const MANAGER = `
import os, socket, sys, threading
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind('')
if os.fork():
    os.environ.update(NOTIFY_SOCKET='@' + manager.getsockname()[1:].decode(), WATCHDOG_USEC='200000')
    manager.close()
    os.execvp(sys.argv[1], sys.argv[1:])
manager.settimeout(0.2)
with open('heard', 'w', buffering=1) as heard:
    limpet = os.getppid()
    while os.getppid() == limpet:
        try:
            heard.write(manager.recv(4096).decode() + '\\n')
        except TimeoutError:
            pass
`;

for (const keeper of ['on', 'off'])
	test(`ready, alive and stopping are told, with --keeper ${keeper}`, async (t) => {
		let file;
		const heard = () => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n') : []);
		await run(`--keeper ${keeper} --workers 1 --dialect node -- node workers/answer.js`,
			{ under: ['python3', '-c', MANAGER] }, async (limpet) => {
				file = `${limpet.folder}/heard`;
				await eventually('READY=1 is heard', () => heard().includes('READY=1'));
				await eventually('WATCHDOG=1 is heard', () => heard().includes('WATCHDOG=1'));
				const [{ pid }] = (await limpet.status()).workers;
				assert.doesNotMatch(fs.readFileSync(`/proc/${pid}/environ`, 'latin1'), /NOTIFY_SOCKET|WATCHDOG/);
				assert.ok(!heard().includes('STOPPING=1'));
				process.kill(limpet.pid, 'SIGTERM');
				await eventually('STOPPING=1 is heard', () => heard().includes('STOPPING=1'));
			})(t);
	});
