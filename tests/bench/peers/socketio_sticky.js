'use strict';
/**
 * @socket.io/sticky: its primary with its workers, or its worker alone under limpet.
 *
 *     socketio_sticky.js WORKERS
 *
 * Socket.IO stands aside, on another path than the clients ask for, so that a connection costs the workers here what it
 * costs the others'. The sessions that requests name are told of in the package's own words.
 */
const cluster = require('node:cluster');
const http = require('node:http');
const { Server } = require('../../e2e/node_modules/socket.io');
const { setupPrimary, setupWorker } = require('../../e2e/node_modules/sticky201');
const { answer, tell, workers } = require('./hello');

/** As bench_session_key makes them, as many as BENCH_SESSIONS. */
const SESSIONS = 64;

/** The package's primary takes a sid to have 20 characters and looks up these; limpet looks up all. */
const STICKY_LENGTH = 20;

function tellSessions() {
	const worker = String(cluster.worker.id).padStart(3, '0');
	for (let i = 0; i < SESSIONS; i++) {
		const sid = `Wkr${worker}Sess${String(i).padStart(6, '0')}AAAAAA`;
		for (const data of [sid, sid.slice(0, STICKY_LENGTH)])
			process.send({ type: 'sticky:connection', data });
	}
}

const server = http.createServer(cluster.isPrimary ? undefined : answer);
if (cluster.isPrimary) {
	setupPrimary(server);
	cluster.setupPrimary({ serialization: 'advanced' }); // As its README has it: without it, no request arrives whole.
	tell(server);
	server.listen(0, '127.0.0.1');
	for (let i = 0; i < workers; i++)
		cluster.fork();
} else {
	setupWorker(new Server(server, { path: '/elsewhere/' }));
	tellSessions();
	process.send('ready');
}
