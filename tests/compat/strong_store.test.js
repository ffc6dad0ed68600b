'use strict';
/**
 * strong-store-cluster 1.0.1: one store for all workers. Its package has no tests in it, so what its workers rely on is
 * written down here, and so is what they would have liked to.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { app, eventually } = require('./app');

const strong = (body) => app({ workers: 3, worker: ['strong.js'], ours: '--dialect cluster', theirs: ['strong'] }, body);

test('what one worker sets another gets', strong(async (running) => {
	const value = { text: '"ü\n', list: [1, null, { deep: true }] };
	await running.on(1, 'set', 'c', 'k', value);
	assert.deepEqual(await running.onAll('get', 'c', 'k'), [value, value, value]);
	assert.equal(await running.on(2, 'get', 'another', 'k'), undefined);
	assert.equal(await running.on(2, 'get', 'c', 'another'), undefined);
}));

test('what one worker deletes is gone', strong(async (running) => {
	await running.on(1, 'set', 'c', 'k', 'value');
	await running.on(2, 'del', 'c', 'k');
	assert.equal(await running.on(3, 'get', 'c', 'k'), undefined);
}));

test('a lock brings the value, and a release may set or delete it', strong(async (running) => {
	await running.on(1, 'set', 'c', 'k', 1);
	assert.equal(await running.on(2, 'acquire', 'c', 'k'), 1);
	await running.on(2, 'setRelease', 'k', 2);
	assert.equal(await running.on(3, 'acquire', 'c', 'k'), 2);
	await running.on(3, 'release', 'k');
	assert.equal(await running.on(1, 'acquire', 'c', 'k'), 2);
	await running.on(1, 'delRelease', 'k');
	assert.equal(await running.on(2, 'get', 'c', 'k'), undefined);
}));

test('while one has the lock, all others wait in turn', strong(async (running) => {
	await running.on(1, 'acquire', 'c', 'k');
	const order = [];
	const note = (name) => () => order.push(name);
	const second = running.on(2, 'acquire', 'c', 'k').then(note('lock'));
	await running.on(2, 'set', 'c', 'another', 1); // Behind it, in the order of worker 2's channel.
	const third = running.on(3, 'get', 'c', 'k').then(note('get'));
	await running.on(3, 'set', 'c', 'another', 2);
	assert.deepEqual(order, []);
	await running.on(1, 'setRelease', 'k', 'from 1');
	await second;
	assert.deepEqual(order, ['lock']);
	await running.on(2, 'setRelease', 'k', 'from 2');
	await third;
	assert.equal(await running.on(1, 'get', 'c', 'k'), 'from 2');
}));

test('300 increments under a lock are 300', strong(async (running) => {
	await running.onAll('count', 'c', 'n', 100);
	assert.equal(await running.on(1, 'get', 'c', 'n'), 300);
}));

test('unused keys expire; what is locked does not', strong(async (running) => {
	assert.equal(await running.on(1, 'configure', 'c', { expireKeys: 1 }), 'ok');
	await running.on(1, 'set', 'c', 'k', 'value');
	await running.on(1, 'acquire', 'c', 'locked');
	await running.on(1, 'setRelease', 'locked', 'value');
	await running.on(2, 'acquire', 'c', 'locked');
	// To ask is to use: so with pauses longer than it takes to expire, of three sweeps half a second apart.
	await new Promise((resolve) => setTimeout(resolve, 3000));
	assert.equal(await running.on(3, 'get', 'c', 'k'), undefined);
	await running.on(2, 'release', 'locked');
	assert.equal(await running.on(3, 'get', 'c', 'locked'), 'value');
}));

test('an option that there is not is an error', strong(async (running) => {
	assert.match(await running.on(1, 'configure', 'c', { colour: 'red' }), /Master error/);
}));

test('what a worker that died had locked is free', strong(async (running) => {
	await running.on(1, 'set', 'c', 'k', 'value');
	await running.on(2, 'acquire', 'c', 'k');
	const waiting = running.on(3, 'acquire', 'c', 'k');
	running.kill(2);
	assert.equal(await waiting, 'value');
}));

test('a key that is deleted while it is locked has its waiters served', strong(async (running) => {
	await running.on(1, 'acquire', 'c', 'k');
	const waiting = running.on(2, 'acquire', 'c', 'k');
	await running.on(1, 'delRelease', 'k');
	assert.equal(await waiting, undefined);
}));

test('set, configure, delete and set again', strong(async (running) => {
	await running.on(1, 'configure', 'c', { expireKeys: 60 });
	await running.on(1, 'set', 'c', 'k', 1);
	await running.on(1, 'del', 'c', 'k');
	await running.on(1, 'set', 'c', 'k', 2);
	assert.equal(await running.on(2, 'get', 'c', 'k'), 2);
	await eventually('all workers are as they were', async () => (await running.onAll('get', 'c', 'k')).length === 3);
}));
