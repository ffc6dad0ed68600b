'use strict';
/**
 * A plain cluster worker that does what programs under a Node primary do: several servers, a unix path, UDP, TLS, and
 * the calls of node:cluster. It is asked by HTTP: /ACTION.
 *
 *     behaves.js PORTS [tls]      PORTS: a file, to which it adds the number of its UDP port
 */
const cluster = require('node:cluster');
const dgram = require('node:dgram');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');

const ACTIONS = {
	self: () => ({
		id: cluster.worker.id,
		isWorker: cluster.isWorker,
		args: process.argv.slice(2),
		channel: ['NODE_UNIQUE_ID', 'NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE'].filter((name) => process.env[name]),
		mark: process.env.MARK,
	}),
	send: () => new Promise((resolve) => process.send({ any: 'thing' }, (error) => resolve({ error }))),
	disconnect: () => void setImmediate(() => cluster.worker.disconnect()),
	closeFirst: () => new Promise((resolve) => {
		first.close(() => resolve('closed'));
		first.closeAllConnections();
	}),
};

async function serve(request, response) {
	const action = ACTIONS[new URL(request.url, 'http://limpet').pathname.slice(1)];
	response.setHeader('Connection', 'close');
	response.end(JSON.stringify({ worker: cluster.worker.id, server: this.title, result: await action?.() }));
}

const first = http.createServer(serve);
const second = http.createServer(serve);
first.title = 'port';
second.title = 'path';
const pair = { key: fs.readFileSync(`${__dirname}/tls.key`), cert: fs.readFileSync(`${__dirname}/tls.crt`) };
const secure = https.createServer(pair, serve);
secure.title = 'tls';
if (process.argv[3] === 'tls') {
	secure.listen(3443);
} else {
	first.listen(3000);
	second.listen('./behaves.socket');
}

const datagrams = dgram.createSocket('udp4');
datagrams.on('message', (message, from) => {
	datagrams.send(`${cluster.worker.id} got ${message}`, from.port, from.address);
});
datagrams.bind(0, '127.0.0.1', () => {
	fs.appendFileSync(process.argv[2], `${datagrams.address().port}\n`);
});
process.on('exit', () => console.log(`worker ${cluster.worker.id} exits: ${cluster.worker.exitedAfterDisconnect}`));
