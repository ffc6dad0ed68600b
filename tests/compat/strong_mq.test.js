'use strict';
/**
 * strong-mq 1.0.2, its native provider. Its package has no tests in it, so what its workers rely on is written down here.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { app, eventually } = require('./app');

const strong = (body) => app({ workers: 3, worker: ['strong.js'], ours: '--dialect cluster', theirs: ['strong'] }, body);

/** Wait until the workers have heard so many messages, and resolve to what each has heard. */
async function heard(running, count) {
	let all;
	await eventually(`${count} messages are heard`, async () => {
		all = await running.onAll('heard');
		return all.flat().length >= count;
	});
	return all;
}

test('what is published reaches every subscriber, the publisher too', strong(async (running) => {
	await running.onAll('subscribe', 'q', '');
	await running.on(1, 'publish', 'q', { text: '"ü\n' }, 'a.topic');
	await running.on(1, 'publish', 'q', 2);
	assert.deepEqual(await heard(running, 6), Array(3).fill([{ text: '"ü\n' }, 2]));
}));

test('topics are chosen by how they begin', strong(async (running) => {
	await running.on(1, 'subscribe', 'q', 'a');
	await running.on(2, 'subscribe', 'q', 'a.b');
	await running.on(3, 'subscribe', 'q', 'c');
	for (const topic of ['a', 'a.b', 'ab', 'c', 'a.b.c'])
		await running.on(1, 'publish', 'q', topic, topic);
	assert.deepEqual(await heard(running, 6), [['a', 'a.b', 'a.b.c'], ['a.b', 'a.b.c'], ['c']]);
}));

test('queues of other names hear nothing', strong(async (running) => {
	await running.on(1, 'subscribe', 'q', '');
	await running.on(2, 'subscribe', 'another', '');
	await running.on(3, 'publish', 'q', 1, '');
	await running.on(3, 'publish', 'another', 2, '');
	assert.deepEqual(await heard(running, 2), [[1], [2], []]);
}));

test('what is pushed goes to one that pulls, in turn', strong(async (running) => {
	await running.on(1, 'pull', 'q');
	await running.on(2, 'pull', 'q');
	await running.on(2, 'get', 'c', 'k');
	await running.on(1, 'get', 'c', 'k'); // Behind it: that they pull is known.
	await running.on(3, 'push', 'q', 1, 2, 3, 4, 5, 6);
	const all = await heard(running, 6);
	assert.deepEqual(all.map(({ length }) => length), [3, 3, 0]);
	assert.deepEqual(all.flat().sort(), [1, 2, 3, 4, 5, 6]);
}));

test('what nobody pulls is kept until somebody does', strong(async (running) => {
	await running.on(1, 'push', 'q', 'a', 'b', 'c');
	await running.on(1, 'get', 'c', 'k');
	await running.on(2, 'pull', 'q');
	assert.deepEqual(await heard(running, 3), [[], ['a', 'b', 'c'], []]);
}));

test('who has stopped to pull gets no more', strong(async (running) => {
	await running.on(1, 'pull', 'q');
	await running.on(2, 'pull', 'q');
	await running.on(2, 'get', 'c', 'k');
	await running.on(1, 'stop', 'q');
	await running.on(1, 'get', 'c', 'k');
	await running.on(3, 'push', 'q', 1, 2, 3, 4);
	assert.deepEqual(await heard(running, 4), [[], [1, 2, 3, 4], []]);
}));

test('who pulled and died gets no more', strong(async (running) => {
	await running.on(1, 'pull', 'q');
	await running.on(2, 'pull', 'q');
	await running.on(2, 'get', 'c', 'k');
	await running.on(1, 'get', 'c', 'k');
	const { pid } = running.steered.get(1);
	running.kill(1);
	await eventually('another has come', () => running.steered.get(1)?.pid !== pid || running.steered.has(4));
	await running.on(3, 'push', 'q', 1, 2, 3, 4);
	await eventually('worker 2 has them', async () => (await running.on(2, 'heard')).length === 4);
}));
