'use strict';
/**
 * What the examples show, with the programs that stand there.
 */
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { request } = require('./clients');
const { BINARY, eventually, run, sanitized } = require('./harness');

const EXAMPLES = path.resolve(__dirname, '../../examples');

test('shared_store: four workers count together, and hear of each other', run(
	`--workers 4 --policy round_robin -- node ${EXAMPLES}/shared_store/server.js`,
	async (limpet) => {
		const visits = await Promise.all(Array.from({ length: 40 }, () => limpet.get('/')));
		const numbers = visits.map(({ json }) => json.visit).sort((a, b) => a - b);
		assert.deepEqual(numbers, Array.from({ length: 40 }, (_, i) => i + 1));
		assert.deepEqual(new Set(visits.map(({ json }) => json.worker)), new Set([1, 2, 3, 4]));
		const { json: { visit, worker } } = await limpet.get('/');
		await eventually('each worker has heard of it', async () => {
			const latest = await Promise.all(Array.from({ length: 4 }, () => limpet.get('/latest')));
			return latest.every(({ json }) => json.visit === visit && json.by === worker);
		});
	}));

/** The worker in include/limpet/worker.h's comment, which answers with its number. */
function workerOfHeader() {
	const header = fs.readFileSync(path.resolve(__dirname, '../../include/limpet/worker.h'), 'utf8');
	const code = /A whole worker, in Python:\n \*\n([^]*?)\n \*\//.exec(header)[1].replace(/^ \* {0,5}/gm, '');
	return `
def serve(connection):
    if connection.recv(4096):
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")

${code}
`;
}

for (const [what, words] of Object.entries({
	'in limpet/worker.h': 'worker.py',
	'in examples/native_worker': `${EXAMPLES}/native_worker/worker.py`,
}))
	test(`the Python worker ${what} survives clients that leave first`, run(
		`--workers 1 --policy ip_hash --dialect native -- python3 ${words}`, { files: { 'worker.py': workerOfHeader() } },
		async (limpet) => {
			for (let i = 0; i < 20; i++) {
				const socket = await limpet.connect();
				socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
				if (i % 2)
					socket.resetAndDestroy();
				else
					socket.destroy();
			}
			assert.equal((await limpet.get('/')).status, 200);
			assert.equal((await limpet.counts()).worker_exits, 0);
		}));

for (const [language, flags] of [['python', []], ['c', []], ['python', ['--policy', 'round_robin']]])
	// The program that the script links has no sanitizer's library, which a sanitized library of limpet's needs.
	test(`examples/native_worker/run listens where PORT says, ${language} ${flags.join(' ')}`, { skip: sanitized && language === 'c' }, async () => {
		const script = path.join(EXAMPLES, 'native_worker/run');
		const env = { ...process.env, PORT: '0', LIMPET_BUILD: path.dirname(BINARY) };
		const child = spawn(script, [language, ...flags], { env, stdio: ['ignore', 'ignore', 'pipe'] });
		const closed = once(child, 'close');
		try {
			const said = [];
			child.stderr.setEncoding('utf8').on('data', (text) => said.push(text));
			await eventually('two workers are ready', () => {
				assert.equal(child.exitCode, null, said.join(''));
				return (said.join('').match(/is ready/g) ?? []).length === 2;
			});
			const [, address] = /listening on (\S+)/.exec(said.join(''));
			assert.notEqual(address, '127.0.0.1:3000');
			assert.match((await request(address, '/')).text, /^worker \d got GET/);
		} finally {
			child.kill('SIGTERM');
			await closed;
		}
	});
