'use strict';
/**
 * A program sees addresses of the family of its own socket, whatever limpet's listener is: a program with an AF_INET, an
 * AF_INET6 (for both families, or IPv6 only) and an AF_UNIX socket behind each form of --listen. The client's address is
 * its true one wherever the program's family can express it; lengths, and what is cut off where there is little room, are
 * the kernel's. That the expectations are the kernel's is tested as well: the same program, without limpet.
 */
const assert = require('node:assert/strict');
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { AT_PORT } = require('./any_server');
const clients = require('./clients');
const { run } = require('./harness');

const SOURCE = path.join(__dirname, 'workers/any_server/names.c');

/** As names.c tries them. */
const ROOMS = [128, 0, 1, 2, 7, 8, 15, 16, 17, 27, 28, 110];

const FAMILY = { inet: 2, inet6: 10, inet6only: 10, unix: 1 };
const WILDCARD = { inet: '0.0.0.0', inet6: '::', inet6only: '::' };
const ENOTCONN = -107;
const EFAULT = -14;
const EINVAL = -22;

const build = (folder) => execFileSync('cc', ['-O2', '-o', path.join(folder, 'names'), SOURCE]);

/* Addresses in bytes */

function family(number) {
	const bytes = Buffer.alloc(2);
	bytes.writeUInt16LE(number);
	return bytes;
}

function port(number) {
	const bytes = Buffer.alloc(2);
	bytes.writeUInt16BE(number);
	return bytes;
}

function inet6Bytes(host) {
	if (host.startsWith('::ffff:'))
		return Buffer.from([...Array(10).fill(0), 255, 255, ...host.slice(7).split('.').map(Number)]);
	return Buffer.from([...Array(15).fill(0), host === '::1' ? 1 : 0]);
}

const inet = (host, number) => Buffer.concat([family(2), port(number), Buffer.from(host.split('.').map(Number)), Buffer.alloc(8)]);
const inet6 = (host, number) => Buffer.concat([family(10), port(number), Buffer.alloc(4), inet6Bytes(host), Buffer.alloc(4)]);
const unix = (name) => Buffer.concat([family(1), ...(name ? [Buffer.from(`${name}\0`)] : [])]);

/** An address as a program's socket shows it. A host of undefined: a client of a unix listener. */
function shown(program, host, number = 0) {
	if (program === 'unix')
		return unix();
	if (program === 'inet')
		return host?.includes('.') ? inet(host, number) : inet('0.0.0.0', host ? number : 0);
	if (host === undefined)
		return inet6('::', 0);
	return inet6(host.includes('.') ? `::ffff:${host}` : host, number);
}

/** Where the connection has arrived; where the family cannot tell, the address that the program has bound. */
function shownLocal(program, host, number, bound) {
	const expressible = host && program !== 'unix' && (program !== 'inet' || host.includes('.'));
	return expressible ? shown(program, host, number) : bound;
}

/* What the program says */

const line = (call, room, error, address, length = address.length) =>
	`${call} ${room} ${error} ${length} x${address.subarray(0, room).toString('hex')}`;

function expected(program, acceptRoom, peer, local, bound, { overTcp }) {
	const nothing = Buffer.alloc(0);
	const names = ROOMS.flatMap((room) => [
		line('getpeername', room, 0, peer), line('getsockname', room, 0, local), line('listener', room, 0, bound),
	]);
	return [
		line('accept', acceptRoom, 0, peer), line('recvmsg', 128, 0, nothing), line('recvfrom', 128, 0, nothing), ...names,
		line('nobody', 0, ENOTCONN, nothing), line('domain', 4, 0, Buffer.from([FAMILY[program], 0, 0, 0])),
		line('negative', 0, EINVAL, nothing), line('missing', 0, EFAULT, nothing),
		line('nodelay', 0, overTcp ? 0 : -95, nothing), '',
	].join('\n');
}

/** Ask from an address. Resolves to what the program said, and the client's port. */
async function ask(destination, from) {
	const socket = await clients.connect(destination, from ? { localAddress: from } : {});
	const { localPort } = socket;
	const answer = clients.receiveAll(socket);
	socket.write(clients.head('/'));
	const { text } = await answer;
	return { localPort, said: text.slice(text.indexOf('\r\n\r\n') + 4) };
}

/** Ask once for each room that accept is tried with, and compare. */
async function assertNames(program, destination, host, bound, first = 0) {
	const reached = host && Number(/:(\d+)$/.exec(destination)[1]);
	for (let i = 0; i < ROOMS.length; i++) {
		const { localPort, said } = await ask(destination, host);
		const peer = shown(program, host, localPort);
		const local = shownLocal(program, host, reached, bound);
		const room = ROOMS[(first + i) % ROOMS.length];
		assert.equal(said, expected(program, room, peer, local, bound, { overTcp: program !== 'unix' || host !== undefined }));
	}
}

/* The kernel itself */

for (const program of ['inet', 'inet6', 'inet6only', 'unix'])
	test(`the kernel shows it so: ${program}`, async (t) => {
		const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-names-'));
		t.after(() => fs.rmSync(folder, { recursive: true }));
		build(folder);
		const free = net.createServer().listen(0, '::');
		await once(free, 'listening');
		const number = free.address().port;
		await new Promise((resolve) => free.close(resolve));
		const where = program === 'unix' ? path.join(folder, 'app.sock') : String(number);
		const server = spawn(path.join(folder, 'names'), [program, where], { stdio: ['ignore', 'inherit', 'pipe'] });
		t.after(() => server.kill('SIGKILL'));
		await once(server.stderr, 'data');
		const bound = program === 'unix' ? unix(where) : shown(program, WILDCARD[program], number);
		if (program === 'inet6')
			bound.fill(0, 18, 20); // "::" is no mapped address.
		if (program === 'unix') {
			await assertNames(program, `unix:${where}`, undefined, bound);
			return;
		}
		const hosts = { inet: ['127.0.0.1'], inet6: ['127.0.0.1', '::1'], inet6only: ['::1'] }[program];
		for (const host of hosts)
			await assertNames(program, host.includes(':') ? `[${host}]:${number}` : `${host}:${number}`, host, bound);
	});

/* Behind limpet */

const FORMS = {
	':0': ['127.0.0.1', '127.0.0.7', '::1'],
	'127.0.0.1:0': ['127.0.0.1'],
	'[::1]:0': ['::1'],
	'[::]:0': ['::1'],
	'0.0.0.0:0': ['127.0.0.1', '127.0.0.7'],
	'unix:./app.sock': [undefined],
};

/** Where a program listens, if that is not where its clients come from: the connections of a listener nobody asked for are its. */
const beside = (form, program) =>
	program === 'unix' ? (form.startsWith('unix:') ? '' : '--listen unix:./beside.sock') :
		form.startsWith('unix:') ? '--listen 127.0.0.1:0' : '';

for (const [form, hosts] of Object.entries(FORMS))
	for (const program of ['inet', 'inet6', 'inet6only', 'unix']) {
		const other = beside(form, program);
		const word = other ? 'SECOND' : program === 'unix' ? 'SECOND' : 'PORT';
		test(`--listen ${form}, a program with ${program}`, run(
			`--listen ${form} ${other} --workers 1 --policy round_robin --dialect preload -- ${AT_PORT} ./names ${program} ${word}`,
			{ prepare: build },
			async (limpet) => {
				const [address] = limpet.addresses;
				const own = limpet.addresses.at(-1);
				const bound = program === 'unix' ? unix(`./${path.basename(own)}`) :
					shown(program, WILDCARD[program], Number(/:(\d+)$/.exec(own)[1]));
				for (const host of hosts) {
					const number = host && /:(\d+)$/.exec(address)[1];
					const destination = !host ? address : host.includes(':') ? `[${host}]:${number}` : `${host}:${number}`;
					await assertNames(program, destination, host, bound);
				}
			}));
	}

/* Servers whose socket is AF_INET, behind a listener for both families */

const SERVERS = {
	'Flask behind gunicorn': 'gunicorn -b 0.0.0.0:PORT -w 1 seen:app',
	"Flask's own server": '/usr/bin/python3 seen.py PORT',
	nginx: 'sh ./front PORT',
	Node: 'node seen.js PORT',
};

const FILES = {
	'seen.py': `
import sys
from flask import Flask, request
app = Flask(__name__)

@app.route("/")
def seen():
    return f"{request.remote_addr} {request.environ['REMOTE_PORT']}"

if __name__ == "__main__":
    app.run("0.0.0.0", int(sys.argv[1]))
`,
	'seen.js': `
require('node:http').createServer(({ socket }, response) => {
	response.end([socket.remoteAddress, socket.remotePort].join(' '));
}).listen(Number(process.argv[2]), '0.0.0.0');
process.on('SIGTERM', () => process.exit(0));
`,
	front: `
cat >nginx.conf <<END
daemon off;
worker_processes 1;
pid nginx.pid;
events {}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server { listen 0.0.0.0:$1; location / { return 200 '$remote_addr $remote_port'; } }
}
END
exec nginx -p "$PWD" -c nginx.conf -e stderr
`.replace("'$remote_addr $remote_port'", "'\\$remote_addr \\$remote_port'"),
};

for (const [name, command] of Object.entries(SERVERS))
	test(`${name} knows its clients behind --listen :0`, run(
		`--listen :0 --workers 1 --policy round_robin --dialect preload -- ${AT_PORT} ${command}`,
		{ files: FILES, env: { PATH: `${process.env.PATH}:/usr/sbin` } },
		async (limpet) => {
			const [number] = /\d+$/.exec(limpet.address);
			for (const host of ['127.0.0.1', '127.0.0.7', '127.0.0.1']) {
				const socket = await clients.connect(`127.0.0.1:${number}`, { localAddress: host });
				const { localPort } = socket;
				const answer = clients.receiveAll(socket);
				socket.write(clients.head('/'));
				assert.equal((await answer).text.split('\r\n\r\n')[1].trim(), `${host} ${localPort}`);
			}
		}));
