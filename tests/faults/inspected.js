'use strict';
/**
 * Connections to workers/inspector.py, which says what it saw when one arrived and sends everything back.
 */
const assert = require('node:assert/strict');
const { eventually } = require('../e2e/harness');

/** What one client got: `seen` as the worker tells it, `echo`; or, of a client that no worker answers, `text`. */
class Client {
	constructor(socket) {
		this.socket = socket.setNoDelay();
		this.chunks = [];
		socket.on('data', (chunk) => this.chunks.push(chunk));
	}

	get received() {
		return Buffer.concat(this.chunks);
	}

	/** Wait until as much has come back as was sent, or the other side has ended. */
	async answered(length) {
		await eventually('the connection is answered', () => {
			const { received } = this;
			const line = received.indexOf('\n') + 1;
			return this.socket.readableEnded || this.socket.closed || (line && received.length >= line + length);
		});
		const { received, socket } = this;
		socket.end();
		if (!received.toString('latin1').startsWith('{"worker"'))
			return { text: received.toString('latin1') };
		const line = received.indexOf('\n');
		return { seen: JSON.parse(received.toString('latin1', 0, line)), echo: received.subarray(line + 1) };
	}
}

/**
 * Send bytes on a connection of their own.
 *
 * @param {object} options  As net.connect takes them, and `address`.
 */
async function send(limpet, bytes, { address, ...options } = {}) {
	const client = new Client(await limpet.connect(address, options));
	client.socket.write(bytes);
	return client.answered(bytes.length);
}

/** Send bytes cut in two at every place, each time on a connection of its own; the rest when limpet has the beginning. */
async function sendCutEverywhere(limpet, bytes, options) {
	const { accepted } = await limpet.counts();
	const places = Array.from({ length: bytes.length - 1 }, (_, i) => i + 1);
	const clients = await Promise.all(places.map(async (place) => {
		const client = new Client(await limpet.connect(limpet.address, options));
		client.socket.write(bytes.subarray(0, place));
		return client;
	}));
	await eventually('all first halves are there', async () =>
		(await limpet.counts()).accepted >= accepted + places.length);
	return Promise.all(clients.map((client, i) => {
		client.socket.write(bytes.subarray(places[i]));
		return client.answered(bytes.length);
	}));
}

/** Whether a worker was given every byte. */
function assertWhole(answer, bytes, what) {
	assert.ok(answer.echo, `${what}: ${answer.text}`);
	assert.ok(bytes.equals(answer.echo), `${what}: ${answer.echo.toString('latin1')}`);
}

/** Which worker has it; undefined if none. */
const workerOf = ({ seen }) => seen?.worker;

module.exports = { assertWhole, send, sendCutEverywhere, workerOf };
