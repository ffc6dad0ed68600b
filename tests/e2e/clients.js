'use strict';
/**
 * Clients: raw sockets, HTTP requests with a connection each, and Engine.IO's handshake stripped to the bone.
 *
 * An address is what limpet's log calls it: "127.0.0.1:43211", "[::1]:43211", ":43211" or "unix:/path".
 */
const http = require('node:http');
const net = require('node:net');
const { once } = require('node:events');
const { deadline, within } = require('./patience');

/** An address in the form that net and http take. */
function destination(address) {
	if (address.startsWith('unix:'))
		return { path: address.slice('unix:'.length) };
	const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address);
	return { host: host || '127.0.0.1', port: Number(port) };
}

/** A connected socket, half-open as limpet's clients may be: each side ends for itself. */
async function connect(address, options = {}) {
	const socket = net.connect({ allowHalfOpen: true, ...destination(address), ...options });
	await once(socket, 'connect');
	socket.on('error', () => {}); // A reset shows in what was, or was not, received.
	return socket;
}

/** All that a socket receives until the other side ends; `reset` tells whether that was an error. */
function receiveAll(socket) {
	if (socket.readableEnded || socket.destroyed) // Before anybody asked.
		return Promise.resolve({ reset: socket.errored != null, text: '' });
	return new Promise((resolve, reject) => {
		const chunks = [];
		const end = deadline(() => reject(new Error('the connection is still open')));
		const finish = (reset) => {
			end.cancel();
			socket.destroy();
			resolve({ reset, text: Buffer.concat(chunks).toString('latin1') });
		};
		socket.on('data', (chunk) => {
			chunks.push(chunk);
			end.advanced();
		});
		socket.on('end', () => finish(false));
		socket.on('error', () => finish(true));
		socket.on('close', () => finish(socket.errored != null));
	});
}

/** Wait until a socket has received a number of bytes. */
async function receiveBytes(socket, count) {
	const chunks = [];
	let length = 0;
	const end = deadline(() => socket.destroy(new Error(`${length} of ${count} bytes came`)));
	for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
		chunks.push(chunk);
		length += chunk.length;
		end.advanced();
		if (length >= count)
			break;
	}
	end.cancel();
	return Buffer.concat(chunks);
}

/** Send bytes on a connection of their own and receive all of the answer. */
async function exchange(address, bytes) {
	const socket = await connect(address);
	const answer = receiveAll(socket);
	socket.write(bytes);
	return answer;
}

/**
 * An HTTP request, on a connection of its own unless options bring an agent.
 *
 * @returns {Promise<{status: number, headers: object, text: string, json: any}>}
 */
function request(address, path, { method = 'GET', headers = {}, body, agent = false, localAddress } = {}) {
	const { path: socketPath, ...where } = destination(address);
	return new Promise((resolve, reject) => {
		const call = http.request({ ...where, socketPath, path, method, headers, agent, localAddress });
		const end = deadline(() => call.destroy(new Error(`${method} ${path}: no answer`)));
		call.on('error', reject);
		call.on('close', () => end.cancel());
		call.on('response', async (response) => {
			try {
				const chunks = [];
				for await (const chunk of response) {
					chunks.push(chunk);
					end.advanced();
				}
				const text = Buffer.concat(chunks).toString();
				const { statusCode: status, headers } = response;
				const json = text.startsWith('{') ? JSON.parse(text) : undefined;
				resolve({ status, headers, text, json });
			} catch (error) {
				reject(error);
			}
		});
		if (body?.pipe)
			body.pipe(call);
		else
			call.end(body);
	});
}

/** Emit an event by a Socket.IO client, and resolve to what the other side answers. */
function acknowledged(client, event, ...args) {
	return within(`an answer to "${event}"`, client.emitWithAck(event, ...args));
}

/** Wait until a Socket.IO client is connected; a failure says why it is not. */
async function connected(client) {
	const error = await within('a client is connected', new Promise((resolve) => {
		if (client.connected)
			resolve();
		client.once('connect', resolve).once('connect_error', resolve);
	}));
	if (error)
		throw new Error(`${error.message}: ${error.description} ${error.context?.responseText ?? ''}`, { cause: error });
	return client;
}

/** The head of an HTTP request that asks for its connection to be closed behind the answer. */
function head(path, { method = 'GET', headers = {}, length } = {}) {
	const lines = [`${method} ${path} HTTP/1.1`, 'Host: limpet', 'Connection: close'];
	if (length !== undefined)
		lines.push(`Content-Length: ${length}`);
	for (const [name, value] of Object.entries(headers))
		lines.push(`${name}: ${value}`);
	return lines.join('\r\n') + '\r\n\r\n';
}

/** Where Engine.IO's long-polling begins. */
const ENGINE = '/socket.io/?EIO=4&transport=polling';

/** The sid of a handshake, as soon as it can be read. */
function receiveSid(socket) {
	return new Promise((resolve, reject) => {
		let text = '';
		socket.on('data', (chunk) => {
			text += chunk.toString('latin1');
			const sid = /"sid":"([^"]+)"/.exec(text)?.[1];
			if (sid)
				resolve(sid);
		});
		socket.on('close', () => reject(new Error(`no handshake: ${text}`)));
	});
}

/**
 * Open an Engine.IO session and use it at once, on another connection that is open already: the request that a slow
 * registration loses.
 *
 * @returns {Promise<string>} "ok", or what the server said instead.
 */
async function handshakeAndReturn(address) {
	const body = '40\x1e1'; // Two packets: connect to the main namespace, close the session.
	const [first, second] = await Promise.all([connect(address), connect(address)]);
	first.write(head(ENGINE));
	const sid = await receiveSid(first);
	second.write(head(`${ENGINE}&sid=${sid}`, { method: 'POST', length: body.length }) + body);
	const { text } = await receiveAll(second);
	first.destroy();
	return text.startsWith('HTTP/1.1 200 ') ? 'ok' : /\{.*\}/.exec(text)?.[0] ?? text;
}

module.exports = {
	ENGINE,
	acknowledged,
	connect,
	connected,
	destination,
	exchange,
	handshakeAndReturn,
	head,
	receiveAll,
	receiveBytes,
	request,
};
