'use strict';
/**
 * Real Socket.IO clients, a session after the other: each talks to its worker for a while, checks that every word comes
 * back and that it is the same worker who says it, and leaves. A session's id begins with its worker's pid, so a client
 * knows whose it is from its handshake on. What ends otherwise goes to the court.
 */
const http = require('node:http');
const net = require('node:net');
const { setTimeout: pause } = require('node:timers/promises');
const { createRequire } = require('node:module');
const path = require('node:path');
const { io } = createRequire(path.join(__dirname, '../e2e/package.json'))('socket.io-client');
const { within } = require('../e2e/patience');
const { now } = require('./connection');
const { between } = require('./schedule');

const KINDS = {
	'polling, then websocket': { transports: ['polling', 'websocket'] },
	polling: { transports: ['polling'] },
	websocket: { transports: ['websocket'] },
};

const TALK_MS = [200, 800];
const LIFE_MS = [1000, 15_000];

const pidOf = (sid) => parseInt(sid.slice(0, 6), 36);

/** All words that an Engine.IO error has to say: its own, and those of the socket below it. */
function wordsOf(error) {
	const { message, description, context } = error ?? {};
	const below = description?.message ?? description?.error?.message ?? context?.responseText ?? '';
	return [message ?? error, description?.code ?? '', String(below).split('\n')[0]].filter(Boolean).join(': ');
}

/** Connections as ever, each of them new, but one knows the port that the last one came from. */
class WatchedAgent extends http.Agent {
	port;

	createConnection(options, connected) {
		const socket = net.createConnection(options, connected);
		socket.on('connect', () => (this.port = socket.localPort));
		return socket;
	}
}

class SessionClients {
	#address;
	#random;
	#court;
	#going = true;
	#all = [];
	#number = 0;
	/** Sessions that ended because their client left, and words that came back. */
	finished = 0;
	echoes = 0;

	constructor(address, random, court) {
		this.#address = address;
		this.#random = random;
		this.#court = court;
	}

	/** How many clients of each kind there are at a time. */
	start(each) {
		const again = async (kind) => {
			while (this.#going)
				await this.#session(kind);
		};
		for (const kind of Object.keys(KINDS))
			for (let i = 0; i < each; i++)
				this.#all.push(again(kind));
	}

	async stop() {
		this.#going = false;
		await Promise.all(this.#all);
	}

	async #session(kind) {
		const id = `session-${++this.#number}`;
		const began = now();
		const agent = new WatchedAgent();
		const socket = io(`http://${this.#address}`,
			{ ...KINDS[kind], agent, forceNew: true, reconnection: false, timeout: false, query: { id } });
		let pid;
		socket.io.on('open', () => (pid = pidOf(socket.io.engine.id)));
		const ended = new Promise((resolve) => {
			socket.on('connect_error', (error) => resolve(wordsOf(error)));
			socket.on('disconnect', (reason, details) => resolve(`${reason}: ${wordsOf(details)}`));
		});
		const failure = await Promise.race([ended, this.#talk(socket, () => pid)]);
		socket.disconnect();
		const how = /socket hang up/.test(failure) ? 'eof' : 'other';
		if (failure)
			this.#court.broken({ id, kind, pid, words: failure, how, port: agent.port, began, ended: now() });
		else
			this.finished++;
	}

	/** Talk to the end of a life. @returns {Promise<string | undefined>} What went wrong. */
	async #talk(socket, pid) {
		await new Promise((resolve) => socket.on('connect', resolve));
		const leavesAt = now() + between(this.#random, ...LIFE_MS);
		for (let i = 0; this.#going && now() < leavesAt && socket.connected; i++) {
			const word = `${i} of ${socket.id}`;
			let by, back;
			try {
				const answer = new Promise((resolve) => socket.emit('echo', word, (...answer) => resolve(answer)));
				[by, back] = await within('an answer', answer);
			} catch (error) {
				return `an echo did not come: ${error.message}`;
			}
			if (by !== pid() || back !== word)
				return `worker ${by} of another session said "${back}" to "${word}"`;
			this.echoes++;
			await pause(between(this.#random, ...TALK_MS));
		}
		return undefined;
	}
}

module.exports = { SessionClients };
