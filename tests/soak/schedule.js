'use strict';
/**
 * Which fault happens when: a pure function of seed, length and rate, so that a run can be had again.
 *
 * Time is cut into cycles, each a storm and then a calm, so that both are there to be measured. A storm holds each kind
 * of fault as often as IN_A_STORM says, at random moments; the numbers of deaths and reloads are so no matter of luck.
 * Every fault is over before the calm ends.
 *
 *     kind      what happens                                                     what the seed chooses
 *     kill      SIGKILL                                                          which workers, mostly one
 *     stop      SIGSTOP, and after a while SIGCONT, or SIGKILL                   which, how long, which end
 *     reload    a policy is written, SIGHUP                                      a good one, a broken one and then a good
 *                                                                                one, or good ones and a storm of signals
 *     starve    RLIMIT_NOFILE of limpet lowered to what it has open (EMFILE)     how much is left, how long
 *     crowd     the same of a worker, to 3: what is passed to it vanishes        which, how long
 *     burst     well-behaved requests, all at once                               how many
 *     flood     silent connections, all at once                                  how many, how long
 *     control   garbage to the control socket                                    which
 */
const crypto = require('node:crypto');

const CYCLE_MS = 12_000;
const STORM_MS = 6_000;

const IN_A_STORM = { kill: 3, stop: 2, reload: 4, starve: 1, crowd: 1, burst: 1, flood: 1, control: 3 };

/** A small generator of numbers in [0, 1): the same ones for the same seed (mulberry32). */
function generator(seed) {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** A whole number from `low` to `high`, and one of a list. */
const between = (random, low, high) => low + Math.floor(random() * (high - low + 1));
const oneOf = (random, list) => list[Math.floor(random() * list.length)];

/** How the details of each kind are chosen. Worker ids count from 1; one that is not there stands for the next that is. */
const DETAILS = {
	kill: (random, workers) => ({
		worker: between(random, 1, workers),
		howMany: oneOf(random, [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, workers]),
	}),
	stop: (random, workers) => ({
		worker: between(random, 1, workers),
		forMs: between(random, 200, 3000),
		end: oneOf(random, ['SIGCONT', 'SIGCONT', 'SIGCONT', 'SIGKILL']),
	}),
	reload: (random) => ({
		how: oneOf(random, ['good', 'good', 'good', 'storm', 'syntax', 'raises', 'loops', 'fails', 'late', 'half']),
		signals: between(random, 20, 200),
		forMs: between(random, 150, 600),
	}),
	starve: (random) => ({ spare: between(random, 0, 4), forMs: between(random, 200, 1500) }),
	crowd: (random, workers) => ({
		worker: between(random, 1, workers),
		forMs: between(random, 200, 1500),
	}),
	burst: (random) => ({ requests: between(random, 50, 400) }),
	flood: (random) => ({ connections: between(random, 100, 400), forMs: between(random, 500, 3000) }),
	control: (random) => ({
		what: oneOf(random, ['bytes', 'line', 'long', 'silent', 'leaves', 'many']),
		forMs: between(random, 100, 2500),
	}),
};

/**
 * @param {number} seed     Any whole number.
 * @param {number} seconds  How long the run is; whole cycles of it are filled.
 * @param {number} rate     1 for IN_A_STORM, 2 for twice as many of each.
 * @param {number} workers  How many there are.
 * @returns {{kind: string, atMs: number}[]}  In order; with the details of each kind.
 */
function makeSchedule(seed, seconds, rate, workers) {
	const random = generator(seed);
	const faults = [];
	for (let cycleMs = 0; cycleMs + CYCLE_MS <= seconds * 1000; cycleMs += CYCLE_MS)
		for (const [kind, times] of Object.entries(IN_A_STORM))
			for (let i = 0; i < Math.max(1, Math.round(times * rate)); i++)
				faults.push({ kind, atMs: cycleMs + between(random, 0, STORM_MS), ...DETAILS[kind](random, workers) });
	return faults.sort((a, b) => a.atMs - b.atMs);
}

/** A short name for a schedule: two with the same name are the same. */
function hashOf(schedule) {
	return crypto.createHash('sha256').update(JSON.stringify(schedule)).digest('hex').slice(0, 16);
}

module.exports = { CYCLE_MS, between, generator, hashOf, makeSchedule, oneOf };
