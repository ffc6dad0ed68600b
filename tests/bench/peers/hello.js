'use strict';
/**
 * What the programs here share. The benchmark starts each with a number of workers and reads on its standard error
 * where it listens and which workers are ready; limpet says the same of workers that it starts itself.
 */
const cluster = require('node:cluster');

/** For http.createServer: what the benchmarks' clients expect. */
function answer(request, response) {
	response.end('hello\n');
}

/** In a primary: tell where its server listens, once it does, and of each worker that is ready. */
function tell(server) {
	cluster.on('message', (worker, message) => {
		if (message === 'ready')
			console.error(`worker ${worker.id} is ready`);
	});
	server.once('listening', () => tellAddress(server.address().port));
}

function tellAddress(port) {
	console.error(`listening on 127.0.0.1:${port}`);
}

/** How many workers a primary has. */
const workers = Number(process.argv[2]);

module.exports = { answer, tell, tellAddress, workers };
