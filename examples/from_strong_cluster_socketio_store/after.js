'use strict';
// The same chat on limpet:  limpet run --listen :3000 --workers 4 --policy ip_hash -- node after.js
const http = require('http');
const socketio = require('socket.io');
const ClusterStore = require('strong-cluster-socket.io-store')(socketio);

const port = process.env.PORT || 3000;

const server = http.createServer((request, response) => response.end(`process ${process.pid}\n`));
const io = socketio.listen(server, { store: new ClusterStore(), 'log level': 1 });

io.sockets.on('connection', (socket) => {
	socket.on('say', (text) => io.sockets.emit('said', text));
});
server.listen(port);
