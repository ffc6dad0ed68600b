'use strict';
/**
 * What others feel while somebody means harm: the time that each of their requests takes, beside the same before.
 *
 *     const others = new Neighbours(limpet);
 *     await others.measure('quiet');
 *     …
 *     await others.measure('loud');
 *     others.assertUnharmed();
 */
const assert = require('node:assert/strict');
const { stopwatch } = require('../e2e/patience');

/** Requests that a measurement has, and how many of them are under way at a time. */
const REQUESTS = 400;
const AT_A_TIME = 4;

/** How much longer a request may take, at the 99th percentile: so many times as long, and so many milliseconds besides. */
const TIMES = 8;
const FLOOR_MS = 150;

function percentile(times, share) {
	const sorted = [...times].sort((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

class Neighbours {
	#times = { quiet: [], loud: [] };

	/** `path` is what the others ask for, `options` as clients.request takes them. */
	constructor(limpet, { path = '/', options = {}, requests = REQUESTS } = {}) {
		Object.assign(this, { limpet, path, options, requests });
	}

	/** Requests, one after the other. `kind`: quiet or loud. */
	async measure(kind) {
		let left = this.requests;
		const client = async () => {
			while (left-- > 0) {
				const watch = stopwatch();
				const { status } = await this.limpet.get(this.path, this.options);
				assert.equal(status, 200);
				this.#times[kind].push(watch.quietMs());
			}
		};
		await Promise.all(Array.from({ length: AT_A_TIME }, client));
	}

	/** The 99th percentile of each kind, in milliseconds. */
	p99() {
		return { quiet: percentile(this.#times.quiet, 0.99), loud: percentile(this.#times.loud, 0.99) };
	}

	assertUnharmed() {
		const { quiet, loud } = this.p99();
		const text = `p99 ${loud.toFixed(1)} ms, and ${quiet.toFixed(1)} ms before`;
		assert.ok(loud <= quiet * TIMES + FLOOR_MS, text);
		return text;
	}
}

module.exports = { Neighbours };
