'use strict';
/**
 * A worker of @socket.io/sticky that has servers of its own besides, as servers.js says.
 */
const cluster = require('node:cluster');
const http = require('node:http');
const { Server } = require('socket.io');
const { setupWorker } = require('sticky104');

const server = http.createServer((request, response) => {
	response.end(JSON.stringify({ worker: cluster.worker.id, server: 'io' }));
});
setupWorker(new Server(server));
require('./servers');
