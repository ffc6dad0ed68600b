'use strict';
/**
 * The log's forms: lines of text with time and level, lines of systemd's journal with a priority, objects with fields.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { eventually, run } = require('./harness');

const ANSWER = '--workers 2 --dialect cluster -- node workers/answer.js';

/** Not this harness's to read: its log is of another form. */
const OTHER_FORM = { ready: false, silent: true };

const parsed = (limpet) => limpet.raw.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));

/** The first line of JSON whose message matches; waits for it. */
async function object(limpet, pattern) {
	await limpet.said(new RegExp(`"message":"${pattern.source}`));
	return parsed(limpet).find(({ message }) => new RegExp(`^${pattern.source}`).test(message));
}

test('text has the time, the level, and at info nothing that nobody asked for', run(ANSWER, async (limpet) => {
	await limpet.get('/');
	await limpet.stop();
	const lines = limpet.raw.filter((line) => /limpet: /.test(line));
	for (const line of lines)
		assert.match(line, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info limpet: \S/);
	const kinds = lines.map((line) => line.replace(/^.*limpet: /, '').replace(/\d+/g, 'N').replace(/^(stopped|draining): .*/, '$1'));
	assert.deepEqual([...new Set(kinds)].sort(), [
		'draining', 'listening on N.N.N.N:N', 'stopped', 'worker N (pid N) ended, as told', 'worker N is ready (pid N)',
	]);
}));

test('in the journal a line has a priority in place of time and level', run(
	ANSWER,
	{
		...OTHER_FORM,
		under: ['sh', '-c', 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/$$/fd/2) exec "$@"', 'sh'],
	},
	async (limpet) => {
		await limpet.said(/^<6>limpet: listening on \S+$/);
		const [, pid] = await limpet.said(/^<6>limpet: worker 1 is ready \(pid (\d+)\)$/);
		process.kill(Number(pid), 'SIGKILL');
		await limpet.said(/^<4>limpet: worker 1 \(pid \d+\) was killed by signal 9/);
	}));

test('JOURNAL_STREAM of another descriptor is no journal', run(
	ANSWER, { env: { JOURNAL_STREAM: '8:4711' } },
	async (limpet) => {
		assert.match(limpet.raw.find((line) => /listening on/.test(line)), /^20.* info limpet: listening on/);
	}));

test('JSON has fields: worker and pid, policy, client and listener', run(
	`--log-format json --log-level debug --policy ./mine.lua ${ANSWER}`,
	{
		...OTHER_FORM,
		files: {
			'mine.lua': `return { on_request = function(conn)
				if conn.path == "/fails" then error("it fails") end
				if conn.path == "/says" then limpet.log.info("it says") end
				if conn.path == "/wrong" then return 7 end
				return conn.path == "/refused" and limpet.refuse(403) or nil
			end }`,
		},
	},
	async (limpet) => {
		const { message: bound, listener } = await object(limpet, /listening on/);
		assert.equal(bound, `listening on ${listener}`);
		const ready = await object(limpet, /worker 2 is ready/);
		assert.equal(ready.worker, 2);
		assert.ok(Number.isInteger(ready.pid) && ready.message.includes(`(pid ${ready.pid})`));
		await object(limpet, /worker 1 is ready/);

		for (const path of ['/fails', '/says', '/wrong', '/refused'])
			await limpet.get(path, { address: listener });
		const about = { policy: './mine.lua', client: '127.0.0.1', listener: '127.0.0.1:0' };
		for (const pattern of [/policy [.]\/mine.lua:2: it fails/, /policy [.]\/mine.lua: it says/, /policy .* returned the number 7/]) {
			const { policy, client, listener: at } = await object(limpet, pattern);
			assert.deepEqual({ policy, client, listener: at }, about);
		}
		const refused = await object(limpet, /refused 127[.]0[.]0[.]1 with 403/);
		assert.deepEqual([refused.client, refused.listener, refused.level], [about.client, about.listener, 'debug']);

		process.kill(ready.pid, 'SIGKILL');
		const killed = await object(limpet, /worker 2 .* was killed by signal 9/);
		assert.deepEqual([killed.worker, killed.pid, killed.level], [2, ready.pid, 'warning']);
		await eventually('another is ready', () => parsed(limpet).filter(({ message }) => /^worker 2 is ready/.test(message)).length === 2);

		limpet.signal('SIGTERM');
		await limpet.ended();
		for (const line of parsed(limpet)) {
			const { time, level, message, ...fields } = line;
			assert.match(time, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
			assert.match(level, /^(error|warning|info|debug)$/);
			assert.ok(Object.keys(fields).every((name) => ['worker', 'pid', 'policy', 'client', 'listener'].includes(name)), line);
			const [, worker] = /^worker (\d+)\b/.exec(message) ?? [];
			const [, pid] = /\(pid (\d+)\)/.exec(message) ?? [];
			assert.equal(fields.worker, worker && Number(worker), message);
			if (pid)
				assert.equal(fields.pid, Number(pid), message);
		}
		assert.equal(limpet.raw.filter((line) => /limpet/.test(line) && !line.startsWith('{')).length, 0, 'no other line is ours');
	}));
