'use strict';
/**
 * Lets a test ask this worker for things, past the primary: POST /ACTION with the arguments as a JSON list.
 *
 *     steer({ double: async (n) => 2 * n });
 */
const cluster = require('node:cluster');
const http = require('node:http');

module.exports = function steer(actions) {
	const server = http.createServer(async (request, response) => {
		try {
			const args = JSON.parse(Buffer.concat(await request.toArray()).toString());
			const answer = await actions[request.url.slice(1)](...args);
			response.end(answer === undefined ? '' : JSON.stringify(answer));
		} catch (error) {
			response.writeHead(500).end(error.message);
		}
	});
	// Exclusive: a port of this process's own, which the primary never hears of.
	server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => {
		console.log(`worker ${cluster.worker.id}, pid ${process.pid}, is steered at ${server.address().port}`);
	});
};
