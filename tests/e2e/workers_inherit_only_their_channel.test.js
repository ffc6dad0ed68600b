'use strict';
/**
 * What a worker is started with: 0, 1, 2 and its channel, default signals, and the limit of descriptors that limpet was
 * given. limpet itself is started with more than it should be: descriptors of a careless parent, signals ignored and
 * blocked, a low soft limit.
 */
const assert = require('node:assert/strict');
const { spawn, execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');

/** The soft limit that limpet is given. */
const LIMIT = 64;

const real = path.resolve(process.env.LIMPET ?? path.join(__dirname, '../../build/limpet'));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-careless-'));
test.after(() => fs.rmSync(folder, { recursive: true }));
process.env.LIMPET = path.join(folder, 'limpet');
fs.writeFileSync(process.env.LIMPET, `#!/bin/sh
ulimit -Sn ${LIMIT}
exec 4</dev/null 7</etc/passwd 9>/dev/null
exec env --ignore-signal=HUP,PIPE,USR2 --block-signal=USR1 ${real} "$@"
`, { mode: 0o755 });

const { eventually, run } = require('./harness');
const proc = require('./proc');

/** What a process has beside the standard ones: "socket", "pipe", or a path. Numbers differ with the order of opening. */
function kindsOf(pid, but = []) {
	const { 0: input, 1: output, 2: errors, ...others } = proc.links(pid);
	return Object.values(others).filter((link) => !but.includes(link)).map((link) => link.replace(/:.*\d.*/, '')).sort();
}

/** Node's own primary with one worker, whose server is as those of our workers, but for the port. */
const UNDER_NODE = `
	const cluster = require('node:cluster');
	if (cluster.isPrimary)
		cluster.fork().on('listening', function () { console.log(this.process.pid); });
	else
		require('node:http').createServer().listen(0, '127.0.0.1');
`;

/** What a worker has without limpet, but for what our own parent, too, may have left open. */
async function withoutLimpet() {
	fs.writeFileSync(path.join(folder, 'primary.js'), UNDER_NODE);
	const node = spawn(process.execPath, [path.join(folder, 'primary.js')], { stdio: ['ignore', 'pipe', 'inherit'] });
	const [line] = await once(node.stdout, 'data');
	const inherited = Object.values(proc.links(process.pid)).filter((link) => link.startsWith('pipe:'));
	const kinds = kindsOf(Number(line), inherited);
	node.kill();
	return kinds;
}

for (const [dialect, script] of Object.entries({
	cluster: 'workers/answer.js',
	'socket.io-sticky': 'workers/socketio_sticky.js sticky201',
	'sticky-session': 'workers/sticky_session.js',
	'socketio-sticky-session': 'workers/socketio_sticky_session.js',
}))
	for (const prefix of ['', '--worker-prefix '])
		test(`${prefix}a ${dialect} worker has what Node gives it, and no more`, run(
			`${prefix}--workers 2 --listen 127.0.0.1:0 --listen unix:./path --dialect ${dialect} -- node ${script}`,
			async (limpet) => {
				const expected = await withoutLimpet();
				for (const id of [1, 2]) {
					const { pid } = await limpet.worker(id);
					assert.deepEqual(kindsOf(pid), expected);
					assert.equal(proc.links(pid)[0], '/dev/null');
				}
			}));

const NATIVE = '--workers 2 --dialect native -- sh workers/telling.sh';

test('a native worker has its channel, and what it opens', run(NATIVE, async (limpet) => {
	for (const id of [1, 2])
		assert.deepEqual(kindsOf((await limpet.worker(id)).pid), ['anon_inode:[eventpoll]', 'socket']);
}));

test('a worker begins with default signals and with the limit that limpet was given', run(NATIVE, async (limpet) => {
	await limpet.saidTimes(2, /^SigBlk:\s0{16}$/);
	await limpet.saidTimes(2, /^SigIgn:\s0{16}$/);
	await limpet.saidTimes(2, new RegExp(`^limit: ${LIMIT}$`));
}));

test('limpet raises its own limit, says so, and can start workers when it is far above theirs', run(
	`--log-level debug --worker-prefix --policy sid ${NATIVE}`,
	async (limpet) => {
		const hard = Number(execFileSync('sh', ['-c', 'ulimit -Hn']));
		await limpet.said(new RegExp(`^limpet: limpet may open ${hard} descriptors; workers begin with a limit of ${LIMIT}$`));
		const sockets = await Promise.all(Array.from({ length: 4 * LIMIT }, () => limpet.connect()));
		sockets.slice(0, 250).forEach((socket) => socket.write('GET'));
		await eventually('they wait', async () => (await limpet.counts()).waiting >= 250);
		const { descriptors } = await limpet.status();
		assert.equal(descriptors.limit, hard);
		assert.ok(descriptors.open >= 250 && descriptors.open <= proc.descriptors(limpet.pid) + 2, descriptors.open);
		for (let death = 0; death < 3; death++) {
			const { now } = limpet;
			process.kill((await limpet.worker(1)).pid, 'SIGKILL');
			await limpet.said(/worker 1 is ready/, now);
			await limpet.said(new RegExp(`^\\[1\\] limit: ${LIMIT}$`), now);
		}
		assert.equal((await limpet.status()).descriptors.limit, hard);
		sockets.forEach((socket) => socket.destroy());
		await eventually('none waits', async () => (await limpet.counts()).waiting === 0);
		assert.equal((await limpet.get('/')).status, 200);
	}));
