'use strict';
/**
 * A plain cluster worker that does what programs under a Node primary do: several servers, a unix path, UDP, TLS, and
 * the calls of node:cluster. It is asked by HTTP: /ACTION?ARGUMENT.
 *
 *     behaves.js PORTS [tls]      PORTS: a file, to which it adds the number of its UDP port
 */
const cluster = require('node:cluster');
const dgram = require('node:dgram');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const { whenThere } = require('./answering');

const ACTIONS = {
	self: () => ({
		id: cluster.worker.id,
		isWorker: cluster.isWorker,
		args: process.argv.slice(2),
		channel: ['NODE_UNIQUE_ID', 'NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE'].filter((name) => process.env[name]),
		mark: process.env.MARK,
	}),
	/** So many messages in a row: which were called back with an error, and whether in their order. */
	send: async (count) => {
		const back = [];
		await Promise.all(Array.from({ length: Number(count) }, (_, i) => new Promise((resolve) => {
			process.send({ any: i, bytes: Buffer.from([i]) }, (error) => resolve(back.push(error ? [i, error.code] : i)));
		})));
		return { called: back.length, inOrder: back.every((one, i) => one === i) };
	},
	/** A message a millisecond, to the end and one past it; what came of them is said when it exits. */
	chatter: () => {
		let sent = 0;
		const back = [];
		const say = () => process.send({ any: sent++ }, (error) => back.push(error ? error.code : 'sent'));
		const timer = setInterval(say, 1);
		process.once('disconnect', () => {
			clearInterval(timer);
			say();
		});
		process.on('exit', () => console.log(`called back ${back.length} of ${sent}, the last: ${back.at(-1)}`));
	},
	/** The connection that this was asked on goes to the primary. */
	giveAway: (_, request) => {
		process.send({ any: 'socket' }, request.socket, (error) => console.log(`given away: ${error}`));
		return new Promise(() => {});
	},
	disconnect: () => void setImmediate(() => cluster.worker.disconnect()),
	kill: () => void setImmediate(() => cluster.worker.kill()),
	hangUp: () => void setImmediate(() => process.disconnect()),
	/** It disconnects, and something keeps it alive; `ignores` SIGTERM as well. */
	linger: (how) => {
		setInterval(() => {}, 1000);
		process.on('SIGTERM', () => {
			console.log(`worker ${cluster.worker.id} gets SIGTERM`);
			if (how !== 'ignores')
				process.exit();
		});
		setImmediate(() => cluster.worker.disconnect());
	},
	wait: (file) => {
		console.log(`worker ${cluster.worker.id} waits for ${file}`);
		return new Promise((resolve) => whenThere(file, resolve));
	},
	closeFirst: () => new Promise((resolve) => {
		first.close(() => resolve('closed'));
		first.closeAllConnections();
	}),
};

async function serve(request, response) {
	const { pathname, search } = new URL(request.url, 'http://limpet');
	const result = await ACTIONS[pathname.slice(1)]?.(search.slice(1), request);
	if (request.headers.connection !== 'keep-alive')
		response.setHeader('Connection', 'close');
	response.end(JSON.stringify({ worker: cluster.worker.id, server: this.title, result }));
}

const first = http.createServer(serve);
const second = http.createServer(serve);
first.title = 'port';
second.title = 'path';
const pair = { key: fs.readFileSync(`${__dirname}/tls.key`), cert: fs.readFileSync(`${__dirname}/tls.crt`) };
const secure = https.createServer(pair, serve);
secure.title = 'tls';
if (process.argv[3] === 'tls') {
	secure.listen(require('./port'));
} else {
	first.listen(require('./port'));
	second.listen('./behaves.socket');
}

const datagrams = dgram.createSocket('udp4');
datagrams.on('message', (message, from) => {
	datagrams.send(`${cluster.worker.id} got ${message}`, from.port, from.address);
});
datagrams.bind(0, '127.0.0.1', () => {
	fs.appendFileSync(process.argv[2], `${datagrams.address().port}\n`);
});
for (const [of, event] of [[cluster.worker, 'disconnect'], [process, 'exit']])
	of.on(event, () => console.log(`worker ${cluster.worker.id}, ${event}: ${cluster.worker.exitedAfterDisconnect}`));
