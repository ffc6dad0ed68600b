#!/usr/bin/env node
'use strict';
/**
 * Messages between workers, through limpet and through a Node primary: the same Socket.IO program with
 * @socket.io/cluster-adapter in four workers, each of which calls serverSideEmit as often as the others keep up with.
 *
 *     node tests/bench/messages.js [MESSAGES A WORKER [BYTES OF EACH]]
 *
 * It prints, for each primary in turn and twice over, deliveries a second and the primary's processor time for each
 * message that came in. $LIMPET is the program under test; packages are those of tests/e2e.
 */
const cluster = require('node:cluster');
const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { createRequire } = require('node:module');

const WORKERS = 4;
const MESSAGES = Number(process.env.MESSAGES ?? process.argv[2] ?? 20_000);
const BYTES = Number(process.env.BYTES ?? process.argv[3] ?? 200);
if (!(MESSAGES >= 1 && BYTES >= 0)) {
	console.error(`usage: messages.js [MESSAGES A WORKER [BYTES OF EACH]], not ${process.argv.slice(2).join(' ')}`);
	process.exit(2);
}
/** A run that takes longer has failed. */
const LONGEST_MS = 120_000;
/** How far a worker may be ahead of what it has heard itself, so that no queue grows. */
const AHEAD = 1000;

const from = createRequire(path.join(__dirname, '../e2e/package.json'));

function work() {
	const { Server } = from('socket.io');
	const io = new Server({ adapter: from('@socket.io/cluster-adapter').createAdapter() });
	const text = 'x'.repeat(BYTES);
	let heard = 0;
	let sent = 0;
	const others = WORKERS - 1;
	const more = () => {
		for (let i = 0; i < 100 && sent < MESSAGES && sent < heard / others + AHEAD; i++, sent++)
			io.serverSideEmit('text', text);
		if (sent < MESSAGES)
			setImmediate(more);
	};
	io.on('text', () => {
		if (++heard === others * MESSAGES)
			console.log('bench: done');
	});
	const timer = setInterval(async () => {
		if (await io.of('/').adapter.serverCount() < WORKERS)
			return;
		clearInterval(timer);
		process.once('SIGUSR2', more);
		console.log('bench: here');
	}, 20);
	require('node:http').createServer().listen(0);
}

function cpuTicks(pid) {
	const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
	return Number(fields[11]) + Number(fields[12]);
}

/** One run: resolves when the processes have ended. */
function measure(name, command, args) {
	return new Promise((resolve, reject) => {
		const env = { ...process.env, MESSAGES, BYTES };
		const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
		let here = 0;
		let done = 0;
		let began;
		let ticks;
		let rest = '';
		child.stdout.setEncoding('utf8').on('data', (data) => {
			const lines = (rest + data).split('\n');
			rest = lines.pop();
			here += lines.filter((line) => line.endsWith('bench: here')).length;
			done += lines.filter((line) => line.endsWith('bench: done')).length;
			if (here === WORKERS && !began) {
				began = process.hrtime.bigint();
				ticks = cpuTicks(child.pid);
				for (const pid of childrenOf(child.pid))
					process.kill(pid, 'SIGUSR2');
			}
			if (done === WORKERS) {
				const seconds = Number(process.hrtime.bigint() - began) / 1e9;
				const came = WORKERS * MESSAGES;
				const perMessage = (cpuTicks(child.pid) - ticks) * 10_000 / came;
				const delivered = Math.round(came * (WORKERS - 1) / seconds);
				console.log(`${name.padEnd(14)} ${delivered} deliveries/s, ${perMessage.toFixed(2)} us of ` +
					`the primary's processor a message (${came} messages of ${BYTES} bytes)`);
				done = 0;
				child.kill('SIGTERM');
			}
		});
		const late = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS);
		child.on('close', () => clearTimeout(late));
		child.on('error', reject).on('close', resolve);
	});
}

function childrenOf(pid) {
	return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
}

async function main() {
	const limpet = process.env.LIMPET ?? path.join(__dirname, '../../build/limpet');
	for (let round = 0; round < 2; round++) {
		await measure('Node primary', process.execPath, [__filename, 'primary']);
		await measure('limpet', limpet, ['run', '--listen', '127.0.0.1:0', '--workers', String(WORKERS), '--log-level',
			'error', '--dialect', 'cluster', '--drain-timeout', '500ms', '--', process.execPath, __filename]);
	}
}

if (cluster.isWorker) {
	work();
} else if (process.argv[2] === 'primary') {
	from('@socket.io/cluster-adapter').setupPrimary();
	for (let i = 0; i < WORKERS; i++)
		cluster.fork();
	process.on('SIGTERM', () => process.exit(0));
} else {
	main();
}
