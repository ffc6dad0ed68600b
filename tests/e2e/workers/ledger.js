'use strict';
/**
 * A plain cluster worker that keeps a ledger in the file $LEDGER, each line with the client's port and the monotonic
 * time: "took" before limpet hears that a connection has arrived, "read" when its request was. A worker that dies
 * cannot have lost what is not in its ledger.
 *
 * Node acknowledges a connection inside its own listener for internal messages, so ours is put in front of it. In the dialect
 * `node` the library acknowledges, and what was not read by then comes back: there "took" is before the first read.
 */
const fs = require('node:fs');
const http = require('node:http');

const ledger = fs.openSync(process.env.LEDGER, 'a');

function note(word, port) {
	fs.writeSync(ledger, `${word} ${port} ${process.hrtime.bigint()}\n`);
}

process.prependListener('internalMessage', (message, handle) => {
	const peer = {};
	if (message.cmd === 'NODE_HANDLE' && handle?.getpeername(peer) === 0)
		note('took', peer.port);
});

http.createServer((request, response) => {
	note('read', request.socket.remotePort);
	response.end('done');
}).prependListener('connection', ({ remotePort }) => {
	if (process.env.LIMPET_PRELOAD_LISTEN)
		note('took', remotePort);
}).listen(require('./port'));
