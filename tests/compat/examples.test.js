'use strict';
/**
 * examples/from_*: a chat with its old primary, the very same file as a worker of limpet, and what is left of it when the
 * primary's half is deleted, started by its `run`. In each, what one client says another hears.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const test = require('node:test');
const { io } = require('socket.io-client');
const { connect } = require('socketio09-client');
const { deadline } = require('../e2e/patience');
const proc = require('../e2e/proc');

const EXAMPLES = path.resolve(__dirname, '../../examples');
const LIMPET = path.resolve(process.env.LIMPET ?? path.join(__dirname, '../../build/limpet'));
const MARK = 'LIMPET_COMPAT';

async function freePort() {
	const server = net.createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	await once(server.close(), 'close');
	return port;
}

/** A program for the length of a body, which begins when `listens` finds an address in what it has printed. */
async function during(folder, [program, ...args], env, listens, body) {
	const mark = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-compat-'));
	const child = spawn(program, args, {
		cwd: path.join(EXAMPLES, folder),
		env: { ...process.env, ...env, [MARK]: mark },
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	const exited = once(child, 'exit');
	const end = deadline(() => child.kill('SIGKILL'));
	let log = '';
	try {
		const where = await new Promise((resolve, reject) => {
			for (const stream of [child.stdout, child.stderr])
				stream.setEncoding('utf8').on('data', (text) => {
					log += text;
					end.advanced();
					const found = listens(log);
					if (found)
						resolve(found);
				});
			exited.then(() => reject(new Error('it ended')));
		});
		const early = exited.then(() => Promise.reject(new Error('it ended')));
		await Promise.race([body(where), early]);
	} catch (error) {
		process.stderr.write(`--- log of ${folder}: ${program} ${args.join(' ')}\n${log}---\n`);
		throw error;
	} finally {
		child.kill('SIGTERM');
		await exited;
		end.cancel();
		proc.withVariable(MARK, mark).forEach((pid) => process.kill(pid, 'SIGKILL'));
		fs.rmSync(mark, { recursive: true });
	}
}

/** A connected client. One of socket.io 0.9 may come before the news of its handshake and be sent away: it comes again. */
async function connected(address, { old, transport }) {
	for (let tries = 1; ; tries++) {
		const client = old ?
			connect(`http://${address}`, { 'force new connection': true, reconnect: false, transports: [old] }) :
			io(`http://${address}`, { forceNew: true, reconnection: false, timeout: false, transports: [transport] });
		try {
			await new Promise((resolve, reject) => {
				client.once('connect', resolve);
				client.once(old ? 'error' : 'connect_error', reject);
			});
			return client;
		} catch (error) {
			client.disconnect();
			if (!/not handshaken/.test(error) || tries === 20)
				throw error;
		}
	}
}

/** Two clients of the old or of the new Socket.IO: what one says both hear. */
async function chat(address, how) {
	const clients = [await connected(address, how), await connected(address, how)];
	try {
		const heard = clients.map((client) => once(client, 'said'));
		clients[0].emit('say', 'hello');
		assert.deepEqual(await Promise.all(heard), [['hello'], ['hello']]);
	} finally {
		clients.forEach((client) => client.disconnect());
	}
}

/** A flag as the example's `run` has it, with its value; nothing if it has not. */
function flags(folder, name) {
	const run = fs.readFileSync(path.join(EXAMPLES, folder, 'run'), 'utf8');
	const value = new RegExp(`^serve .*--${name} (\\S+)`, 'm').exec(run)?.[1];
	return value ? [`--${name}`, value] : [];
}

function lines(folder, name) {
	const text = fs.readFileSync(path.join(EXAMPLES, folder, name), 'utf8');
	return text.split('\n').map((line) => line.trim()).filter((line) => line && !line.startsWith('//'));
}

const STORE = 'from_strong_cluster_socketio_store';

/** What the unchanged file needs beside the flags of `run`: nothing there tells limpet of the article's message. */
const DIALECT = { from_node_cluster_socketio: ['--dialect', 'socketio-sticky-session'] };

/** Where limpet listens, once all its workers are ready: the first alone would get everybody. */
function ready(log) {
	const workers = new Set(log.match(/ limpet: worker \d+ is ready/g));
	return workers.size === 4 && / limpet: listening on (\S+)$/m.exec(log)?.[1];
}

const PM2 = require.resolve('@socket.io/pm2/bin/pm2-runtime');

/** Whether pm2 says that all instances are there. */
function online(log) {
	return new Set(log.match(/App \[\w+:\d+\] online/g)).size === 4;
}

for (const folder of fs.readdirSync(EXAMPLES).filter((name) => /^from_\w+$/.test(name))) {
	const old = folder === STORE && 'xhr-polling';
	if (fs.existsSync(path.join(EXAMPLES, folder, 'before.js'))) {
		test(`${folder}: before`, async () => {
			const port = String(await freePort());
			const listens = (log) => log.includes(`listening on port ${port}\n`) && port;
			await during(folder, [process.execPath, 'before.js'], { PORT: port }, listens,
				() => chat(`127.0.0.1:${port}`, { old: old && 'websocket', transport: 'websocket' }));
		});

		test(`${folder}: before, not a line changed, on limpet`, async () => {
			const command = [LIMPET, 'run', '--listen', '127.0.0.1:0', '--workers', '4', '--drain-timeout', '1s',
				...flags(folder, 'policy'), ...DIALECT[folder] ?? [], '--', process.execPath, 'before.js'];
			await during(folder, command, {}, ready, (address) => chat(address, { old, transport: 'polling' }));
		});

		test(`${folder}: what is left has no new line, but one that listens`, () => {
			// It requires less of a package, or listens for itself; everything else was there before.
			const before = new Set(lines(folder, 'before.js'));
			const added = lines(folder, 'after.js').filter((line) => !before.has(line));
			assert.deepEqual(added.filter((line) => !/^server\.listen\(|^const \{ \w+ \} = require\(/.test(line)), []);
		});
	}

	if (fs.existsSync(path.join(EXAMPLES, folder, 'before.config.js')))
		test(`${folder}: before, in pm2`, async () => {
			const port = String(await freePort());
			const home = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-compat-'));
			const command = [process.execPath, PM2, 'start', 'before.config.js'];
			try {
				await during(folder, command, { PM2_HOME: home, PM2_PORT: port }, online,
					() => chat(`127.0.0.1:${port}`, { transport: 'websocket' }));
			} finally {
				fs.rmSync(home, { recursive: true, force: true });
			}
		});

	test(`${folder}: after`, () => during(folder, ['./run'], { PORT: '0' }, ready,
		(address) => chat(address, { old, transport: 'polling' })));
}
