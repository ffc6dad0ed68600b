'use strict';
/**
 * Why a request or a session failed, judged at the end by evidence alone: the workers' ledgers, which outlive them, which
 * of them were killed, and how the client's connection ended. What counts as lost is written at the head of `run`.
 *
 *     verdict    of a request that                                   evidence
 *     begun      its worker had read, and died with                  "read" in the ledger of a worker that was killed
 *     read       its worker had read, with no time to write it down  FIN, and "took" in the ledger of a worker that was
 *                                                                    killed; at most one for each death
 *     later      was a later one on a kept connection                the worker that answered the first was killed
 *     refused    limpet answered 503                                 no worker could take it just then
 *     lost       none of these
 *
 * A session is judged by the pid in its id; before it has one, its handshake is judged as "begun" and "read" are.
 *
 * FIN or RST: when a process dies, the kernel ends its TCP connections, with RST where bytes wait that it never read,
 * else with FIN. Our requests fit into a segment, so they are read whole or not at all. `run` sees to it first that this
 * is so on this machine.
 */
const fs = require('node:fs');
const path = require('node:path');

/** How long after a death its clients may come to notice; they wait for 20 s. */
const FELT_MS = 25_000;

/** All ledgers: what was read by whom, and whose connections were taken by whom. */
function readLedgers(folder) {
	const read = new Map(); // id -> [{pid, at}]
	const took = new Map(); // client's port -> [{pid, at}]
	for (const name of fs.readdirSync(folder))
		for (const line of fs.readFileSync(path.join(folder, name), 'latin1').split('\n')) {
			const [word, key, at] = line.split(' ');
			if (at === undefined)
				continue;
			const book = word === 'read' ? read : took;
			const entry = { pid: Number(name), at: Number(at) };
			if (book.has(key))
				book.get(key).push(entry);
			else
				book.set(key, [entry]);
		}
	return { read, took };
}

class Court {
	#failures = [];
	#sessions = [];
	#watch;

	/** @param watch  Knows which workers were killed, and when none could take a connection. */
	constructor(watch) {
		this.#watch = watch;
	}

	/** A request of a well-behaved client that did not get its answer. */
	failed(failure) {
		this.#failures.push({ ...failure, noneUsable: this.#watch.noneUsable() });
	}

	/** A session that its client did not end. */
	broken(failure) {
		this.#sessions.push(failure);
	}

	/**
	 * @returns {{requests: object, sessions: object, twice: string[]}}  Failures by verdict, and the ids of plain
	 *     requests that more than one worker, or one more than once, read.
	 */
	judge(folder) {
		const { read, took } = readLedgers(folder);
		const { killed } = this.#watch;
		const windows = new Set(); // The dead that have had their one "read".
		// A death explains nothing that came before it, nor what happened to a later process of its number.
		const wasKilled = (pid, ended) => (killed.get(pid) ?? []).some((at) => at <= ended && at > ended - FELT_MS);
		const beganBy = ({ id, ended }) => (read.get(id) ?? []).some(({ pid }) => wasKilled(pid, ended));

		const diedReading = ({ port, began, ended }) => {
			const all = (took.get(String(port)) ?? []).filter(({ at }) => at > began && at < ended);
			const last = all.sort((a, b) => a.at - b.at).at(-1);
			if (!last || !wasKilled(last.pid, ended) || windows.has(last.pid))
				return false;
			windows.add(last.pid);
			return true;
		};
		const ofRequest = (failure) => {
			if (failure.how === 'answered')
				return failure.status === 503 && failure.noneUsable ? 'refused' : 'lost';
			if (failure.how !== 'eof' && failure.how !== 'reset')
				return 'lost';
			if (failure.earlierPid)
				return wasKilled(failure.earlierPid, failure.ended) ? 'later' : 'lost';
			if (beganBy(failure))
				return 'begun';
			return failure.how === 'eof' && diedReading(failure) ? 'read' : 'lost';
		};
		const ofSession = (failure) => {
			const isHandshake = !failure.pid;
			const itsWorkerDied = isHandshake
				? beganBy(failure) || (failure.how === 'eof' && diedReading(failure))
				: wasKilled(failure.pid, failure.ended);
			return itsWorkerDied ? 'its worker died' : 'broken';
		};
		const sort = (list, verdictOf) => {
			const sorted = {};
			for (const failure of list)
				(sorted[verdictOf(failure)] ??= []).push(failure);
			return sorted;
		};
		const isPlain = (id) => !id.startsWith('session-');
		return {
			requests: sort(this.#failures, ofRequest),
			sessions: sort(this.#sessions, ofSession),
			twice: [...read].filter(([id, entries]) => isPlain(id) && entries.length > 1).map(([id]) => id),
		};
	}
}

module.exports = { Court };
