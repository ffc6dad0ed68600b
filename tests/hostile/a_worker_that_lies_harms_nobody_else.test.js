'use strict';
/**
 * Workers that mean harm, in each dialect: whatever one says, and however much of it, the clients of the others are served as
 * before, limpet's memory stays in bounds and comes back, its log is no flood, and the place of one that is cut off has a
 * worker again.
 *
 * Worker 1 is honest, worker 2 lies (liar.py). Others' requests go to worker 1.
 */
const assert = require('node:assert/strict');
const path = require('node:path');
const test = require('node:test');
const { eventually, run, sanitized } = require('../e2e/harness');
const proc = require('../e2e/proc');
const { Neighbours } = require('./neighbours');

const LIAR = path.join(__dirname, 'liar.py');

/** limpet's memory may grow by so much while a worker lies, and by so much for good. */
const GROWTH_KIB = 64 * 1024;
const KEPT_KIB = 16 * 1024;

/** Lines that limpet may write meanwhile; a budget is ten a second and kind. */
const LINES = 400;

const HONEST = {
	cluster: 'node workers/answer.js',
	native: '/usr/bin/python3 workers/native.py',
	v8: 'node workers/answer.js',
	preload: 'env -u LISTEN_FDS node ./honest.js',
	node: 'env -u LISTEN_FDS node ./honest.js',
};

/** A server that knows nothing of limpet. */
const SERVER = `
	const { LIMPET_WORKER_ID: worker, LIMPET_PRELOAD_LISTEN: port } = process.env;
	require('node:http').createServer((request, response) => response.end(JSON.stringify({ worker: Number(worker), pid: process.pid })))
		.listen(Number(port));
`;

const files = { 'first.lua': 'return { on_request = function(conn, workers) return conn.path == "/liar" and workers[2] or workers[1] end }' };

const setting = (dialect, harm) => ({
	files: {
		...files,
		'honest.js': SERVER,
		'worker': `#!/bin/sh
			[ "$LIMPET_WORKER_ID" = 2 ] && exec /usr/bin/python3 ${LIAR} ${dialect} ${harm}
			exec ${HONEST[dialect]}`,
	},
	prepare: (folder) => require('node:fs').chmodSync(path.join(folder, 'worker'), 0o755),
});

const COMMAND = {
	cluster: '--workers 2 --dialect cluster --policy ./first.lua -- ./worker',
	native: '--workers 2 --dialect native --policy ./first.lua -- ./worker',
	v8: '--workers 2 --dialect cluster --node-serialization advanced --policy ./first.lua -- ./worker',
	preload: '--workers 2 --dialect preload --policy ./first.lua -- ./worker',
	node: '--workers 2 --dialect node --policy ./first.lua -- ./worker',
};

/** The liar begins; resolves to its pid. */
async function begin(limpet) {
	const [, pid] = await limpet.said(/^liar is here (\d+)$/);
	const { now } = limpet;
	process.kill(Number(pid), 'SIGUSR1');
	await limpet.said(/^liar begins$/, now);
	return Number(pid);
}

async function assertHarmless(limpet) {
	await limpet.said(/worker 1 is ready/);
	const others = new Neighbours(limpet);
	await others.measure('quiet');
	const before = proc.residentKib(limpet.pid);
	const { now } = limpet;
	const pid = await begin(limpet);
	await others.measure('loud');
	const during = proc.residentKib(limpet.pid);
	const lines = limpet.lines.length - now;
	if (proc.stateOf(pid)) // limpet may have ended it.
		process.kill(pid, 'SIGKILL');
	others.assertUnharmed();
	if (!sanitized)
		assert.ok(during - before < GROWTH_KIB, `limpet has grown by ${during - before} KiB`);
	assert.ok(lines < LINES, `limpet has written ${lines} lines`);
	await limpet.said(/worker 2 \(pid \d+\) was killed/, now);
	await others.measure('loud');
	others.assertUnharmed();
	const after = proc.residentKib(limpet.pid);
	if (!sanitized)
		assert.ok(after - before < KEPT_KIB, `limpet has kept ${after - before} KiB`);
	await limpet.counts();
}

for (const [dialect, harms] of Object.entries({
	cluster: ['node_cluster_flood', 'small_messages', 'large_messages', 'endless_line', 'byte_by_byte', 'nonsense', 'servers',
		'deaf_asker', 'deep', 'handles', 'flapping', 'wrong_acks', 'claims'],
	native: ['native_nonsense', 'native_store', 'native_descriptors', 'open_too_many', 'claims'],
	preload: ['lingering_descriptors', 'places'],
	node: ['wrong_acks', 'lingering_descriptors'],
	v8: ['v8_doubles', 'v8_nonsense'],
}))
	for (const harm of harms)
		/* The table of sessions keeps the memory that it is allowed to have. */
		test(`${dialect}: ${harm.replaceAll('_', ' ')}`, run(`--max-sessions 10000 ${COMMAND[dialect]}`, { ...setting(dialect, harm), ready: false }, assertHarmless));

test('a session that moves from a living worker is counted, and the log says to whom, but not which', run(
	'--workers 2 --dialect native --policy sid -- /usr/bin/python3 ' + `${LIAR} native claim_one`,
	async (limpet) => {
		const ids = [1, 2];
		const pids = [];
		for (const id of ids)
			pids.push((await limpet.worker(id)).pid);
		for (const pid of [pids[0], pids[0], pids[1]])
			process.kill(pid, 'SIGUSR1');
		await limpet.saidTimes(2, /^liar begins$/);
		await eventually('both have claimed it', async () => (await limpet.counts()).sessions_moved === 1);
		const [line] = await limpet.said(/worker (\d) \(pid \d+\) claims the session .* of worker (\d) \(pid \d+\), which is alive/);
		assert.ok(line.includes('secr…'));
		assert.deepEqual(limpet.lines.filter((text) => text.includes('secret-of-somebody')), []);
		assert.equal((await limpet.counts()).sessions, 1);
	}));

for (const [dialect, harm] of [['cluster', 'reads_no_more'], ['native', 'reads_no_more'], ['native', 'native_ack_of_nothing']])
	test(`${dialect}: ${harm.replaceAll('_', ' ')}: its place has a worker again, while it lives`, run(
		COMMAND[dialect], { ...setting(dialect, harm), ready: false },
		async (limpet) => {
			await limpet.said(/worker 1 is ready/);
			await limpet.said(/worker 2 is ready/);
			const pid = await begin(limpet);
			const { now } = limpet;
			/* What is sent to it comes back, and is answered by somebody. */
			for (let i = 0; i < 5; i++)
				assert.equal((await limpet.get('/liar')).status, 200);
			await limpet.said(/worker 2 is ready/, now);
			await eventually('the liar is gone', () => proc.stateOf(pid) === undefined);
			assert.equal((await limpet.get('/liar')).json.worker, 2);
		}));
