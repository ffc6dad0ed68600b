'use strict';
/**
 * Load: clients side by side, each asking again and again, every request on a connection of its own.
 */
const net = require('node:net');
const { destination, head } = require('./clients');
const { eventually } = require('./patience');

/** One request: resolves to undefined when its answer came whole, else to what happened instead. */
function ask(where, path) {
	return new Promise((resolve) => {
		const began = process.hrtime.bigint();
		const chunks = [];
		let port;
		let failure;
		const socket = net.connect(where, () => {
			port = socket.localPort;
			socket.write(head(path));
		});
		socket.on('data', (chunk) => chunks.push(chunk));
		socket.on('error', (error) => (failure = error.code));
		socket.on('close', () => {
			const [top, body] = Buffer.concat(chunks).toString('latin1').split('\r\n\r\n');
			const length = Number(/^Content-Length: (\d+)/im.exec(top)?.[1]);
			const whole = top.startsWith('HTTP/1.1 200 ') && body?.length === length;
			const ended = process.hrtime.bigint();
			resolve(whole ? undefined : { path, port, began, ended, failure, answer: top.slice(0, 40) });
		});
	});
}

/**
 * Start.
 *
 * @param {string} address  Where to.
 * @param {number} clients  How many at a time.
 * @returns {{reaches: (count: number) => Promise<void>, stop: () => Promise<{requests: number, failures: object[]}>}}
 *     Reaches waits until so many requests have begun; stop lets each request come to its end.
 */
function startLoad(address, clients) {
	const where = destination(address);
	const failures = [];
	let requests = 0;
	let going = true;
	const client = async () => {
		while (going) {
			const failure = await ask(where, `/?request=${++requests}`);
			if (failure)
				failures.push(failure);
		}
	};
	const all = Promise.all(Array.from({ length: clients }, client));
	return {
		reaches: (count) => eventually(`${count} requests, or it is no load`, () => requests > count),
		async stop() {
			going = false;
			await all;
			return { requests, failures };
		},
	};
}

module.exports = { startLoad };
