'use strict';
/**
 * Who has proved it gets in, whatever has become of it since: daemons in sessions of their own, processes that have given
 * root up, the children of those; also when limpet was killed in between.
 */
const assert = require('node:assert/strict');
const path = require('node:path');
const test = require('node:test');
const { AT_PORT, workerPids } = require('../e2e/any_server');
const { eventually, run } = require('../e2e/harness');
const proc = require('../e2e/proc');
const { UID, needsRoot } = require('./stranger');

const DAEMON = `--workers 1 --policy round_robin --dialect preload -- ${AT_PORT} /usr/bin/python3 ` +
	`${path.join(__dirname, 'daemon.py')} PORT 2`;

/** What answers so many requests says of itself, by pid. */
async function whoAnswers(limpet, requests = 8) {
	const found = new Map();
	for (let i = 0; i < requests; i++) {
		const { json } = await limpet.get('/');
		found.set(json.pid, json);
	}
	return found;
}

/** Wait until the workers are these, and see that they answer, and nobody else. */
async function assertServedBy(limpet, pids) {
	await eventually(`the workers are ${pids}`, async () => String(await workerPids(limpet)) === String(pids));
	assert.deepEqual([...(await whoAnswers(limpet)).keys()].sort(), pids);
}

/** Daemons end when their listener's limpet has: nobody else would end them. */
function endDaemons(limpet) {
	for (const pid of proc.withVariable('LIMPET_E2E', limpet.folder))
		if (pid !== limpet.pid)
			process.kill(pid, 'SIGKILL');
}

test('daemons that are another user now, and those who take their places', needsRoot, run(DAEMON, { mode: 0o755, ready: false }, async (limpet) => {
	try {
		await limpet.saidTimes(2, /limpet: worker \d+ is ready/);
		const served = await whoAnswers(limpet);
		const pids = await workerPids(limpet);
		assert.deepEqual([...served.keys()].sort(), pids);
		for (const { uid } of served.values())
			assert.equal(uid, UID, 'it has given root up');

		const { now } = limpet;
		process.kill(pids[0], 'SIGKILL');
		await limpet.saidTimes(1, /limpet: worker \d+ is ready/, now);
		const [, survivor] = pids;
		const [successor] = (await workerPids(limpet)).filter((pid) => pid !== survivor);
		await assertServedBy(limpet, [survivor, successor].sort());
	} finally {
		endDaemons(limpet);
	}
}));

test('limpet is killed and comes back: they go on, and so do their successors', needsRoot, run(DAEMON, { mode: 0o755, ready: false }, async (limpet) => {
	try {
		await limpet.saidTimes(2, /limpet: worker \d+ is ready/);
		const pids = await workerPids(limpet);
		let { now } = limpet;
		await limpet.killAndRestart();
		await limpet.saidTimes(2, /limpet: worker \d+ is ready/, now);
		await assertServedBy(limpet, pids);

		({ now } = limpet);
		process.kill(pids[1], 'SIGKILL');
		await limpet.saidTimes(1, /limpet: worker \d+ is ready/, now);
		const [successor] = (await workerPids(limpet)).filter((pid) => pid !== pids[0]);
		await assertServedBy(limpet, [pids[0], successor].sort());
	} finally {
		endDaemons(limpet);
	}
}));

test('orphans of workers are adopted, and leave no zombie', run(
	`--workers 1 --policy round_robin --dialect preload -- ${AT_PORT} node ./orphans.js PORT`,
	{
		files: {
			'orphans.js': `
				const { execFileSync } = require('node:child_process');
				require('node:http').createServer((request, response) => {
					const pid = execFileSync('sh', ['-c', 'sleep 0.1 </dev/null >/dev/null 2>&1 & echo $!'], { encoding: 'utf8' });
					response.end(pid);
				}).listen(Number(process.argv[2]));`,
		},
	},
	async (limpet) => {
		const orphans = [];
		for (let i = 0; i < 20; i++)
			orphans.push(Number((await limpet.get('/')).text));
		await eventually('none is left', () => orphans.every((pid) => proc.stateOf(pid) === undefined));
		assert.deepEqual(proc.childrenOf(limpet.pid), await workerPids(limpet));
	}));

