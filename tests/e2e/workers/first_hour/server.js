'use strict';
/** The plainest Socket.IO server, as a tutorial has it: at $PORT. No cluster, no sticky package, no word of limpet. */
const http = require('node:http');
const { Server } = require('socket.io');

const server = http.createServer((request, response) => {
	response.setHeader('Content-Type', 'application/json');
	response.end(JSON.stringify({ pid: process.pid, url: request.url }));
});
const io = new Server(server);
io.on('connection', (socket) => {
	socket.on('pid', (number, answer) => answer({ pid: process.pid, number }));
});
server.listen(process.env.PORT);
