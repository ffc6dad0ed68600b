'use strict';
// The same chat on limpet:  limpet run --listen :3000 --workers 4 --policy ip_hash -- node after.js
const http = require('http');
const { Server } = require('socket.io');

const server = http.createServer((request, response) => response.end(`process ${process.pid}\n`));
const io = new Server(server);

io.on('connection', (socket) => {
	socket.on('say', (text) => io.emit('said', text));
});

server.listen(process.env.PORT || 3000);
