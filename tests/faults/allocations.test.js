'use strict';
/**
 * Fault 31 at every place: each allocation that limpet makes, for itself or in a library, fails once in its turn.
 *
 * An allocation is one path from main to it (allocations.c). A first run without failures tells which paths a scenario
 * has; then the scenario runs for each of them, with the first allocation on that path failing, and once more without a
 * failure, in which everything must work. New paths that failures lead to are tried too. $ALL=1 tries each allocation by
 * number instead, which repeats most paths many times, and $MORE=N lets N more fail behind each.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const test = require('node:test');
const { Allocations, BUILD, LIMPET, describe, preloaded, siteOf } = require('./allocations');
const { connect, head, receiveAll } = require('../e2e/clients');
const { eventually, run } = require('../e2e/harness');

const WORKER = path.join(BUILD, 'tests/faults/claiming_worker');
/** So many that each is old enough again when its turn to be killed comes. */
const WORKERS = 12;
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

const served = /^HTTP\/1\.1 200 /;

/** The tries of one scenario: what is to fail next, for as long as there is something. */
function* targets(allocations) {
	if (process.env.ALL) {
		for (let nth = 1; ; nth++) {
			yield { nth };
			if (allocations.read().failed === 0)
				return;
		}
	}
	for (let i = 0; i < allocations.read().paths.length; i++)
		yield { path: allocations.read().paths[i].hash };
}

/** What was tried, for the summary: places in limpet's code, and those of them that failed. */
class Tally {
	#sites = new Map();
	injected = 0;
	paths = 0;

	add(paths) {
		for (const path of paths) {
			const site = siteOf(path);
			this.paths++;
			this.#sites.set(site, (this.#sites.get(site) ?? 0) + path.failed);
			this.injected += path.failed;
		}
	}

	/** Show it, and see that no place was left out. */
	finish(t) {
		const sites = [...this.#sites.keys()].filter((site) => site !== undefined);
		const names = describe(sites);
		t.diagnostic(`${sites.length} call sites, ${this.paths} paths to them, ${this.injected} allocations failed`);
		names.forEach((name, i) => t.diagnostic(`${this.#sites.get(sites[i])} failed in ${name}`));
		const left = names.filter((_, i) => this.#sites.get(sites[i]) === 0);
		assert.deepEqual(left, [], 'call sites that were met and never failed');
	}
}

/** Start limpet with one failure. Returns what it came to, having seen to its end. */
async function start(folder, target) {
	const allocations = new Allocations(folder);
	allocations.arm({ ...target, more: MORE });
	const child = spawn(LIMPET, [
		'run', '--listen', '127.0.0.1:0', '--control', './control', '--workers', '2', '--dialect', 'native',
		'--trust', '10.0.0.0/8', '--max-moved', '90', '--drain-timeout', '500ms',
		'--policy', './policy.lua', '--policy', 'sid', '--', WORKER,
	], { cwd: folder, env: { ...process.env, ...preloaded }, stdio: ['ignore', 'ignore', 'pipe'] });
	const ended = once(child, 'close');
	let log = '';
	child.stderr.setEncoding('utf8').on('data', (text) => {
		log += text;
	});
	try {
		const ready = () => new Set(log.match(/worker \d+ is ready/g)).size === 2;
		await eventually('it is ready, or has ended', () => child.exitCode !== null || child.signalCode || ready());
		if (child.exitCode === null && !child.signalCode) {
			allocations.disarm();
			const address = /listening on (\S+)/.exec(log)[1];
			assert.match((await exchange(address, head('/'))).text, served);
			child.kill('SIGTERM');
		}
		const [status, signal] = await ended;
		return { status, signal, log, failed: allocations.read().failed };
	} finally {
		child.kill('SIGKILL');
	}
}

async function exchange(address, ...pieces) {
	const socket = await connect(address);
	const answer = receiveAll(socket);
	for (const piece of pieces) {
		socket.write(piece);
		await new Promise(setImmediate);
	}
	return answer;
}

function judgeStart({ status, signal, log, failed }) {
	const text = `status ${status}, signal ${signal}, ${failed} failed:\n${log}`;
	assert.equal(signal, null, text);
	assert.ok([0, 1, 2].includes(status), text);
	assert.doesNotMatch(log, /Sanitizer/, text);
	if (status === 0)
		assert.match(log, /limpet: stopped: /, text);
	else
		assert.match(log, /^limpet: (?!listening).*$/m, text);
}

async function tryStarts(t) {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-'));
	const outcomes = { 0: 0, 1: 0, 2: 0 };
	const allocations = new Allocations(folder);
	const failures = [];
	try {
		fs.writeFileSync(path.join(folder, 'policy.lua'), POLICY);
		judgeStart(await start(folder, {}));
		for (const target of targets(allocations)) {
			const outcome = await start(folder, target);
			try {
				judgeStart(outcome);
			} catch (error) {
				failures.push(`${pathText(allocations, target)}\n${error.message}`);
			}
			outcomes[outcome.status]++;
		}
		t.diagnostic(`with status 0: ${outcomes[0]}, 1: ${outcomes[1]}, 2: ${outcomes[2]}`);
		const tally = new Tally();
		tally.add(allocations.read().paths);
		assert.deepEqual(failures, []);
		tally.finish(t);
	} finally {
		fs.rmSync(folder, { recursive: true, force: true });
	}
}

/** The whole way to an allocation, for a failure. */
function pathText(allocations, { path: hash, nth }) {
	const path = allocations.read().paths.find((path) => path.hash === hash);
	return path ? describe(path.places.filter((place) => place >> 48n === 0n)).join(' < ') : `number ${nth}`;
}

/**
 * Run a scenario for each allocation in it.
 *
 * @param {(limpet, round: number, failing: boolean) => Promise<string[]>} scenario
 *        Returns what was lost.
 */
async function tryEach(limpet, t, scenario) {
	const allocations = new Allocations(limpet.folder);
	let round = 0;
	const play = async (target) => {
		allocations.arm({ ...target, more: MORE });
		const lost = await scenario(limpet, round++, Boolean(target.path || target.nth));
		const { failed } = allocations.read();
		allocations.disarm();
		await limpet.counts();
		assert.ok(lost.length <= (failed ? 1 + MORE : 0), `${failed} failed, lost: ${JSON.stringify(lost)}`);
		return failed;
	};
	allocations.disarm();
	for (let i = 0; i < 3; i++)
		await play({});
	for (const target of targets(allocations)) {
		const since = limpet.now;
		try {
			let failed = 0;
			for (let i = 0; i < 3 && !failed; i++)
				failed = await play(target);
			await play({});
		} catch (error) {
			error.message += `\nwhen this failed: ${pathText(allocations, target)}\n${limpet.lines.slice(since).join('\n')}`;
			throw error;
		}
	}
	const tally = new Tally();
	tally.add(allocations.read().paths);
	tally.finish(t);
}

/** Workers in turn, each up for so long before it is killed that another takes its place without a pause. */
class Victims {
	#readyAt = new Map();

	constructor(count) {
		this.count = count;
	}

	async kill(limpet, round) {
		const id = 1 + round % this.count;
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

/** Ask what one can. Returns what was lost: connections without the answer of a worker, or of limpet. */
async function askAll(limpet, round) {
	const [byHead, byAddress] = limpet.addresses;
	const [start, end] = [head('/pieces').slice(0, 9), head('/pieces').slice(9)];
	const key = `session-${round}-${'x'.repeat(40)}`;
	const asked = [
		['by address', served, exchange(byAddress, head('/'))],
		['in pieces', served, exchange(byHead, start, end)],
		['refused', /^HTTP\/1\.1 (403|200) /, exchange(byHead, head('/refused'))],
		['a claim', served, exchange(byHead, head(`/claim/${key}`))],
		['an unknown session', served, exchange(byHead, head('/?sid=unknown'))],
		['a control request', /^\{[^]*\}\n$/, exchange(`unix:${limpet.folder}/control`, 'status\n')],
		['a recording', /^limpet recording|^\{"error"/, exchange(`unix:${limpet.folder}/control`, 'record\n')],
	];
	const answers = await Promise.all(asked.map(async ([what, wanted, answer]) => [what, wanted, (await answer).text]));
	const [, , claimed] = answers[3];
	const back = (await exchange(byHead, head(`/?sid=${key}`))).text;
	answers.push(['back to its session', served, back]);
	const lost = answers.filter(([, wanted, text]) => !wanted.test(text)).map(([what, , text]) => `${what}: ${text}`);
	return { lost, answers: Object.fromEntries(answers.map(([what, , text]) => [what, text])), claimed, back };
}

async function reload(limpet) {
	const since = limpet.now;
	limpet.signal('SIGHUP');
	const [line] = await limpet.said(/^limpet: (reloaded the policies|.*keeping the policies loaded)/, since);
	return line;
}

test('31, one allocation at a time: a start works, or says why not', tryStarts);

test('31, one allocation at a time: at most one connection is lost, and nothing for good', run(
	`--listen 127.0.0.1:0 --listen 127.0.0.2:0 --workers ${WORKERS} --dialect native --max-moved 90
	--policy ./policy.lua -- ${WORKER}`, { files: { 'policy.lua': POLICY }, env: preloaded },
	async (limpet, t) => {
		const victims = new Victims(WORKERS);
		await tryEach(limpet, t, async (_, round, failing) => {
			const { lost, answers, claimed, back } = await askAll(limpet, round);
			const line = await reload(limpet);
			await victims.kill(limpet, round);
			if (failing)
				return lost;
			assert.match(answers.refused, /^HTTP\/1\.1 403 /);
			assert.equal(JSON.parse(answers['a control request']).workers.length, WORKERS);
			assert.match(answers['a recording'], /^limpet recording/);
			assert.equal(claimed, back);
			assert.match(line, /reloaded/);
			return lost;
		});
	}));

test('31, one allocation at a time: workers of Node', run(
	'--workers 3 --dialect cluster -- node workers/answer.js', { env: preloaded },
	async (limpet, t) => {
		const victims = new Victims(3);
		await tryEach(limpet, t, async (_, round) => {
			const answers = await Promise.all([1, 2, 3].map(() => exchange(limpet.address, head('/'))));
			await victims.kill(limpet, round);
			return answers.filter(({ text }) => !served.test(text)).map(({ text }) => text);
		});
	}));
