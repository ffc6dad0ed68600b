'use strict';
/**
 * A server whose descriptors are files and other sockets when they are no clients any more: neighbours.js PORT. For each
 * request it reads a file, and is told something by a neighbour, who then waits. Requests that say so wait until that many
 * clients have come: their connections are open at the same time.
 */
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const { once } = require('node:events');
const { setImmediate: turn } = require('node:timers/promises');

const GREETING = 'STORED\r\n';

const neighbour = net.createServer((socket) => socket.write(GREETING)).listen(0, '127.0.0.1');

let came = 0;

const server = http.createServer(async (request, response) => {
	while (came < Number(request.headers.together ?? 0))
		await turn();
	const file = fs.readFileSync(__filename, 'utf8');
	const socket = net.connect(neighbour.address().port, '127.0.0.1');
	const [greeting] = await once(socket, 'data');
	socket.destroy();
	response.end(JSON.stringify({ pid: process.pid, read: file.length, greeting: greeting.toString() }));
});

server.on('connection', () => came++);
process.on('SIGTERM', () => process.exit(0));
server.listen(Number(process.argv[2]), '127.0.0.1');
