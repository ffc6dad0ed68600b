'use strict';
/**
 * Clients of servers that know nothing of limpet: real Socket.IO clients, and requests that stay on their connection.
 */
const assert = require('node:assert/strict');
const http = require('node:http');
const { once } = require('node:events');
const test = require('node:test');
const { acknowledged, connected } = require('./clients');
const { run } = require('./harness');
const { within } = require('./patience');

/** What runs a command at limpet's port. */
const AT_PORT = 'workers/any_server/at_port';

/** Sessions of each transport. */
const SESSIONS = Number(process.env.LIMPET_E2E_SESSIONS ?? 24);

/** How many of them live at a time. */
const AT_A_TIME = 12;

/** How a Socket.IO client comes, by name. */
const TRANSPORTS = { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] };

/** How clients bring their requests: by name, an agent for all of them. */
const AGENTS = {
	'a connection for each request': () => new http.Agent({ keepAlive: false }),
	'kept connections that all sessions share': () => new http.Agent({ keepAlive: true }),
};

/** Begin a session. */
function begin(limpet, options) {
	return connected(limpet.socket(options));
}

/** End a session. */
function end(limpet, client) {
	client.close();
	limpet.forget(client);
}

/** Ask a few times which process has the session. It is always the same, or this throws. */
async function useSession(limpet, options) {
	const client = await begin(limpet, options);
	try {
		const pids = new Set();
		for (let number = 0; number < 4; number++) {
			const answer = await acknowledged(client, 'pid', number);
			assert.equal(answer.number, number);
			pids.add(answer.pid);
		}
		assert.equal(pids.size, 1);
		return [...pids][0];
	} finally {
		end(limpet, client);
	}
}

/**
 * Begin sessions, one after the other, until every process has one; they stay. In threads, python-socketio 5.7 loses one
 * of two that begin at the same time in a process that has none, be it its first or not, and also without limpet: an
 * empty bidict is copied when something is added, and what another thread adds meanwhile is gone from it.
 */
async function occupy(limpet, pids) {
	const clients = [];
	const occupied = new Set();
	while (occupied.size < pids.length) {
		assert.ok(clients.length < pids.length * 10, `only ${[...occupied]} of ${pids} get sessions`);
		const client = await begin(limpet, { transports: ['polling'] });
		clients.push(client);
		occupied.add((await acknowledged(client, 'pid', 0)).pid);
	}
	return clients;
}

/** Do something `count` times, a few at a time: what it gave, each once. */
async function many(count, action, atATime = AT_A_TIME) {
	const results = new Set();
	let left = count;
	const one = async () => {
		while (left-- > 0)
			results.add(await action());
	};
	await Promise.all(Array.from({ length: Math.min(count, atATime) }, one));
	return results;
}

/** The processes that a limpet has as workers now. */
async function workerPids(limpet) {
	return (await limpet.status()).workers.filter(({ usable }) => usable).map(({ pid }) => pid).sort();
}

/** Wait until so many processes have come, and see that so many are there. */
async function registered(limpet, came, present = came) {
	await limpet.saidTimes(came, /^limpet: worker \d+ is ready/);
	assert.equal((await workerPids(limpet)).length, present);
}

/**
 * Sessions by each transport reach the process that opened them, also through a proxy at an address. Resolves to those
 * processes.
 */
async function assertSessions(limpet, transports, sessions = SESSIONS, address = limpet.address) {
	const pids = await workerPids(limpet);
	const all = new Set();
	const staying = await occupy(limpet, pids);
	for (const transport of transports)
		for (const [name, makeAgent] of Object.entries(transport === 'polling' ? AGENTS : { websockets: () => undefined })) {
			const agent = makeAgent();
			const options = { transports: TRANSPORTS[transport], agent, address };
			const seen = await many(sessions, () => useSession(limpet, options)).catch((error) => {
				throw new Error(`${transport}, ${name}: ${error.message}`, { cause: error });
			});
			agent?.destroy();
			assert.deepEqual([...seen].filter((pid) => !pids.includes(pid)), [], `${transport}, ${name}`);
			seen.forEach((pid) => all.add(pid));
		}
	staying.forEach((client) => end(limpet, client));
	return [...all].sort();
}

/**
 * Clients of all workers, each an `adapted.js` with @socket.io/cluster-adapter: what one says all hear, and the sockets of all
 * are listed in each.
 */
async function assertAllHear(limpet, options, count = 9) {
	const clients = await Promise.all(Array.from({ length: count }, () => begin(limpet, options)));
	const pids = await Promise.all(clients.map((client) => acknowledged(client, 'pid', 0)));
	assert.deepEqual([...new Set(pids.map(({ pid }) => pid))].sort(), await workerPids(limpet), 'every worker has some');
	const heard = Promise.all(clients.map((client) => once(client, 'said')));
	clients[0].emit('say', 'hello');
	assert.deepEqual((await heard).map(([text]) => text), Array(count).fill('hello'));
	assert.deepEqual(await acknowledged(clients[1], 'who'), clients.map(({ id }) => id).sort());
	clients.forEach((client) => end(limpet, client));
}

/** Plain requests are answered. Resolves to the processes that did, as their answers say. */
async function assertRequests(limpet, requests = SESSIONS, path = '/') {
	const all = new Set();
	for (const makeAgent of Object.values(AGENTS)) {
		const agent = makeAgent();
		const seen = await many(requests, async () => {
			const { status, json } = await limpet.get(path, { agent });
			assert.equal(status, 200);
			return json.pid;
		});
		agent.destroy();
		seen.forEach((pid) => all.add(pid));
	}
	return [...all].sort();
}

/**
 * A test for each server: that each process is a worker, that sessions come back to theirs, and that all have some.
 *
 * @param {object} servers  By name: how many workers it is, its transports (none: it has no Socket.IO), what is run,
 *                          python-socketio's mode, how often it is run.
 */
function testServers(servers) {
	for (const [name, [workers, transports, command, mode = 'threading', programs = 1]] of Object.entries(servers))
		test(name, run(
			`--workers ${programs} --policy sid --dialect preload -- ${command}`,
			{ env: { ASYNC_MODE: mode } },
			async (limpet) => {
				await registered(limpet, workers);
				const served = transports.length
					? await assertSessions(limpet, transports)
					: await assertRequests(limpet);
				assert.deepEqual(served, await workerPids(limpet), 'every process has served');
			}));
}

/** Requests one behind the other on one connection. Each resolves to its answer's head and JSON. */
class KeptConnection {
	#rest = '';

	constructor(socket) {
		this.socket = socket;
		socket.setEncoding('latin1');
	}

	async #receive() {
		const chunk = this.socket.read();
		if (chunk !== null)
			this.#rest += chunk;
		else if (this.socket.readableEnded || this.socket.destroyed)
			throw new Error(`the connection ended behind "${this.#rest}"`);
		else
			await Promise.race([once(this.socket, 'readable'), once(this.socket, 'end'), once(this.socket, 'close')]);
	}

	answer() {
		return within('an answer on a kept connection', this.#answer());
	}

	async #answer() {
		for (;;) {
			const [, head, body] = /^([^]*?)\r\n\r\n([^]*)$/.exec(this.#rest) ?? [];
			const length = Number(/^content-length: *(\d+)/im.exec(head ?? '')?.[1]);
			if (head !== undefined && body.length >= length) {
				this.#rest = body.slice(length);
				const text = body.slice(0, length);
				return { head, text, json: text.startsWith('{') ? JSON.parse(text) : undefined };
			}
			await this.#receive();
		}
	}

	/** Something that has come; `take` is given all of it, and answers how much it takes, once it is enough. */
	#take(what, take) {
		return within(what, (async () => {
			for (;;) {
				const length = take(this.#rest);
				if (length > 0) {
					const taken = this.#rest.slice(0, length);
					this.#rest = this.#rest.slice(length);
					return taken;
				}
				await this.#receive();
			}
		})());
	}

	/** The next head alone: of a response that is none to a request, or has no body. */
	head() {
		return this.#take('a head on a kept connection', (text) => (text.includes('\r\n\r\n') ? text.indexOf('\r\n\r\n') + 4 : 0));
	}

	/** The next so many bytes. */
	bytes(count) {
		return this.#take(`${count} bytes on a kept connection`, (text) => (text.length >= count ? count : 0));
	}

	ask(path, headers = {}) {
		const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
		this.socket.write(`GET ${path} HTTP/1.1\r\nHost: limpet\r\n${lines.join('')}\r\n`);
		return this.answer();
	}
}

module.exports = { AT_PORT, KeptConnection, assertAllHear, assertRequests, assertSessions, many, registered, testServers, workerPids };
