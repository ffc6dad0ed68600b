'use strict';
/**
 * A plain cluster worker. The one with the id $STOPS stops, as SIGSTOP does it, at its first connection: acknowledged,
 * and not read.
 */
const cluster = require('node:cluster');
const http = require('node:http');
const { answer } = require('./answering');

http.createServer(answer).once('connection', () => {
	if (process.env.STOPS === String(cluster.worker.id))
		process.kill(process.pid, 'SIGSTOP');
}).listen(require('./port'));
