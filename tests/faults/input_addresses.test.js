'use strict';
/**
 * Faults 21 to 28: clients that lie about who they are, and many that are one.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { ENGINE, head } = require('../e2e/clients');
const { eventually, run } = require('../e2e/harness');
const { assertWhole, send, workerOf } = require('./inspected');

const NO_PROXY_PROTOCOL = { skip: 'limpet has no --proxy-protocol; to it such a header is no HTTP request' };

test('21: a PROXY header from somebody who is not trusted', NO_PROXY_PROTOCOL, () => {});
test('22: a PROXY header that is missing, or cut off', NO_PROXY_PROTOCOL, () => {});
test('23: a PROXY header in pieces', NO_PROXY_PROTOCOL, () => {});

const INSPECT = '--dialect native -- python3 workers/inspector.py';

const latin1 = (text) => Buffer.from(text, 'latin1');

/** Tells by the worker who the client is believed to be. */
const NOBODY = 1;
const PEER = 2;
const SEVEN = 3;
const OTHER = 4;
const BELIEVED = {
	'believed.lua': `return { on_request = function(conn, workers)
		local ip = conn.client_ip
		return workers[not ip and ${NOBODY} or ip == conn.ip and ${PEER} or ip == "198.51.100.7" and ${SEVEN} or ${OTHER}]
	end }`,
};

/** Ask for each list of header lines who is believed. */
async function assertBelieved(limpet, cases, options) {
	for (const [lines, worker] of cases) {
		const request = latin1(`GET / HTTP/1.1\r\nHost: limpet\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`);
		const answer = await send(limpet, request, options);
		assert.equal(workerOf(answer), worker, JSON.stringify(lines));
		assertWhole(answer, request, JSON.stringify(lines));
	}
}

const believing = (trust) => `--listen 127.0.0.1:0 ${trust} --workers 4 --policy ./believed.lua ${INSPECT}`;

test('24: of X-Forwarded-For only what trusted proxies wrote is believed', async (t) => {
	await t.test('nobody is trusted', run(believing(''), { files: BELIEVED }, (limpet) => assertBelieved(limpet, [
		[['X-Forwarded-For: 198.51.100.7'], PEER],
		[['X-Forwarded-For: 127.0.0.9, 198.51.100.7'], PEER],
		[['Forwarded: for=198.51.100.7'], PEER],
		[['X-Real-IP: 198.51.100.7'], PEER],
		[['X-Forwarded-For: rubbish'], PEER],
	])));
	const trust = '--trust 127.0.0.0/30 --trust 203.0.113.0/24';
	await t.test('a proxy is trusted', run(believing(trust), { files: BELIEVED }, async (limpet) => {
		await assertBelieved(limpet, [
			[[], PEER],
			[['X-Forwarded-For: 198.51.100.7'], SEVEN],
			[['X-Forwarded-For: 192.0.2.1, 198.51.100.7'], SEVEN],
			[['X-Forwarded-For: rubbish, 198.51.100.7'], SEVEN],
			[['X-Forwarded-For: 192.0.2.1, 198.51.100.7, 203.0.113.9, 127.0.0.2'], SEVEN],
			[['X-Forwarded-For: 198.51.100.7, 192.0.2.1'], OTHER],
			[['X-Forwarded-For: 198.51.100.7, 192.0.2.1, 203.0.113.9'], OTHER],
			[['X-Forwarded-For: 198.51.100.7', 'X-Forwarded-For: 192.0.2.1'], OTHER],
			[['X-Forwarded-For: 192.0.2.1', 'X-Forwarded-For: 198.51.100.7', 'X-Forwarded-For: 203.0.113.9'], SEVEN],
			[['x-forwarded-FOR: 198.51.100.7'], SEVEN],
			[['X-Forwarded-For:'], PEER],
			[['X-Forwarded-For: , ,'], PEER],
			[['X-Real-IP: 198.51.100.7', 'X-Forwarded: 198.51.100.7', 'Client-IP: 198.51.100.7'], PEER],
			[['Forwarded: for=198.51.100.7'], PEER],
			[['Forwarded: for=192.0.2.1', 'X-Forwarded-For: 198.51.100.7'], SEVEN],
		]);
		await assertBelieved(limpet, [[['X-Forwarded-For: 198.51.100.7'], PEER]], { localAddress: '127.0.0.5' });
	}));
	await t.test('a proxy is trusted that writes Forwarded', run(
		believing(`${trust} --forwarded-header forwarded`), { files: BELIEVED }, (limpet) => assertBelieved(limpet, [
			[['Forwarded: for=192.0.2.1, for=198.51.100.7;proto=https, for=203.0.113.9'], SEVEN],
			[['Forwarded: for="192.0.2.1, for=198.51.100.7'], SEVEN],
			[['Forwarded: for=198.51.100.7', 'X-Forwarded-For: 192.0.2.1'], SEVEN],
			[['X-Forwarded-For: 198.51.100.7'], PEER],
		])));
});

// forwarded_for has no opinion on nobody, so that the policy behind it is asked.
test('25: garbage in a header of proxies is nobody, and served', async (t) => {
	await t.test('X-Forwarded-For', run(
		believing('--trust 127.0.0.0/8 --policy forwarded_for'),
		{ files: BELIEVED },
		async (limpet) => {
			const garbage = [
				'rubbish', 'unknown', '_hidden', '198.51.100', '198.51.100.7.1', '198.51.100.256', '198.51.100.07x',
				'198.51.100.7:', '198.51.100.7:x', '198.51.100.7:123456', '198.51.100.7 192.0.2.1', '198.51.100.7;',
				'[198.51.100.7]', '[::1', '::1]', '[::1]x', ':::', '1::2::3', '::ffff:1.2.3', 'fe80::1%lo', '%00',
				'"198.51.100.7"', '-1', '1e9', "' OR 1=1", '198.51.100.7, rubbish', 'x'.repeat(8000),
				','.repeat(4000) + 'x', '\xff\xfe', '\u00b9\u00b9.0.0.1',
			];
			await assertBelieved(limpet, garbage.map((value) => [[`X-Forwarded-For: ${value}`], NOBODY]));
			assert.equal((await limpet.counts()).policy_errors, 0);
		}));
	await t.test('Forwarded', run(
		believing('--trust 127.0.0.0/8 --forwarded-header forwarded --policy forwarded_for'),
		{ files: BELIEVED },
		async (limpet) => {
			await assertBelieved(limpet, ['for=rubbish', 'for=', 'for', 'by=198.51.100.7', 'for="198.51.100.7', 'for=_x',
				'for=198.51.100.7;for=192.0.2.1'].map((value) => [[`Forwarded: ${value}`], NOBODY]));
			assert.equal((await limpet.counts()).policy_errors, 0);
		}));
});

test('26: ::ffff:a.b.c.d is a.b.c.d: for ip_hash, for --trust, in a header, in conn.ip', async (t) => {
	await t.test('the same client through both families', run(
		`--listen 127.0.0.1:0 --listen :0 --workers 4 --policy ip_hash ${INSPECT}`,
		async (limpet) => {
			const homes = new Set();
			const mapped = `127.0.0.1:${/\d+$/.exec(limpet.addresses[1])[0]}`;
			for (let i = 1; i <= 20; i++) {
				const options = { localAddress: `127.0.0.${i}` };
				const home = workerOf(await send(limpet, latin1(head('/')), options));
				assert.equal(workerOf(await send(limpet, latin1(head('/')), { ...options, address: mapped })), home);
				homes.add(home);
			}
			assert.equal(homes.size, 4);
		}));
	await t.test('as a policy sees it', run(
		`--listen :0 --trust ::ffff:127.0.0.1 --workers 4 --policy ./seen.lua ${INSPECT}`,
		{
			files: {
				'seen.lua': `return { on_request = function(conn, workers)
					local home = limpet.cidr("127.0.0.0/8"):contains(conn.ip) and conn.ip == "127.0.0.1"
					return workers[not home and 1 or conn.client_ip == "198.51.100.7" and 2 or 3]
				end }`,
			},
		},
		async (limpet) => {
			for (const value of ['::ffff:198.51.100.7', '::FFFF:c633:6407', '[::ffff:198.51.100.7]:80', '198.51.100.7',
				'0:0:0:0:0:ffff:198.51.100.7', '198.51.100.7, ::ffff:127.0.0.1'])
				await assertBelieved(limpet, [[[`X-Forwarded-For: ${value}`], 2]]);
		}));
});

/** How many connections each worker has, when so many clients of one address stay. */
async function loads(limpet, clients) {
	for (let i = 0; i < clients; i++)
		await limpet.connect();
	await eventually('all are at their workers', async () => (await limpet.counts()).acknowledged === clients);
	return (await limpet.status()).workers.map(({ connections }) => connections);
}

test('27: a whole office behind one address sinks no worker', async (t) => {
	const office = (policy) => `--no-defer-accept --workers 4 --policy ${policy} ${INSPECT}`;
	await t.test('bounded_hash keeps every worker near its share', run(office('bounded_hash'), async (limpet) => {
		const connections = await loads(limpet, 400);
		// A quarter above the share, which is taken one higher than it is, and the one that was let in at the bound.
		assert.ok(Math.max(...connections) <= 1.25 * (100 + 1) + 1, `${connections}`);
		assert.ok(Math.min(...connections) >= 1, `${connections}`);
	}));
	await t.test('ip_hash does not', run(office('ip_hash'), async (limpet) => {
		assert.deepEqual((await loads(limpet, 40)).sort(), [0, 0, 0, 40]);
	}));
});

test('28: a flood of forged sids is remembered by nobody, and costs no session', run(
	'--max-sessions 10 --workers 2 --policy sid --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky201',
	async (limpet) => {
		const sids = [];
		for (let i = 0; i < 15; i++)
			sids.push(/"sid":"([^"]+)"/.exec((await limpet.get(ENGINE)).text)[1]);
		await eventually('the sessions are known', async () => {
			const { sessions, sessions_evicted } = await limpet.counts();
			return sessions + sessions_evicted === 15;
		});
		assert.equal((await limpet.counts()).sessions, 10, 'no more than --max-sessions');

		const owners = () => limpet.status().then(({ workers }) => workers.map(({ sessions }) => sessions));
		const before = await owners();
		for (let batch = 0; batch < 20; batch++) {
			const answers = await Promise.all(Array.from({ length: 100 }, (_, i) =>
				limpet.exchange(head(`${ENGINE}&sid=forged-${batch}-${i}`))));
			answers.forEach(({ text }) => assert.match(text, /Session ID unknown/));
		}
		const { sessions, sessions_evicted } = await limpet.counts();
		assert.deepEqual([sessions, sessions_evicted], [10, 5]);
		assert.deepEqual(await owners(), before);
		for (const sid of sids.slice(5))
			assert.equal((await limpet.get(`${ENGINE}&sid=${sid}`, { method: 'POST', body: '40' })).status, 200);
	}));
