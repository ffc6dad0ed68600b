'use strict';
/**
 * socket.io 0.9 with strong-cluster-socket.io-store, as its README shows it: a handshake at one worker is known to all.
 */
const cluster = require('node:cluster');
const http = require('node:http');
const socketio = require('socketio09');

const server = http.createServer();
const io = socketio.listen(server, { 'log level': 0 });
const ClusterStore = require('strong-cluster-socket.io-store')(socketio);
io.set('store', new ClusterStore());
io.sockets.on('connection', (socket) => {
	socket.emit('worker', cluster.worker.id);
	socket.on('set', (value, reply) => socket.set('value', value, reply));
	socket.on('get', (reply) => socket.get('value', (error, value) => reply(value)));
});
server.listen(require('./port'));
