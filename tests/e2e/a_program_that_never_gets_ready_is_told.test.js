'use strict';
/**
 * Programs that cannot be run, that end again and again, that listen elsewhere: the log says what, and what to do.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const proc = require('./proc');
const { AT_PORT } = require('./any_server');
const { run, runToItsEnd } = require('./harness');

const FILES = {
	'quiet.sh': '#!/bin/sh\necho connecting\necho "no database at db:5432" >&2\nexit 3\n',
	'mute.sh': '#!/bin/sh\nexit 0\n',
	'module.js': "require('no-such-module');\n",
	// It ends four times before it serves; each start is a line of `starts`.
	'fifth.js': `require('node:fs').appendFileSync('starts', process.pid + '\\n');
		if (require('node:fs').readFileSync('starts', 'utf8').trim().split('\\n').length < 5)
			process.exit(7);
		require('node:http').createServer((request, response) => response.end('here')).listen(Number(process.argv[2]), '127.0.0.1');`,
	// The first worker serves, the others end.
	'first.js': `if (process.env.LIMPET_WORKER_ID !== '1')
			process.exit(7);
		require('node:http').createServer((request, response) => response.end('here')).listen(Number(process.argv[2]), '127.0.0.1');`,
	'other.js': "require('node:http').createServer((request, response) => response.end('x')).listen(0, '127.0.0.1', function () {\n" +
		"	console.log('at ' + this.address().port);\n});\n",
};

function prepare(folder) {
	for (const name of ['quiet.sh', 'mute.sh'])
		fs.chmodSync(path.join(folder, name), 0o755);
}

const SETTINGS = { ready: false, files: FILES, prepare };

/** Wait for the error; it is there once, however often the program ends after it. */
async function toldOnce(limpet, pattern, ends) {
	await limpet.said(pattern);
	await limpet.saidTimes(ends, /^limpet: .* ended with status \d+; starting another in its place after a pause/);
	assert.equal(limpet.raw.filter((line) => / error limpet: /.test(line)).length, 1);
}

for (const [what, command, words] of [
	['a script', './quiet.sh', /ended with status 3, saying "no database at db:5432"; run the command behind -- by itself/],
	['one that ends in silence', './mute.sh', /ended with status 0, without any output; run the command behind -- by itself/],
	['Node, with an exception', 'node module.js', /ended with status 1, saying "Error: Cannot find module 'no-such-module'"/],
])
	test(`${what} ends five times before it is ready: its last words are quoted, once`, run(
		`--workers 1 -- ${command}`, SETTINGS,
		async (limpet) => {
			await toldOnce(limpet, new RegExp(`^limpet: worker 1 was never ready: .* 5 times.*${words.source}`), 6);
		}));

test('of several workers that cannot start one is quoted', run(
	'--workers 3 --dialect native -- ./quiet.sh', SETTINGS,
	async (limpet) => {
		await toldOnce(limpet, /^limpet: worker \d was never ready: .*"no database at db:5432"/, 18);
	}));

test('with --worker-prefix the words are the same', run(
	'--workers 1 --worker-prefix --dialect native -- ./quiet.sh', SETTINGS,
	async (limpet) => {
		await limpet.said(/^limpet: worker 1 was never ready: .*"no database at db:5432"/);
	}));

for (const [dialect, command] of Object.entries({
	node: `${AT_PORT} node fifth.js PORT`,
	preload: `${AT_PORT} node fifth.js PORT`,
	cluster: 'node fifth.js 1',
}))
	test(`${dialect}: a worker that gets ready at the fifth start has limpet's own output, like any other`, run(
		`--workers 1 --dialect ${dialect} -- ${command}`,
		SETTINGS,
		async (limpet) => {
			await limpet.said(/^limpet: worker 1 is ready/);
			const { pid } = await limpet.worker(1);
			const [ours, its] = [limpet.pid, pid].map((who) => proc.links(who));
			assert.deepEqual([its[1], its[2]], [ours[1], ours[2]]);
			assert.equal(limpet.read('starts').trim().split('\n').length, 6, 'it was started once more');
			assert.deepEqual(limpet.raw.filter((line) => / error /.test(line)), []);
		}));

test('limpet gives up after --start-timeout, with status 1', async () => {
	const { status, log } = await runToItsEnd(
		'run --listen 127.0.0.1:0 --workers 2 --start-timeout 1ms --dialect native -- node -e process.exit(3)');
	assert.equal(status, 1);
	assert.match(log, /^limpet: worker \d was never ready: /m);
	assert.match(log, /^limpet: no worker was ever ready in 0\.001 s \(--start-timeout\), .*: giving up$/m);
	assert.match(log, /^limpet: stopped: /m);
});

test('limpet does not give up while a worker serves', run(
	`--workers 2 --start-timeout 1ms --dialect node -- ${AT_PORT} node first.js PORT`, SETTINGS,
	async (limpet) => {
		await limpet.saidTimes(6, /ended with status 7; /);
		assert.equal((await limpet.get('/')).status, 200);
	}));

test('a program that cannot be run ends limpet at once', async (t) => {
	const folder = fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'limpet-run-'));
	t.after(() => fs.rmSync(folder, { recursive: true }));
	fs.writeFileSync(`${folder}/plain.js`, 'x');
	fs.writeFileSync(`${folder}/script`, '#!/no/such/python -u\n', { mode: 0o755 });
	for (const [command, words] of [
		['no-such-program', 'no-such-program: no such program; name it by its path, or add its folder to PATH'],
		[`${folder}/missing`, `${folder}/missing: no such program: there is no such file`],
		[folder, `${folder}: no such program: it is a folder`],
		[`${folder}/plain.js`, `${folder}/plain.js: no such program: the file is not executable; name what runs it, such as node`],
		[`${folder}/script`, `${folder}/script: its first line says that /no/such/python runs it, but there is no such program`],
		['harness.js', 'harness.js: no such program in PATH, but there is such a file here; name what runs it, such as node harness.js'],
	]) {
		const { status, log } = await runToItsEnd(`run --listen 127.0.0.1:0 --dialect preload -- ${command}`);
		assert.equal(status, 1, command);
		assert.ok(log.includes(`limpet: ${words}`), log);
	}
});

for (const dialect of ['node', 'preload'])
	test(`${dialect}: a program on another port is told of, with both ports`, run(
		`--workers 2 --dialect ${dialect} -- node other.js`, SETTINGS,
		async (limpet) => {
			const [, ours] = /:(\d+)$/.exec(limpet.address ?? (await limpet.said(/^limpet: listening on (\S+)$/))[1]);
			const [, pid, theirs] = await limpet.said(
				new RegExp(`^limpet: node \\(pid (\\d+)\\) listens on (\\d+), limpet on ${ours}: make them the same`));
			assert.ok(limpet.lines.includes(`at ${theirs}`));
			assert.ok(limpet.lines.some((line) => line.endsWith(`, or start limpet with --listen :${theirs}`)));
			assert.ok(Number(pid) > 1);
		}));

test('a program without the library is told of, with the reason', run(
	'--workers 1 --dialect preload -- env -i node other.js', SETTINGS,
	async (limpet) => {
		await limpet.said(/^limpet: env \(pid \d+\) listens on \d+ by itself: \S*node runs without liblimpet-preload.so: .*env -i/);
	}));

test('a program that listens nowhere is told where it should', run(
	'--workers 1 --dialect preload -- sleep 3600', SETTINGS,
	async (limpet) => {
		await limpet.said(/^limpet: sleep \(pid \d+\) has run for 10 s and is not ready: it listens on no port, and is ready once it listens on \d+ or on descriptor 3$/);
	}));

test('in a dialect that does not suit it the dialect is in question', run(
	'--workers 1 --dialect native -- node other.js', SETTINGS,
	async (limpet) => {
		await limpet.said(/^limpet: worker 1 \(pid \d+\) listens on \d+ by itself, but in the dialect native connections come over a channel: leave --dialect out$/);
	}));
