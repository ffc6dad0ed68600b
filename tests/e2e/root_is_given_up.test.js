'use strict';
/**
 * --user: limpet opens everything as root, and from then on neither it nor its workers are root, nor can become it again.
 */
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const proc = require('./proc');
const { eventually, run, runToItsEnd } = require('./harness');

const needsRoot = { skip: process.getuid() !== 0 && 'only root can give root up' };

/** A user and a group that nobody else here has. */
const UID = 42424;
const GID = 42425;
const USER = `${UID}:${GID}`;

/** On its own, so that it can be read wherever the tests' folder is. */
const WORKER = `
	const fs = require('fs');
	require('http').createServer((request, response) => {
		let asRoot;
		try { asRoot = process.setuid(0) ?? 'root again'; } catch (error) { asRoot = error.code; }
		response.end(JSON.stringify({ pid: process.pid, asRoot }));
	}).listen(process.env.PORT ?? process.env.LIMPET_PRELOAD_LISTEN?.slice('unix:'.length) ?? 3000);
`;

const POLICY = 'return { on_request = function(conn, workers) return workers[1] end }';

const files = { 'server.js': WORKER, 'policy.lua': POLICY };

function assertHarmless(pid, what) {
	const status = (name) => proc.statusOf(pid, name);
	assert.match(status('Uid'), new RegExp(`^${UID}\\s+${UID}\\s+${UID}\\s+${UID}$`), what);
	assert.match(status('Gid'), new RegExp(`^${GID}\\s+${GID}\\s+${GID}\\s+${GID}$`), what);
	assert.equal(status('Groups'), '', what);
	for (const capabilities of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
		assert.match(status(capabilities), /^0+$/, `${capabilities} of ${what}`);
	assert.equal(status('NoNewPrivs'), '1', what);
}

function ownFolder(t) {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-owned-'));
	t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
	fs.chownSync(folder, UID, GID);
	return folder;
}

test('limpet and its workers are that user, also those started later, and all goes on', needsRoot, async (t) => {
	const folder = ownFolder(t);
	await run(`--user ${USER} --listen 127.0.0.1:0 --listen unix:${folder}/socket --listen unix:./socket ` +
		'--workers 2 --dialect cluster --policy ./policy.lua --policy least_connections -- node ./server.js',
	{ files, mode: 0o755 }, async (limpet) => {
		await limpet.said(new RegExp(`running as user ${USER} \\(${USER}\\)`));
		assertHarmless(limpet.pid, 'limpet');
		for (const id of [1, 2])
			assertHarmless((await limpet.worker(id)).pid, `worker ${id}`);
		for (const address of limpet.addresses) {
			const { text } = await limpet.get('/', { address });
			assert.equal(JSON.parse(text).asRoot, 'EPERM');
		}
		for (const name of [`${folder}/socket`, `${limpet.folder}/socket`, `${limpet.folder}/control`]) {
			const { uid, gid } = fs.statSync(name);
			assert.deepEqual([uid, gid], [UID, GID], name);
		}

		const { now } = limpet;
		process.kill((await limpet.worker(1)).pid, 'SIGKILL');
		await limpet.said(/worker 1 is ready/, now);
		assertHarmless((await limpet.worker(1)).pid, 'the worker started later');
		await eventually('the kernel tells of closed connections', async () =>
			(await limpet.status()).workers.every(({ connections }) => connections === 0));

		limpet.signal('SIGHUP');
		await limpet.said(/reloaded the policies/);
		fs.chmodSync(`${limpet.folder}/policy.lua`, 0o600);
		limpet.signal('SIGHUP');
		await limpet.said(/policy \.\/policy\.lua: permission denied; keeping the policies loaded at/);
		assert.equal((await limpet.get('/')).status, 200);

		await limpet.stop();
		assert.equal(fs.existsSync(`${folder}/socket`), false, 'a path in a folder of the user is removed');
	})(t);
});

test('a path that the user may not remove is taken over by the next start', needsRoot, async (t) => {
	const folder = ownFolder(t);
	fs.chownSync(folder, 0, 0);
	fs.chmodSync(folder, 0o755);
	for (let start = 0; start < 2; start++)
		await run(`--user ${USER} --listen unix:${folder}/socket --workers 1 --dialect cluster -- node ./server.js`,
			{ files, mode: 0o755 }, async (limpet) => {
				assert.equal((await limpet.get('/')).status, 200);
			})(t);
	assert.ok(fs.existsSync(`${folder}/socket`));
});

test('a policy that the user cannot read is told at the start', needsRoot, async (t) => {
	const folder = ownFolder(t);
	fs.writeFileSync(`${folder}/policy.lua`, POLICY, { mode: 0o600 });
	const { status, log } = await runToItsEnd(
		`run --user ${USER} --listen 127.0.0.1:0 --dialect cluster --policy ${folder}/policy.lua -- node server.js`);
	assert.equal(status, 1);
	assert.match(log, new RegExp(`as user ${USER}, .*policy\\.lua: permission denied; let that user read it`));
});

test('who is not root cannot change the user, and is told so', needsRoot, async (t) => {
	const folder = ownFolder(t);
	const binary = path.resolve(process.env.LIMPET ?? path.join(__dirname, '../../build/limpet'));
	fs.copyFileSync(binary, `${folder}/limpet`);
	fs.chmodSync(`${folder}/limpet`, 0o755);
	const limpet = spawn(`${folder}/limpet`, ['run', '--user', '5:5', '--listen', '127.0.0.1:0', '--', 'sleep', '60'], {
		cwd: folder, uid: UID, gid: GID, stdio: ['ignore', 'ignore', 'pipe'],
	});
	const [log] = await Promise.all([limpet.stderr.toArray(), once(limpet, 'close')]);
	assert.equal(limpet.exitCode, 1);
	assert.match(Buffer.concat(log).toString(),
		/^limpet: cannot become user 5:5: operation not permitted; start limpet as root, or leave --user out$/m);
});

for (const [user, said] of Object.entries({
	'no-such-user': '--user: there is no user "no-such-user"; add it, or name another',
	'root': '--user: "root" is root',
	'4242:no-such-group': '--user: there is no group "no-such-group"',
}))
	test(`--user ${user} is wrong usage`, async () => {
		const { status, log } = await runToItsEnd(`run --user ${user} --listen 127.0.0.1:0 -- sleep 60`);
		assert.equal(status, 2);
		assert.ok(log.includes(said), log);
	});

test('capabilities that a service manager gives limpet stay its own', needsRoot, async (t) => {
	await run('--workers 1 --dialect preload -- node ./server.js', { files, mode: 0o755,
		prepare: (folder) => fs.chownSync(folder, UID, GID),
		under: ['setpriv', `--reuid=${UID}`, `--regid=${GID}`, '--clear-groups', '--inh-caps=+net_bind_service',
			'--ambient-caps=+net_bind_service'] }, async (limpet) => {
		const [{ pid }] = (await limpet.status()).workers;
		assert.notEqual(proc.statusOf(limpet.pid, 'CapEff'), '0'.repeat(16), 'limpet may open port 80');
		for (const capabilities of ['CapPrm', 'CapEff', 'CapAmb'])
			assert.match(proc.statusOf(pid, capabilities), /^0+$/, capabilities);
	})(t);
});
