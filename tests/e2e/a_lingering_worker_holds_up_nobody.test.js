'use strict';
/**
 * SO_LINGER makes the last close of a connection wait for its client. limpet may be the last to close, and must not wait.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { AT_PORT } = require('./any_server');
const { head } = require('./clients');
const { run } = require('./harness');

/** Half of what the worker has close() wait (workers/any_server/lingers.py). */
const PATIENCE_MS = 10_000;

test('a worker that sets SO_LINGER, fills a connection and closes it holds up nobody else', run(
	`--workers 2 --policy ./to.lua --dialect preload -- ${AT_PORT} /usr/bin/python3 workers/any_server/lingers.py PORT`,
	{ files: { 'to.lua': 'return { on_request = function(conn, workers) return workers[tonumber(conn.path:sub(2))] end }' } },
	async (limpet) => {
		const victim = await limpet.connect();
		victim.pause();
		victim.write(head('/1'));
		await limpet.said(/^taken$/);
		// So that limpet, which keeps its copy until the request is read, is the last to close.
		limpet.signal('SIGSTOP');
		limpet.write('go', '');
		await limpet.said(/^filled$/);
		limpet.signal('SIGCONT');
		let longest = 0;
		let others = 0;
		do {
			const began = Date.now();
			assert.equal((await limpet.get('/2')).status, 200);
			longest = Math.max(longest, Date.now() - began);
			others++;
		} while ((await limpet.counts()).in_flight > 0);
		assert.ok(longest < PATIENCE_MS, `one of ${others} requests took ${longest} ms`);
		assert.equal((await limpet.get('/2')).status, 200);
	}));
