'use strict';
/**
 * What belongs to a session comes to the worker that opened it, on however many connections, and from the first request
 * behind the handshake on: that one often arrives before the worker has told of the session. With the packages' own
 * primaries it is answered "Session ID unknown" a few hundred times in 3000, and so it would be by a limpet that does
 * not wait for the worker's word.
 */
const assert = require('node:assert/strict');
const { once } = require('node:events');
const path = require('node:path');
const test = require('node:test');
const { AT_PORT } = require('./any_server');
const { ENGINE, acknowledged, handshakeAndReturn, head } = require('./clients');
const { eventually, run } = require('./harness');
const { stopwatch } = require('./patience');

const HANDSHAKES = Number(process.env.LIMPET_E2E_HANDSHAKES ?? 3000);

const COMMAND = '--workers 4 --policy sid --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201';

/** Shake hands, use the session at once, and so on: {"ok": how often, or an error: how often}. */
async function shakeHands(limpet, count, clients) {
	const results = {};
	let left = count;
	const client = async () => {
		while (left-- > 0) {
			const result = await handshakeAndReturn(limpet.address);
			results[result] = (results[result] ?? 0) + 1;
		}
	};
	await Promise.all(Array.from({ length: clients }, client));
	return results;
}

for (const clients of [1, 50])
	test(`${HANDSHAKES} handshakes of ${clients} at a time, each used at once`, run(COMMAND, async (limpet) => {
		assert.deepEqual(await shakeHands(limpet, HANDSHAKES, clients), { ok: HANDSHAKES });
		await eventually('ended sessions are forgotten', async () => (await limpet.counts()).sessions === 0);
	}));

const LATE = COMMAND.replace('-- node', '-- node --require ./workers/tell_late.js');

test('even when each worker tells of its sessions late', run(LATE, { env: { LATE_MS: '20' } }, async (limpet) => {
	assert.deepEqual(await shakeHands(limpet, 200, 10), { ok: 200 });
}));

test('even when limpet is held up until the wait is over, but the word has come', run(
	`--session-wait 1500ms ${LATE}`,
	{ env: { LATE_MS: '1000' } },
	async (limpet) => {
		const results = shakeHands(limpet, 1, 1);
		await eventually('it waits, or has', async () => {
			const { acknowledged, waiting } = await limpet.counts();
			return waiting + acknowledged === 2;
		});
		limpet.signal('SIGSTOP');
		const watch = stopwatch();
		await eventually('the wait is over, and the word has come', () => watch.quietMs() >= 2000);
		limpet.signal('SIGCONT');
		assert.deepEqual(await results, { ok: 1 });
	}));

test('long-polling clients stay with their workers, and all workers have some', run(COMMAND, async (limpet) => {
	const clients = await Promise.all(Array.from({ length: 12 }, async () => {
		const client = limpet.socket({ transports: ['polling'] });
		const [worker] = await once(client, 'worker');
		return { client, worker };
	}));
	assert.equal(new Set(clients.map(({ worker }) => worker)).size, 4);
	assert.equal((await limpet.counts()).sessions, 12);

	for (let i = 0; i < 10; i++)
		await Promise.all(clients.map(({ client }) => acknowledged(client, 'echo', i)));
	clients.forEach(({ client }) => assert.ok(client.connected));
	clients.forEach(({ client }) => client.close());
}));

test('a sid is one only as the query parameter', run(
	COMMAND.replace('--policy sid', '--policy sid --policy ./others.lua'),
	{
		files: {
			'others.lua': `--- Sessions begin at worker 1; whatever names none is for worker 2.
				return {
				  on_request = function(conn, workers)
				    return workers[conn.path == "/socket.io/" and 1 or 2]
				  end,
				}`,
		},
	},
	async (limpet) => {
		const opened = await limpet.exchange(head(ENGINE));
		const sid = /"sid":"([^"]+)"/.exec(opened.text)[1];
		const encoded = `%${sid.charCodeAt(0).toString(16)}${sid.slice(1)}`;
		const by = async (path, options) => (await limpet.get(path, options)).json.worker;

		assert.equal(await by(`/?sid=${sid}`), 1);
		assert.equal(await by(`/any/path?x=1&sid=${sid}&sid=another`), 1, 'the first of two');
		assert.equal(await by(`/?sid=another&sid=${sid}`), 2, 'not the second of two');
		assert.equal(await by(`/?sid=${encoded}`), 1, 'percent-encoded');
		assert.equal(await by(`/?SID=${sid}`), 2, 'in another case');
		assert.equal(await by(`/sid=${sid}`), 2, 'in a path');
		assert.equal(await by('/', { headers: { Cookie: `sid=${sid}` } }), 2, 'in a cookie');
		assert.equal(await by('/', { method: 'POST', body: `?sid=${sid}` }), 2, 'in a body');

		await limpet.exchange(head(`${ENGINE}&sid=${sid}`, { method: 'POST', length: 1 }) + '1');
	}));

/**
 * How long `count` requests take that name a sid which no worker has, each by itself, in milliseconds and sorted: by the clock,
 * for lower bounds, and of the time that the machine had for us, for upper ones.
 */
async function askUnknown(limpet, count, target = `${ENGINE}&sid=AAAAAAAAAAAAAAAAAAAA`) {
	const tookMs = [];
	const quietMs = [];
	for (let i = 0; i < count; i++) {
		const watch = stopwatch();
		const { text } = await limpet.exchange(head(target));
		tookMs.push(watch.ms());
		quietMs.push(watch.quietMs());
		assert.match(text, /^HTTP\/1\.1 /);
	}
	return { tookMs: tookMs.sort((a, b) => a - b), quietMs: quietMs.sort((a, b) => a - b) };
}

test('a sid that no worker has costs one question to the workers, not --session-wait', run(
	`--session-wait 5s ${COMMAND}`,
	async (limpet, t) => {
		const { text } = await limpet.exchange(head(`${ENGINE}&sid=AAAAAAAAAAAAAAAAAAAA`));
		assert.match(text, /^HTTP\/1\.1 400 [^]*Session ID unknown/);
		const { quietMs } = await askUnknown(limpet, 100);
		t.diagnostic(`p50 ${quietMs[50].toFixed(1)} ms, p99 ${quietMs[99].toFixed(1)} ms`);
		assert.ok(quietMs[50] < 500, `p50 ${quietMs[50]} ms`);
	}));

test('a worker that does not answer is waited for as long as --session-wait', run(
	`--session-wait 500ms --ack-timeout 0 ${COMMAND}`,
	async (limpet) => {
		await askUnknown(limpet, 4); // Node's own first answer takes long.
		const { pid } = await limpet.worker(4);
		process.kill(pid, 'SIGSTOP');
		const { tookMs: [fastest] } = await askUnknown(limpet, 3);
		process.kill(pid, 'SIGCONT');
		assert.ok(fastest >= 495, `${fastest} ms`);
		const { quietMs: again } = await askUnknown(limpet, 20);
		assert.ok(again[10] < 250, `p50 ${again[10]} ms`);
	}));

test('a sid that is not of Engine.IO is nothing to wait for', run(
	`--session-wait 5s ${COMMAND}`,
	async (limpet) => {
		const { pid } = await limpet.worker(4);
		process.kill(pid, 'SIGSTOP');
		const { tookMs } = await askUnknown(limpet, 3, '/forum?sid=abcdef0123');
		process.kill(pid, 'SIGCONT');
		assert.ok(tookMs[0] < 2500, `${tookMs} ms`);
	}));

test('the session of a dead worker is not asked for', run(
	`--session-wait 5s ${COMMAND.replace('--policy sid', '--policy sid --policy ./to.lua')}`,
	{
		files: {
			'to.lua': `return {
				on_request = function(conn, workers)
					for _, worker in ipairs(workers) do
						if worker.id == tonumber(conn:query("to")) then return worker end
					end
				end,
			}`,
		},
	},
	async (limpet) => {
		const sid = /"sid":"([^"]+)"/.exec((await limpet.get(`${ENGINE}&to=1`)).text)[1];
		await eventually('it is known', async () => (await limpet.counts()).sessions === 1);
		const [owner, , silent] = (await limpet.status()).workers;
		process.kill(owner.pid, 'SIGKILL');
		await eventually('its session is gone', async () => (await limpet.counts()).sessions === 0);
		process.kill(silent.pid, 'SIGSTOP'); // It would not answer.
		const { tookMs } = await askUnknown(limpet, 3, `${ENGINE}&to=2&sid=${sid}`);
		process.kill(silent.pid, 'SIGCONT');
		assert.ok(tookMs[0] < 2500, `${tookMs} ms`);
	}));

for (const [dialect, command] of [
	['node', 'node workers/any_server/chat.js PORT'],
	['preload', 'node workers/any_server/chat.js PORT'],
	['native', `python3 ${path.join(__dirname, '../../examples/native_worker/worker.py')}`],
])
	test(`workers of the dialect ${dialect} name a session first: an unknown one is nothing to wait for`, run(
		`--session-wait 5s --workers 2 --policy sid --dialect ${dialect} -- ${dialect === 'native' ? '' : AT_PORT} ${command}`,
		async (limpet) => {
			const { tookMs } = await askUnknown(limpet, 20);
			assert.ok(tookMs[10] < 2500, `${tookMs} ms`);
		}));
