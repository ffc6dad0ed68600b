'use strict';
// A chat on socketio-sticky-session, in the manner of its README:  node before.js
const http = require('http');
const { Server } = require('socket.io');
const sticky = require('socketio-sticky-session');

const port = process.env.PORT || 3000;

sticky({ num: 4 }, () => {
	const server = http.createServer((request, response) => response.end(`process ${process.pid}\n`));
	const io = new Server(server);

	io.on('connection', (socket) => {
		socket.on('say', (text) => io.emit('said', text));
	});
	return server;
}).listen(port, () => console.log(`listening on port ${port}`));
