'use strict';
// The same chat on limpet, not a line changed:
// limpet run --listen :3000 --workers 4 --policy sid --node-serialization advanced -- node after.js
const http = require('http');
const { Server } = require('socket.io');
const { createAdapter } = require('@socket.io/cluster-adapter');
const { setupWorker } = require('@socket.io/sticky');

const httpServer = http.createServer((request, response) => response.end(`process ${process.pid}\n`));
const io = new Server(httpServer);

io.adapter(createAdapter());
setupWorker(io);

io.on('connection', (socket) => {
	socket.on('say', (text) => io.emit('said', text));
});
