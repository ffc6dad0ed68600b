'use strict';
/** A Socket.IO server as @socket.io/sticky's README has it, two workers: its own primary, at a port of the kernel's. */
const cluster = require('node:cluster');
const http = require('node:http');
const { Server } = require('../../e2e/node_modules/socket.io');
const { setupPrimary, setupWorker } = require('../../e2e/node_modules/sticky201');

if (cluster.isPrimary) {
	const server = http.createServer();
	setupPrimary(server, { loadBalancingMethod: 'least-connection' });
	cluster.setupPrimary({ serialization: 'advanced' });
	cluster.on('message', (worker, message) => message === 'ready' && console.log(`worker ${worker.id} is ready`));
	server.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
	cluster.fork();
	cluster.fork();
	process.on('SIGTERM', () => process.exit(0));
} else {
	setupWorker(new Server(http.createServer()));
	process.send('ready');
}
