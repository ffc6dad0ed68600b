'use strict';
/** The same with @socket.io/cluster-adapter: what one client says all hear, and a server knows the sockets of all workers. */
const http = require('node:http');
const { Server } = require('socket.io');
const { createAdapter } = require('@socket.io/cluster-adapter');

const server = http.createServer();
const io = new Server(server);
io.adapter(createAdapter());
io.on('connection', (socket) => {
	socket.on('pid', (number, answer) => answer({ pid: process.pid, number }));
	socket.on('say', (text) => io.emit('said', text, process.pid));
	socket.on('who', async (answer) => answer((await io.fetchSockets()).map(({ id }) => id).sort()));
});
server.listen(process.argv[2] ?? process.env.PORT);
