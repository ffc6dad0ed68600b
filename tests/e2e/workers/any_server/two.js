'use strict';
/**
 * Two servers in one process: two.js FIRST SECOND, each a port, HOST:PORT or a path. Each says which it is; a POST to one closes the
 * other.
 */
const http = require('node:http');

const servers = process.argv.slice(2).map((address, i, all) => http.createServer((request, response) => {
	if (request.method === 'POST')
		servers[all.length - 1 - i].close();
	response.end(JSON.stringify({ pid: process.pid, server: i + 1 }));
}));
servers.forEach((server, i) => {
	const address = process.argv[i + 2];
	const [, host = '127.0.0.1', port] = /^(?:(.*):)?(\d+)$/.exec(address) ?? [];
	server.listen(port ? { host, port: Number(port) } : { path: address });
});
process.on('SIGTERM', () => process.exit(0));
