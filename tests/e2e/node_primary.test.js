'use strict';
/**
 * What a Node worker finds beside connections is as it is under a Node primary.
 */
const assert = require('node:assert/strict');
const dgram = require('node:dgram');
const { once } = require('node:events');
const test = require('node:test');
const tls = require('node:tls');
const { eventually, run } = require('./harness');

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

test('process.send calls back', run(COMMAND, async (limpet) => {
	assert.deepEqual((await result(limpet, 'send')).result, { error: null });
}));

test('cluster.worker.disconnect: it ends of its own will, and another comes', run(COMMAND, async (limpet) => {
	const since = limpet.now;
	const { worker } = await result(limpet, 'disconnect');
	await limpet.said(new RegExp(`worker ${worker} exits: true`), since);
	await limpet.said(new RegExp(`^limpet: worker ${worker} is ready`), since);
	assert.equal((await limpet.counts()).worker_starts, 3);
}));

test('several servers: each gets what comes through its port or path', run(
	`--listen 127.0.0.1:0 --listen unix:./limpet.socket ${COMMAND}`,
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

test('TLS: a session of one worker is resumed by the others', run(
	'--workers 2 --policy round_robin --dialect cluster -- node workers/behaves.js ports tls',
	async (limpet) => {
		const [host, port] = limpet.address.split(':');
		const open = async (session) => {
			const options = { host, port, session, rejectUnauthorized: false, maxVersion: 'TLSv1.2' };
			const socket = tls.connect(options);
			await once(socket, 'secureConnect');
			const [reused, ticket] = [socket.isSessionReused(), socket.getSession()];
			const chunks = socket.toArray();
			socket.write('GET /self HTTP/1.1\r\nHost: limpet\r\n\r\n');
			const [, body] = Buffer.concat(await chunks).toString().split('\r\n\r\n');
			const text = /\{.*\}/.exec(body)[0];
			return { ...JSON.parse(text), session: ticket, reused };
		};
		const first = await open();
		const others = [await open(first.session), await open(first.session)];
		assert.deepEqual(others.map(({ reused }) => reused), [true, true]);
		assert.deepEqual(new Set(others.map(({ worker }) => worker)), new Set([1, 2]));
	}));
