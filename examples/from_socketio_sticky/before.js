'use strict';
// A chat on @socket.io/sticky, in the manner of its README:  node before.js
const cluster = require('cluster');
const http = require('http');
const { Server } = require('socket.io');
const { setupMaster, setupWorker } = require('@socket.io/sticky');
const { createAdapter, setupPrimary } = require('@socket.io/cluster-adapter');

if (cluster.isMaster) {
	const port = process.env.PORT || 3000;
	const httpServer = http.createServer();

	setupMaster(httpServer, { loadBalancingMethod: 'least-connection' });
	setupPrimary();
	httpServer.listen(port, () => console.log(`listening on port ${port}`));

	for (let i = 0; i < 4; i++)
		cluster.fork();
	cluster.on('exit', () => cluster.fork());
} else {
	const httpServer = http.createServer((request, response) => response.end(`process ${process.pid}\n`));
	const io = new Server(httpServer);

	io.adapter(createAdapter());
	setupWorker(io);

	io.on('connection', (socket) => {
		socket.on('say', (text) => io.emit('said', text));
	});
}
