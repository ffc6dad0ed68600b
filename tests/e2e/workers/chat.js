'use strict';
/**
 * What every Socket.IO worker here does for its clients: it says which worker it is, and sends back what it gets.
 */
const cluster = require('node:cluster');

module.exports = function chat(io) {
	io.on('connection', (socket) => {
		socket.emit('worker', cluster.worker.id, socket.id);
		socket.on('echo', (message, reply) => reply(message));
	});
};
