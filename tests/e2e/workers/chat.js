'use strict';
/**
 * What every Socket.IO worker here does for its clients: it says which worker it is, sends back what it gets, and tells
 * all clients what it is to tell them.
 */
const cluster = require('node:cluster');

module.exports = function chat(io) {
	io.on('connection', (socket) => {
		socket.emit('worker', cluster.worker.id, socket.id);
		socket.on('echo', (message, reply) => reply(message));
		socket.on('tell all', (message) => io.emit('told', message));
	});
};
