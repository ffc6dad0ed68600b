'use strict';
/**
 * A plain cluster worker that is no HTTP server: it sends back every byte it gets.
 */
const net = require('node:net');

net.createServer({ allowHalfOpen: true }, (socket) => {
	socket.on('error', () => socket.destroy());
	socket.pipe(socket);
}).listen(require('./port'));
