'use strict';
/**
 * A server whose answers come when they are told to: node exchanges.js PORT.
 *
 *     /            its process and the tenant, at once
 *     /half        the same, but only half of it until SIGUSR2, which is for one of those that wait, the oldest
 *     /hold        nothing until SIGUSR2
 *     /hints       a 103 at once, and the answer at SIGUSR2
 *     /none        204    /unchanged  304
 *     /echo        the body that came
 *     /login       a cookie ID: the request's, or a new one
 *     CONNECT, and upgrades to "echo"    what comes, behind the process
 */
const crypto = require('node:crypto');
const http = require('node:http');

const held = [];

function say(request, response) {
	const body = JSON.stringify({ pid: process.pid, tenant: request.headers.tenant, url: request.url });
	response.writeHead(200, { 'Content-Length': body.length });
	return body;
}

const PATHS = {
	'/half': (request, response) => {
		const body = say(request, response);
		response.write(body.slice(0, 10));
		held.push(() => response.end(body.slice(10)));
	},
	'/hold': (request, response) => held.push(() => response.end(say(request, response))),
	'/hints': (request, response) => {
		response.writeEarlyHints({ link: '</a>; rel=preload' });
		held.push(() => response.end(say(request, response)));
	},
	'/none': (request, response) => response.writeHead(204).end(),
	'/unchanged': (request, response) => response.writeHead(304, { 'Content-Length': 100 }).end(),
	'/echo': async (request, response) => {
		const body = Buffer.concat(await request.toArray());
		response.writeHead(200, { 'Content-Length': body.length }).end(body);
	},
	'/login': (request, response) => {
		const id = /\bID=(\w+)/.exec(request.headers.cookie)?.[1] ?? crypto.randomUUID().replaceAll('-', '');
		response.setHeader('Set-Cookie', `ID=${id}; Path=/`);
		response.end(say(request, response));
	},
};

function tunnel(request, socket, first) {
	const head = request.method === 'CONNECT' ? '200 OK' : '101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo';
	socket.write(`HTTP/1.1 ${head}\r\n\r\n${process.pid} `);
	socket.write(first);
	socket.pipe(socket);
}

const server = http.createServer((request, response) => {
	const answer = PATHS[request.url.split('?')[0]];
	if (answer)
		answer(request, response);
	else
		response.end(say(request, response));
});
server.on('connect', tunnel).on('upgrade', tunnel);
process.on('SIGUSR2', () => held.shift()());
process.on('SIGTERM', () => process.exit(0));
server.listen(Number(process.argv[2]), '127.0.0.1');
