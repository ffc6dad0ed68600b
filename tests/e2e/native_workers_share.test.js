'use strict';
/**
 * Native workers have the store and the bus, too: through the library in C (examples/native_worker), and by the bare protocol.
 */
const assert = require('node:assert/strict');
const path = require('node:path');
const test = require('node:test');
const { BINARY, eventually, run } = require('./harness');
const { NAMED } = require('./named');

const COUNTING = path.join(process.env.LIMPET_BUILD ?? path.dirname(BINARY), 'native_worker_example');
const VISITORS = 20;
const KILLS = 6;

/** Visits that are answered between two kills. */
const BETWEEN = 100;

const BUS = '--workers 3 --policy ./named.lua --dialect native -- python3 workers/native_bus.py';

/** Let a worker say a frame. */
async function say(limpet, worker, frame) {
	const { json } = await limpet.get(`/?worker=${worker}`, { method: 'POST', body: frame });
	assert.equal(json.worker, worker);
}

async function heard(limpet, worker) {
	const { json } = await limpet.get(`/?worker=${worker}`);
	assert.equal(json.worker, worker);
	return json.heard;
}

async function hears(limpet, worker, frames) {
	await eventually(`worker ${worker} hears ${JSON.stringify(frames).slice(0, 200)}`,
		async () => (await heard(limpet, worker)).length >= frames.length);
	assert.deepEqual(await heard(limpet, worker), frames);
}

test('a counter under a lock counts each visit once, while workers that hold it are killed', run(
	`--workers 3 --policy round_robin --dialect native -- ${COUNTING}`,
	async (limpet, t) => {
		const seen = [];
		let begun = 0;
		let killed = 0;
		const visit = async () => {
			while (killed < KILLS) {
				begun++;
				const answer = await limpet.get('/').catch((error) => error);
				if (!(answer instanceof Error)) // It died with its worker, before it had the lock or behind it.
					seen.push(Number(/visit (\d+)/.exec(answer.text)[1]));
			}
		};
		const visitors = Array.from({ length: VISITORS }, visit);
		for (; killed < KILLS; killed++) {
			const before = seen.length;
			await eventually('some more visits', () => seen.length > before + BETWEEN);
			const { pid, id } = await limpet.worker(killed % 3 + 1);
			const since = limpet.now;
			process.kill(pid, 'SIGKILL');
			await limpet.said(new RegExp(`^limpet: worker ${id} is ready`), since);
		}
		await Promise.all(visitors);
		t.diagnostic(`${seen.length} of ${begun} visits were answered`);
		assert.equal(new Set(seen).size, seen.length, 'no number was given twice');
		assert.ok(Math.max(...seen) <= begun, 'nothing was counted twice');
		assert.ok(begun - seen.length <= KILLS * VISITORS, 'only what a dead worker had is lost');
	}));

test('what is published comes to those who are subscribed, what is pushed to one who pulls', run(
	BUS, { files: NAMED },
	async (limpet) => {
		await say(limpet, 1, 'subscribe news');
		await say(limpet, 3, 'subscribe news');
		await say(limpet, 2, 'publish news\nfirst line\nsecond line');
		await hears(limpet, 1, ['publish news\nfirst line\nsecond line']);
		await hears(limpet, 3, ['publish news\nfirst line\nsecond line']);
		await say(limpet, 2, 'push jobs\nwaits');
		await say(limpet, 2, 'pull jobs');
		await hears(limpet, 2, ['push jobs\nwaits']);
		await say(limpet, 1, 'get 1 c k');
		await say(limpet, 2, 'set 2 c k\n\u00e9');
		await say(limpet, 1, 'get 18446744073709551615 c k');
		await hears(limpet, 1, ['publish news\nfirst line\nsecond line', 'value 1', 'value 18446744073709551615\n\u00e9']);
		await hears(limpet, 2, ['push jobs\nwaits', 'value 2']);
		await say(limpet, 1, 'get c k');
		await limpet.said(/worker 1 sent "get c k", which is no frame/);
	}));

test('a lock is its worker\'s until it releases it or dies', run(
	BUS, { files: NAMED },
	async (limpet) => {
		await say(limpet, 1, 'acquire 1 c k');
		await hears(limpet, 1, ['value 1']);
		await say(limpet, 2, 'acquire 1 c k');
		await say(limpet, 3, 'set-release 1 c k\nx');
		await hears(limpet, 3, ['refused 1\nthe key is not locked by this worker']);
		await hears(limpet, 2, []);
		process.kill((await limpet.worker(1)).pid, 'SIGKILL');
		await hears(limpet, 2, ['value 1']);
		await say(limpet, 2, 'set-release 0 c k\nlast');
		await say(limpet, 3, 'get 2 c k');
		await hears(limpet, 3, ['refused 1\nthe key is not locked by this worker', 'value 2\nlast']);
	}));

test('a worker that does not read holds nobody up, and has what fits when it does', run(
	BUS, { files: NAMED },
	async (limpet) => {
		const value = 'v'.repeat(61440);
		for (const worker of [1, 3])
			await say(limpet, worker, 'subscribe news');
		const { pid } = await limpet.worker(3);
		process.kill(pid, 'SIGSTOP');
		let published = 0;
		const dropped = limpet.said(/worker 3 does not read its messages \(\d+ bytes wait\); one for it is dropped/);
		let full = false;
		dropped.then(() => { full = true; });
		for (; !full; published++)
			await say(limpet, 2, `publish news\n${published} ${value.slice(8)}`);
		process.kill(pid, 'SIGCONT');
		const numbers = async (worker) => (await heard(limpet, worker)).map((frame) => Number(frame.split(/\s/)[2]));
		await eventually('worker 1 has all', async () => (await numbers(1)).length === published);
		const kept = await numbers(3);
		assert.deepEqual(kept, Array.from(kept, (_, i) => i), 'in order, without a gap');
		assert.ok(kept.length * 61440 > 16_000_000, `${kept.length} of ${published}`);
	}));
