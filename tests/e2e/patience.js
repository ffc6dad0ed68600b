'use strict';
/**
 * How long tests wait. No test has a time limit of its own.
 *
 * A busy machine makes everything slower and nothing wrong. So patience is not counted in time that went by, but in time
 * that the machine had for us: while ten programs want two processors, five seconds count as one. And whatever shows that
 * something advances (a log line, bytes of an answer) starts the patience anew; a few times at most, unless the caller says
 * otherwise: a worker that crashes again and again writes lines, too.
 *
 *     await within('an answer', client.emitWithAck('echo', 1));
 *     await eventually('all are counted', async () => (await limpet.counts()).accepted === 5);
 *     const end = deadline(() => child.kill('SIGKILL'));  …  end.advanced();  …  end.cancel();
 */
const fs = require('node:fs');
const os = require('node:os');

/** The longest that a test waits for one thing while nothing advances, on a quiet machine. */
const PATIENCE_MS = Number(process.env.LIMPET_E2E_PATIENCE_MS ?? 20_000);

/** How often something that advances may start the patience anew. */
const RENEWALS = 2;

/** How often the machine is asked how busy it is. */
const SAMPLE_MS = 100;

/** How often a condition is asked that no event announces. */
const ASK_MS = 5;

const PROCESSORS = os.availableParallelism();

/** The monotonic clock, in milliseconds. */
const nowMs = () => Number(process.hrtime.bigint()) / 1e6;

/** The part of a processor that a program gets now: 1 while there are no more programs than processors. */
function share() {
	const text = fs.readFileSync('/proc/stat', 'latin1');
	const [running, blocked] = ['running', 'blocked'].map((what) => Number(new RegExp(`^procs_${what} (\\d+)$`, 'm').exec(text)[1]));
	return Math.min(1, PROCESSORS / (running + blocked));
}

/** Milliseconds that the machine has had for us, as of the last sample, and when that was. */
let quietMs = 0;
let sampledMs = nowMs();

const deadlines = new Set();

function sample() {
	const now = nowMs();
	quietMs += (now - sampledMs) * share();
	sampledMs = now;
}

const sampler = setInterval(() => {
	sample();
	deadlines.forEach((one) => one.check());
}, SAMPLE_MS).unref();

class Deadline {
	#late;
	#patienceMs;
	#atMs;
	#lastMs;

	constructor(late, patienceMs, renewals) {
		sample();
		this.#late = late;
		this.#patienceMs = patienceMs;
		this.#atMs = quietMs + patienceMs;
		this.#lastMs = quietMs + patienceMs * (1 + renewals);
		deadlines.add(this);
		sampler.ref();
	}

	/** Something has advanced: the patience begins anew. */
	advanced() {
		this.#atMs = Math.min(this.#lastMs, quietMs + this.#patienceMs);
	}

	cancel() {
		deadlines.delete(this);
		if (!deadlines.size)
			sampler.unref();
	}

	check() {
		if (quietMs < this.#atMs)
			return;
		this.cancel();
		this.#late();
	}
}

/** Call `late` once when the patience is over, unless that is cancelled before. */
function deadline(late, patienceMs = PATIENCE_MS, renewals = RENEWALS) {
	return new Deadline(late, patienceMs, renewals);
}

/**
 * What a promise resolves to; a failure that says `what`, when nothing has come of it and the patience is over.
 *
 * @param {(advanced: () => void) => void} follow  Is given what to call whenever something advances. May be left out.
 */
async function within(what, promise, { patienceMs, renewals, follow = () => {} } = {}) {
	let end;
	const late = new Promise((resolve, reject) => {
		end = deadline(() => reject(new Error(`${what}: still not so, and nothing advances`)), patienceMs, renewals);
		follow(() => end.advanced());
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		end.cancel();
	}
}

/** Run until `condition` answers something true, or fail with `what`; for what no event tells. */
async function eventually(what, condition, patienceMs = PATIENCE_MS) {
	let over = false;
	const end = deadline(() => (over = true), patienceMs);
	try {
		while (!await condition()) {
			if (over)
				throw new Error(`${what}: still not so after ${patienceMs} ms of a quiet machine`);
			await new Promise((resolve) => setTimeout(resolve, ASK_MS));
		}
	} finally {
		end.cancel();
	}
}

/** What has gone by since this call: `ms()` of time, and `quietMs()` that the machine had for us, for upper bounds. */
function stopwatch() {
	sample();
	const began = { ms: sampledMs, quietMs };
	return {
		ms: () => nowMs() - began.ms,
		quietMs() {
			sample();
			return quietMs - began.quietMs;
		},
	};
}

module.exports = { PATIENCE_MS, deadline, eventually, share, stopwatch, within };
