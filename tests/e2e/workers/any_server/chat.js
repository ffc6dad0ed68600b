'use strict';
/** The plainest Socket.IO server there is: node chat.js PORT, or without one on descriptor 3. No cluster, no sticky package. */
const crypto = require('node:crypto');
const http = require('node:http');
const { Server } = require('socket.io');

const server = http.createServer((request, response) => {
	let received = 0;
	request.on('data', (chunk) => (received += chunk.length));
	request.on('end', () => {
		const body = JSON.stringify({ pid: process.pid, received, url: request.url, tenant: request.headers.tenant });
		response.writeHead(200, { 'Content-Length': Buffer.byteLength(body) });
		response.end(body);
	});
});
const io = new Server(server, { maxHttpBufferSize: 4e6 });
if (process.env.TAGGED)
	io.engine.generateId = () => `${process.env.LIMPET_WORKER_ID}_${crypto.randomUUID()}`;
io.on('connection', (socket) => {
	socket.on('pid', (number, answer) => answer({ pid: process.pid, number }));
	socket.on('echo', (message, answer) => answer(message));
});
process.on('SIGTERM', () => process.exit(0));
server.listen(process.argv[2] ? { port: Number(process.argv[2]), host: '127.0.0.1' } : { fd: 3 });
