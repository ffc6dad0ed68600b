'use strict';
/**
 * What the examples show, with the programs that stand there.
 */
const assert = require('node:assert/strict');
const path = require('node:path');
const test = require('node:test');
const { eventually, run } = require('./harness');

const EXAMPLES = path.resolve(__dirname, '../../examples');

test('shared_store: four workers count together, and hear of each other', run(
	`--workers 4 --policy round_robin -- node ${EXAMPLES}/shared_store/server.js`, { env: { PORT: '3000' } },
	async (limpet) => {
		const visits = await Promise.all(Array.from({ length: 40 }, () => limpet.get('/')));
		const numbers = visits.map(({ json }) => json.visit).sort((a, b) => a - b);
		assert.deepEqual(numbers, Array.from({ length: 40 }, (_, i) => i + 1));
		assert.deepEqual(new Set(visits.map(({ json }) => json.worker)), new Set([1, 2, 3, 4]));
		const { json: { visit, worker } } = await limpet.get('/');
		await eventually('each worker has heard of it', async () => {
			const latest = await Promise.all(Array.from({ length: 4 }, () => limpet.get('/latest')));
			return latest.every(({ json }) => json.visit === visit && json.by === worker);
		});
	}));
