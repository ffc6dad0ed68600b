'use strict';
/**
 * What a Node worker finds beside connections is as it is under a Node primary.
 */
const assert = require('node:assert/strict');
const dgram = require('node:dgram');
const { once } = require('node:events');
const test = require('node:test');
const https = require('node:https');
const tls = require('node:tls');
const { eventually, run } = require('./harness');
const proc = require('./proc');

/** The workers in turn. */
const COMMAND = '--workers 2 --policy round_robin --dialect cluster -- node workers/behaves.js ports an --argument';

async function result(limpet, action, options) {
	return (await limpet.get(`/${action}`, options)).json;
}

test('who it is, its arguments and its environment', run(COMMAND, { env: { MARK: 'kept' } }, async (limpet) => {
	const found = [await result(limpet, 'self'), await result(limpet, 'self')];
	found.sort((one, other) => one.worker - other.worker);
	for (const [i, { result: self }] of found.entries())
		assert.deepEqual(self, { id: i + 1, isWorker: true, args: ['ports', 'an', '--argument'], channel: [], mark: 'kept' });
}));

for (const serialization of ['json', 'advanced'])
	test(`process.send calls back, each and in order: ${serialization}`, run(
		`--node-serialization ${serialization} ${COMMAND}`,
		async (limpet) => {
			assert.deepEqual((await result(limpet, 'send?1')).result, { called: 1, inOrder: true });
			assert.deepEqual((await result(limpet, 'send?10000')).result, { called: 10_000, inOrder: true });
		}));

test('process.send while limpet stops: each is called back, the one behind the end with an error', run(
	COMMAND,
	async (limpet) => {
		await result(limpet, 'chatter');
		await result(limpet, 'chatter');
		const since = limpet.now;
		await limpet.stop();
		const said = limpet.lines.slice(since).map((line) => /^called back (\d+) of (\d+), the last: (.*)$/.exec(line)).filter(Boolean);
		assert.equal(said.length, 2);
		for (const worker of [1, 2])
			assert.ok(limpet.lines.includes(`worker ${worker}, disconnect: true`), 'exitedAfterDisconnect');
		for (const [, back, sent, last] of said)
			assert.deepEqual([back, last], [sent, 'ERR_IPC_CHANNEL_CLOSED']);
	}));

for (const serialization of ['json', 'advanced'])
	test(`a socket that a worker sends is closed, and its channel goes on: ${serialization}`, run(
		`--node-serialization ${serialization} ${COMMAND}`,
		async (limpet) => {
			await result(limpet, 'self'); // With the first connection counting begins, which has a socket of its own.
			const before = proc.descriptors(limpet.pid);
			for (let i = 0; i < 10; i++)
				assert.deepEqual(await limpet.exchange('GET /giveAway HTTP/1.1\r\nHost: limpet\r\n\r\n'), { reset: false, text: '' });
			await limpet.said(/^limpet: worker \d sent a socket or server by process\.send\(\); .* closed it$/);
			await limpet.saidTimes(10, /^given away: null$/);
			for (let i = 0; i < 2; i++)
				assert.deepEqual((await result(limpet, 'send?100')).result, { called: 100, inOrder: true });
			await eventually('no descriptor stays', () => proc.descriptors(limpet.pid) <= before);
		}));

const ENDS = {
	'cluster.worker.disconnect()': ['disconnect', ['disconnect: true', 'exit: true']],
	'cluster.worker.kill()': ['kill', ['disconnect: true', 'exit: true']],
	'process.disconnect()': ['hangUp', ['disconnect: undefined', 'exit: undefined']],
};
for (const [name, [action, told]] of Object.entries(ENDS))
	test(`${name}: the worker ends of its own will, and another comes`, run(COMMAND, async (limpet) => {
		const since = limpet.now;
		const { worker } = await result(limpet, action);
		for (const line of told)
			await limpet.said(new RegExp(`^worker ${worker}, ${line}$`), since);
		await limpet.said(new RegExp(`^limpet: worker ${worker} \\(pid \\d+\\) ended with status 0; starting another`), since);
		await limpet.said(new RegExp(`^limpet: worker ${worker} is ready`), since);
		assert.equal((await limpet.counts()).worker_starts, 3);
	}));

test('cluster.worker.disconnect(): what has begun is finished, and nothing new comes', run(COMMAND, async (limpet) => {
	const begun = [limpet.get('/wait?go'), limpet.get('/wait?go')];
	await eventually('both are at their workers', async () => (await limpet.counts()).acknowledged === 2);
	const { worker } = await result(limpet, 'disconnect');
	await eventually('limpet has heard', async () => !(await limpet.worker(worker)).usable);
	for (let i = 0; i < 4; i++)
		assert.equal((await result(limpet, 'self')).worker, 3 - worker);
	limpet.write('go', '');
	assert.deepEqual((await Promise.all(begun)).map(({ json }) => json.worker).sort(), [1, 2]);
}));

test('a worker that has disconnected and lives on makes room, but not before it has served its last client', run(
	'--workers 3 --policy round_robin --dialect cluster -- node workers/behaves.js ports',
	async (limpet) => {
		const clients = new Map();
		for (const file of ['never1', 'never2', 'never3']) {
			const client = await limpet.connect();
			client.write(`GET /wait?${file} HTTP/1.1\r\nHost: limpet\r\n\r\n`);
			const [, worker] = await limpet.said(new RegExp(`^worker (\\d) waits for ${file}$`));
			clients.set(Number(worker), client);
		}
		const workers = [];
		for (const how of ['serves', 'ends', 'ignores'])
			workers.push((await result(limpet, `linger?${how}`)).worker);
		const [serves, ends, ignores] = workers;
		assert.deepEqual(new Set(workers), new Set([1, 2, 3]));
		// The first to disconnect has the last client, so it is alive when the others have been waited for.
		clients.get(ends).destroy();
		clients.get(ignores).destroy();
		for (const [worker, end] of [[ends, 'ended with status 0'], [ignores, 'was killed by signal 9']]) {
			await limpet.said(new RegExp(`^limpet: worker ${worker} .* has disconnected, has no connection left`));
			await limpet.said(new RegExp(`^limpet: worker ${worker} \\(pid \\d+\\) ${end}`));
			await eventually(`${worker} is back`, async () => (await limpet.worker(worker)).usable);
		}
		assert.deepEqual(limpet.lines.filter((line) => line.startsWith(`limpet: worker ${serves} (pid`)), []);
	}));

test('several servers: each gets what comes through its port or path', run(
	`--listen 127.0.0.1:0 --listen unix:./behaves.socket ${COMMAND}`,
	async (limpet) => {
		const [port, path] = limpet.addresses;
		assert.equal((await result(limpet, '', { address: port })).server, 'port');
		assert.equal((await result(limpet, '', { address: path })).server, 'path');
		for (const worker of [1, 2])
			await eventually(`the first server of ${worker} is closed`,
				async () => (await result(limpet, 'closeFirst', { address: path })).worker === worker);
		assert.equal((await result(limpet, '', { address: path })).server, 'path');
	}));

test('UDP: all workers have the socket, and it outlives each of them', run(COMMAND, { files: { ports: '' } }, async (limpet) => {
	await eventually('both have it', () => limpet.read('ports').split('\n').length === 3);
	const [port, other] = limpet.read('ports').split('\n').map(Number);
	assert.equal(port, other);
	const client = dgram.createSocket('udp4');
	const answers = [];
	client.on('message', (answer) => answers.push(answer.toString()));
	const ask = async (text) => {
		client.send(text, port, '127.0.0.1');
		await eventually(`an answer to ${text}`, () => answers.some((answer) => answer.endsWith(` got ${text}`)));
	};
	await ask('one');
	for (const id of [1, 2]) {
		const since = limpet.now;
		process.kill((await limpet.worker(id)).pid, 'SIGKILL');
		await ask(`with ${id} gone`);
		await limpet.said(new RegExp(`^limpet: worker ${id} is ready`), since);
	}
	await eventually('the new ones have it', () => limpet.read('ports').split('\n').length === 5);
	assert.deepEqual(new Set(limpet.read('ports').trim().split('\n')), new Set([String(port)]));
	client.close();
}));

const TLS = '--workers 2 --policy round_robin --dialect cluster -- node workers/behaves.js ports tls';

/** A TLS connection with one request; `session` is what another may begin with. */
async function request(limpet, version, session) {
	const [host, port] = limpet.address.split(':');
	const options = { host, port, session, rejectUnauthorized: false, minVersion: version, maxVersion: version };
	const socket = tls.connect(options);
	const ticket = once(socket, 'session');
	await once(socket, 'secureConnect');
	const reused = socket.isSessionReused();
	const chunks = socket.toArray();
	socket.write('GET /self HTTP/1.1\r\nHost: limpet\r\n\r\n');
	const [next] = reused ? [session] : await ticket;
	const { worker } = JSON.parse(/\{.*\}/.exec(Buffer.concat(await chunks).toString())[0]);
	return { worker, session: next, reused };
}

for (const version of ['TLSv1.2', 'TLSv1.3'])
	test(`${version}: a session of one worker is resumed by the others`, run(TLS, async (limpet) => {
		const first = await request(limpet, version);
		assert.equal(first.reused, false);
		const second = await request(limpet, version, first.session);
		const third = await request(limpet, version, second.session);
		assert.deepEqual([second.reused, third.reused], [true, true]);
		assert.deepEqual([second.worker, third.worker], [3 - first.worker, first.worker]);
	}));

test('TLS: a session outlives the worker that began it', run(TLS, async (limpet) => {
	const first = await request(limpet, 'TLSv1.3');
	const since = limpet.now;
	process.kill((await limpet.worker(first.worker)).pid, 'SIGKILL');
	await limpet.said(new RegExp(`^limpet: worker ${first.worker} is ready`), since);
	const again = [await request(limpet, 'TLSv1.3', first.session), await request(limpet, 'TLSv1.3', first.session)];
	assert.deepEqual(again.map(({ reused }) => reused), [true, true]);
}));

test('https: requests on a kept connection have one worker', run(TLS, async (limpet) => {
	const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
	const answers = [];
	for (let i = 0; i < 4; i++) {
		const request = https.get(`https://${limpet.address}/self`, { agent });
		const [response] = await once(request, 'response');
		const { worker } = JSON.parse(Buffer.concat(await response.toArray()));
		answers.push([worker, request.reusedSocket]);
	}
	agent.destroy();
	const [[worker]] = answers;
	assert.deepEqual(answers, [[worker, false], ...Array(3).fill([worker, true])]);
}));
