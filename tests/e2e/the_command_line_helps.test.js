'use strict';
/** What somebody meets who does not know the command line yet. */
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { test } = require('node:test');
const { BINARY } = require('./harness');

const limpet = (...words) => spawnSync(BINARY, words, { encoding: 'utf8' });

test('limpet alone says how it is used, on standard error, and fails', () => {
	const { status, stdout, stderr } = limpet();
	assert.equal(status, 2);
	assert.equal(stdout, '');
	assert.match(stderr, /^Usage:\n {2}limpet run --listen ADDRESS/m);
});

test('limpet help says the same, on standard output, and succeeds', () => {
	for (const word of ['help', '--help', '-h']) {
		const { status, stdout, stderr } = limpet(word);
		assert.deepEqual([status, stderr], [0, '']);
		assert.match(stdout, /^Usage:\n {2}limpet run --listen ADDRESS/m);
	}
});

test('the version is known by all its names', () => {
	for (const word of ['version', '--version', '-v', '-V']) {
		const { status, stdout } = limpet(word);
		assert.equal(status, 0);
		assert.match(stdout, /^limpet \d+\.\d+\.\d+\n$/);
	}
});

test('the first screen of limpet run --help has an example, and the flags that are used most', () => {
	const screen = limpet('run', '--help').stdout.split('\n').slice(0, 36).join('\n');
	for (const wanted of ['limpet run --listen :3000', '  --listen ', '  --workers ', '  --session ', '  --policy ', '  --trust '])
		assert.ok(screen.includes(wanted), wanted);
});

for (const [words, sentence] of [
	['run', 'run needs --listen ADDRESS, such as: limpet run --listen :3000 -- node server.js'],
	['run --listen :0', 'run needs a program after --, such as: limpet run --listen :3000 -- node server.js'],
	['server.js', 'To start a program: limpet run --listen :3000 -- server.js'],
	['rnu', 'unknown command "rnu"; did you mean run?'],
	['run --sesion sid', 'unknown flag --sesion; did you mean --session?'],
	['run --sid abc', 'limpet run has no flag --sid, which is one of limpet route'],
	['run --session mpc', '"mpc" is not known; did you mean mcp?'],
	['run --dialect clusster', 'did you mean cluster?'],
	['run --listen :0 --policy forwarded-for -- sleep 9', 'no included policy has this name; did you mean forwarded_for?'],
	['route siid', 'no included policy has this name; did you mean sid?'],
	['check seesion', 'no included policy has this name; did you mean session?'],
])
	test(`limpet ${words}: ${sentence}`, () => {
		const { status, stdout, stderr } = limpet(...words.split(' '));
		assert.ok((stdout + stderr).includes(sentence), stdout + stderr);
		assert.notEqual(status, 0);
	});
