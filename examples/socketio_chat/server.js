/*
 * A chat's worker, just as the README of @socket.io/sticky has it: setupWorker(io) takes the connections that the
 * primary passes on, and @socket.io/cluster-adapter carries what is said to the tabs of the other workers. Nothing in
 * here knows of limpet.
 *
 * Who is here: each worker keeps a list of its own tabs, and tells the others the whole of it whenever it changes. A list
 * replaces the one before it, so a worker that died is corrected by the empty list of the one that takes its place.
 */
'use strict';

const cluster = require('node:cluster');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { Server } = require('socket.io');
const { createAdapter } = require('@socket.io/cluster-adapter');
const { setupWorker } = require('@socket.io/sticky');

const NAME_MAX = 24;
const TEXT_MAX = 500;

if (!cluster.isWorker) {
	console.error('server.js: this is a worker, and needs something that starts it: see ./run');
	process.exit(1);
}

const page = fs.readFileSync(path.join(__dirname, 'public', 'index.html'));

const httpServer = http.createServer((request, response) => {
	if (request.url === '/' || request.url.startsWith('/?')) {
		response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-cache' });
		response.end(page);
	} else {
		response.writeHead(404, { 'Content-Type': 'text/plain' });
		response.end('Nothing lives here.\n');
	}
});

const io = new Server(httpServer);
io.adapter(createAdapter());
setupWorker(io);

const me = { id: cluster.worker.id, pid: process.pid };
const workers = new Map();

function clean(text, longest) {
	return typeof text === 'string' ? text.trim().slice(0, longest) : '';
}

/** A worker's list came, of this one or another: keep it, and show it to the tabs that are connected here. */
function learn(worker) {
	workers.set(worker.id, worker);
	io.local.emit('worker', worker);
}

/** The tabs of this worker changed, or somebody asks. */
function tell() {
	const tabs = [...io.sockets.sockets.values()].map((socket) => socket.data);
	learn({ ...me, tabs });
	io.serverSideEmit('worker', { ...me, tabs });
}

io.on('worker', learn);
io.on('who', tell);

io.on('connection', (socket) => {
	const { conn } = socket;
	socket.data = {
		id: socket.id,
		name: clean(socket.handshake.auth.name, NAME_MAX) || 'Somebody',
		transport: conn.transport.name,
	};
	socket.emit('welcome', me, [...workers.values()]);
	tell();

	conn.once('upgrade', () => {
		socket.data.transport = conn.transport.name;
		tell();
	});
	socket.on('name', (name) => {
		socket.data.name = clean(name, NAME_MAX) || socket.data.name;
		tell();
	});
	socket.on('say', (text) => {
		const said = clean(text, TEXT_MAX);
		if (said)
			io.emit('said', { ...socket.data, worker: me.id, text: said });
	});
	socket.on('disconnect', tell);
});

io.serverSideEmit('who');
tell();
console.log(`worker ${me.id} started, pid ${me.pid}`);
