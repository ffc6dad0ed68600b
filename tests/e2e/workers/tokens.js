'use strict';
/**
 * A service that names a session by a token in the header `x-token` of its first response, and expects the token in the
 * query from then on. The answer says which process it was, and how often this session has been here; 410 if it never was.
 */
const { randomUUID } = require('node:crypto');
const http = require('node:http');

const visits = new Map();

http.createServer((request, response) => {
	let token = new URL(request.url, 'http://a').searchParams.get('token');
	if (token && !visits.has(token))
		return response.writeHead(410).end();
	if (!token) {
		token = randomUUID();
		response.setHeader(process.argv[3] ?? 'x-token', token);
	}
	visits.set(token, (visits.get(token) ?? 0) + 1);
	return response.end(JSON.stringify({ pid: process.pid, visits: visits.get(token), token }));
}).listen(Number(process.argv[2]));
