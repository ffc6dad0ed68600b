'use strict';
/**
 * Workers that come by themselves (the preloaded library's) prove who they are. Another user of the machine, who may start
 * whatever he likes with whatever environment, becomes no worker, and keeps none from becoming one.
 */
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const test = require('node:test');
const { AT_PORT, workerPids } = require('../e2e/any_server');
const { eventually, run } = require('../e2e/harness');
const { stopwatch } = require('../e2e/patience');
const proc = require('../e2e/proc');
const { Stranger, needsRoot, withStranger } = require('./stranger');

const node = (programs, policy = 'round_robin') =>
	`--workers ${programs} --policy ${policy} --dialect preload -- ${AT_PORT} node workers/any_server/chat.js PORT`;

/** Where the workers of a limpet register, as their environment tells them. */
function doorOf(pid) {
	const variables = fs.readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
	return variables.find((variable) => variable.startsWith('LIMPET_PRELOAD=')).slice('LIMPET_PRELOAD='.length);
}

/**
 * Knock at a door again and again, as a worker would that has lost its limpet; take whatever connection comes, and read it.
 * It says "tried" after each time, and "taken" when it has got somebody's request.
 */
const REGISTER = `
import array, os, socket, sys, time
door = sys.argv[1]
print('here', flush=True)
while True:
    try:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel.connect(door)
        for said in ('listen 0', 'ready'):
            channel.send(said.encode())
        while True:
            data, ancillary, _, _ = channel.recvmsg(4096, socket.CMSG_SPACE(4))
            if not data:
                break
            if ancillary:
                client = socket.socket(fileno=array.array('i', ancillary[0][2][:4])[0])
                channel.send(b'ack ' + data.split()[1])
                print('taken', client.recv(4096), flush=True)
                client.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\nConnection: close\\r\\n\\r\\nstolen')
                client.close()
    except OSError:
        pass
    print('tried', flush=True)
    time.sleep(0.02)
`;

/** Many requests, each on a connection of its own: the processes that answered. */
async function answeredBy(limpet, requests = 12) {
	const pids = new Set();
	for (let i = 0; i < requests; i++) {
		const { json, text } = await limpet.get('/', { headers: { Cookie: 'secret=1' } });
		pids.add(json?.pid ?? text);
	}
	return [...pids].sort();
}

/** While there is no limpet, which would start another in its place. */
async function end(worker) {
	process.kill(worker, 'SIGKILL');
	await eventually('its number is free', () => proc.stateOf(worker) === undefined);
}

for (const leader of [true, false])
	test(`a process of another user ${leader ? 'that leads a session ' : ''}is not adopted after kill -9`, needsRoot, run(
		node(2).replace('--workers 2', '--workers 2 --session-wait 0s'),
		async (limpet) => {
			const workers = await workerPids(limpet);
			const door = doorOf(workers[0]);
			const env = Object.fromEntries(fs.readFileSync(`/proc/${workers[1]}/environ`, 'latin1').split('\0')
				.filter((variable) => /^LI(MPET_(PRELOAD|WORKER)|STEN)/.test(variable)).map((variable) => variable.split(/=(.*)/s)));
			/* Its own word for everything: it is worker 2, of this very limpet. */
			const stranger = new Stranger(REGISTER, [door], { env, leader });
			await withStranger(stranger, async () => {
				await stranger.said(/here/);
				const { now } = limpet;
				await limpet.killAndRestart({ between: () => end(workers[1]) });
				await limpet.saidTimes(2, /limpet: worker \d+ is ready/, now);
				stranger.lines.length = 0;
				await stranger.said(/tried/);
				assert.equal((await workerPids(limpet)).includes(stranger.pid), false);
				assert.deepEqual(await answeredBy(limpet), await workerPids(limpet));
				assert.deepEqual(stranger.lines.filter((line) => /taken/.test(line)), []);
				assert.deepEqual(limpet.lines.slice(now).filter((line) => new RegExp(`process ${stranger.pid} is left`).test(line)), []);
			});
		}));

/** Let a process have a number that was another's, as happens by itself when numbers have gone round. */
async function takeNumber(pid, program, words, options) {
	for (let i = 0; i < 100; i++) {
		fs.writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
		const stranger = new Stranger(program, words, options);
		if (stranger.pid === pid)
			return stranger;
		await stranger.end();
	}
	throw new Error(`number ${pid} was not to be had`);
}

test('a process that has the number of a worker of before is not adopted', needsRoot, run(node(2), async (limpet) => {
	const [first, second] = await workerPids(limpet);
	const door = doorOf(first);
	await limpet.killAndRestart({
		async between() {
			await end(second);
			const stranger = await takeNumber(second, REGISTER, [door], { leader: true });
			limpet.stranger = stranger;
			await stranger.said(/here/);
		},
	});
	await withStranger(limpet.stranger, async (stranger) => {
		await eventually('there are two workers', async () => (await workerPids(limpet)).length === 2);
		stranger.lines.length = 0;
		await stranger.said(/tried/);
		const pids = await workerPids(limpet);
		assert.ok(pids.includes(first), 'the one that lived on is known again');
		assert.ok(!pids.includes(stranger.pid));
		assert.deepEqual(await answeredBy(limpet), pids);
	});
}));

test('a process of another user is not let in while limpet runs, and the log says who it is', needsRoot, run(node(1), async (limpet) => {
	const [worker] = await workerPids(limpet);
	const stranger = new Stranger(REGISTER, [doorOf(worker)]);
	await withStranger(stranger, async () => {
		await limpet.said(new RegExp(`process ${stranger.pid} of user 65534 is no worker: limpet has started neither it`));
		assert.deepEqual(await answeredBy(limpet), [worker]);
		assert.deepEqual(stranger.lines.filter((line) => /taken/.test(line)), []);
	});
}));

test('a process of the same user that limpet has not started is none either', run(node(1), async (limpet) => {
	const [worker] = await workerPids(limpet);
	const other = spawn('/usr/bin/python3', ['-c', REGISTER, doorOf(worker)], { stdio: ['ignore', 'ignore', 'inherit'] });
	try {
		await limpet.said(new RegExp(`process ${other.pid} of user ${process.getuid()} is no worker`));
		assert.deepEqual(await answeredBy(limpet), [worker]);
	} finally {
		other.kill('SIGKILL');
	}
}));

/** Connect to a door as often as can be, say how often a second, and hang up at once; or hold on, if that is asked for. */
const KNOCK = `
import resource, socket, sys, time
door, hold = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (hold + 64, hold + 64))
held = []
print('knocking', flush=True)
while True:
    try:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        channel.connect(door)
        if len(held) < hold:
            held.append(channel)
    except OSError:
        time.sleep(0.001)
`;

test('one that knocks while there are no descriptors costs no processor time', needsRoot, run(
	`--max-per-ip 0 --max-waiting 1000 --head-timeout 1h ${node(1, 'sid')}`,
	{ under: ['prlimit', '--nofile=64:64'] },
	async (limpet) => {
		const [worker] = await workerPids(limpet);
		const idle = await Promise.all(Array.from({ length: 80 }, () => limpet.connect()));
		idle.forEach((socket) => socket.write('GET'));
		await limpet.said(/cannot be accepted: too many open files/);
		const stranger = new Stranger(KNOCK, [doorOf(worker), 16]);
		await withStranger(stranger, async () => {
			await stranger.said(/knocking/);
			const before = proc.cpuMs(limpet.pid);
			const watch = stopwatch();
			await eventually('a second goes by', () => watch.ms() > 1000);
			const share = (proc.cpuMs(limpet.pid) - before) / watch.ms();
			assert.ok(share < 0.3, `limpet has used ${Math.round(100 * share)} % of a processor`);
		});
		idle.forEach((socket) => socket.destroy());
		await eventually('all is well again', async () => (await limpet.get('/')).status === 200);
	}));

/** Bind abstract names one after the other: whoever comes later finds them taken. */
const SQUAT = `
import resource, socket, sys
prefix, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 64, count + 64))
held = []
for number in range(first, first + count):
    held.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    try:
        held[-1].bind('\\0' + prefix + str(number))
    except OSError:
        pass  # It is somebody's already.
print('squatting', flush=True)
sys.stdin.readline()
`;

/** The name of a worker's placeholder, as anybody can read it: up to the part that tells one from the other. */
function placeholderPrefix(pid) {
	const sockets = Object.values(proc.links(pid)).map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]).filter(Boolean);
	const rows = fs.readFileSync('/proc/net/unix', 'latin1').split('\n').map((row) => row.split(/\s+/));
	const [, , , , , , , name] = rows.find((row) => sockets.includes(row[6]) && row[7]?.startsWith('@limpet-preload/'));
	return /^@(limpet-preload\/.*\/)/.exec(name)[1];
}

test('names of placeholders that are taken keep no worker from starting', needsRoot, run(node(2), async (limpet) => {
	const prefix = placeholderPrefix((await workerPids(limpet))[0]);
	const squatter = new Stranger(SQUAT, [`${prefix}${limpet.pid}.`, 0, 6000], { under: ['prlimit', '--nofile=8192'] });
	await withStranger(squatter, async () => {
		await squatter.said(/squatting/);
		const { now } = limpet;
		const before = await workerPids(limpet);
		before.forEach((pid) => process.kill(pid, 'SIGKILL'));
		await limpet.saidTimes(2, /^limpet: worker \d+ is ready/, now);
		assert.deepEqual(limpet.lines.slice(now).filter((line) => /cannot be started/.test(line)), []);
		assert.equal((await limpet.get('/')).status, 200);
	});
}));
