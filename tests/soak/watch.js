'use strict';
/**
 * What is known of a running limpet from outside: which workers there are, from its log, at once; its counts, asked
 * again and again, whose equations must hold each time; its descriptors and memory.
 */
const proc = require('../e2e/proc');
const { now } = require('./connection');

const LOG_MS = 10;
const SAMPLE_MS = 500;

/** How long a fault is felt: what begins that soon after it counts to the storm. */
const AFTER_MS = 1000;

/** Times that are told apart by whether they began in the storm. */
class Latencies {
	#watch;
	#ms = { storm: [], calm: [] };

	constructor(watch) {
		this.#watch = watch;
	}

	isStorm() {
		return this.#watch.isStorm();
	}

	add(storm, ms) {
		this.#ms[storm ? 'storm' : 'calm'].push(ms);
	}

	/** Milliseconds: [p50, p99, p99.9] of 'storm' or 'calm', and how many there were. */
	quantiles(when) {
		const sorted = this.#ms[when].sort((a, b) => a - b);
		const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
		return { count: sorted.length, of: [0.5, 0.99, 0.999].map(at) };
	}
}

/**
 * The core's own histogram of hand-overs, divided by when they ended: what was added between two readings belongs to the
 * calm when both were in it.
 */
class CoreLatencies {
	#before = [];
	#stormBefore = false;
	#bounds = [];
	#counts = { storm: [], calm: [] };

	add(storm, { le_us, count }) {
		const sums = this.#counts[storm || this.#stormBefore ? 'storm' : 'calm'];
		this.#stormBefore = storm;
		this.#bounds = le_us;
		count.forEach((value, i) => (sums[i] = (sums[i] ?? 0) + value - (this.#before[i] ?? 0)));
		this.#before = count;
	}

	/** Milliseconds, as the upper bounds of buckets. */
	quantiles(when) {
		const counts = this.#counts[when];
		const all = counts.reduce((sum, count) => sum + count, 0);
		const at = (share) => {
			let below = 0;
			return this.#bounds[counts.findIndex((count) => (below += count) >= share * all)] / 1000;
		};
		return { count: all, of: all ? [0.5, 0.99, 0.999].map(at) : [NaN, NaN, NaN] };
	}
}

class Watch {
	#limpet;
	#lines = 0;
	#stormUntil = 0;
	#timers = [];
	#sampling;
	/** Ready workers: id -> pid; those that we stopped; those that we killed and whose end limpet has yet to tell. */
	ready = new Map();
	stopped = new Set();
	dying = new Set();
	/** Every death by our hand: pid -> when, often, for a pid comes again. */
	killed = new Map();
	/** Whatever must not be, in words. */
	complaints = [];
	/** Of limpet: open descriptors and resident KiB, as {start, halfway, peak, end}. */
	descriptors = {};
	residentKib = {};
	latencies = new Latencies(this);
	coreLatencies = new CoreLatencies();
	samples = 0;
	unanswered = 0;

	constructor(limpet) {
		this.#limpet = limpet;
		this.#readLog();
		this.#timers.push(setInterval(() => this.#readLog(), LOG_MS));
	}

	#readLog() {
		const { lines } = this.#limpet;
		for (; this.#lines < lines.length; this.#lines++)
			this.#readLine(lines[this.#lines]);
	}

	#readLine(line) {
		const [, ready, readyPid] = /^limpet: worker (\d+) is ready \(pid (\d+)\)/.exec(line) ?? [];
		if (ready && !this.dying.has(Number(readyPid)))
			this.ready.set(Number(ready), Number(readyPid));
		const [, ended, endedPid] = /^limpet: worker (\d+) \(pid (\d+)\) (?:was killed|ended)/.exec(line) ?? [];
		if (!ended)
			return;
		if (this.ready.get(Number(ended)) === Number(endedPid))
			this.ready.delete(Number(ended));
		if (!this.dying.delete(Number(endedPid)))
			this.complaints.push(`a worker died by itself: ${line}; it may have said why: ${this.#lastWords()}`);
	}

	/** What the workers wrote lately; limpet's own log passed over. */
	#lastWords() {
		return this.#limpet.lines.filter((line) => !line.startsWith('limpet: ')).slice(-12).join('\n');
	}

	/** Kill a worker; it is in the books first. */
	kill(id) {
		const pid = this.ready.get(id);
		this.killed.set(pid, [...this.killed.get(pid) ?? [], now()]);
		this.dying.add(pid);
		this.ready.delete(id);
		this.stopped.delete(pid);
		process.kill(pid, 'SIGKILL');
	}

	/** Whether no worker can take a connection just now. */
	noneUsable() {
		return [...this.ready.values()].every((pid) => this.stopped.has(pid));
	}

	/** A fault happens now, and lasts. */
	storm(forMs = 0) {
		this.#stormUntil = Math.max(this.#stormUntil, now() + forMs + AFTER_MS);
	}

	isStorm() {
		return now() < this.#stormUntil;
	}

	/** Remember under that name what limpet uses now. */
	noteUse(moment) {
		const { pid } = this.#limpet;
		for (const [book, value] of [[this.descriptors, proc.descriptors(pid)],
			[this.residentKib, proc.residentKib(pid)]]) {
			book[moment] = value;
			book.peak = Math.max(book.peak ?? 0, value);
		}
	}

	start() {
		this.noteUse('start');
		this.#timers.push(setInterval(() => {
			if (!'RSD'.includes(proc.stateOf(this.#limpet.pid) ?? 'Z'))
				return; // It has ended, and `run` will know in a moment.
			this.noteUse('now');
			this.#sampling ??= this.#sample().finally(() => (this.#sampling = undefined));
		}, SAMPLE_MS));
	}

	async #sample() {
		const storm = this.isStorm();
		let status;
		try {
			status = await this.#limpet.status();
		} catch {
			this.unanswered++; // Out of descriptors, or with other clients at every place, it cannot take us.
			if (!storm && !this.isStorm())
				this.complaints.push('limpet did not say its status, in the calm');
			return;
		}
		this.samples++;
		this.coreLatencies.add(storm, status.latency_us);
		this.#check(status.counts);
	}

	#check(counts) {
		const { accepted, handed_over, refused, closed_early, waiting, acknowledged, in_flight, moved } = counts;
		if (accepted !== handed_over + refused + closed_early + waiting ||
			handed_over !== acknowledged + in_flight + moved)
			this.complaints.push(`the counts do not add up: ${JSON.stringify(counts)}`);
	}

	/** The load is over; what is left is to measure what it left. */
	async stopAsking() {
		this.#timers.forEach(clearInterval);
		await this.#sampling;
		this.#readLog();
	}

	finish() {
		this.noteUse('end');
	}
}

module.exports = { Watch };
