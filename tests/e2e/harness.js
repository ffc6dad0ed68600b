'use strict';
/**
 * The real limpet, with real workers, for the length of one test.
 *
 *     test('a request is answered by a worker', run('--workers 2 --dialect cluster -- node workers/answer.js',
 *         async (limpet) => {
 *             assert.equal((await limpet.get('/')).status, 200);
 *         }));
 *
 * Each limpet works in a fresh folder, with the test's own files, a link to our workers and the control socket in it.
 * It listens on a port that the kernel chose. The test's body begins when limpet's log says that it listens and that
 * every worker is ready; nothing here sleeps until something may have happened.
 *
 * Behind every test limpet is told to stop (SIGTERM), and then these must hold, whatever the test was about: exit
 * status 0; every connection accounted for; no process left; no word from a sanitizer. When anything fails, the log is
 * shown.
 *
 * The program under test is $LIMPET, by default build/limpet.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { io } = require('socket.io-client');
const clients = require('./clients');
const { startLoad } = require('./load');
const { PATIENCE_MS, deadline, eventually, within } = require('./patience');
const proc = require('./proc');

const BINARY = path.resolve(process.env.LIMPET ?? path.join(__dirname, '../../build/limpet'));

/** Marks a test's processes, so that those that are left over can be found. */
const MARK = 'LIMPET_E2E';

/** The longest that a whole test goes on while limpet and its workers say nothing, on a quiet machine. */
const BODY_PATIENCE_MS = 6 * PATIENCE_MS;

/** The longest that limpet has run before a test's body begins that does not wait for it. */
const START_MS = 1000;

/** How many lines of a log are worth showing. */
const SHOWN_LINES = 150;

/** Whether the program was built with AddressSanitizer, whose quarantine makes resident memory meaningless. */
const sanitized = fs.existsSync(BINARY) && fs.readFileSync(BINARY).includes('__asan_init');

/** What is added to a command line that does not say it. */
const DEFAULTS = { '--listen': '127.0.0.1:0', '--control': './control', '--drain-timeout': '500ms' };

/** What stands for the dialect `cluster` in tests: $LIMPET_E2E_DIALECT, to run those of Node workers in another. */
const DIALECT = process.env.LIMPET_E2E_DIALECT ?? 'cluster';

function complete(command, without) {
	const words = command.trim().replace('--dialect cluster ', `--dialect ${DIALECT} `).split(/\s+/);
	const missing = Object.entries(DEFAULTS).filter(([name]) => !words.includes(name) && !without.includes(name)).flat();
	return ['run', ...missing, ...words];
}

/** Every connection that was accepted is in exactly one place. */
function assertAllCounted(counts) {
	const { accepted, handed_over, refused, closed_early, waiting, acknowledged, in_flight, moved } = counts;
	const text = JSON.stringify(counts);
	assert.equal(accepted, handed_over + refused + closed_early + waiting, text);
	assert.equal(handed_over, acknowledged + in_flight + moved, text);
}

/** What a line of the log begins with. */
const STAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info|debug) (?=limpet: )/;

class Limpet {
	/** Every line that limpet and its workers wrote, as `raw` and without limpet's time and level. */
	raw = [];
	lines = [];
	/** The lines on standard output alone. */
	output = [];
	/** Where it listens, in the order of --listen. */
	addresses = [];
	#listeners = new Set();
	#sockets = new Set();
	#clients = [];
	#loads = [];
	#ended;
	#stopping;
	#killed = false;
	#orphaned = false;

	constructor(command, { files = {}, env = {}, mode = 0o700, under = [], silent = false, without = [],
		prepare = () => {} }) {
		this.words = complete(command, without);
		this.silent = silent;
		this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-'));
		fs.symlinkSync(path.join(__dirname, 'workers'), path.join(this.folder, 'workers'));
		for (const [name, text] of Object.entries(files))
			this.write(name, text);
		fs.chmodSync(this.folder, mode);
		prepare(this.folder);
		this.under = under;
		this.env = { ...process.env, ...env, [MARK]: this.folder };
		this.#start();
	}

	#start() {
		const [program, ...words] = [...this.under, BINARY, ...this.words];
		const stdio = ['ignore', 'pipe', 'pipe'];
		this.process = spawn(program, words, { cwd: this.folder, env: this.env, stdio });
		this.pid = this.process.pid;
		this.#ended = once(this.process, 'close').then(([status, signal]) => ({ status, signal }));
		this.#read(this.process.stdout, [this.lines, this.output]);
		this.#read(this.process.stderr, [this.lines]);
	}

	#read(stream, into) {
		let rest = '';
		stream.setEncoding('utf8').on('data', (text) => {
			const lines = (rest + text).split('\n');
			rest = lines.pop();
			for (const whole of lines) {
				const line = whole.replace(STAMP, '');
				this.raw.push(whole);
				into.forEach((list) => list.push(line));
				const address = /^limpet: listening on (\S+)$/.exec(line)?.[1];
				if (address)
					this.addresses.push(address.replace(/^unix:(?!\/)/, `unix:${this.folder}/`));
			}
			this.#listeners.forEach((listener) => listener());
		});
	}

	/** Wait until `found` answers something with the lines that have come; a failure says `what` was waited for. */
	async #until(what, found, patienceMs) {
		let listener;
		let end;
		try {
			return await new Promise((resolve, reject) => {
				const fail = (why) => reject(new Error(`${why} before ${what}`));
				end = deadline(() => fail('nothing advanced any more'), patienceMs);
				listener = () => {
					end.advanced();
					const result = found();
					if (result)
						resolve(result);
				};
				this.#listeners.add(listener);
				listener();
				this.#ended.then(({ status, signal }) => fail(`limpet ended with ${signal ?? status}`));
			});
		} finally {
			this.#listeners.delete(listener);
			end.cancel();
		}
	}

	/** Where the log ends now: what comes from here on is news to `said`. */
	get now() {
		return this.lines.length;
	}

	/** The first line, from `since` on, that matches; waits for it. */
	said(pattern, since = 0, patienceMs = undefined) {
		const found = () => this.lines.slice(since).map((line) => pattern.exec(line)).find(Boolean);
		return this.#until(`a line came like ${pattern}`, found, patienceMs);
	}

	/** Wait until there are `count` matching lines, from `since` on. */
	saidTimes(count, pattern, since = 0, patienceMs = undefined) {
		const enough = () => this.lines.slice(since).filter((line) => pattern.test(line)).length >= count;
		return this.#until(`${count} lines came like ${pattern}`, enough, patienceMs);
	}

	/** Wait until it listens everywhere, and at least as many workers are ready as --workers says. */
	ready() {
		const listeners = this.words.filter((word) => word === '--listen').length;
		const workers = Number(this.words[this.words.indexOf('--workers') + 1]);
		return this.#until('it was ready', () => {
			const lines = this.lines.filter((line) => /^limpet: worker \d+ is ready/.test(line));
			const ready = new Set(lines.map((line) => line.split(' ')[2]));
			return this.addresses.length === listeners && ready.size >= workers;
		});
	}

	get address() {
		return this.addresses[0];
	}

	/** Put a file into limpet's folder, the whole of it at once. */
	write(name, text) {
		const file = path.join(this.folder, name);
		fs.writeFileSync(`${file}.new`, text);
		fs.renameSync(`${file}.new`, file);
	}

	remove(name) {
		fs.unlinkSync(path.join(this.folder, name));
	}

	read(name) {
		return fs.readFileSync(path.join(this.folder, name), 'utf8');
	}

	/** Ask the control socket. */
	async status() {
		const socket = await clients.connect(`unix:${this.folder}/control`);
		const answer = clients.receiveAll(socket);
		socket.write('status\n');
		return JSON.parse((await answer).text);
	}

	/** What status counts; every connection is in it, whenever it is asked. */
	async counts() {
		const { counts } = await this.status();
		assertAllCounted(counts);
		return counts;
	}

	async worker(id) {
		return (await this.status()).workers.find((worker) => worker.id === id) ?? {};
	}

	signal(name) {
		assert.ok(this.process.kill(name), `limpet is gone and cannot get ${name}`);
	}

	/** A raw connection; one that the test leaves open is closed behind it. */
	async connect(address = this.address, options = {}) {
		const socket = await clients.connect(address, options);
		this.#sockets.add(socket);
		return socket;
	}

	exchange(bytes, address = this.address) {
		return clients.exchange(address, bytes);
	}

	/** An HTTP request on a connection of its own; options as clients.request takes them. */
	get(target, options) {
		return clients.request(options?.address ?? this.address, target, options);
	}

	/** A Socket.IO client; options as socket.io-client takes them, and the address of a proxy. It, too, is closed behind the test. */
	socket({ address = this.address, ...options } = {}) {
		const client = io(`http://${address}`, { forceNew: true, reconnection: false, timeout: false, ...options });
		this.#clients.push(client);
		return client;
	}

	/** A client that the test has closed itself. */
	forget(client) {
		this.#clients.splice(this.#clients.indexOf(client), 1);
	}

	/** Load, as load.js makes it; its end at the latest is the test's. */
	startLoad(clientCount) {
		const load = startLoad(this.address, clientCount);
		this.#loads.push(load);
		return load;
	}

	/**
	 * End it with SIGKILL, and run another in its place, at the same addresses; its workers, if they live on, are there.
	 * `between` runs while there is none.
	 */
	async killAndRestart({ between = () => {} } = {}) {
		const { addresses: [...addresses], process: killed, now } = this;
		killed.kill('SIGKILL');
		await once(killed, 'exit');
		this.#orphaned = true;
		this.words = this.words.map((word, i) => {
			const address = this.words[i - 1] === '--listen' && addresses.shift();
			return address && !address.startsWith('unix:') ? address : word;
		});
		const count = this.addresses.length;
		this.addresses.length = 0;
		await between();
		this.#start();
		await this.saidTimes(count, /^limpet: listening on/, now);
	}

	/** Call `advanced` with every line that comes. */
	follow(advanced) {
		this.#listeners.add(advanced);
	}

	/** Resolves to {status, signal}. */
	ended() {
		return within('limpet ends', this.#ended, { follow: (advanced) => this.follow(advanced) });
	}

	/** Its clients, all that are left, close their connections. */
	async #leave() {
		this.#sockets.forEach((socket) => socket.destroy());
		this.#clients.forEach((client) => client.close());
		await Promise.all(this.#loads.map((load) => load.stop()));
	}

	/** Stop it (once), and check what must hold behind every test. */
	stop(signal = 'SIGTERM') {
		this.#stopping ??= this.#stop(signal);
		return this.#stopping;
	}

	/** End it as a crash would. Its workers live on, and behind the test they must have ended by themselves. */
	async kill() {
		const gone = once(this.process, 'exit');
		this.signal('SIGKILL');
		await gone;
		this.#killed = true;
	}

	async #stop(signal) {
		await this.#leave();
		if (this.#killed)
			return eventually('every process has ended', () => !proc.withVariable(MARK, this.folder).length);
		if (this.process.exitCode === null)
			this.signal(signal);
		assert.deepEqual(await this.ended(), { status: 0, signal: null }, 'limpet ends with status 0');
		if (!this.silent)
			this.#assertNothingLost();
		if (this.#orphaned) /* The workers of the one that was killed end by themselves, in their own time. */
			return eventually('every process has ended', () => !proc.withVariable(MARK, this.folder).length);
		assert.deepEqual(proc.withVariable(MARK, this.folder), [], 'every process has ended');
	}

	#assertNothingLost() {
		const summary = this.lines.findLast((line) => line.startsWith('limpet: stopped: '));
		assert.ok(summary, 'the log ends with a summary');
		const counts = Object.fromEntries([...summary.matchAll(/(\w+)=(\d+)/g)].map(([, name, n]) => [name, +n]));
		assertAllCounted(counts);
		assert.equal(counts.waiting + counts.in_flight, 0, summary);
	}

	assertClean() {
		const complaints = this.lines.filter((line) => /Sanitizer|runtime error:/.test(line));
		assert.deepEqual(complaints, [], 'the sanitizers are silent');
	}

	showLog(title) {
		const hidden = Math.max(0, this.raw.length - SHOWN_LINES);
		const lines = [`--- log of "${title}"${hidden ? `, without its first ${hidden} lines` : ''}`];
		process.stderr.write([...lines, ...this.raw.slice(hidden), '---', ''].join('\n'));
	}

	/** After a failure, too, nothing may stay. */
	async destroy() {
		await this.#leave();
		const left = proc.withVariable(MARK, this.folder);
		left.forEach((pid) => process.kill(pid, 'SIGKILL'));
		await this.#ended;
		fs.rmSync(this.folder, { recursive: true, force: true });
	}
}

/**
 * A test's body, with a limpet around it.
 *
 * @param {string} command   Behind `limpet run`; split at blanks. What it leaves out of DEFAULTS is added.
 * @param {object} settings  files: {name: text} for its folder; mode: the folder's; env: for limpet and its workers;
 *                           ready: false, not to wait for the workers; under: the words of a program that becomes limpet,
 *                           such as prlimit; silent: its log cannot be read, so that its counts are the body's to look
 *                           at; prepare: called with the folder before limpet starts; without: flags that DEFAULTS
 *                           would add. May be left out.
 * @param {(limpet: Limpet, t: object) => Promise<void>} body
 */
function run(command, settings, body = settings) {
	return async (t) => {
		const limpet = new Limpet(command, settings);
		try {
			if (settings.ready !== false)
				await limpet.ready();
			const follow = (advanced) => limpet.follow(advanced);
			await within('the test is over', body(limpet, t), { patienceMs: BODY_PATIENCE_MS, renewals: Infinity, follow });
			await limpet.stop();
			limpet.assertClean();
		} catch (error) {
			limpet.showLog(t.name);
			throw error;
		} finally {
			await limpet.destroy();
		}
	};
}

/** Run a limpet that ends by itself: {status, output, log}. The command is everything after `limpet`. */
async function runToItsEnd(command, env = {}) {
	const child = spawn(BINARY, command.trim().split(/\s+/),
		{ cwd: __dirname, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
	const end = deadline(() => child.kill('SIGKILL'));
	const [output, log] = await Promise.all([child.stdout.toArray(), child.stderr.toArray(), once(child, 'close')]);
	end.cancel();
	const lines = Buffer.concat(log).toString().split('\n').map((line) => line.replace(STAMP, ''));
	return { status: child.exitCode, output: Buffer.concat(output).toString(), log: lines.join('\n') };
}

/**
 * How often a worker that ends as soon as it starts can have been started since limpet was, `ms` ago: pauses of 100 ms, each twice
 * the one before, and all a fifth shorter at the least.
 */
function mostStarts(ms) {
	return 1 + Math.floor(Math.log2((ms + START_MS) / 80 + 1));
}

module.exports = { BINARY, DIALECT, eventually, mostStarts, run, runToItsEnd, sanitized };
