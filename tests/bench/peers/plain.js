'use strict';
/**
 * A server with nothing sticky in it: alone (behind a proxy), as Node's own primary with its workers (round robin,
 * which is Node's default), or as a worker of limpet's dialects `node` and `cluster`.
 *
 *     plain.js [WORKERS]
 */
const cluster = require('node:cluster');
const http = require('node:http');
const { answer, tellAddress, workers } = require('./hello');

if (cluster.isPrimary && workers) {
	for (let i = 0; i < workers; i++)
		cluster.fork();
	cluster.once('listening', (worker, address) => tellAddress(address.port));
	cluster.on('listening', (worker) => console.error(`worker ${worker.id} is ready`));
} else {
	const server = http.createServer(answer);
	server.keepAliveTimeout = 60_000; // Longer than a proxy waits for its turn: none meets a connection as it is closed.
	server.listen((cluster.isWorker && process.env.PORT) || 0, '127.0.0.1', () => {
		if (cluster.isPrimary)
			tellAddress(server.address().port);
	});
}
