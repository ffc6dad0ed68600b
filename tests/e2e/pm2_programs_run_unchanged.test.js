'use strict';
/**
 * Programs that were written for pm2's cluster mode find what they know from there. tests/compat/who_it_is.test.js compares
 * with pm2 itself.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { eventually, run, runToItsEnd } = require('./harness');

const PROGRAM = 'node workers/pm2_program.js';
const INSTANCES = '--worker-env NODE_APP_INSTANCE=%i --worker-env pm_id=%i --worker-env instances=%n';
const THERE = { files: { database: '' } };

for (const dialect of ['cluster', 'socket.io-sticky'])
	test(`each instance has its number, which its successor has too: ${dialect}`, run(
		`--workers 3 --wait-ready --dialect ${dialect} ${dialect === 'cluster' ? INSTANCES : ''} -- ${PROGRAM}`, THERE,
		async (limpet) => {
			for (const i of [0, 1, 2])
				await limpet.said(new RegExp(`^instance ${i} listens$`));
			const since = limpet.now;
			process.kill((await limpet.worker(1)).pid, 'SIGKILL');
			await limpet.said(/^instance 0 listens$/, since);
			assert.equal(limpet.lines.filter((line) => line === 'instance 0 has the cron job').length, 2);
			assert.equal(limpet.lines.filter((line) => /cron job/.test(line)).length, 2);
		}));

test('the environment that programs go by', run(
	`--workers 2 --policy round_robin --dialect cluster ${INSTANCES} -- ${PROGRAM}`, { env: { NODE_APP_INSTANCE: '7', pm_id: '7' } },
	async (limpet) => {
		const found = [(await limpet.get('/')).json.env, (await limpet.get('/')).json.env];
		found.sort((one, other) => one.pm_id - other.pm_id);
		assert.deepEqual(found, [
			{ NODE_APP_INSTANCE: '0', pm_id: '0', instances: '2' },
			{ NODE_APP_INSTANCE: '1', pm_id: '1', instances: '2' },
		]);
	}));

test('--wait-ready: nobody is sent to a worker before it says so, and who comes waits', run(
	`--workers 2 --wait-ready --dialect cluster ${INSTANCES} -- ${PROGRAM}`, { ready: false },
	async (limpet) => {
		await limpet.said(/^instance 0 listens$/);
		await limpet.said(/^instance 1 listens$/);
		const answer = limpet.get('/');
		await eventually('it waits', async () => (await limpet.counts()).waiting === 1);
		assert.deepEqual((await limpet.status()).workers.map(({ usable }) => usable), [false, false]);
		limpet.write('database', '');
		assert.equal((await answer).status, 200);
		await limpet.ready();
	}));

for (const [how, message] of [['SIGINT', 'SIGINT'], ['shutdown', 'shutdown']])
	test(`--stop-with ${how}: the program closes by itself, and has --drain-timeout to do so`, run(
		`--workers 2 --wait-ready --stop-with ${how} --drain-timeout 60s --dialect cluster ${INSTANCES} -- ${PROGRAM}`, THERE,
		async (limpet) => {
			limpet.signal('SIGTERM');
			for (const i of [0, 1]) {
				await limpet.said(new RegExp(`^instance ${i} stops: ${message}, connected: true$`));
				await limpet.said(new RegExp(`^instance ${i} has served its last$`));
			}
			limpet.write('closed', '');
			assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
			for (const i of [0, 1])
				assert.ok(limpet.lines.includes(`instance ${i} has closed its database`));
			assert.ok(!limpet.lines.some((line) => /terminated/.test(line)));
		}));

test('--stop-with SIGINT: past --drain-timeout it is terminated', run(
	`--workers 1 --stop-with SIGINT --drain-timeout 300ms --dialect cluster ${INSTANCES} -- ${PROGRAM}`,
	async (limpet) => {
		await limpet.said(/^instance 0 listens$/); // By then it has its handler.
		limpet.signal('SIGTERM');
		await limpet.said(/^instance 0 stops: SIGINT/);
		await limpet.said(/^limpet: 1 process \(with 0 clients\) has not finished in time/);
		await limpet.said(/^limpet: worker 1 .* was killed by signal 15/);
		assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
	}));

test('--stop-with SIGQUIT: a native worker, too, is told by its signal', run(
	'--workers 1 --stop-with SIGQUIT --drain-timeout 60s --dialect native -- python3 workers/native.py',
	async (limpet) => {
		limpet.signal('SIGTERM');
		await limpet.said(/^limpet: worker 1 .* ended, as told$/);
		assert.deepEqual(await limpet.ended(), { status: 0, signal: null });
	}));

for (const flag of ['--wait-ready', '--stop-with shutdown'])
	test(`${flag} is for Node workers, and others are not started with it`, async () => {
		const { status, log } = await runToItsEnd(`run --listen 127.0.0.1:0 ${flag} --dialect native -- true`);
		assert.equal(status, 2);
		assert.match(log, new RegExp(`${flag} is for Node workers, but workers speak the dialect native`));
	});
