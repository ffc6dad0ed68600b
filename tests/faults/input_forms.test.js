'use strict';
/**
 * Faults 7 to 14: what is no plain HTTP/1 request, or wants to be two. A worker is given each byte of it, in every case.
 */
const assert = require('node:assert/strict');
const { Duplex } = require('node:stream');
const test = require('node:test');
const tls = require('node:tls');
const { head } = require('../e2e/clients');
const { eventually, run } = require('../e2e/harness');
const { ech, hello, sni } = require('./hello');
const { assertWhole, send, sendCutEverywhere, workerOf } = require('./inspected');

const inspect = (policy) => `--workers 4 --policy ./${policy} --dialect native -- python3 workers/inspector.py`;

const latin1 = (text) => Buffer.from(text, 'latin1');

/** Refuses every request that it is asked about: what is handed over was not taken for one. */
const REFUSE = { 'refuse.lua': 'return { on_request = function() return limpet.refuse(403) end }' };

/** Which worker has the request: the one that its sid says, or the fourth. */
const BY_SID = { 'sid.lua': 'return { on_request = function(c, workers) return workers[tonumber(c.sid) or 4] end }' };

test('7: NUL, a bare LF and a folded header are no request: the fallback has them, whole', run(
	inspect('refuse.lua'),
	{ files: REFUSE },
	async (limpet) => {
		const strangers = {
			'a NUL in a header': 'GET / HTTP/1.1\r\nHost: lim\0pet\r\n\r\n',
			'a NUL in the target': 'GET /\0 HTTP/1.1\r\nHost: limpet\r\n\r\n',
			'a NUL in a name': 'GET / HTTP/1.1\r\nHo\0st: limpet\r\n\r\n',
			'bare LF': 'GET / HTTP/1.1\nHost: limpet\n\n',
			'bare LF in between': 'GET / HTTP/1.1\r\nHost: limpet\nX: a\r\n\r\n',
			'bare LF at the end': 'GET / HTTP/1.1\r\nHost: limpet\r\n\n',
			'bare CR': 'GET / HTTP/1.1\r\nHost: limpet\rX: a\r\n\r\n',
			'a folded header': 'GET / HTTP/1.1\r\nHost: limpet\r\nX: a\r\n b\r\n\r\n',
			'a header folded with a tab': 'GET / HTTP/1.1\r\nHost: limpet\r\nX: a\r\n\tb\r\n\r\n',
		};
		for (const [name, text] of Object.entries(strangers)) {
			assertWhole(await send(limpet, latin1(text)), latin1(text), name);
			for (const answer of await sendCutEverywhere(limpet, latin1(text)))
				assertWhole(answer, latin1(text), `${name}, in pieces`);
		}
		assert.equal((await limpet.counts()).refused, 0);
		assert.match((await send(limpet, latin1(head('/')))).text, /^HTTP\/1\.1 403 /);
	}));

test('8: of several sids the first counts, and an encoded one is decoded', run(
	inspect('sid.lua'),
	{ files: BY_SID },
	async (limpet) => {
		const workers = {
			'/?sid=2': 2,
			'/?sid=2&sid=1': 2,
			'/?sid=1&x=&sid=2&sid=3': 1,
			'/?sid=&sid=2': 4,
			'/?sid&sid=2': 4,
			'/?sid=%32': 2,
			'/?%73id=2': 2,
			'/?%73%69%64=%33&sid=1': 3,
			'/?SID=2': 4,
			'/?sid%3D2': 4,
			'/?sid=%3': 4,
			'/?%2573id=2': 4,
			'http://limpet/?sid=2': 2,
			'//limpet?sid=2': 2,
		};
		for (const [target, worker] of Object.entries(workers))
			assert.equal(workerOf(await send(limpet, latin1(head(target)))), worker, target);
	}));

test('9: a sid in a cookie, a path, a header, a fragment or a body is none', run(
	inspect('sid.lua'),
	{ files: BY_SID },
	async (limpet) => {
		const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
		const requests = [
			head('/', { headers: { Cookie: 'sid=1; io=1' } }),
			head('/', { headers: { Sid: '1', 'X-Sid': '1', Referer: 'http://limpet/?sid=1' } }),
			head('/sid=1'),
			head('/;sid=1'),
			head('/sid/1&sid=1'),
			head('/#?sid=1'),
			head('/?xsid=1&sidx=1&s=sid=1'),
			`${head('/', { method: 'POST', headers: form, length: 5 })}sid=1`,
			`${head('/', { method: 'POST', length: 26 })}GET /?sid=1 HTTP/1.1\r\n\r\n..`,
		];
		for (const request of requests) {
			const answer = await send(limpet, latin1(request));
			assert.equal(workerOf(answer), 4, request);
			assertWhole(answer, latin1(request), request);
		}
	}));

test('10: two lengths, or one that only looks like a body: what is behind a head is never a request', run(
	inspect('paths.lua'),
	{
		files: {
			'paths.lua': `return { on_request = function(conn, workers)
				return conn.path == "/first" and workers[conn:header("host") and 1 or 2] or limpet.refuse(403)
			end }`,
		},
	},
	async (limpet) => {
		const smuggled = head('/smuggled');
		const chunks = `0\r\n\r\n${smuggled}`;
		// What Node refuses, too, is Node's to refuse; a policy that asks for a header of it is told of none.
		const bodies = {
			'Content-Length beside chunks': ['Content-Length: 5\r\nTransfer-Encoding: chunked', chunks, 2],
			'chunks beside Content-Length': ['Transfer-Encoding: chunked\r\nContent-Length: 5', chunks, 2],
			'two lengths': ['Content-Length: 0\r\nContent-Length: 9', smuggled, 2],
			'a length of nothing': ['Content-Length: 0', smuggled, 1],
			'a length that is wrong': ['Content-Length: 3', smuggled, 1],
			'a length that is no number': ['Content-Length: 3x', smuggled, 2],
			chunks: ['Transfer-Encoding: chunked', chunks, 1],
			'chunks under another name': ['Transfer-Encoding: xchunked', chunks, 2],
			'chunks not last': ['Transfer-Encoding: chunked, identity', chunks, 2],
		};
		for (const [name, [headers, body, worker]] of Object.entries(bodies)) {
			const bytes = latin1(`POST /first HTTP/1.1\r\nHost: limpet\r\n${headers}\r\n\r\n${body}`);
			for (const answer of [await send(limpet, bytes), ...await sendCutEverywhere(limpet, bytes)]) {
				assertWhole(answer, bytes, name);
				assert.equal(workerOf(answer), worker, name);
			}
		}
		assert.equal((await limpet.counts()).refused, 0);
	}));

test('11: an HTTP/2 preface goes to the worker of its address', run(
	'--workers 4 --policy sid --policy ip_hash --dialect native -- python3 workers/inspector.py',
	async (limpet) => {
		const preface = latin1('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
		const homes = new Set();
		for (let i = 1; i <= 20; i++) {
			const options = { localAddress: `127.0.0.${i}` };
			const home = workerOf(await send(limpet, latin1(head('/')), options));
			const answer = await send(limpet, preface, options);
			assert.equal(workerOf(answer), home);
			assertWhole(answer, preface, 'the preface');
			homes.add(home);
		}
		assert.equal(homes.size, 4);

		const options = { localAddress: '127.0.0.1' };
		const home = workerOf(await send(limpet, preface, options));
		for (const answer of await sendCutEverywhere(limpet, preface, options)) {
			assert.equal(workerOf(answer), home);
			assertWhole(answer, preface, 'the preface, in pieces');
		}
	}));

/** A ClientHello that a real client sends. */
function realHello(options) {
	return new Promise((resolve) => {
		const wire = new Duplex({ read() {}, write: (chunk, encoding, done) => (resolve(chunk), done()) });
		tls.connect({ socket: wire, ...options }).on('error', () => {});
	});
}

test('12: TLS on a plain port is recognised, routed by its name, and never answered in plain text', run(
	inspect('tls.lua'),
	{
		files: {
			'tls.lua': `return {
				on_hello = function(conn, workers)
					if conn.sni == "refused.example" then return limpet.refuse(403) end
					return conn.sni == "limpet.example" and conn.alpn[1] == "h2" and workers[2]
				end,
				on_request = function(conn, workers) return workers[3] end,
			}`,
		},
	},
	async (limpet) => {
		const bytes = await realHello({ servername: 'limpet.example', ALPNProtocols: ['h2', 'http/1.1'] });
		const answer = await send(limpet, bytes);
		assert.equal(workerOf(answer), 2);
		assertWhole(answer, bytes, 'the hello');
		assert.equal(workerOf(await send(limpet, latin1(head('/')))), 3);

		const refused = await send(limpet, await realHello({ servername: 'refused.example' }));
		assert.deepEqual(refused, { text: '' });
		assert.equal((await limpet.counts()).refused, 1);
	}));

/** Says by the worker what a policy is told: 1: TLS to nobody, 2: to limpet.example, 3: to another, 4: no TLS. */
const NAMES = {
	'names.lua': `return {
		{ on_hello = function(conn, workers)
			if not conn.sni then return workers[1] end
			return conn.sni == "limpet.example" and workers[2] or workers[3]
		end },
		{ on_request = function(conn, workers) return workers[3] end },
		{ on_connect = function(conn, workers) return workers[4] end },
	}`,
};

test('13: a ClientHello is waited for, wherever it is cut', run(
	`--max-per-ip 0 ${inspect('names.lua')}`,
	{ files: NAMES },
	async (limpet) => {
		const bytes = await realHello({ servername: 'limpet.example' });
		for (const answer of await sendCutEverywhere(limpet, bytes)) {
			assert.equal(workerOf(answer), 2);
			assertWhole(answer, bytes, 'the hello');
		}
	}));

test('14: without a name, or with lengths that lie, a policy is told no name', run(
	inspect('names.lua'),
	{ files: NAMES },
	async (limpet) => {
		const name = 'limpet.example';
		const hellos = {
			'a name': [hello([sni(name)]), 2],
			'no extension': [hello([]), 1],
			'no name': [hello([ech()]), 1],
			'an encrypted hello inside: the name outside is all that is told': [hello([ech(), sni(name)]), 2],
			'an empty name': [hello([sni('')]), 1],
			'a NUL in the name': [hello([sni('limpet\0.example')]), 1],
			'two names': [hello([sni(name), sni('other.example')]), 4],
			'the name is shorter than it says': [hello([sni(name, { nameLie: 1 })]), 4],
			'the name is longer than it says': [hello([sni(name, { nameLie: -1 })]), 4],
			'the list is shorter than it says': [hello([sni(name, { listLie: 1 })]), 4],
			'the list is longer than it says': [hello([sni(name, { listLie: -1 })]), 4],
			'the extension is shorter than it says': [hello([sni(name, { extensionLie: 1 })]), 4],
			'the extensions are shorter than they say': [hello([sni(name)], { extensionsLie: 1 }), 4],
			'the extensions are longer than they say': [hello([sni(name)], { extensionsLie: -1 }), 4],
			'a byte behind the list': [hello([sni(name, { tail: [0] })]), 4],
			'a byte behind the extensions': [hello([sni(name)], { tail: [0] }), 4],
			'the message is longer than it says': [hello([sni(name)], { bodyLie: -1 }), 4],
		};
		for (const [what, [bytes, worker]] of Object.entries(hellos)) {
			const answer = await send(limpet, bytes);
			assert.equal(workerOf(answer), worker, what);
			assertWhole(answer, bytes, what);
		}

		// Each byte wrong in turn. What then announces more than comes has ended too early.
		const right = hello([sni(name)]);
		const { closed_early } = await limpet.counts();
		const wrong = Array.from(right, (byte, i) => {
			const bytes = Buffer.from(right);
			bytes[i] = byte + 1;
			return bytes;
		});
		const answers = await Promise.all(wrong.map((bytes) => limpet.connect().then(async (socket) => {
			const chunks = [];
			socket.on('data', (chunk) => chunks.push(chunk));
			socket.end(bytes);
			await eventually('it ends', () => socket.readableEnded || socket.closed);
			return Buffer.concat(chunks);
		})));
		const silent = answers.filter((answer) => answer.length === 0).length;
		assert.ok(silent < 8, `${silent} were closed`);
		assert.equal((await limpet.counts()).closed_early - closed_early, silent);
		answers.forEach((answer, i) =>
			answer.length && assert.ok(answer.subarray(answer.indexOf('\n') + 1).equals(wrong[i]), `byte ${i}`));
	}));
