'use strict';
/**
 * Socket.IO on plain cluster workers with the cluster adapter of the package that is named (of several, each worker takes
 * one in turn), as its README shows it, without the primary's half. What the test wants of a worker's server it asks by
 * HTTP: /METHOD?ARGUMENT.
 */
const cluster = require('node:cluster');
const http = require('node:http');
const { Server } = require('socket.io');
const { PATIENCE_MS } = require('../patience');
const packages = process.argv.slice(2);
const { createAdapter } = require(packages[cluster.worker.id % packages.length]);

/** What is no Buffer stays what it is. */
const hex = (answers) => answers.map((answer) => (Buffer.isBuffer(answer) ? answer.toString('hex') : answer));

const ACTIONS = {
	emit: (io, text) => io.emit('news', text),
	binary: (io, length) => io.emit('news', Buffer.alloc(Number(length), 'limpet')),
	askBinary: async (io, bytes) => hex(await io.serverSideEmitWithAck('bytes', Buffer.from(bytes, 'hex'))),
	acksBinary: async (io, bytes) => hex(await io.timeout(PATIENCE_MS).emitWithAck('bytes', Buffer.from(bytes, 'hex'))),
	toRoom: (io, room) => io.to(room).emit('news', `to ${room}`),
	join: (io, room) => io.socketsJoin(room),
	leave: (io, room) => io.socketsLeave(room),
	fetch: async (io) => (await io.fetchSockets()).map((socket) => socket.id).sort(),
	who: (io) => io.serverSideEmitWithAck('who'),
	count: async (io) => io.of('/').adapter.serverCount(),
	acks: (io) => io.timeout(PATIENCE_MS).emitWithAck('ask'),
	flood: (io, count) => {
		for (let i = 0; i < Number(count); i++)
			io.emit('flood', 'x'.repeat(1000));
	},
};

const server = http.createServer(async (request, response) => {
	const { pathname, searchParams } = new URL(request.url, 'http://limpet');
	const result = await ACTIONS[pathname.slice(1)](io, searchParams.get('with'));
	response.end(JSON.stringify({ worker: cluster.worker.id, result }));
});
const io = new Server(server, { adapter: createAdapter() });
io.of('/other').on('connection', () => {});
io.on('who', (reply) => reply(cluster.worker.id));
io.on('bytes', (bytes, reply) => reply(Buffer.concat([bytes, Buffer.of(cluster.worker.id)])));
io.on('connection', (socket) => socket.emit('worker', cluster.worker.id));
server.listen(require('./port'));
