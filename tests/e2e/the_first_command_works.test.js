'use strict';
/**
 * examples/run, the first thing that anyone does with limpet: it ends in a page that is served, and Ctrl-C ends it all.
 */
const assert = require('node:assert/strict');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const readline = require('node:readline');
const { test } = require('node:test');
const { PATIENCE_MS, deadline } = require('./patience');

/** The longest that it builds without a word, on a quiet machine. */
const BUILD_PATIENCE_MS = 6 * PATIENCE_MS;

const RUN = path.resolve(__dirname, '../../examples/run');

test('examples/run serves the chat', async () => {
	const log = [];
	const child = spawn(RUN, { env: { ...process.env, PORT: '0' }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
	const closed = once(child, 'close');
	const end = deadline(() => process.kill(-child.pid, 'SIGKILL'), BUILD_PATIENCE_MS);
	const readers = [child.stdout, child.stderr].map((input) => readline.createInterface({ input }));
	try {
		const address = await new Promise((resolve, reject) => {
			let listens;
			for (const reader of readers)
				reader.on('line', (line) => {
					log.push(line);
					end.advanced();
					listens ??= /^\S+ info limpet: listening on (\S+)$/.exec(line)?.[1];
					if (listens && /^\S+ info limpet: worker \d+ is ready/.test(line)) // Clients wait for that, but not for ever.
						resolve(listens);
				});
			closed.then(() => reject(new Error('it ended')));
		});
		const page = await fetch(`http://${address}/`);
		assert.equal(page.status, 200);
		assert.match(await page.text(), /<title>Limpet chat<\/title>/);

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
