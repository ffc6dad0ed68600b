'use strict';
// A chat as node-cluster-socket.io, which is an article and no package, explains to build one:  node before.js
const cluster = require('cluster');
const http = require('http');
const net = require('net');
const { Server } = require('socket.io');

if (cluster.isMaster) {
	const port = process.env.PORT || 3000;
	const workers = [];

	const start = (i) => {
		workers[i] = cluster.fork();
		workers[i].on('exit', () => start(i));
	};
	for (let i = 0; i < 4; i++)
		start(i);

	const choose = (address) => Number(address.replace(/\D/g, '')) % workers.length;
	net.createServer({ pauseOnConnect: true }, (connection) => {
		workers[choose(connection.remoteAddress)].send('sticky-session:connection', connection);
	}).listen(port, () => console.log(`listening on port ${port}`));
} else {
	const server = http.createServer((request, response) => response.end(`process ${process.pid}\n`));
	const io = new Server(server);

	io.on('connection', (socket) => {
		socket.on('say', (text) => io.emit('said', text));
	});

	server.listen(0, 'localhost');
	process.on('message', (message, connection) => {
		if (message !== 'sticky-session:connection')
			return;
		server.emit('connection', connection);
		connection.resume();
	});
}
