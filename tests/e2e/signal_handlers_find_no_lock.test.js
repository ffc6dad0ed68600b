'use strict';
/**
 * A program's signal handlers may call what POSIX lets them call, wherever the signal arrives: Apache's prefork closes its
 * listener in one, while the process waits in accept. Every process ends, again and again, under load; so does one whose
 * other thread forks all the time.
 */
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const test = require('node:test');
const { AT_PORT, registered } = require('./any_server');
const { run } = require('./harness');
const proc = require('./proc');

const SOURCE = path.join(__dirname, 'workers/any_server/prefork.c');

const CHILDREN = 8;
const ROUNDS = 5;

for (const how of ['accept', 'poll', 'restart', 'threads'])
	test(`${CHILDREN} children that wait in ${how} end when a handler closes their listener`, run(
		`--workers 1 --policy round_robin --dialect preload -- ${AT_PORT} ./prefork PORT ${CHILDREN} ${how}`,
		{ prepare: (folder) => execFileSync('cc', ['-O2', '-pthread', '-o', path.join(folder, 'prefork'), SOURCE]) },
		async (limpet) => {
			await registered(limpet, CHILDREN);
			const [program] = proc.childrenOf(limpet.pid);
			for (let round = 1; round <= ROUNDS; round++) {
				const since = limpet.now;
				const load = limpet.startLoad(2);
				await load.reaches(50);
				process.kill(program, 'SIGHUP');
				await limpet.saidTimes(CHILDREN, /^ended 0$/, since);
				await limpet.said(/^renewed$/, since);
				assert.deepEqual((await load.stop()).failures, []);
			}
		}));
