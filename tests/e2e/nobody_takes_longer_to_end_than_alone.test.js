'use strict';
/**
 * limpet is told to stop while clients are connected. --drain-timeout is an hour here, so who waits for it fails.
 *
 * A server that handles SIGTERM ends by rules of its own, beside a client that never leaves: it must have been told at
 * once. How long each takes, by itself and with limpet, is printed. One that does not handle SIGTERM is told when its
 * last client has its whole answer.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const test = require('node:test');
const { AT_PORT, KeptConnection, registered } = require('./any_server');
const { connect, receiveAll } = require('./clients');
const { eventually, run } = require('./harness');

const GUNICORN = `${AT_PORT} gunicorn --chdir workers/any_server -b 127.0.0.1:PORT -w 2`;
const PHP = `${AT_PORT} env PHP_CLI_SERVER_WORKERS=3 php -S 127.0.0.1:PORT`;

/** Workers, the command, and its environment. */
const HANDLE_IT = {
	daphne: [1, `${AT_PORT} env PYTHONPATH=. daphne -b 127.0.0.1 -p PORT hello:app`],
	'gunicorn, sync': [2, `${GUNICORN} chat_wsgi:app`, { ASYNC_MODE: 'threading' }],
	'gunicorn, gthread': [2, `${GUNICORN} -k gthread --threads 4 chat_wsgi:app`, { ASYNC_MODE: 'threading' }],
	'gunicorn, eventlet': [2, `${GUNICORN} -k eventlet chat_wsgi:app`, { ASYNC_MODE: 'eventlet' }],
	uvicorn: [1, `${AT_PORT} uvicorn --app-dir . --port PORT hello:app`],
	'uvicorn, --workers 2': [2, `${AT_PORT} uvicorn --app-dir . --port PORT --workers 2 hello:app`],
	puma: [1, `${AT_PORT} puma -b tcp://127.0.0.1:PORT workers/any_server/config.ru`],
	'puma, 2 workers': [2, `${AT_PORT} puma -w 2 -b tcp://127.0.0.1:PORT workers/any_server/config.ru`],
	nginx: [2, 'workers/any_server/nginx'],
	'Node, with a handler': [1, `${AT_PORT} node workers/any_server/chat.js PORT`],
};

/** They answer GET /big with BIG bytes. */
const DO_NOT = {
	Node: [1, `${AT_PORT} node big.js PORT`],
	'npm start': [1, `${AT_PORT} npm start --silent -- PORT`],
	'php -S': [1, PHP.replace('=3', '=1')],
	'php -S, with workers': [4, PHP],
	'http.server': [1, `${AT_PORT} /usr/bin/python3 -m http.server --bind 127.0.0.1 PORT`],
	'a shell that goes on behind it': [1, `${AT_PORT} ./chain PORT`],
	'a shell that waits for it': [1, `${AT_PORT} ./behind PORT`],
};

/** More than the sockets' buffers hold, so that the answer is under way until the client has read it. */
const BIG = 64 << 20;

const FILES = {
	'hello.py': `import json, os
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    body = json.dumps({"pid": os.getpid()}).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
`,
	'big.js': `require('node:http').createServer((request, response) => response.end(Buffer.alloc(${BIG})))
		.listen(process.argv[2], '127.0.0.1')`,
	'open.js': `require('node:http').createServer((request, response) => response.write('open')).listen(process.argv[2], '127.0.0.1')`,
	'package.json': '{ "scripts": { "start": "node big.js" } }',
	chain: '#!/bin/sh\ncd . && node big.js "$1"; echo "the shell goes on"\n',
	behind: '#!/bin/sh\nnode big.js "$1" &\nwait\n',
	leaves: '#!/bin/sh\nuvicorn --app-dir . --port "$1" hello:app &\n',
	helped: '#!/bin/sh\nsleep 3600 &\nexec uvicorn --app-dir . --port "$1" hello:app\n',
	deaf: '#!/bin/sh\ntrap "" TERM\nsleep 3600 &\nexec uvicorn --app-dir . --port "$1" hello:app\n',
};

const limpet = (workers, command, more = '') =>
	`--workers 1 --drain-timeout 1h --dialect preload ${more} -- ${command}`;

function prepare(folder) {
	for (const name of ['chain', 'behind', 'leaves', 'helped', 'deaf'])
		fs.chmodSync(path.join(folder, name), 0o755);
	const big = fs.openSync(path.join(folder, 'big'), 'w');
	fs.ftruncateSync(big, BIG);
	fs.closeSync(big);
}

async function freePort() {
	const server = net.createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	server.close();
	return port;
}

/** A client with an answer, that keeps its connection. There may be nobody at that address yet. */
async function keep(address) {
	let answered;
	await eventually('it is answered', async () => {
		const socket = await connect(address).catch(() => undefined);
		const answer = socket && (await new KeptConnection(socket).ask('/').catch(() => socket.destroy() && undefined));
		answered = answer && { socket, pid: answer.json.pid };
		return answered;
	});
	return answered;
}

/** One client, when all processes are there: servers take it ill when they are told to end while they start. */
async function keepOne(address, workers) {
	const pids = new Set();
	for (;;) {
		const { socket, pid } = await keep(address);
		if (pids.add(pid).size === workers)
			return socket;
		socket.destroy();
	}
}

/** How many seconds something takes. */
async function timed(action) {
	const begin = process.hrtime.bigint();
	await action();
	return Number(process.hrtime.bigint() - begin) / 1e9;
}

/** How long a command takes to end that is run without limpet. */
async function alone(command, workers, environment) {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'alone-'));
	fs.symlinkSync(path.join(__dirname, 'workers'), path.join(folder, 'workers'));
	fs.writeFileSync(path.join(folder, 'hello.py'), FILES['hello.py']);
	const port = await freePort();
	const [program, ...words] = command.split(' ');
	const env = { ...process.env, ...environment, LIMPET_PRELOAD_LISTEN: String(port) };
	const child = spawn(program, words, { cwd: folder, env, detached: true, stdio: 'ignore' });
	const ended = once(child, 'exit');
	try {
		const client = await keepOne(`127.0.0.1:${port}`, workers);
		const seconds = await timed(() => (child.kill('SIGTERM'), ended));
		client.destroy();
		return seconds;
	} finally {
		try {
			process.kill(-child.pid, 'SIGKILL');
		} catch {
			// Nothing is left of it.
		}
		fs.rmSync(folder, { recursive: true });
	}
}

function assertOrderly(lines) {
	assert.deepEqual(lines.filter((line) => /^limpet: .*(killed|not finished|Traceback)/.test(line)), []);
	assert.ok(lines.some((line) => /^limpet: worker \d+ \(pid \d+\) ended, as told$/.test(line)), 'its end is an end');
}

for (const [name, [workers, command, env = {}]] of Object.entries(HANDLE_IT))
	test(`${name} handles SIGTERM, and is told at once`, run(
		limpet(workers, command),
		{ files: FILES, prepare, env },
		async (it, t) => {
			await registered(it, workers);
			const client = await keepOne(it.address, workers);
			const byItself = await alone(command, workers, env);
			const since = it.now;
			const withLimpet = await timed(async () => {
				it.signal('SIGTERM');
				assert.deepEqual(await it.ended(), { status: 0, signal: null });
			});
			client.destroy();
			assertOrderly(it.lines.slice(since));
			t.diagnostic(`${name}: ${byItself.toFixed(2)} s by itself, ${withLimpet.toFixed(2)} s with limpet, ` +
				`${(withLimpet / byItself).toFixed(2)} times`);
		}));

for (const [name, [workers, command]] of Object.entries(DO_NOT)) {
	test(`${name} does not handle SIGTERM: its client has its answer first`, run(
		limpet(workers, command),
		{ files: FILES, prepare },
		async (it) => {
			await registered(it, workers);
			const socket = await it.connect();
			socket.write('GET /big HTTP/1.1\r\nHost: limpet\r\nConnection: close\r\n\r\n');
			await once(socket, 'readable');
			const since = it.now;
			it.signal('SIGTERM');
			await it.said(/^limpet: 1 worker has 1 client; press again to stop at once/, since);
			const { text, reset } = await receiveAll(socket);
			assert.deepEqual([text.length - text.indexOf('\r\n\r\n') - 4, reset], [BIG, false]);
			assert.deepEqual(await it.ended(), { status: 0, signal: null });
			assertOrderly(it.lines.slice(since));
		}));

	test(`${name} ends at once when it has no client`, run(
		limpet(workers, command),
		{ files: FILES, prepare },
		async (it) => {
			await registered(it, workers);
			await it.stop();
			assertOrderly(it.lines);
		}));
}

test('a worker whose program has ended is told, too', run(
	limpet(1, `${AT_PORT} ./leaves PORT`),
	{ files: FILES, prepare },
	async (it) => {
		const { socket: client } = await keep(it.address);
		it.signal('SIGTERM');
		assert.deepEqual(await it.ended(), { status: 0, signal: null });
		client.destroy();
		assertOrderly(it.lines);
	}));

for (const [what, command] of [['helper', './helped'], ['helper that ignores SIGTERM', './deaf']])
	test(`a ${what} that a program has started ends with it`, run(
		limpet(1, `${AT_PORT} ${command} PORT`),
		{ files: FILES, prepare },
		async (it) => {
			await registered(it, 1);
			await it.stop(); // Which looks for processes that are left.
			assertOrderly(it.lines);
		}));

test('clients that have said nothing, or not all, hold nobody up', run(
	limpet(1, HANDLE_IT.uvicorn[1], '--policy sid --no-defer-accept --head-timeout 1h'),
	{ files: FILES },
	async (it) => {
		await registered(it, 1);
		const [silent, half] = [await it.connect(), await it.connect()];
		half.write('GET / HTTP/1.1\r\nHost: lim');
		await eventually('they wait', async () => (await it.counts()).waiting === 2);
		const answers = [silent, half].map(receiveAll);
		it.signal('SIGTERM');
		assert.equal((await answers[0]).text, '');
		assert.match((await answers[1]).text, /^HTTP\/1\.1 503 /);
		assert.deepEqual(await it.ended(), { status: 0, signal: null });
		assertOrderly(it.lines);
	}));

for (const dialect of ['node', 'preload', 'cluster'])
	test(`${dialect}: ctrl-C says for whom it waits, and again when that changes; another one stops at once`, run(
		`--workers 2 --policy round_robin --drain-timeout 1h --dialect ${dialect} -- ` +
			(dialect === 'cluster' ? 'node open.js 1' : `${AT_PORT} node open.js PORT`),
		{ files: FILES },
		async (it) => {
			await registered(it, 2);
			const sockets = [];
			for (const socket of [await it.connect(), await it.connect()]) {
				socket.write('GET / HTTP/1.1\r\nHost: limpet\r\n\r\n');
				await once(socket, 'readable');
				sockets.push(socket);
			}
			const since = it.now;
			it.signal('SIGINT');
			await it.said(/^limpet: 2 workers have 2 clients; press again to stop at once/, since);
			sockets[0].destroy();
			await it.said(/^limpet: 1 worker has 1 client; press again to stop at once/, since);
			it.signal('SIGINT');
			const { reset } = await receiveAll(sockets[1]);
			assert.deepEqual(await it.ended(), { status: 0, signal: null });
			assert.equal(it.lines.filter((line) => /has 1 client|have 2 clients/.test(line)).length, 2, `told twice; reset: ${reset}`);
		}));

test('a worker that has an open stream is told after a SIGTERM, not after --drain-timeout', run(
	limpet(1, `${AT_PORT} node stream.js PORT`),
	{
		files: {
			'stream.js': `const server = require('node:http').createServer((request, response) => {
					response.write('data: 1\\n\\n');
					process.once('SIGTERM', () => {
						response.end('data: bye\\n\\n');
						server.close(() => process.exit(0));
					});
				}).listen(process.argv[2], '127.0.0.1');`,
		},
	},
	async (it) => {
		await registered(it, 1);
		const socket = await it.connect();
		socket.write('GET / HTTP/1.1\r\nHost: limpet\r\nConnection: close\r\n\r\n');
		await once(socket, 'readable');
		it.signal('SIGTERM');
		assert.match((await receiveAll(socket)).text, /data: bye/, 'it was told when it was asked to drain');
		assert.deepEqual(await it.ended(), { status: 0, signal: null });
		assertOrderly(it.lines);
	}));
