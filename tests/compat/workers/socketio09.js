'use strict';
/**
 * socket.io 0.9.19 whose store is strong-cluster-socket.io-store: what there was before there were adapters.
 */
const cluster = require('node:cluster');
const http = require('node:http');
const socketio = require('socketio09');
const ClusterStore = require('strong-cluster-socket.io-store')(socketio);
const steer = require('./steered');

const server = http.createServer();
const io = socketio.listen(server, { store: new ClusterStore(), 'log level': 0 });

io.sockets.on('connection', (socket) => {
	socket.emit('worker', cluster.worker.id);
	socket.on('echo', (message, reply) => reply(message));
	socket.on('join', (room, reply) => socket.join(room, reply));
	socket.on('keep', (key, value, reply) => socket.set(key, value, reply));
	socket.on('kept', (key, reply) => socket.get(key, (error, value) => reply(value)));
	socket.on('others', (message) => socket.broadcast.emit('news', message));
});
steer({
	emit: async (...args) => void io.sockets.emit(...args),
	room: async (room, ...args) => void io.sockets.in(room).emit(...args),
});
server.listen(Number(process.env.LIMPET_PRELOAD_LISTEN ?? 0), '127.0.0.1');
