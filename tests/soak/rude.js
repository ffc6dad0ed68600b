'use strict';
/**
 * Clients that nobody has to serve, and that must harm nobody: they only have to be rid of in the end.
 */
const { setTimeout: pause } = require('node:timers/promises');
const net = require('node:net');
const { destination } = require('../e2e/clients');
const { deadline } = require('../e2e/patience');
const { between, oneOf } = require('./schedule');

const LOCAL_ADDRESSES = ['127.0.8.1', '127.0.8.2', '127.0.8.3', '127.0.8.4'];

/** More than limpet gives a connection to say what it wants, and than a worker gives it after that. */
const PATIENCE_MS = 30_000;

const HEAD = 'GET /?rude HTTP/1.1\r\nHost: limpet\r\n';

const GARBAGE = [
	'\x00\x01\x02\x03\r\n\r\n',
	'GET\r\n\r\n',
	'GET / HTTP/9.9\r\n\r\n',
	'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
	'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
	'GET /?sid=a&sid=b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
	'GET / HTTP/1.1\nHost: bare\n\n',
	'\r\n'.repeat(40),
];

/** What each does once it is connected. */
const MANNERS = {
	resetsInItsHead: (socket) => socket.write(HEAD, () => socket.resetAndDestroy()),
	resetsAfterItsHead: (socket) => socket.write(`${HEAD}\r\n`, () => socket.resetAndDestroy()),
	resetsAtOnce: (socket) => socket.resetAndDestroy(),
	leavesInItsHead: (socket) => socket.end(HEAD),
	halfCloses: (socket) => socket.end(`${HEAD}Connection: close\r\n\r\n`),
	leavesAtOnce: (socket) => socket.end(),
	talksNonsense: (socket, random) => socket.end(Buffer.from(oneOf(random, GARBAGE), 'latin1')),
	talksTooMuch: (socket) => socket.write(HEAD + `X-Long: ${'x'.repeat(1000)}\r\n`.repeat(40)),
	saysNothing: () => {},
	stopsInItsHead: (socket) => socket.write(HEAD),
	async dripsForEver(socket, random) {
		for (let i = 0; i < 1000 && socket.writable; i++) {
			socket.write(i ? 'x' : `${HEAD}X-Long: `);
			await pause(between(random, 50, 500));
		}
	},
};

class RudeClients {
	#address;
	#random;
	#going = true;
	#open = new Set();
	#done;
	/** How many there were, and how many of them were still connected after PATIENCE_MS. */
	count = 0;
	leftOpen = 0;

	constructor(address, random) {
		this.#address = address;
		this.#random = random;
	}

	start(perSecond) {
		this.#done = (async () => {
			while (this.#going) {
				this.#one(oneOf(this.#random, Object.values(MANNERS)));
				await pause(-Math.log(1 - this.#random()) * 1000 / perSecond);
			}
		})();
	}

	#connect(connected) {
		const localAddress = oneOf(this.#random, LOCAL_ADDRESSES);
		const socket = net.connect({ ...destination(this.#address), localAddress, allowHalfOpen: true });
		this.#open.add(socket);
		socket.on('connect', () => connected?.(socket, this.#random));
		socket.on('data', () => {});
		socket.on('error', () => {});
		socket.on('end', () => socket.destroy());
		socket.on('close', () => this.#open.delete(socket));
		return socket;
	}

	#one(manner) {
		this.count++;
		const socket = this.#connect(manner);
		const end = deadline(() => this.leftOpen++, PATIENCE_MS);
		socket.on('close', () => end.cancel());
	}

	/** Silent connections, all at once; half of them end with a reset. */
	async flood(connections, forMs) {
		const sockets = Array.from({ length: connections }, () => this.#connect());
		this.count += connections;
		await pause(forMs);
		sockets.forEach((socket, i) => (i % 2 ? socket.destroy() : socket.resetAndDestroy()));
	}

	/** They leave. */
	async stop() {
		this.#going = false;
		await this.#done;
		this.#open.forEach((socket) => socket.destroy());
	}
}

module.exports = { RudeClients };
