'use strict';
/** ws alone: a websocket learns which process has it, and gets back what it says. */
const http = require('node:http');
const { WebSocketServer } = require('ws');

const server = http.createServer((request, response) => {
	response.setHeader('Content-Type', 'application/json');
	response.end(JSON.stringify({ pid: process.pid }));
});
new WebSocketServer({ server }).on('connection', (socket) => {
	socket.on('message', (bytes, isBinary) => socket.send(isBinary ? bytes : JSON.stringify({ pid: process.pid, text: String(bytes) })));
});
server.listen(process.env.PORT);
