'use strict';
/**
 * Node workers that speak V8's serialization (--node-serialization advanced): what is binary crosses from one to another
 * as it is, and all else works as it does in JSON.
 */
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { once } = require('node:events');
const test = require('node:test');
const { acknowledged } = require('./clients');
const { eventually, run, runToItsEnd } = require('./harness');
const { NAMED, ask, known } = require('./named');

const OPTIONS = '--policy ./named.lua --node-serialization advanced';
const ALL = [1, 2, 3];

/** All that JSON can say, in V8's many ways of saying it. */
const ANYTHING = {
	text: ['', 'a', 'é', '€ and é', '\u{1f980}', '"\\/\b\n\u0001', 'x'.repeat(300), '\ud800 is half', '\udc00'],
	numbers: [0, 1, -1, 63, 64, -64, -65, 2 ** 30, -(2 ** 30), 2 ** 31, -(2 ** 31), 2 ** 53, 0.1, -1.5e-300, 1e300],
	words: [true, false, null],
	nothing: [{}, [], '', [[]], [{}]],
	keys: { 0: 'a', 12: 'b', é: 'c', '€': 'd', '': 'e', '"': 'f' },
	deep: JSON.parse(`${'[{"a":'.repeat(100)}1${'}]'.repeat(100)}`),
};

async function join(limpet, worker) {
	const client = limpet.socket({ transports: ['websocket'], query: { worker } });
	client.on('bytes', (bytes, reply) => reply(Buffer.concat([bytes, Buffer.of(0x80 + worker)])));
	assert.equal((await once(client, 'worker'))[0], worker);
	return client;
}

for (const adapter of ['@socket.io/cluster-adapter', 'adapter02'])
	test(`${adapter}: Buffers reach clients and servers of other workers, and come back in answers`, run(
		`--workers 3 ${OPTIONS} --dialect cluster -- node workers/rooms.js ${adapter}`,
		{ files: NAMED },
		async (limpet) => {
			await known(limpet, ALL);
			const clients = await Promise.all(ALL.map((worker) => join(limpet, worker)));
			for (const length of [0, 6, 1 << 20]) {
				const news = clients.map((client) => once(client, 'news'));
				await ask(limpet, 1, 'binary', { with: length });
				for (const [bytes] of await Promise.all(news)) {
					assert.ok(Buffer.isBuffer(bytes), `${length} bytes are a Buffer`);
					assert.ok(bytes.equals(Buffer.alloc(length, 'limpet')), `${length} bytes are the same`);
				}
			}
			assert.deepEqual((await ask(limpet, 2, 'askBinary', { with: '00ff' })).sort(), ['00ff01', '00ff03']);
			assert.deepEqual((await ask(limpet, 3, 'acksBinary', { with: 'fe0a' })).sort(),
				['fe0a81', 'fe0a82', 'fe0a83']);

			const since = limpet.now;
			process.kill((await limpet.worker(2)).pid, 'SIGKILL');
			await limpet.said(/^limpet: worker 2 is ready/, since);
			await known(limpet, ALL);
			assert.equal((await ask(limpet, 1, 'fetch')).length, 2);
		}));

test('@socket.io/sticky: a Buffer of a client reaches those of other workers', run(
	`--workers 2 ${OPTIONS} --dialect socket.io-sticky -- node workers/socketio_sticky.js sticky104`,
	{ files: NAMED },
	async (limpet) => {
		const [one, two] = await Promise.all([1, 2].map((worker) => join(limpet, worker)));
		const megabyte = crypto.randomBytes(1 << 20);
		for (const bytes of [Buffer.from('limpet'), megabyte]) {
			const told = once(two, 'told');
			one.emit('tell all', bytes);
			assert.ok(bytes.equals((await told)[0]));
			assert.ok(bytes.equals(await acknowledged(one, 'echo', bytes)));
		}
	}));

test('the shared store and queues keep what they are given as it is', run(
	`--workers 3 ${OPTIONS} --dialect cluster -- node workers/shares.js`,
	{ files: NAMED },
	async (limpet) => {
		const text = JSON.stringify(ANYTHING);
		await ask(limpet, 1, 'set', { key: 'k', value: text });
		assert.deepEqual(JSON.parse(await ask(limpet, 2, 'get', { key: 'k' })), ANYTHING);
		await ask(limpet, 1, 'setBytes', { key: 'k', value: 'é' });
		assert.equal(await ask(limpet, 3, 'getBytes', { key: 'k' }), 'é');

		const heard = (worker, count) => eventually(`worker ${worker} hears ${count}`,
			async () => (await ask(limpet, worker, 'received')).length === count);
		await ask(limpet, 2, 'publishJson', { key: 'a', value: text });
		for (const worker of ALL) {
			await heard(worker, 1);
			assert.deepEqual(await ask(limpet, worker, 'received'), [ANYTHING]);
			await ask(limpet, worker, 'forget');
		}
		const texts = ['', 'text', '€ and é', 'x'.repeat(3000)];
		for (const value of texts)
			await ask(limpet, 2, 'publishAnything', { key: 'a', value });
		for (const worker of ALL) {
			await heard(worker, texts.length);
			assert.deepEqual(await ask(limpet, worker, 'receivedAnything'), texts);
			await ask(limpet, worker, 'forget');
		}
		for (const value of texts)
			await ask(limpet, 1, 'pushAnything', { value });
		await ask(limpet, 3, 'pull');
		await heard(3, texts.length);
		assert.deepEqual(await ask(limpet, 3, 'receivedAnything'), texts);
	}));

test('workers of other languages have no such thing', async () => {
	const { status, log } = await runToItsEnd(
		'run --listen 127.0.0.1:0 --dialect native --node-serialization advanced -- true');
	assert.equal(status, 2);
	assert.match(log, /--node-serialization advanced is for Node workers, but workers speak the dialect native/);
});
