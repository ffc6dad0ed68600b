'use strict';
/**
 * sticky-session's primary with its workers. Its listen() keeps the primary to itself; here it has to tell its port.
 *
 *     sticky_session.js WORKERS
 */
const cluster = require('node:cluster');
const http = require('node:http');
const sticky = require('../../e2e/node_modules/sticky-session');
const { answer, tell, workers } = require('./hello');

if (cluster.isPrimary) {
	const primary = new sticky.Master(workers);
	tell(primary);
	primary.listen(0, '127.0.0.1');
} else {
	sticky.listen(http.createServer(answer));
	process.send('ready');
}
