'use strict';
/**
 * `limpet simulate` and `limpet bench` as they are typed, and examples/custom_policy as it is tested and started.
 *
 * The program under test is $LIMPET, by default build/limpet.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const readline = require('node:readline');
const { test } = require('node:test');
const { deadline } = require('./patience');

const LIMPET = path.resolve(process.env.LIMPET ?? path.join(__dirname, '../../build/limpet'));
const EXAMPLE = path.resolve(__dirname, '../../examples/custom_policy');

/** What a command printed; it has to end with this exit status. */
function limpet(command, { status = 0, env = {} } = {}) {
	const ended = spawnSync(LIMPET, command.split(' '), {
		cwd: EXAMPLE, encoding: 'utf8', env: { PATH: process.env.PATH, ...env },
	});
	assert.equal(ended.status, status, ended.stderr);
	return status === 0 ? ended.stdout : ended.stderr;
}

/** The bars of a chart: how many connections each worker has. */
function bars(output) {
	return [...output.matchAll(/^ {2}worker +\d+ {2}.*? ([\d,]+) +[+-][\d.]+ %$/gm)]
		.map(([, number]) => Number(number.replaceAll(',', '')));
}

test('simulate shows the spread, and who moves', () => {
	const output = limpet('simulate ip_hash --clients 20000 --workers 8 --kill 3 --add 2');
	const [, connections] = /^ip_hash: 20,000 clients with ([\d,]+) connections, 8 workers$/m.exec(output);
	assert.equal(bars(output).length, 8);
	assert.equal(bars(output).reduce((a, b) => a + b), Number(connections.replace(',', '')));
	assert.match(output, /worker 3 dies +1[1-4]\.\d % +12\.5 %/);
	assert.match(output, /it is back, against the start +0\.0 % +0\.0 %/);
	assert.match(output, /2 workers are added +(19|20|21)\.\d % +20\.0 %/);
});

test('simulate takes several policies, their settings and a crowd behind NAT', () => {
	const drained = bars(limpet('simulate sid ./drain.lua --set worker=3 --clients 1000 --workers 4'));
	assert.equal(drained[2], 0);
	assert.ok(drained[0] > 0);
	assert.match(limpet('simulate ./nat.lua --nat --clients 1000'), /two in five clients share ten addresses/);
});

test('the same simulation prints the same', () => {
	const command = 'simulate bounded_hash --nat --clients 5000 --kill 1 --add 1';
	assert.equal(limpet(command), limpet(command));
});

test('bars are as the terminal takes them', () => {
	const command = 'simulate sid --clients 1000';
	const longest = (output) => Math.max(...output.split('\n').slice(2).map((line) => [...line].length));
	assert.match(limpet(command), / #+ /);
	assert.match(limpet(command, { env: { LANG: 'C.UTF-8' } }), / █+/);
	assert.match(limpet(command, { env: { LANG: 'C.UTF-8', NO_COLOR: '1' } }), / #+ /);
	assert.equal(longest(limpet(command)), 80);
	assert.equal(longest(limpet(command, { env: { COLUMNS: '60' } })), 60);
});

test('simulate draws a picture', () => {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-'));
	try {
		const file = path.join(folder, 'spread.svg');
		limpet(`simulate ip_hash --clients 1000 --svg ${file}`);
		assert.match(fs.readFileSync(file, 'utf8'), /^<svg [^]*>worker 4<[^]*<\/svg>\n$/);
		assert.match(limpet(`simulate ip_hash --clients 10 --svg ${folder}`, { status: 1 }), /illegal operation on a directory/);
	} finally {
		fs.rmSync(folder, { recursive: true });
	}
});

test('what cannot be simulated or measured is told', () => {
	assert.match(limpet('simulate ip_hsah', { status: 2 }), /^limpet: .*ip_hsah/);
	assert.match(limpet('simulate ./drain.lua', { status: 2 }), /drain\.lua:\d+: say which worker: --set worker=3/);
	assert.match(limpet('bench ./none.lua', { status: 2 }), /none\.lua/);
});

test('bench shows a policy beside the included ones', () => {
	const lines = limpet('bench ./tenants.lua ./weighted.lua').trimEnd().split('\n');
	const rows = lines.slice(1).map((line) => line.split(/ {2,}/));
	assert.match(lines[0], /^policy +hook +median +p99 +bytes$/);
	assert.deepEqual(rows[0].slice(0, 3), ['./tenants.lua', 'on_request', 'no sid']);
	assert.deepEqual(rows[2].slice(0, 2), ['./weighted.lua', 'on_connect']);
	assert.ok(rows.some(([name]) => name === 'sid'));
	for (const line of lines.slice(1))
		assert.match(line, / \d+ ns +\d+ ns +\d+$/);
});

test('the tests of examples/custom_policy pass, one file for each policy', () => {
	const policies = fs.readdirSync(EXAMPLE).filter((name) => /^\w+\.lua$/.test(name));
	const output = limpet('test .');
	assert.ok(policies.length >= 9, policies.join(' '));
	for (const name of policies)
		assert.ok(output.includes(name.replace('.lua', '.test.lua')), name);
	assert.match(output, /^\d+ passed, 0 failed$/m);
});

/** How many the example starts. Until all are ready, a key's worker may be one that takes another's place. */
const WORKERS = 4;

/** Which worker answers. */
function answerOf(address, headers) {
	return new Promise((resolve, reject) => {
		http.get(`http://${address}/`, { headers, agent: false }, (response) => {
			response.setEncoding('utf8');
			response.on('data', (text) => resolve(/^worker (\d)/.exec(text)[1]));
		}).on('error', reject);
	});
}

test('examples/custom_policy serves a page with a policy of one\'s choice', async () => {
	const log = [];
	const child = spawn(path.join(EXAMPLE, 'run'), ['cookie'], {
		env: { ...process.env, PORT: '0', LIMPET_BUILD: path.dirname(LIMPET) }, detached: true,
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	const closed = once(child, 'close');
	const end = deadline(() => process.kill(-child.pid, 'SIGKILL'));
	try {
		await new Promise((resolve, reject) => {
			for (const input of [child.stdout, child.stderr])
				readline.createInterface({ input }).on('line', (line) => {
					log.push(line);
					end.advanced();
					if (log.filter((said) => / is ready /.test(said)).length === WORKERS)
						resolve();
				});
			closed.then(() => reject(new Error('it ended')));
		});
		const [, address] = /^\S+ info limpet: listening on (\S+)$/m.exec(log.join('\n'));
		assert.ok(log.some((line) => line.startsWith('A browser returns to its worker')));
		for (const user of ['ada', 'bob', 'cyd']) {
			const answers = [];
			for (let i = 0; i < 3; i++)
				answers.push(await answerOf(address, { Cookie: `session=${user}` }));
			assert.equal(new Set(answers).size, 1, `${user}: ${answers}`);
		}
		process.kill(-child.pid, 'SIGINT'); // As a terminal sends it: to limpet and to its workers.
		assert.deepEqual(await closed, [0, null]);
	} catch (error) {
		console.error(log.join('\n'));
		throw error;
	} finally {
		end.cancel();
		if (child.exitCode === null && child.signalCode === null)
			process.kill(-child.pid, 'SIGKILL');
	}
});
