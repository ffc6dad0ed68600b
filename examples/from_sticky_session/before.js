'use strict';
// A chat on sticky-session, in the manner of its README:  node before.js
const http = require('http');
const { Server } = require('socket.io');
const sticky = require('sticky-session');

const port = process.env.PORT || 3000;
const server = http.createServer((request, response) => response.end(`process ${process.pid}\n`));

if (!sticky.listen(server, port, { workers: 4 })) {
	server.once('listening', () => console.log(`listening on port ${port}`));
} else {
	const io = new Server(server);

	io.on('connection', (socket) => {
		socket.on('say', (text) => io.emit('said', text));
	});
}
