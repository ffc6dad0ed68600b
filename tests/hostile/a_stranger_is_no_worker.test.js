'use strict';
/**
 * Workers that come by themselves (the preloaded library's) prove who they are. Another user of the machine, who may start
 * whatever he likes with whatever environment, becomes no worker, and keeps none from becoming one.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const test = require('node:test');
const { AT_PORT, workerPids } = require('../e2e/any_server');
const { run } = require('../e2e/harness');
const proc = require('../e2e/proc');
const { Stranger, needsRoot, withStranger } = require('./stranger');

const node = (programs) =>
	`--workers ${programs} --policy round_robin --dialect preload -- ${AT_PORT} node workers/any_server/chat.js PORT`;

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
