'use strict';
/**
 * Another user at every door: the control socket, the workers' door, the run-time folder, limpet's processes. What such a user
 * has put in the way beforehand stops nobody.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const test = require('node:test');
const { workerPids } = require('../e2e/any_server');
const { run, runToItsEnd } = require('../e2e/harness');
const { Stranger, UID, asStranger, needsRoot, withStranger } = require('./stranger');

/** Somebody who runs limpet, and is neither root nor the stranger. */
const OWNER = 42431;

const SERVER = `
	delete process.env.LISTEN_FDS;
	require('node:http').createServer((request, response) => response.end(JSON.stringify({ pid: process.pid, uid: process.getuid() })))
		.listen(Number(process.env.LIMPET_PRELOAD_LISTEN.split(',')[0]));
`;
const files = { 'server.js': SERVER };
const COMMAND = '--listen 127.0.0.1:0 --workers 1 --policy round_robin --dialect preload -- env -u LISTEN_FDS node ./server.js';

function makeFolder(t, owner = 0, mode = 0o755) {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-doors-'));
	t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
	fs.chmodSync(folder, mode);
	fs.chownSync(folder, owner, owner);
	return folder;
}

/** What a stranger gets for trying things, each a line of Python: "ok", or the error's name. */
function tried(attempts) {
	const program = attempts.map((attempt) => `
try:
    ${attempt}
    print('ok')
except OSError as error:
    print(errno.errorcode[error.errno])`).join('\n');
	const command = `exec /usr/bin/python3 - <<'END'\nimport errno, fcntl, os, signal, socket\n${program}\nEND`;
	return asStranger(command).trim().split('\n');
}

const connectTo = (where, type) => `socket.socket(socket.AF_UNIX, socket.${type}).connect(${JSON.stringify(where)})`;

test('a stranger reaches nothing that is limpet\'s', needsRoot, (t) => {
	const folder = path.join(makeFolder(t), 'run');
	return run(`--preload-dir ${folder} ${COMMAND}`, { files, mode: 0o755 }, async (limpet) => {
		const [worker] = await workerPids(limpet);
		const names = fs.readdirSync(folder).map((name) => path.join(folder, name));
		const [door, lock, record] = ['', '.lock', '.processes'].map((end) =>
			names.find((name) => (end ? name.endsWith(end) : !/\.(lock|processes)$/.test(name))));
		assert.deepEqual(tried([
			connectTo(`${limpet.folder}/control`, 'SOCK_STREAM'),
			`os.listdir(${JSON.stringify(folder)})`,
			`os.unlink(${JSON.stringify(door)})`,
			`os.rename(${JSON.stringify(folder)}, ${JSON.stringify(`${folder}-2`)})`,
			`open(${JSON.stringify(record)})`,
			`open(${JSON.stringify(record)}, 'a')`,
			`open(${JSON.stringify(lock)})`,
			`open(${JSON.stringify(`${folder}/new`)}, 'w')`,
			`os.kill(${limpet.pid}, signal.SIGTERM)`,
			`os.kill(${worker}, signal.SIGTERM)`,
			`open('/proc/${worker}/environ').read()`,
			`open('/proc/${limpet.pid}/mem', 'rb')`,
		]), ['EACCES', 'EACCES', 'EACCES', 'EACCES', 'EACCES', 'EACCES', 'EACCES', 'EACCES', 'EPERM', 'EPERM', 'EACCES', 'EACCES']);
		assert.equal((await limpet.get('/')).json.pid, worker);
	})(t);
});

test('where workers are one user, the door is that user\'s alone', needsRoot, (t) => {
	const folder = path.join(makeFolder(t), 'run');
	return run(`--user ${OWNER}:${OWNER} --preload-dir ${folder} ${COMMAND}`, { files, mode: 0o755 }, async (limpet) => {
		const { json } = await limpet.get('/');
		assert.equal(json.uid, OWNER);
		const [door] = fs.readdirSync(folder).filter((name) => !/\.(lock|processes)$/.test(name));
		const { uid, mode } = fs.statSync(path.join(folder, door));
		assert.deepEqual([uid, mode & 0o777], [OWNER, 0o600]);
		assert.deepEqual(tried([connectTo(path.join(folder, door), 'SOCK_SEQPACKET')]), ['EACCES']);
	})(t);
});

/** Do something while a stranger has a path. */
async function whileTaken(t, taken, body) {
	if (fs.existsSync(taken))
		fs.rmSync(taken, { recursive: true });
	const stranger = new Stranger('import os, sys\nos.mkdir(sys.argv[1], 0o777)\nprint("taken", flush=True)\nsys.stdin.readline()', [taken]);
	t.after(() => fs.rmSync(taken, { recursive: true, force: true }));
	await withStranger(stranger, async () => {
		await stranger.said(/taken/);
		await body();
	});
}

test('--user: what a stranger has made in /tmp is not looked at, and root makes the folder', needsRoot, (t) =>
	whileTaken(t, `/tmp/limpet-${OWNER}`, () =>
		run(`--user ${OWNER}:${OWNER} ${COMMAND}`, { files, mode: 0o755, env: { XDG_RUNTIME_DIR: '' } }, async (limpet) => {
			const { json } = await limpet.get('/');
			assert.equal(json.uid, OWNER);
			const door = fs.readFileSync(`/proc/${json.pid}/environ`, 'latin1').split('\0').find((entry) => entry.startsWith('LIMPET_PRELOAD='));
			assert.match(door, new RegExp(`^LIMPET_PRELOAD=/run/limpet/user-${OWNER}/`));
			assert.equal(fs.statSync(`/run/limpet/user-${OWNER}`).uid, OWNER);
		})(t)));

test('one who is not root has another place, when a stranger was first in /tmp', needsRoot, (t) => {
	const home = makeFolder(t, OWNER);
	const under = ['setpriv', '--reuid', String(OWNER), '--regid', String(OWNER), '--clear-groups'];
	const env = { XDG_RUNTIME_DIR: '', HOME: home };
	return whileTaken(t, `/tmp/limpet-${OWNER}`, () =>
		run(COMMAND, { files, mode: 0o777, under, env }, async (limpet) => {
			const { json } = await limpet.get('/');
			assert.equal(json.uid, OWNER);
			assert.ok(fs.readdirSync(path.join(home, '.limpet')).length > 0);
		})(t));
});

for (const [what, make] of Object.entries({
	'a folder of another user': (folder) => fs.chownSync(folder, UID, UID),
	'a folder that others can write to': (folder) => fs.chmodSync(folder, 0o777),
	'a link to a folder': (folder) => {
		fs.rmdirSync(folder);
		fs.symlinkSync('/etc', folder);
	},
	'a file': (folder) => {
		fs.rmdirSync(folder);
		fs.writeFileSync(folder, '');
	},
	'a folder in one that others can write to': (folder) => {
		fs.chmodSync(path.dirname(folder), 0o777);
	},
}))
	test(`${what} is no run-time folder, and the message names the way out`, needsRoot, async (t) => {
		const folder = path.join(makeFolder(t), 'run');
		fs.mkdirSync(folder, 0o711);
		make(folder);
		const { status, log } = await runToItsEnd(`run --preload-dir ${folder} --listen 127.0.0.1:0 --dialect preload -- sleep 60`);
		assert.equal(status, 1, log);
		assert.match(log, new RegExp(`limpet: ${folder}.*choose another place with --preload-dir`));
	});

test('a recording is for its owner\'s eyes', needsRoot, (t) => {
	const folder = makeFolder(t);
	return run(COMMAND, { files, mode: 0o755 }, async (limpet) => {
		await limpet.get('/', { headers: { Cookie: 'secret=1' } });
		const out = path.join(folder, 'recording');
		const { status, stderr } = spawnSync(limpet.process.spawnfile, ['record', '--control', `${limpet.folder}/control`, '--raw', '--out', out]);
		assert.equal(status, 0, String(stderr));
		assert.deepEqual(tried([`open(${JSON.stringify(out)})`]), ['EACCES']);
	})(t);
});
