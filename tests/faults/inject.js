'use strict';
/**
 * Faults on demand: what faults.c, preloaded into a test's limpet, is to let fail.
 *
 *     test('…', run('…', { under: preloaded }, async (limpet) => {
 *         const faults = new Faults(limpet);
 *         faults.fail('accept4', 'ENFILE', 3);
 */
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { BINARY } = require('../e2e/harness');

const LIBRARY = path.resolve(process.env.LIMPET_BUILD ?? path.join(__dirname, '../../build'), 'tests/faults/faults.so');

/** AddressSanitizer's library insists on being the first; a program that has it linked in has none. */
function sanitizer() {
	const libraries = execFileSync('ldd', [BINARY], { encoding: 'utf8' });
	return [...libraries.matchAll(/=> (\S*\/lib[at]san\.so\S*)/g)].map((match) => match[1]);
}

/** For `under` of a test's settings. */
const preloaded = ['env', `LD_PRELOAD=${[...sanitizer(), LIBRARY].join(':')}`, 'FAULTS=./faults'];

/** As faults.c has them. */
const CALLS = ['accept4', 'sendmsg', 'wall clock'];
const FIELDS = { error: 0, left: 4, done: 8 };
const FAULT_BYTES = 12;

/** Node's list lacks it; it is the same on every Linux that Node runs on. */
const ERRORS = { ETOOMANYREFS: 109, ...os.constants.errno };

class Faults {
	#file;

	constructor(limpet) {
		this.#file = path.join(limpet.folder, 'faults');
	}

	#at(call, field) {
		return CALLS.indexOf(call) * FAULT_BYTES + FIELDS[field];
	}

	#set(call, field, value) {
		const fd = fs.openSync(this.#file, 'r+');
		fs.writeSync(fd, Int32Array.of(value), 0, 4, this.#at(call, field));
		fs.closeSync(fd);
	}

	#get(call, field) {
		return fs.readFileSync(this.#file).readInt32LE(this.#at(call, field));
	}

	/** The next so many calls fail with that error. */
	fail(call, error, times) {
		this.#set(call, 'error', ERRORS[error]);
		this.#set(call, 'left', times);
	}

	/** Move the wall clock from where it really is. */
	jump(seconds) {
		this.#set('wall clock', 'left', seconds);
	}

	/** How many calls have failed, or have been told a wrong time. */
	done(call) {
		return this.#get(call, 'done');
	}

	left(call) {
		return this.#get(call, 'left');
	}
}

module.exports = { Faults, preloaded };
