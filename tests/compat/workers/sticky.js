'use strict';
/**
 * A worker of @socket.io/sticky 1.0.4, as its README has it.
 */
const cluster = require('node:cluster');
const http = require('node:http');
const { Server } = require('socket.io');
const { setupWorker } = require('sticky104');
const { answer } = require('../../e2e/workers/answering');
const steer = require('./steered');

const io = new Server(http.createServer(answer));
setupWorker(io);
io.on('connection', (socket) => {
	socket.emit('worker', cluster.worker.id);
	socket.on('echo', (message, reply) => reply(message));
});
steer({ sessions: () => io.engine.clientsCount });
