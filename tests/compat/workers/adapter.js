'use strict';
/**
 * Socket.IO on a plain cluster worker, with a version of @socket.io/cluster-adapter: the argument names it. What an io can
 * do for the sockets of all workers is offered as actions.
 */
const cluster = require('node:cluster');
const http = require('node:http');
const { Server } = require('socket.io');
const { createAdapter } = require(process.argv[2]);
const steer = require('./steered');

const server = http.createServer();
const io = new Server(server);
const me = cluster.worker.id;
const heard = [];
let silent = false;

io.adapter(createAdapter());
io.of('/other');
io.on('connection', (socket) => {
	socket.join([`worker ${me}`, me === 3 ? 'few' : 'many']);
	socket.emit('worker', me);
});
io.of('/other').on('connection', (socket) => socket.emit('worker', me));
io.on('note', (...args) => heard.push(args));
io.on('who', (question, reply) => silent || reply(`${question}: ${me}`));

/** A choice of sockets, as a test writes it: {nsp, to, except, local, timeout}. */
function choose({ nsp = '/', to = [], except = [], local, timeout }) {
	let chosen = io.of(nsp).to(to).except(except);
	if (local)
		chosen = chosen.local;
	return timeout ? chosen.timeout(timeout) : chosen;
}

/** The outcome of a call with a callback (error, answers). */
function outcome(call) {
	return new Promise((resolve) => {
		call((error, answers) => resolve({ failed: Boolean(error), answers: [...answers ?? []].sort() }));
	});
}

steer({
	emit: async (choice, ...args) => void choose(choice).emit(...args),
	ask: (choice, ...args) => outcome((done) => choose(choice).emit(...args, done)),
	join: async (choice, room) => void choose(choice).socketsJoin(room),
	leave: async (choice, room) => void choose(choice).socketsLeave(room),
	disconnect: async (choice) => void choose(choice).disconnectSockets(true),
	fetch: async (choice) => (await choose(choice).fetchSockets()).map(({ id, rooms }) => ({ id, rooms: [...rooms] })),
	note: async (...args) => void io.serverSideEmit('note', ...args),
	who: (question) => outcome((done) => io.serverSideEmit('who', question, done)),
	silence: async () => void (silent = true),
	heard: async () => heard,
});
server.listen(Number(process.env.LIMPET_PRELOAD_LISTEN ?? 0), '127.0.0.1');
