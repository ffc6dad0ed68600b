'use strict';
/**
 * Preloaded into the primary half of sticky-session's own tests: in place of the package's lib/sticky/master.js, the
 * file that its primary is, one that starts limpet. The worker half is the test's, and runs in limpet's workers as it is:
 *
 *     node --require ./shim.js node_modules/sticky-session/test/X-test.js
 *
 * The tests send their first request at once, for a Node primary listens as soon as listen() has returned: so this waits,
 * blocking, until limpet's log says that it listens. What a worker tells its primary, limpet keeps to itself; tap.js in the
 * worker writes it down, for the test that looks for a message of a worker.
 */
const cluster = require('node:cluster');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { EventEmitter } = require('node:events');
const { PATIENCE_MS, share } = require('../e2e/patience');

const PAUSE_MS = 5;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-shim-'));
const log = path.join(folder, 'log');
const told = path.join(folder, 'told');

function pause(ms) {
	Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

class Limpet extends EventEmitter {
	constructor(workers, env) {
		super();
		this.workers = workers;
		this.env = env;
	}

	listen(port) {
		const output = fs.openSync(log, 'a');
		const child = spawn(process.env.LIMPET, [
			'run', '--listen', `127.0.0.1:${port}`, '--workers', String(this.workers), '--drain-timeout', '1s',
			'--dialect', 'sticky-session', '--policy', 'ip_hash', '--',
			process.execPath, '--require', require.resolve('./tap'), process.argv[1],
		], { env: { ...process.env, ...this.env, LIMPET_TOLD: told }, stdio: ['ignore', output, output] });
		process.on('exit', () => {
			child.kill('SIGKILL'); // Its workers end with it.
			process.stderr.write(fs.readFileSync(log));
			fs.rmSync(folder, { recursive: true });
		});
		for (let waited = 0; !/^\S+ info limpet: listening on /m.test(fs.readFileSync(log, 'utf8')); waited += PAUSE_MS * share()) {
			if (waited > PATIENCE_MS)
				throw new Error('limpet does not listen');
			pause(PAUSE_MS);
		}
		for (let id = 1; id <= this.workers; id++)
			cluster.workers[id] = new EventEmitter();
		setInterval(() => this.#tell(), PAUSE_MS);
		setImmediate(() => this.emit('listening'));
	}

	/** Emit what the workers have told their primary since the last time. */
	#tell() {
		const lines = fs.existsSync(told) ? fs.readFileSync(told, 'utf8').split('\n').slice(0, -1) : [];
		for (const line of lines.slice(this.heard)) {
			const { worker, message } = JSON.parse(line);
			cluster.workers[worker]?.emit('message', message);
		}
		this.heard = lines.length;
	}
}

const file = path.join(path.dirname(require.resolve('sticky-session')), 'sticky', 'master.js');
require.cache[file] = { id: file, filename: file, loaded: true, exports: Limpet };
