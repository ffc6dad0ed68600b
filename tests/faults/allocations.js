'use strict';
/**
 * The other end of allocations.c: which allocations were met, and which is to fail.
 *
 *     test('…', run('…', { env: preloaded }, async (limpet) => {
 *         const allocations = new Allocations(limpet.folder);
 *         allocations.fail({ path });
 */
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const BUILD = path.resolve(process.env.LIMPET_BUILD ?? path.join(__dirname, '../../build'));
const LIMPET = path.resolve(process.env.LIMPET ?? path.join(BUILD, 'limpet'));

/** For `env` of a test's settings. AddressSanitizer's allocator comes behind ours. */
const preloaded = {
	ALLOCATIONS: './allocations',
	LD_PRELOAD: path.join(BUILD, 'tests/faults/allocations.so'),
	ASAN_OPTIONS: [process.env.ASAN_OPTIONS, 'verify_asan_link_order=0'].filter(Boolean).join(':'),
};

/** As allocations.c lays them out. */
const ORDERS = { armed: 0, nth: 4, path: 8, place: 16, then: 24, more: 32, met: 36, failed: 40, pathCount: 44, paths: 48 };
const DEPTH = 24;
const PATH = { hash: 0, places: 8, failed: 8 + 8 * DEPTH };
const PATH_BYTES = 16 + 8 * DEPTH;

const FILE_SHIFT = 48n;
const OFFSET = (1n << FILE_SHIFT) - 1n;
const PROGRAM = 0n;

class Allocations {
	#file;

	constructor(folder) {
		this.#file = path.join(folder, 'allocations');
	}

	#write(at, bytes) {
		const fd = fs.openSync(this.#file, fs.constants.O_RDWR | fs.constants.O_CREAT);
		fs.writeSync(fd, bytes, 0, bytes.length, at);
		fs.closeSync(fd);
	}

	/**
	 * From now on, let one fail, by its path, its innermost place in limpet or its number, or none; and behind it one on
	 * the path `then`, or as many `more` as follow.
	 */
	arm({ nth = 0, path: target = 0n, place = 0n, then = 0n, more = 0 } = {}) {
		const orders = Buffer.alloc(ORDERS.pathCount);
		orders.writeUInt32LE(nth, ORDERS.nth);
		orders.writeBigUInt64LE(target, ORDERS.path);
		orders.writeBigUInt64LE(place, ORDERS.place);
		orders.writeBigUInt64LE(then, ORDERS.then);
		orders.writeUInt32LE(more, ORDERS.more);
		this.#write(0, orders);
		this.#write(ORDERS.armed, Buffer.of(1, 0, 0, 0));
	}

	disarm() {
		this.#write(ORDERS.armed, Buffer.alloc(4));
	}

	/** failed: how many since it was armed; paths: all ever, how many failed on each in all. */
	read() {
		const bytes = fs.readFileSync(this.#file);
		const paths = Array.from({ length: bytes.readUInt32LE(ORDERS.pathCount) }, (_, i) => {
			const at = ORDERS.paths + i * PATH_BYTES;
			const places = Array.from({ length: DEPTH }, (_, j) => bytes.readBigUInt64LE(at + PATH.places + 8 * j));
			return {
				hash: bytes.readBigUInt64LE(at + PATH.hash),
				places: places.slice(0, places.indexOf(0n) < 0 ? DEPTH : places.indexOf(0n)),
				failed: bytes.readUInt32LE(at + PATH.failed),
			};
		});
		return { failed: bytes.readUInt32LE(ORDERS.failed), paths };
	}
}

/** What addr2line says of places in the program, by place. */
const names = new Map();

/** "function at file.c:12" for places, in their order. */
function describe(places) {
	const unknown = places.filter((place) => !names.has(place));
	if (unknown.length) {
		const addresses = unknown.map((place) => `0x${(place & OFFSET).toString(16)}`);
		const output = execFileSync('addr2line', ['-f', '-e', LIMPET, ...addresses], { encoding: 'utf8' });
		const lines = output.split('\n');
		unknown.forEach((place, i) => {
			const at = lines[2 * i + 1].replace(/^.*\/core\//, 'core/').replace(/ \(.*$/, '');
			names.set(place, `${lines[2 * i]} at ${at}`);
		});
	}
	return places.map((place) => names.get(place));
}

/** The innermost place in limpet's own code; undefined if there is none, as in a library's start. */
const placeOf = ({ places }) => places.find((place) => place >> FILE_SHIFT === PROGRAM);

/** The way to an allocation through limpet's own code, from within; what allocates for libraries is left out. */
const wayTo = ({ places }) => describe(places.filter((place) => place >> FILE_SHIFT === PROGRAM))
	.filter((name) => !name.startsWith('lp_memory_reserve_'));

module.exports = { Allocations, BUILD, LIMPET, placeOf, preloaded, wayTo };
