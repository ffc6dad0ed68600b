'use strict';
/**
 * Fault 31 at every place: each allocation that limpet makes, for itself or in a library, fails once in its turn.
 *
 * An allocation is one path from main to it (allocations.c). A first run without failures tells which paths a scenario
 * has; then the scenario runs for each of them, with the first allocation on that path failing, and once more without a
 * failure, in which everything must work. What is met only behind a failure is tried too, with that failure before it.
 *
 * By hand: ALL=1 tries each allocation by its number before, which repeats most paths many times, and MORE=N lets N more
 * fail behind each.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const test = require('node:test');
const { Allocations, BUILD, LIMPET, placeOf, preloaded, wayTo } = require('./allocations');
const { connect, head, receiveAll } = require('../e2e/clients');
const { eventually, run } = require('../e2e/harness');

const NATIVE = ['--dialect', 'native', '--', path.join(BUILD, 'tests/faults/claiming_worker')];
const CLUSTER = ['--dialect', 'cluster', '--', 'node', path.join(__dirname, '../e2e/workers/answer.js')];

/** So many that each is old enough again when its turn to be killed comes, and another then starts without a pause. */
const NATIVE_WORKERS = 12;
const CLUSTER_WORKERS = 4;
const STEADY_MS = 1100;

const MORE = Number(process.env.MORE ?? 0);

const POLICY = `
return {
	{ on_connect = function(conn, workers)
		if conn.listener == "127.0.0.2:0" then return workers:hash(conn.ip) end
	end },
	{ on_request = function(conn, workers)
		limpet.shared:set(conn.path, conn:header("host") or "")
		if conn.path == "/refused" then return limpet.refuse(403) end
		return conn.sid and workers:session(conn.sid)
	end },
}`;

const SERVED = /^HTTP\/1\.1 200 /;
const LONG_KEY = 'x'.repeat(40); // Too long for the table's own room.

/** Send the pieces one by one; returns all of the answer. */
async function exchange(address, ...pieces) {
	const socket = await connect(address, { noDelay: true });
	const answer = receiveAll(socket);
	for (const piece of pieces) {
		socket.write(piece);
		await new Promise(setImmediate);
	}
	return (await answer).text;
}

/** All that was tried, by where it is in limpet's code. */
class Tally {
	#places = new Map();
	#injected = 0;
	#paths = 0;

	add(paths) {
		for (const path of paths) {
			const [place] = wayTo(path);
			this.#places.set(place, (this.#places.get(place) ?? 0) + path.failed);
			this.#injected += path.failed;
			this.#paths++;
		}
	}

	/** Show it, and see that no place was left out. */
	finish(t) {
		const places = [...this.#places].filter(([place]) => place);
		t.diagnostic(`${places.length} call sites, ${this.#paths} paths, ${this.#injected} allocations failed`);
		for (const [place, failed] of places)
			t.diagnostic(`${String(failed).padStart(4)} failed in ${place}`);
		assert.deepEqual(places.filter(([, failed]) => !failed).map(([place]) => place), [], 'met, but never failed');
	}
}

/** Where a stream grows depends on what was written before, and so does the path: it is not met twice, but its place is. */
const PLACE_TRIES = 10;

/** Places that were met, and where nothing has failed. */
function placesLeft(allocations) {
	const { paths } = allocations.read();
	const failed = new Set(paths.filter((path) => path.failed).map(placeOf));
	return new Set(paths.map(placeOf).filter((place) => place && !failed.has(place)));
}

/**
 * Play with nothing failing, then with each allocation.
 *
 * @param {(target: object) => Promise<void>} play  Arms the target, {} for none.
 */
async function tryEach(allocations, play) {
	const behind = new Map(); // Paths that a failure led to, and which.
	const judge = async (target) => {
		try {
			await play(target);
		} catch (error) {
			const path = allocations.read().paths.find(({ hash }) => hash === target.path);
			error.message += `\nwhen this failed: ${path ? wayTo(path).join(' < ') : `number ${target.nth}`}`;
			throw error;
		}
		return allocations.read();
	};
	await judge({});
	await judge({});
	for (let nth = 1; process.env.ALL; nth++)
		if (!(await judge({ nth })).failed)
			break;
	for (let i = 0; i < allocations.read().paths.length; i++) {
		const { paths: { [i]: { hash }, length } } = allocations.read();
		let after = await judge({ path: hash });
		if (!after.failed && behind.has(hash))
			after = await judge({ path: behind.get(hash), then: hash });
		else if (after.failed)
			after.paths.slice(length).forEach((path) => behind.set(path.hash, hash));
	}
	for (const place of placesLeft(allocations))
		for (let i = 0; i < PLACE_TRIES && !(await judge({ place })).failed; i++)
			;
}

/* Starts */

/** Start limpet and ask it a little. Returns how it ended. */
async function start(folder, allocations, target, words, ask) {
	allocations.arm({ ...target, more: MORE });
	const child = spawn(LIMPET, ['run', '--listen', '127.0.0.1:0', '--control', './control', ...words], {
		cwd: folder, env: { ...process.env, ...preloaded }, stdio: ['ignore', 'ignore', 'pipe'],
	});
	const ended = once(child, 'close');
	let log = '';
	child.stderr.setEncoding('utf8').on('data', (text) => {
		log += text;
	});
	const isOver = () => child.exitCode !== null || child.signalCode;
	try {
		await eventually('it is ready, or has ended', () => isOver() || /worker \d+ is ready/.test(log));
		if (!isOver()) {
			const address = /listening on (\S+)/.exec(log)[1];
			const lost = (await ask(address, () => log)).filter((text) => !SERVED.test(text));
			allocations.disarm();
			assert.ok(lost.length <= allocations.read().failed, `lost: ${lost}`);
			assert.match(await exchange(address, head('/')), SERVED);
			child.kill('SIGTERM');
		}
		const [status, signal] = await ended;
		return { status, signal, log };
	} finally {
		child.kill('SIGKILL');
	}
}

function assertEndedWell({ status, signal, log }) {
	const text = `status ${status}, signal ${signal}:\n${log}`;
	assert.equal(signal, null, text);
	assert.doesNotMatch(log, /Sanitizer|runtime error:/, text);
	if (status === 0) {
		assert.match(log, /limpet: stopped: /, text);
	} else {
		assert.ok(status === 1 || status === 2, text);
		assert.match(log, /^limpet: (?!listening).*memory|EAGAIN|temporarily/m, text);
	}
}

async function tryStarts(t, tally, words, ask) {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-'));
	const allocations = new Allocations(folder);
	const outcomes = [0, 0, 0];
	try {
		fs.writeFileSync(path.join(folder, 'policy.lua'), POLICY);
		await tryEach(allocations, async (target) => {
			const outcome = await start(folder, allocations, target, words, ask);
			assertEndedWell(outcome);
			outcomes[outcome.status]++;
		});
		t.diagnostic(`${outcomes[0]} starts worked, ${outcomes[1]} ended with status 1, ${outcomes[2]} with 2`);
		tally.add(allocations.read().paths);
	} finally {
		fs.rmSync(folder, { recursive: true, force: true });
	}
}

/** The first session is another matter than the next. */
async function claim(address) {
	return [await exchange(address, head(`/claim/${LONG_KEY}`)), await exchange(address, head(`/?sid=${LONG_KEY}`))];
}

/** So is the first connection whose end the kernel has to tell. */
async function askCounted(address, log) {
	const text = await exchange(address, head('/'));
	await eventually('it is counted', () => !SERVED.test(text) || /counting open connections|open connections cannot be counted/.test(log()));
	return [text];
}

/* Running */

/** Workers in turn. */
class Victims {
	#readyAt = new Map();
	#turn = 0;

	constructor(count) {
		this.count = count;
	}

	/** End one, and wait for another in its place. */
	async kill(limpet) {
		const id = 1 + this.#turn++ % this.count;
		const ready = new RegExp(`^limpet: worker ${id} is ready \\(pid (\\d+)\\)`);
		const at = this.#readyAt.get(id) ?? Date.now();
		await eventually('the worker is old enough', () => Date.now() > at + STEADY_MS);
		const pid = Number(limpet.lines.map((line) => ready.exec(line)).findLast(Boolean)[1]);
		const since = limpet.now;
		process.kill(pid, 'SIGKILL');
		await limpet.said(ready, since);
		this.#readyAt.set(id, Date.now());
	}
}

/**
 * Play a scenario for each allocation in it, and without failure in between.
 *
 * @param {(failing: boolean) => Promise<string[]>} scenario  Returns what was lost.
 */
async function tryRounds(limpet, tally, scenario) {
	const allocations = new Allocations(limpet.folder);
	const workers = (await limpet.status()).workers.length;
	await tryEach(allocations, async (target) => {
		const failing = Boolean(target.path || target.place || target.nth);
		allocations.arm({ ...target, more: MORE });
		const lost = await scenario(failing);
		allocations.disarm();
		await limpet.counts();
		assert.ok(lost.length <= allocations.read().failed, `lost: ${lost}`);
		if (failing)
			assert.deepEqual(await scenario(false), []);
		assert.equal((await limpet.status()).workers.filter(({ usable }) => usable).length, workers);
	});
	tally.add(allocations.read().paths);
}

let keys = 0;

/** Ask for everything. Returns the answers by what was asked. */
async function askAll(limpet) {
	const [byHead, byAddress] = limpet.addresses;
	const control = `unix:${limpet.folder}/control`;
	const key = `${LONG_KEY}${keys++}`;
	const pieces = head('/pieces');
	const asked = {
		'by address': exchange(byAddress, head('/')),
		'in pieces': exchange(byHead, pieces.slice(0, 9), pieces.slice(9)),
		'an unknown session': exchange(byHead, head('/?sid=unknown')),
		refused: exchange(byHead, head('/refused')),
		status: exchange(control, 'status\n'),
		recording: exchange(control, 'record\n'),
		claim: exchange(byHead, head(`/claim/${key}`)),
	};
	await asked.claim;
	asked.back = exchange(byHead, head(`/?sid=${key}`));
	return Object.fromEntries(await Promise.all(Object.entries(asked).map(async ([what, text]) => [what, await text])));
}

/** What each answer is when nothing fails, and what it may be for want of memory. */
const ANSWERS = {
	refused: [/^HTTP\/1\.1 403 /, /^HTTP\/1\.1 200 /],
	status: [/^\{\n[^]*"latency_us"[^]*\}\n$/, /^\{"error": "no memory/],
	recording: [/^limpet recording 1\n/, /^\{"error": "no memory/],
};

async function reload(limpet) {
	const since = limpet.now;
	limpet.signal('SIGHUP');
	const [line] = await limpet.said(/^limpet: (reloaded|.*keeping the policies loaded at)/, since);
	return line;
}

async function playNative(limpet, victims, failing) {
	const answers = await askAll(limpet);
	const line = await reload(limpet);
	if (failing)
		await victims.kill(limpet);
	else
		assert.deepEqual([line, answers.back], ['limpet: reloaded', answers.claim]);
	return Object.entries(answers).filter(([what, text]) => {
		const [right, scarce] = ANSWERS[what] ?? [SERVED];
		return !right.test(text) && !(failing && scarce?.test(text));
	}).map(([what, text]) => `${what}: ${text}`);
}

async function playCluster(limpet, victims, failing) {
	const asked = Array.from({ length: CLUSTER_WORKERS }, () => exchange(limpet.address, head('/')));
	const lost = (await Promise.all(asked)).filter((text) => !SERVED.test(text));
	if (failing)
		await victims.kill(limpet);
	return lost;
}

test('31, one allocation at a time: a start works or says why not; at most one connection is lost, nothing for good', {
	concurrency: 4, // They mostly wait.
}, async (t) => {
	const tally = new Tally();
	const policies = ['--policy', './policy.lua', '--policy', 'sid', '--trust', '10.0.0.0/8', '--max-moved', '90'];
	await Promise.all([
		t.test('running', run(
			`--listen 127.0.0.1:0 --listen 127.0.0.2:0 --workers ${NATIVE_WORKERS} --session-wait 5ms --max-moved 90
			--policy ./policy.lua ${NATIVE.join(' ')}`, { files: { 'policy.lua': POLICY }, env: preloaded },
			(limpet) => {
				const victims = new Victims(NATIVE_WORKERS);
				return tryRounds(limpet, tally, (failing) => playNative(limpet, victims, failing));
			})),
		t.test('running with Node', run(
			`--workers ${CLUSTER_WORKERS} ${CLUSTER.join(' ')}`, { env: preloaded },
			(limpet) => {
				const victims = new Victims(CLUSTER_WORKERS);
				return tryRounds(limpet, tally, (failing) => playCluster(limpet, victims, failing));
			})),
		t.test('starts', (t) => tryStarts(t, tally, ['--workers', '1', ...policies, ...NATIVE], claim)),
		t.test('starts with Node', (t) => tryStarts(t, tally, ['--workers', '1', '--log-level', 'debug', ...CLUSTER], askCounted)),
	]);
	tally.finish(t);
});
