'use strict';
/**
 * A plain cluster worker that keeps a ledger of what it began, in the file $LEDGER, with the client's port and the
 * monotonic time: one line of "took" before limpet hears that the connection has arrived, one of "began" before a
 * request is answered. What is not in the ledger, a worker that dies cannot have lost.
 *
 * Node acknowledges a connection inside its own listener for internal messages, so ours is put in front of it.
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
	note('began', request.socket.remotePort);
	response.end('done');
}).listen(3000);
