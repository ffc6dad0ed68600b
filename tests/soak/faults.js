'use strict';
/**
 * Does what the schedule says. Every fault ends by itself, or when all must.
 */
const { execFile } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { setTimeout: pause } = require('node:timers/promises');
const proc = require('../e2e/proc');
const { now } = require('./connection');

const POLICY = 'soak.lua';

const hook = (body) => `return {
  on_request = function(conn, workers)
    ${body}
  end,
}
`;

/** A policy that works: no opinion of sessions, and one of its own of the others. Each version is another text. */
const good = (version) => `--- Version ${version}.\n` + hook([
	'return nil',
	'return not conn.sid and conn.path and conn.path:find("/?id=", 1, true) and workers:random() or nil',
	'return not conn.sid and workers:next() or nil',
][version % 3]);

/** Policies that do not: of which some are refused at once, some only on trial, and some when it is too late. */
const BROKEN = {
	syntax: hook('return workers['),
	raises: 'error("not today")\n',
	loops: hook('while true do end'),
	fails: hook('return nil + 1'),
	late: `local calls = 0\n${hook('calls = calls + 1 if calls > 400 then error("late") end return nil')}`,
	half: good(1).slice(0, 60),
};

const CONTROL_MANNERS = {
	bytes: (socket) => socket.end(crypto.randomBytes(300)),
	line: (socket) => socket.end(`${crypto.randomBytes(20).toString('hex')}\n`),
	long: (socket) => socket.end('a'.repeat(100_000)),
	silent: (socket, forMs) => setTimeout(() => socket.destroy(), forMs),
	leaves: (socket) => socket.write('status\n', () => socket.destroy()),
};

/** Set a process's RLIMIT_NOFILE. One that has just been killed has none, so nothing is said of a failure. */
function limitFiles(pid, soft, hard) {
	return new Promise((resolve) => execFile('prlimit', ['--pid', String(pid), `--nofile=${soft}:${hard}`], resolve));
}

class Faults {
	#limpet;
	#watch;
	#clients;
	#workers;
	#ledgers;
	#version = 0;
	#running = new Set();
	#starving = new Set();
	/** How many of each kind were done. */
	done = {};

	/** @param clients  {plain, rude}, whose numbers some faults swell. @param ledgers  The workers' folder. */
	constructor(limpet, watch, clients, workers, ledgers) {
		this.#ledgers = ledgers;
		this.#limpet = limpet;
		this.#watch = watch;
		this.#clients = clients;
		this.#workers = workers;
	}

	/** The policy to begin with: {name: text}. */
	static files() {
		return { [POLICY]: good(0) };
	}

	/** All of them, in time; resolves when the last one has ended. */
	async run(schedule) {
		const began = now();
		for (const fault of schedule) {
			await pause(Math.max(0, began + fault.atMs - now()));
			this.#watch.storm(fault.forMs);
			this.done[fault.kind] = (this.done[fault.kind] ?? 0) + 1;
			const running = this[fault.kind](fault)
				.catch((error) => this.#watch.complaints.push(`${JSON.stringify(fault)}: ${error.stack}`))
				.finally(() => this.#running.delete(running));
			this.#running.add(running);
		}
		while (this.#running.size)
			await Promise.all(this.#running);
	}

	/** The ready worker with this id, or the next one that is. */
	#readyFrom(id) {
		const ids = Array.from({ length: this.#workers }, (_, i) => 1 + ((id - 1 + i) % this.#workers));
		return ids.find((each) => this.#watch.ready.has(each));
	}

	async kill({ worker, howMany }) {
		for (let i = 0; i < howMany; i++) {
			const id = this.#readyFrom(worker);
			if (id)
				this.#watch.kill(id);
		}
	}

	async stop({ worker, forMs, end }) {
		const id = this.#readyFrom(worker);
		const pid = this.#watch.ready.get(id);
		if (!pid || this.#watch.stopped.has(pid))
			return;
		this.#watch.stopped.add(pid);
		process.kill(pid, 'SIGSTOP');
		await pause(forMs);
		if (this.#watch.ready.get(id) !== pid)
			return; // Killed in the meantime.
		if (end === 'SIGKILL') {
			this.#watch.kill(id);
		} else {
			process.kill(pid, 'SIGCONT');
			this.#watch.stopped.delete(pid);
		}
	}

	#reload(text) {
		this.#limpet.write(POLICY, text);
		this.#limpet.signal('SIGHUP');
	}

	async reload({ how, signals, forMs }) {
		if (how === 'storm') {
			for (let i = 0; i < signals; i++) {
				this.#reload(good(++this.#version));
				await pause(1);
			}
		} else if (how !== 'good') {
			if (how === 'half')
				fs.writeFileSync(path.join(this.#limpet.folder, POLICY), BROKEN.half);
			this.#reload(BROKEN[how]);
			await pause(forMs);
		}
		this.#reload(good(++this.#version));
	}

	/** Lower a process's limit of open files for a while; one at a time, for each puts back what it found. */
	async #starve(pid, files, forMs) {
		if (this.#starving.has(pid))
			return;
		this.#starving.add(pid);
		const [soft, hard] = proc.fileLimits(pid);
		await limitFiles(pid, files, hard);
		await pause(forMs);
		if (!this.#watch.dying.has(pid))
			await limitFiles(pid, soft, hard);
		this.#starving.delete(pid);
	}

	async starve({ spare, forMs }) {
		const { pid } = this.#limpet;
		await this.#starve(pid, proc.nextDescriptor(pid) + spare, forMs);
	}

	/** Whether a worker has loaded all that it needs: one that could not would end by itself. */
	#works(pid) {
		try {
			return fs.statSync(path.join(this.#ledgers, String(pid))).size > 0;
		} catch {
			return false;
		}
	}

	async crowd({ worker, forMs }) {
		const pid = this.#watch.ready.get(this.#readyFrom(worker));
		if (pid && this.#works(pid))
			await this.#starve(pid, 3, forMs);
	}

	async burst({ requests }) {
		await Promise.all(Array.from({ length: requests }, () => this.#clients.plain.one()));
	}

	async flood({ connections, forMs }) {
		await this.#clients.rude.flood(connections, forMs);
	}

	async control({ what, forMs }) {
		const manners = what === 'many' ? Array(40).fill('silent') : [what];
		await Promise.all(manners.map((manner) => new Promise((resolve) => {
			const socket = net.connect({ path: path.join(this.#limpet.folder, 'control') });
			socket.on('connect', () => CONTROL_MANNERS[manner](socket, forMs));
			socket.on('data', () => {});
			socket.on('error', () => {});
			socket.on('close', resolve);
		})));
	}
}

module.exports = { Faults };
