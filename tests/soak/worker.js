'use strict';
/**
 * A worker of @socket.io/sticky that can prove what it did: its ledger, the file $LEDGER/<pid>, has a line
 *
 *     took PORT AT    before limpet hears that a connection has arrived; PORT is its client's
 *     read ID AT      before anything else is done about a request; ID is the ?id= of its URL
 *
 * written with write(2) at once, so that it outlives a SIGKILL. AT is the monotonic clock in milliseconds, which all
 * processes share. Node reads a connection and parses its request in one go, so between the read and the ledger's line
 * are a few microseconds and never another connection: a worker that dies may have read one request that is not in its
 * ledger, no more.
 *
 * It answers "PID ID", with &later in the URL after a moment, and serves Socket.IO; the first letters of a session's id are the worker's pid.
 */
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { createRequire } = require('node:module');

const packages = createRequire(path.join(__dirname, '../e2e/package.json'));
const { Server } = packages('socket.io');
const { setupWorker } = packages('sticky201');

/** Kept connections are closed by their clients. */
const KEPT_MS = 120_000;

const LATER_MS = 50;

const ledger = fs.openSync(path.join(process.env.LEDGER, String(process.pid)), 'a');

const note = (word, what) => fs.writeSync(ledger, `${word} ${what} ${Number(process.hrtime.bigint()) / 1e6}\n`);

const idOf = ({ url }) => /[?&]id=([\w.-]+)/.exec(url)?.[1];

function noteRead(request) {
	const id = idOf(request);
	if (id)
		note('read', id);
}

/** Node acknowledges a connection inside its own listener for internal messages, so ours is put in front of it. */
process.prependListener('internalMessage', (message, handle) => {
	const peer = {};
	if (message.cmd === 'NODE_HANDLE' && handle?.getpeername?.(peer) === 0)
		note('took', peer.port);
});

const server = http.createServer({ keepAliveTimeout: KEPT_MS }, (request, response) => {
	const text = `${process.pid} ${idOf(request)}`;
	if (request.url.includes('&kept'))
		response.setHeader('Connection', 'keep-alive'); // setupWorker says "close", for the sake of sessions.
	response.setHeader('Content-Length', text.length);
	if (request.url.includes('&later'))
		setTimeout(() => response.end(text), LATER_MS);
	else
		response.end(text);
});

const io = new Server(server, { pingInterval: 5_000, pingTimeout: 20_000 });
const sessionPrefix = process.pid.toString(36).padStart(6, '0');
io.engine.generateId = () => sessionPrefix + crypto.randomBytes(12).toString('base64url').slice(0, 14);
setupWorker(io);
server.prependListener('request', noteRead);
server.prependListener('upgrade', noteRead);

io.on('connection', (socket) => {
	socket.on('echo', (message, reply) => reply(process.pid, message));
});
