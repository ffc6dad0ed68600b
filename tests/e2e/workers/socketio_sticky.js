'use strict';
/**
 * A worker of @socket.io/sticky as its README shows it, the primary's half included: under limpet every process is a
 * worker, so that half never runs. The argument names the version.
 */
const cluster = require('cluster');
const http = require('http');
const { Server } = require('socket.io');
const numCPUs = require('os').cpus().length;
const { setupMaster, setupWorker } = require(process.argv[2]);
const { createAdapter, setupPrimary } = require('@socket.io/cluster-adapter');
const { answer } = require('./answering');
const chat = require('./chat');

if (cluster.isMaster) {
	console.log(`Master ${process.pid} is running`);

	const httpServer = http.createServer();

	setupMaster(httpServer, {
		loadBalancingMethod: 'least-connection', // either "random", "round-robin" or "least-connection"
	});

	setupPrimary();

	httpServer.listen(3000);

	for (let i = 0; i < numCPUs; i++) {
		cluster.fork();
	}

	cluster.on('exit', (worker) => {
		console.log(`Worker ${worker.process.pid} died`);
		cluster.fork();
	});
} else {
	console.log(`Worker ${process.pid} started`);

	const httpServer = http.createServer(answer);
	const io = new Server(httpServer, { maxHttpBufferSize: 4e6 });
	io.adapter(createAdapter());
	setupWorker(io);

	chat(io);
}
