'use strict';
/**
 * A stranger: another user of the same machine, who may start processes, and nothing else.
 *
 *     const stranger = new Stranger(PROGRAM, 'word');
 *     await stranger.said(/ready/);
 *     stranger.tell('go on');
 *     await stranger.end();
 */
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const { within } = require('../e2e/patience');

/** Who that is: nobody, on most systems, and nobody's program. */
const UID = 65534;

/** For tests that need one: only root can be somebody else. */
const needsRoot = { skip: process.getuid() !== 0 && 'only root can become another user' };

/** What makes a command the stranger's. */
const AS_STRANGER = ['setpriv', '--reuid', String(UID), '--regid', String(UID), '--clear-groups'];

class Stranger {
	lines = [];
	#listeners = new Set();

	/** Run a Python program; its words are sys.argv[1:]. under: a command that runs it; leader: it leads a session. */
	constructor(program, words = [], { env = {}, under = [], leader = false } = {}) {
		const [command, ...rest] = [...AS_STRANGER, ...under, '/usr/bin/python3', '-c', program, ...words.map(String)];
		this.process = spawn(command, rest, { cwd: '/', env: { PATH: process.env.PATH, ...env }, stdio: ['pipe', 'pipe', 'inherit'], detached: leader });
		this.pid = this.process.pid;
		this.ended = once(this.process, 'close');
		this.process.stdin.on('error', () => {}); // It may have ended.
		let text = '';
		this.process.stdout.setEncoding('utf8').on('data', (more) => {
			const lines = (text + more).split('\n');
			text = lines.pop();
			this.lines.push(...lines);
			this.#listeners.forEach((listener) => listener());
		});
	}

	/** Wait for a line that matches. */
	async said(pattern) {
		let listener;
		const line = new Promise((resolve) => {
			listener = () => {
				const found = this.lines.map((text) => pattern.exec(text)).find(Boolean);
				if (found)
					resolve(found);
			};
			this.#listeners.add(listener);
			listener();
		});
		const end = this.ended.then(() => {
			throw new Error(`the stranger ended before it said ${pattern}: ${this.lines}`);
		});
		try {
			return await within(`the stranger says ${pattern}`, Promise.race([line, end]));
		} finally {
			this.#listeners.delete(listener);
		}
	}

	/** Send it a line. */
	tell(line) {
		this.process.stdin.write(`${line}\n`);
	}

	/** Kill it, and wait for its end. */
	async end() {
		this.process.kill('SIGKILL');
		await this.ended;
	}
}

/** Do something while a stranger is there; it ends with that, whatever happens. */
async function withStranger(stranger, body) {
	try {
		return await body(stranger);
	} finally {
		await stranger.end();
	}
}

/** What a stranger's shell command prints; throws when it fails. */
function asStranger(command) {
	const [setpriv, ...words] = [...AS_STRANGER, 'sh', '-c', command];
	return execFileSync(setpriv, words, { cwd: '/', encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

module.exports = { AS_STRANGER, Stranger, UID, asStranger, needsRoot, withStranger };
