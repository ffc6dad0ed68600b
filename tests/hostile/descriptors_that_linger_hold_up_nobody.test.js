'use strict';
/**
 * A unix socket can hold descriptors that its reader has not received. Closing it closes them, and that waits where one of
 * them is a connection that lingers. Whoever may write to one of limpet's unix sockets (any user, at the workers' door) could
 * make limpet's loop wait like that. What workers do by the same means is in a_worker_that_lies_harms_nobody_else.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const test = require('node:test');
const { workerPids } = require('../e2e/any_server');
const { eventually, run } = require('../e2e/harness');
const { stopwatch } = require('../e2e/patience');
const { Stranger, needsRoot, withStranger } = require('./stranger');

/** How long a close would wait. */
const LINGER_S = 60;

const LINGERING = fs.readFileSync(path.join(__dirname, 'lingering.py'), 'utf8');

/** Prepare such connections, and knock at a door with them, while nobody answers. */
const KNOCK = `${LINGERING}
import sys, time
door, kind = sys.argv[1], getattr(socket, sys.argv[2])
connections = [lingering(${LINGER_S}) for _ in range(4)]
print('prepared', flush=True)
sys.stdin.readline()
channels = []
for number, connection in enumerate(connections):
    channels.append(socket.socket(socket.AF_UNIX, kind))
    channels[-1].connect(door)
    send_inside(channels[-1], b'ready', [connection], nested=number % 2 == 1)
    connection.close()
print('knocked', flush=True)
sys.stdin.readline()
`;

/** Requests, each of which is answered long before what lingers is over. */
async function assertServed(limpet, requests = 20) {
	for (let i = 0; i < requests; i++) {
		const watch = stopwatch();
		assert.equal((await limpet.get('/')).status, 200);
		assert.ok(watch.ms() < LINGER_S * 500, `a request took ${Math.round(watch.ms())} ms`);
	}
}

/** Where those who come say nothing, and where they get Node's channel. */
const DOORS = {
	preload: { kind: 'SOCK_SEQPACKET', variable: 'LIMPET_PRELOAD' },
	node: { kind: 'SOCK_STREAM', variable: 'LIMPET_PRELOAD_NODE' },
};

for (const [dialect, { kind, variable }] of Object.entries(DOORS))
	test(`${dialect}: at the door, in the hands of a stranger`, needsRoot, run(
		`--workers 1 --policy round_robin --dialect ${dialect} -- ./serve`,
		{
			mode: 0o755,
			files: {
				serve: `#!/bin/sh
					unset LISTEN_FDS
					exec node server.js`,
				'server.js': `require('node:http').createServer((request, response) => response.end('hello'))
					.listen(Number(process.env.LIMPET_PRELOAD_LISTEN.split(',')[0]))`,
			},
			prepare: (folder) => fs.chmodSync(path.join(folder, 'serve'), 0o755),
		},
		async (limpet) => {
			const [worker] = await workerPids(limpet);
			const environment = fs.readFileSync(`/proc/${worker}/environ`, 'latin1').split('\0');
			const door = environment.find((entry) => entry.startsWith(`${variable}=`)).slice(variable.length + 1);
			const stranger = new Stranger(KNOCK, [door, kind]);
			await withStranger(stranger, async () => {
				await stranger.said(/prepared/);
				const { now } = limpet;
				process.kill(limpet.pid, 'SIGSTOP');
				try {
					stranger.tell('knock');
					await stranger.said(/knocked/);
				} finally {
					process.kill(limpet.pid, 'SIGCONT');
				}
				await limpet.said(/is no worker/, now);
				await assertServed(limpet);
			});
		}));

/** A client of a unix path, which begins a request: words are the path, and whether it leaves then. */
const CLIENT = `${LINGERING}
import sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
for nested in (False, True):
    connection = lingering(${LINGER_S})
    send_inside(client, b'GET / HTTP/1.1\\r\\n', [connection], nested)
    connection.close()
print('sent', flush=True)
if sys.argv[2] == 'waits':
    while client.recv(4096):
        pass
client.close()
print('over', flush=True)
sys.stdin.readline()
`;

for (const how of ['leaves', 'waits'])
	test(`at a unix path, from a client that ${how}`, run(
		'--listen 127.0.0.1:0 --listen unix:./s --head-timeout 2s --workers 1 --policy sid --dialect cluster -- node workers/answer.js',
		async (limpet) => {
			const client = spawn('/usr/bin/python3', ['-c', CLIENT, path.join(limpet.folder, 's'), how], { stdio: ['pipe', 'pipe', 'inherit'] });
			let said = '';
			client.stdout.setEncoding('utf8').on('data', (text) => (said += text));
			try {
				await eventually('it has sent what it has', () => /sent/.test(said));
				await eventually('it is over for it', () => /over/.test(said));
				await eventually('and for limpet', async () => (await limpet.counts()).waiting === 0);
				await assertServed(limpet);
			} finally {
				client.kill('SIGKILL');
			}
		}));
