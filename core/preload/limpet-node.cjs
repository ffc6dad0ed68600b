'use strict';
/**
 * Loaded by limpet into each Node process that it has made a cluster worker of (node.c), before the program.
 *
 * A worker's channel to its primary keeps it alive. Here a worker may turn out to be npm, or a script that has to end. So the
 * channel holds the process only once it asks to listen, and before that as long as it holds any child of Node's: while
 * somebody listens for messages.
 *
 * And it is told to limpet when the program listens for the messages of a sticky package: then it need not listen elsewhere.
 */
const cluster = require('node:cluster');

/** How limpet calls the packages; by what the listener for their messages says, or where it stands. */
const PACKAGES = [
	['socket.io-sticky', /sticky:connection/, /[\\/]node_modules[\\/]@socket\.io[\\/]sticky[\\/]/],
	['sticky-session', /sticky:balance/, null],
	['socketio-sticky-session', /sticky-session:connection/, /[\\/]node_modules[\\/](socketio-sticky-session|node-cluster-socket\.io)[\\/]/],
];

/** The user's own options are left: this is for no other process, and no other thread. */
function leaveOptions() {
	const rest = (process.env.NODE_OPTIONS ?? '').replace(`--require="${__filename}"`, '').trim();
	if (rest)
		process.env.NODE_OPTIONS = rest;
	else
		delete process.env.NODE_OPTIONS;
}

function holdWhenListening() {
	const { channel } = process;
	const getServer = cluster._getServer;
	for (const event of ['message', 'disconnect']) // Node counts who listens, and node:cluster does already.
		for (let i = process.listenerCount(event); i > 0; i--)
			channel.unrefCounted();
	cluster._getServer = function (...args) { // By net and dgram, before they wait for an answer.
		cluster._getServer = getServer;
		channel.ref();
		return getServer.apply(this, args);
	};
}

function packageOf(listener) {
	const text = Function.prototype.toString.call(listener.listener ?? listener);
	const stack = new Error().stack;
	return PACKAGES.find(([, says, stands]) => says.test(text) || stands?.test(stack))?.[0];
}

function tellOfPackages() {
	process.on('newListener', function onListener(event, listener) {
		const type = event === 'message' && packageOf(listener);
		if (!type)
			return;
		process.off('newListener', onListener);
		process.send?.({ cmd: 'NODE_LIMPET', type });
	});
}

if (require('node:worker_threads').isMainThread) {
	leaveOptions();
	if (cluster.worker && process.channel?.unrefCounted) {
		holdWhenListening();
		tellOfPackages();
	}
}
