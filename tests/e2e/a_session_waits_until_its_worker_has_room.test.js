'use strict';
/**
 * A worker at its limit of open files gives connections back. Any other worker will do for them, but not for those of a
 * session, which nobody else knows: they wait until its worker has room again.
 */
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { once } = require('node:events');
const test = require('node:test');
const proc = require('./proc');
const { acknowledged } = require('./clients');
const { eventually, run } = require('./harness');

test('its poll and its words go to no other worker', run(
	'--workers 2 --policy sid --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201',
	async (limpet) => {
		const client = limpet.socket({ transports: ['polling'] });
		const [id] = await once(client, 'worker');
		const { pid } = await limpet.worker(id);
		const [soft, hard] = proc.fileLimits(pid);
		const limit = (files) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${files}:${hard}`]);

		limit(3); // No descriptor is left below that.
		const echo = acknowledged(client, 'echo', 'still here');
		await eventually('it was given back, and again', async () => (await limpet.counts()).returned_no_room > 2);
		assert.equal((await limpet.get('/')).json.worker, 3 - id, 'who has no session is served by the other one');
		limit(soft);
		assert.equal(await echo, 'still here');
	}));
