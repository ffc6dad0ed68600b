'use strict';
/**
 * The same workers under either primary, for the length of one test: "theirs", the package's own in a Node process, or
 * "ours", limpet. What a suite does with them is the same; $PRIMARY says which it is this time.
 *
 *     test('…', app({ workers: 3, worker: ['sticky.js'], ours: '--dialect socket.io-sticky --policy sid' },
 *         async (app) => { await app.on(1, 'count'); … app.address … }));
 *
 * A worker (workers/steered.js) offers actions to the test on a port of its own, past the primary, and says on standard
 * output where. A body begins when the app listens and every worker has said so.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { io } = require('socket.io-client');
const { connected, request } = require('../e2e/clients');
const { PATIENCE_MS, deadline, eventually, within } = require('../e2e/patience');
const proc = require('../e2e/proc');

const LIMPET = path.resolve(process.env.LIMPET ?? path.join(__dirname, '../../build/limpet'));
const PRIMARY = process.env.PRIMARY ?? 'ours';

/** Of plain cluster workers: $LIMPET_E2E_DIALECT, as in ../e2e/harness.js. */
const DIALECT = process.env.LIMPET_E2E_DIALECT ?? 'cluster';

/** Marks a test's processes, so that those that are left over can be found. */
const MARK = 'LIMPET_COMPAT';

/** The longest that a test's body goes on while no process says anything: what a primary never answers fails there. */
const BODY_PATIENCE_MS = 2 * PATIENCE_MS;

class App {
	/** Every line that primary and workers wrote. */
	lines = [];
	/** The workers that can be asked: id → {pid, port}, the latest process of each id. */
	steered = new Map();
	#clients = [];
	/** What is called with every line that comes. */
	advanced = () => {};

	constructor({ workers, worker: [worker, ...args], ours, theirs = [], node = process.execPath }) {
		const script = [path.join(__dirname, 'workers', worker), ...args];
		const command = PRIMARY === 'ours' ?
			[LIMPET, 'run', '--listen', '127.0.0.1:0', '--drain-timeout', '1s', '--workers', String(workers),
				...ours.replace('--dialect cluster', `--dialect ${DIALECT}`).split(/\s+/), '--', node, ...script] :
			[node, path.join(__dirname, 'node_primary.js'), String(workers), ...theirs, '--', ...script];
		this.workers = workers;
		this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-compat-'));
		this.process = spawn(command[0], command.slice(1), {
			cwd: this.folder,
			env: { ...process.env, [MARK]: this.folder },
			stdio: ['ignore', 'pipe', 'pipe'],
		});
		this.exited = once(this.process, 'exit');
		for (const stream of [this.process.stdout, this.process.stderr])
			this.#read(stream);
	}

	#read(stream) {
		let rest = '';
		stream.setEncoding('utf8').on('data', (text) => {
			const lines = (rest + text).split('\n');
			rest = lines.pop();
			lines.forEach((line) => this.#hear(line));
		});
	}

	#hear(line) {
		this.lines.push(line);
		this.advanced();
		this.address ??= /^(?:\S+ info limpet|primary): listening on (\S+)$/.exec(line)?.[1];
		const [, id, pid, port] = /^worker (\d+), pid (\d+), is steered at (\d+)$/.exec(line) ?? [];
		if (id)
			this.steered.set(Number(id), { pid: Number(pid), port });
	}

	async ready() {
		await eventually('it listens and its workers are ready', () => {
			if (this.process.exitCode !== null)
				throw new Error(`it ended with ${this.process.exitCode}`);
			return this.address && this.steered.size >= this.workers;
		});
	}

	get ids() {
		return [...this.steered.keys()].sort((a, b) => a - b);
	}

	/** Run an action of a worker, and resolve to what it answers. */
	async on(id, action, ...args) {
		const { port } = this.steered.get(id);
		const body = JSON.stringify(args);
		const { status, text } = await request(`127.0.0.1:${port}`, `/${action}`, { method: 'POST', body });
		if (status !== 200)
			throw new Error(`worker ${id}, ${action}: ${text}`);
		return text ? JSON.parse(text) : undefined;
	}

	/** The same action in every worker, at once: what each answers, in the order of ids. */
	onAll(action, ...args) {
		return Promise.all(this.ids.map((id) => this.on(id, action, ...args)));
	}

	kill(id) {
		process.kill(this.steered.get(id).pid, 'SIGKILL');
	}

	/**
	 * A connected Socket.IO client, closed behind the test; `worker` is the id that served it, `received` what it got.
	 */
	async client(options = {}) {
		const client = io(`http://${this.address}`, { forceNew: true, reconnection: false, timeout: false, ...options });
		this.#clients.push(client);
		client.received = [];
		client.onAny((name, ...args) => client.received.push([name, ...args]));
		const greeting = once(client, 'worker');
		await connected(client);
		[client.worker] = await greeting;
		return client;
	}

	async stop() {
		this.#clients.forEach((client) => client.close());
		if (this.process.exitCode === null && this.process.signalCode === null)
			this.process.kill('SIGTERM');
		const end = deadline(() => this.process.kill('SIGKILL'));
		this.advanced = () => end.advanced();
		const ending = await this.exited;
		end.cancel();
		const left = proc.withVariable(MARK, this.folder);
		left.forEach((pid) => process.kill(pid, 'SIGKILL'));
		fs.rmSync(this.folder, { recursive: true, force: true });
		if (PRIMARY === 'ours')
			assert.deepEqual([ending, left], [[0, null], []], 'limpet ends with status 0, and leaves no process');
	}
}

/** A test's body with an app around it; settings as App takes them. */
function app(settings, body) {
	return async (t) => {
		const running = new App(settings);
		const follow = (advanced) => (running.advanced = advanced);
		try {
			await running.ready();
			await within('the test is over', body(running, t), { patienceMs: BODY_PATIENCE_MS, follow });
		} catch (error) {
			process.stderr.write([`--- log of "${t.name}", ${PRIMARY}`, ...running.lines.slice(-80), '---', ''].join('\n'));
			throw error;
		} finally {
			await running.stop();
		}
	};
}

module.exports = { app, eventually };
