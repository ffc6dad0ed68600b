'use strict';
/**
 * A second limpet, whatever it is called, never takes the workers of one that lives: neither those that run, nor those that
 * come later. Each has its own, or does not start and says why.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const test = require('node:test');
const { workerPids } = require('../e2e/any_server');
const { BINARY, eventually, run } = require('../e2e/harness');
const { within } = require('../e2e/patience');
const { needsRoot } = require('./stranger');

/** A server at the first of limpet's addresses, be it a port or a path. */
const SERVER = `
	const at = process.env.LIMPET_PRELOAD_LISTEN.split(',')[0];
	delete process.env.LISTEN_FDS;
	require('node:http').createServer((request, response) => response.end(JSON.stringify({ pid: process.pid })))
		.listen(at.startsWith('unix:') ? at.slice(5) : Number(at));
`;

const limpetAt = (listen, dir = '') =>
	`--listen ${listen} --workers 1 --policy round_robin --dialect preload ${dir} -- env -u LISTEN_FDS node ./server.js`;
const settings = { files: { 'server.js': SERVER } };

/** Two limpets at a time, of which the second is in the body alone. */
const both = (first, second, body, more = {}) => (t) => run(first, { ...settings, ...more.first }, (one) =>
	run(second, { ...settings, ...more.second }, (two) => body(one, two))(t))(t);

/** A worker of each is killed, and its successor is the same limpet's. */
async function assertApart(one, two, ask = (limpet) => limpet.get('/')) {
	for (let round = 0; round < 2; round++) {
		const pids = [await workerPids(one), await workerPids(two)];
		assert.equal(pids[0].length, 1);
		assert.equal(pids[1].length, 1);
		assert.notDeepEqual(pids[0], pids[1]);
		for (const [i, limpet] of [one, two].entries()) {
			const answer = await ask(limpet);
			assert.equal(answer.json.pid, pids[i][0]);
			const { now } = limpet;
			process.kill(pids[i][0], 'SIGKILL');
			await limpet.said(/limpet: worker 1 is ready/, now);
		}
	}
	for (const limpet of [one, two])
		assert.deepEqual(limpet.lines.filter((line) => /was started by an earlier limpet|no worker|cannot become/.test(line)), []);
}

/** A folder for run-time files that two limpets have in common. */
function commonFolder(t) {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-common-'));
	t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
	return folder;
}

test('the same path in two folders', (t) => {
	const dir = `--preload-dir ${commonFolder(t)}`;
	return both(limpetAt('unix:./s', dir), limpetAt('unix:./s', dir), assertApart)(t);
});

test('paths that are one when / and - are the same', (t) => {
	const folder = commonFolder(t);
	fs.mkdirSync(path.join(folder, 'a'));
	const dir = `--preload-dir ${folder}/run`;
	return both(limpetAt(`unix:${folder}/a/b`, dir), limpetAt(`unix:${folder}/a-b`, dir), assertApart)(t);
});

test('two addresses with one port', (t) => {
	const dir = `--preload-dir ${commonFolder(t)}`;
	return run(limpetAt('127.0.0.1:0', dir), settings, async (one) => {
		const port = one.address.split(':')[1];
		await run(limpetAt(`127.0.0.2:${port}`, dir), settings, (two) => assertApart(one, two))(t);
	})(t);
});

test('one address in two network namespaces', needsRoot, (t) => {
	const dir = `--preload-dir ${commonFolder(t)}`;
	const inside = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
	const get = (limpet) => limpet.get('/');
	/* Where the test itself cannot connect. */
	const getInside = ({ pid, address }) => ({
		json: JSON.parse(execFileSync('nsenter', ['-t', String(pid), '--net', 'curl', '-s', `http://${address}/`])),
	});
	return run(limpetAt('127.0.0.1:0', dir), settings, (one) =>
		run(limpetAt(one.address, dir), { ...settings, under: inside }, async (two) => {
			assert.equal(two.address, one.address);
			await assertApart(one, two, (limpet) => (limpet === one ? get : getInside)(limpet));
		})(t))(t);
});

/** Start a second limpet that is to fail: what it says. */
async function startInVain(folder, words) {
	const second = spawn(BINARY, ['run', ...words.split(' ')], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
	const [log] = await within('the second ends', Promise.all([second.stderr.toArray(), once(second, 'close')]));
	return { status: second.exitCode, log: Buffer.concat(log).toString() };
}

for (const [name, how] of Object.entries({
	'a path that somebody has removed': (limpet) => fs.unlinkSync(path.join(limpet.folder, 's')),
	'a path that is another file now': (limpet) => {
		fs.unlinkSync(path.join(limpet.folder, 's'));
		execFileSync('/usr/bin/python3', ['-c', 'import socket; socket.socket(socket.AF_UNIX).bind("s")'], { cwd: limpet.folder });
	},
}))
	test(`the same path twice: ${name}`, (t) => {
		const dir = `--preload-dir ${commonFolder(t)}`;
		return run(limpetAt('unix:./s', dir), settings, async (limpet) => {
			const pids = await workerPids(limpet);
			how(limpet);
			const { status, log } = await startInVain(limpet.folder, limpetAt('unix:./s', dir));
			assert.equal(status, 1);
			assert.match(log, new RegExp(`limpet: unix:\\./s: limpet with pid ${limpet.pid} has workers for it already and holds \\S+; stop that one, or listen elsewhere`));
			assert.deepEqual(await workerPids(limpet), pids);
			const { now } = limpet;
			process.kill(pids[0], 'SIGKILL');
			await limpet.said(/limpet: worker 1 is ready/, now);
		})(t);
	});

test('the second listener of one is the first of another', (t) => {
	const folder = commonFolder(t);
	const dir = `--preload-dir ${folder}/run`;
	return run(limpetAt(`unix:./first --listen unix:${folder}/s`, dir), settings, async (limpet) => {
		fs.unlinkSync(path.join(folder, 's'));
		const { status, log } = await startInVain(limpet.folder, limpetAt(`unix:${folder}/s`, dir));
		assert.equal(status, 1);
		assert.match(log, new RegExp(`limpet with pid ${limpet.pid} has workers for it already`));
	})(t);
});

test('one that stops, and lets its workers finish, is in nobody\'s way', (t) => {
	const dir = `--drain-timeout 60s --preload-dir ${commonFolder(t)}`;
	return run(limpetAt('unix:./s', dir), settings, async (one) => {
		const before = await workerPids(one);
		const open = await one.connect();
		open.write('GET / HTTP/1.1\r\nHost: limpet\r\n'); /* Its end comes later. */
		await eventually('it is at its worker, or waits', async () => (await one.counts()).accepted === 1);
		one.signal('SIGTERM');
		await one.said(/limpet: draining/);
		open.destroy();
		await eventually('its path is free', () => !fs.existsSync(path.join(one.folder, 's')));
		await run(limpetAt(`unix:${one.folder}/s`, dir), settings, async (two) => {
			assert.notDeepEqual(await workerPids(two), before);
			assert.equal((await two.get('/')).status, 200);
			await one.stop();
			const { now } = two;
			process.kill((await workerPids(two))[0], 'SIGKILL'); /* The end of the first has taken nothing away. */
			await two.said(/limpet: worker 1 is ready/, now);
		})(t);
	})(t);
});

test('nothing is left in the run-time folder by one that has stopped', (t) => {
	const folder = commonFolder(t);
	return run(limpetAt('127.0.0.1:0', `--preload-dir ${folder}`), settings, async (limpet) => {
		assert.equal((await limpet.get('/')).status, 200);
		assert.equal(fs.readdirSync(folder).length, 3, 'door, lock and record');
		await limpet.stop();
		assert.deepEqual(fs.readdirSync(folder), []);
	})(t);
});
