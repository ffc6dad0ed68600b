'use strict';
/**
 * Where limpet listens: IPv4, IPv6, both on one port, unix paths, several of them; and what it does when it cannot.
 */
const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { receiveAll } = require('./clients');
const proc = require('./proc');
const { eventually, run, runToItsEnd } = require('./harness');

const COMMAND = '--workers 1 --dialect cluster -- node workers/answer.js';

const hasIpv6 = Object.values(os.networkInterfaces()).flat().some(({ address }) => address === '::1');
const needsIpv6 = { skip: hasIpv6 ? false : 'this machine has no ::1' };

test('IPv4, a unix path and another IPv4 address at once', run(
	`--listen 127.0.0.1:0 --listen unix:./socket --listen 127.0.0.2:0 ${COMMAND}`,
	async (limpet) => {
		assert.match(limpet.addresses[0], /^127\.0\.0\.1:\d+$/);
		assert.match(limpet.addresses[1], /^unix:.*\/socket$/);
		assert.match(limpet.addresses[2], /^127\.0\.0\.2:\d+$/);
		for (const address of limpet.addresses)
			assert.equal((await limpet.get('/', { address })).status, 200, address);

		await limpet.stop();
		assert.equal(fs.existsSync(`${limpet.folder}/socket`), false, 'the path is removed');
	}));

test('IPv6 alone', needsIpv6, run(`--listen [::1]:0 ${COMMAND}`, async (limpet) => {
	assert.match(limpet.address, /^\[::1\]:\d+$/);
	assert.equal((await limpet.get('/')).status, 200);
}));

test('both families on one port, and a client is the same in each', needsIpv6, run(
	'--listen :0 --workers 1 --policy ./tell.lua --dialect cluster -- node workers/answer.js',
	{ files: { 'tell.lua': 'return { on_connect = function(conn) limpet.log.info("from " .. conn.ip) end }' } },
	async (limpet) => {
		const port = /:(\d+)$/.exec(limpet.address)[1];
		for (const host of ['127.0.0.1', '[::1]'])
			assert.equal((await limpet.get('/', { address: `${host}:${port}` })).status, 200);
		await limpet.said(/from 127\.0\.0\.1$/);
		await limpet.said(/from ::1$/);
	}));

for (const [what, make] of [
	['a regular file', (file) => fs.writeFileSync(file, 'precious')],
	['a symbolic link', (file) => fs.symlinkSync('elsewhere', file)],
]) {
	test(`${what} where a socket is to be stays, and is named`, async (t) => {
		const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-'));
		t.after(() => fs.rmSync(folder, { recursive: true }));
		const file = path.join(folder, 'file');
		fs.writeFileSync(path.join(folder, 'elsewhere'), 'precious');
		make(file);
		for (const flags of [`--listen unix:${file}`, `--listen 127.0.0.1:0 --control ${file}`]) {
			const { status, log } = await runToItsEnd(`run ${flags} ${COMMAND}`);
			assert.equal(status, 1, log);
			assert.match(log, new RegExp(`${file} is ${what} and stays`));
			assert.equal(fs.readFileSync(file, 'utf8'), 'precious');
			assert.equal(fs.lstatSync(file).isSymbolicLink(), what === 'a symbolic link');
		}
	});
}

test('a path left behind by a process that was killed is taken over', async (t) => {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-'));
	t.after(() => fs.rmSync(folder, { recursive: true }));
	const killed = `require("net").createServer().listen("${folder}/left", () => process.kill(process.pid, 9))`;
	assert.equal(spawnSync(process.execPath, ['-e', killed]).signal, 'SIGKILL');
	assert.ok(fs.existsSync(`${folder}/left`));
	await run(`--listen unix:${folder}/left ${COMMAND}`, async (limpet) => {
		assert.equal((await limpet.get('/')).status, 200);
	})(t);
});

test('an address in use is named, and limpet ends with status 1', async () => {
	const server = net.createServer().listen(0, '127.0.0.1');
	await new Promise((resolve) => server.once('listening', resolve));
	const address = `127.0.0.1:${server.address().port}`;
	const { status, log } = await runToItsEnd(`run --listen 127.0.0.1:0 --listen ${address} ${COMMAND}`);
	server.close();
	assert.equal(status, 1);
	const holder = `${path.basename(process.execPath)}.* \\(pid ${process.pid}\\)`;
	assert.match(log, new RegExp(`^limpet: .*${address.replaceAll('.', '\\.')}.*address already in use by .*${holder}`, 'm'));
});

test('so is a path', async (t) => {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-'));
	t.after(() => fs.rmSync(folder, { recursive: true }));
	const server = net.createServer().listen(`${folder}/socket`);
	await new Promise((resolve) => server.once('listening', resolve));
	const { status, log } = await runToItsEnd(`run --listen unix:${folder}/socket ${COMMAND}`);
	server.close();
	assert.equal(status, 1);
	assert.match(log, new RegExp(`^limpet: .*/socket.*already in use by .* \\(pid ${process.pid}\\)`, 'm'));
});

for (const [what, flags, message] of [
	['word for word', '--listen :3500 --listen :3500', '--listen :3500 is given twice; leave one out'],
	['all addresses and one of them', '--listen :3500 --listen 127.0.0.1:3500', '--listen :3500 and --listen 127.0.0.1:3500 overlap'],
	['all addresses by another spelling', '--listen 0.0.0.0:3500 --listen :3500', '--listen 0.0.0.0:3500 and --listen :3500 overlap'],
	['a path by another spelling', '--listen unix:./s --listen unix:s', '--listen unix:./s and --listen unix:s are the same path'],
	['the control socket', '--listen unix:./s --control ./s', '--listen unix:./s and --control ./s are the same path'],
])
	test(`the same place twice is told of as that: ${what}`, async () => {
		const { status, log } = await runToItsEnd(`run ${flags} ${COMMAND}`);
		assert.equal(status, 2, log);
		assert.ok(log.includes(message), log);
	});

/** Connect to a path as somebody else: "connected", or the error's code. */
function connectAs(uid, gid, file) {
	const client = `require('net').connect(${JSON.stringify(file)})
		.on('connect', () => { console.log('connected'); process.exit(); }).on('error', ({ code }) => console.log(code))`;
	const words = ['--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups', process.execPath, '-e', client];
	return execFileSync('setpriv', words, { encoding: 'utf8', cwd: '/' }).trim();
}

const needsRoot = { skip: process.getuid() !== 0 && 'only root can become somebody else' };

for (const [access, expected] of Object.entries({
	'mode=660,group=42425': { mode: 0o660, uid: 0, gid: 42425, group: 'connected', user: 'EACCES', other: 'EACCES' },
	'group=42425': { mode: 0o660, uid: 0, gid: 42425, group: 'connected', user: 'EACCES', other: 'EACCES' },
	'user=42424,mode=600': { mode: 0o600, uid: 42424, gid: 0, group: 'EACCES', user: 'connected', other: 'EACCES' },
	'mode=666': { mode: 0o666, uid: 0, gid: 0, group: 'connected', user: 'connected', other: 'connected' },
}))
	test(`who may connect to a path: ${access}`, needsRoot, run(
		`--listen unix:./socket,${access} --policy ./tell.lua ${COMMAND}`,
		{
			mode: 0o755,
			files: { 'tell.lua': 'return { on_connect = function(conn) limpet.log.info("at " .. conn.listener) end }' },
		},
		async (limpet) => {
			const file = `${limpet.folder}/socket`;
			const { mode, uid, gid } = fs.statSync(file);
			assert.deepEqual([mode & 0o777, uid, gid], [expected.mode, expected.uid, expected.gid]);
			assert.equal(connectAs(1, 42425, file), expected.group);
			assert.equal(connectAs(42424, 1, file), expected.user);
			assert.equal(connectAs(1, 1, file), expected.other);
			assert.equal((await limpet.get('/', { address: `unix:${file}` })).status, 200);
			await limpet.said(/at unix:\.\/socket$/);
			await limpet.stop();
			assert.equal(fs.existsSync(file), false, 'the path is removed');
		}));

test('--user gives a path away as far as --listen does not say whose it is', needsRoot, run(
	'--listen unix:./socket,mode=660,group=42425 --user 42424:42426 --control ./control --workers 1 --dialect cluster -- node server.js',
	{ mode: 0o777, files: { 'server.js': "require('http').createServer((request, response) => response.end()).listen(require('./workers/port'))" } },
	async (limpet) => {
		const { mode, uid, gid } = fs.statSync(`${limpet.folder}/socket`);
		assert.deepEqual([mode & 0o777, uid, gid], [0o660, 42424, 42425]);
		assert.equal((await limpet.get('/', { address: `unix:${limpet.folder}/socket` })).status, 200);
	}));

for (const [wrong, named] of Object.entries({
	'--listen 127.0.0.1': '127.0.0.1',
	'--listen 127.0.0.1:65536': '65536',
	'--listen 127.0.0.1:0 --dialect klingon': 'klingon',
	'--listen 127.0.0.1:0 --policy ./absent.lua': 'absent.lua',
	'--listen 127.0.0.1:0 --trust 10.0.0.0/33': '10.0.0.0/33',
	'--listen 127.0.0.1:0 --head-timeout soon': 'soon',
	'--listen 127.0.0.1:0 --workers many': 'many',
	'--listen 127.0.0.1:0 --unheard-of': '--unheard-of',
}))
	test(`wrong usage is named, and limpet ends with status 2: ${wrong}`, async () => {
		const { status, log } = await runToItsEnd(`run ${wrong} -- sleep 60`);
		assert.equal(status, 2);
		assert.ok(log.includes(named), log);
	});

test('out of descriptors, clients wait in the backlog and are served later', run(
	'--workers 1 --policy sid --dialect cluster -- node workers/answer.js',
	async (limpet) => {
		const limit = proc.descriptors(limpet.pid) + 8;
		execFileSync('prlimit', ['--pid', String(limpet.pid), `--nofile=${limit}:`]);
		const waiting = [];
		for (let i = 0; i < 16; i++) {
			const socket = await limpet.connect();
			socket.write('GET /');
			waiting.push(socket);
		}
		await limpet.said(/cannot be accepted/);

		const before = proc.cpuMs(limpet.pid);
		const answer = limpet.get('/');
		await limpet.saidTimes(3, /cannot be accepted/);
		assert.ok(proc.cpuMs(limpet.pid) - before < 100, 'it pauses between its attempts');

		const ends = waiting.map((socket) => receiveAll(socket));
		waiting.forEach((socket) => socket.end());
		await Promise.all(ends);
		assert.equal((await answer).status, 200);
		await eventually('nothing is left', async () => (await limpet.counts()).waiting === 0);
		assert.equal((await limpet.counts()).closed_early, 16);
	}));
