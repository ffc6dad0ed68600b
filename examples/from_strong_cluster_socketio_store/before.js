'use strict';
// A chat on socket.io 0.9 and strong-cluster-socket.io-store, in the manner of its documentation:  node before.js
const cluster = require('cluster');
const http = require('http');
const socketio = require('socket.io');
const ClusterStore = require('strong-cluster-socket.io-store')(socketio);

const port = process.env.PORT || 3000;

if (cluster.isMaster) {
	ClusterStore.setup();
	for (let i = 0; i < 4; i++)
		cluster.fork();
	cluster.on('exit', () => cluster.fork());
	cluster.once('listening', () => console.log(`listening on port ${port}`));
} else {
	const server = http.createServer((request, response) => response.end(`process ${process.pid}\n`));
	const io = socketio.listen(server, { store: new ClusterStore(), 'log level': 1 });

	io.sockets.on('connection', (socket) => {
		socket.on('say', (text) => io.sockets.emit('said', text));
	});
	server.listen(port);
}
