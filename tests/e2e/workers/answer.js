'use strict';
/**
 * A plain cluster worker: node:http, server.listen(port), and nothing sticky in it. It answers what it was asked, and
 * by whom.
 *
 *     /                 at once
 *     /?wait=FILE       when FILE exists
 *     /?close           when its server has begun to close
 *
 * ONE_AT_A_TIME=ID makes the worker with that id accept one connection at a time.
 */
const http = require('node:http');
const cluster = require('node:cluster');
const { answer } = require('./answering');

const server = http.createServer((request, response) => {
	if (request.url.endsWith('?close'))
		server.close();
	answer(request, response);
});
if (process.env.ONE_AT_A_TIME === String(cluster.worker.id))
	server.maxConnections = 1;
server.listen(require('./port'), () => console.log(`worker ${cluster.worker.id} writes to standard output`));
console.error(`worker ${cluster.worker.id} writes to standard error`);
