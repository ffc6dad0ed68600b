'use strict';
/** Socket.IO on a framework's server: a client learns which process has it. */
const { Server } = require('socket.io');

module.exports = (server) => {
	new Server(server).on('connection', (socket) => {
		socket.on('pid', (number, answer) => answer({ pid: process.pid, number }));
	});
};
