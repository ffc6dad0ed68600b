'use strict';
/**
 * Loaded by limpet into each Node process that it has made a cluster worker of (node.c), before the program.
 *
 * A worker's channel to its primary keeps it alive. Here a worker may turn out to be npm, or a script that has to end. So the
 * channel holds the process only once it asks to listen, and before that as long as it holds any child of Node's: while
 * somebody listens for messages.
 *
 * A program that waits for the messages of a sticky package need not listen. This script then listens where limpet does, and
 * gives the program each connection by its package's message. So its connections come as all others do: sessions are learnt from
 * responses, and kept connections are given back.
 */
const cluster = require('node:cluster');
const net = require('node:net');

/** How limpet calls the packages; what the listener for their messages says, or where it stands; and their message. */
const PACKAGES = [
	['socket.io-sticky', /sticky:connection/, /[\\/]node_modules[\\/]@socket\.io[\\/]sticky[\\/]/,
		{ type: 'sticky:connection', data: '' }],
	['sticky-session', /sticky:balance/, null, 'sticky:balance'],
	['socketio-sticky-session', /sticky-session:connection/,
		/[\\/]node_modules[\\/](socketio-sticky-session|node-cluster-socket\.io)[\\/]/, 'sticky-session:connection'],
];

/** Ports and paths at which the program itself has asked to listen. */
const programs = new Set();

/** Servers that listen in its place, by port or path. */
const standIns = new Map();

/** The user's own options are left: this is for no other process, and no other thread. */
function leaveOptions() {
	const rest = (process.env.NODE_OPTIONS ?? '').replace(`--require="${__filename}"`, '').trim();
	if (rest)
		process.env.NODE_OPTIONS = rest;
	else
		delete process.env.NODE_OPTIONS;
}

/** Node makes a worker only of a process that has a script; `node -e` and `node < script` have none. */
function becomeWorker() {
	if (!process.env.NODE_UNIQUE_ID || cluster.worker || !process.channel)
		return;
	cluster._setupWorker();
	delete process.env.NODE_UNIQUE_ID;
}

function holdWhenListening() {
	const { channel } = process;
	const getServer = cluster._getServer;
	for (const event of ['message', 'disconnect']) // Node counts who listens, and node:cluster does already.
		for (let i = process.listenerCount(event); i > 0; i--)
			channel.unrefCounted();
	cluster._getServer = function (server, options, done) { // By net and dgram, before they wait for an answer.
		channel.ref();
		return getServer.call(this, server, options, (...answer) => {
			done(...answer);
			if (typeof options.addressType === 'number') // Not of dgram's.
				giveWay(String(options.port < 0 ? options.address : options.port));
		});
	};
}

function packageOf(listener) {
	const text = Function.prototype.toString.call(listener.listener ?? listener);
	const stack = new Error().stack;
	return PACKAGES.find(([, says, stands]) => says.test(text) || stands?.test(stack));
}

/** The program listens there by itself: its connections are its server's, as soon as that is there. */
function giveWay(address) {
	programs.add(address);
	setImmediate(() => standIns.get(address)?.close());
}

/** Listen where limpet does. Not by node:cluster, to which a second server at an address would be an error of the program's. */
function standIn(address, message) {
	const server = net.createServer((socket) => process.emit('message', message, socket));
	server.on('error', () => {}); // It is not limpet's address any more, and nothing comes there.
	server.listen({ ...(/^\d+$/.test(address) ? { port: Number(address) } : { path: address }), exclusive: true });
	standIns.set(address, server);
}

function takeMessages([type, , , message]) {
	process.send?.({ cmd: 'NODE_LIMPET', type });
	for (const address of process.env.LIMPET_PRELOAD_LISTEN.replaceAll('unix:', '').split(','))
		if (!programs.has(address))
			standIn(address, message);
	process.once('disconnect', () => standIns.forEach((server) => server.close()));
}

function awaitPackages() {
	process.on('newListener', function onListener(event, listener) {
		const found = event === 'message' && packageOf(listener);
		if (!found)
			return;
		process.off('newListener', onListener);
		setImmediate(takeMessages, found); // The program may be about to listen by itself.
	});
}

if (require('node:worker_threads').isMainThread) {
	leaveOptions();
	becomeWorker();
	if (cluster.worker && process.channel?.unrefCounted) {
		holdWhenListening();
		awaitPackages();
	}
}
