'use strict';
/**
 * A well-behaved client's connection: it sends a request, and tells exactly how that ended, which no HTTP client does.
 *
 *     answered   a complete answer, with its status and body
 *     eof        the other side ended (FIN) before that
 *     reset      the other side reset it (RST) before that
 *     late       neither, and the patience is over, which is more than limpet holds a connection that no worker can take
 *     no way in  it could not be opened
 */
const net = require('node:net');
const { destination } = require('../e2e/clients');
const { deadline, within } = require('../e2e/patience');

/** The monotonic clock, in milliseconds; the workers' ledgers have the same. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

/** The answer that a text begins with: {status, body}, or undefined when it is not all there. */
function answerIn(text) {
	const end = text.indexOf('\r\n\r\n');
	if (end < 0)
		return undefined;
	const top = text.slice(0, end);
	const length = Number(/^content-length: (\d+)/im.exec(top)?.[1] ?? 0);
	const body = text.slice(end + 4, end + 4 + length);
	const status = Number(/^HTTP\/1\.1 (\d+)/.exec(top)?.[1]);
	return body.length === length ? { status, body } : undefined;
}

class Connection {
	#text = '';
	#firstAt;
	#over; // 'eof' or 'reset', once it is.
	#opened = false;
	#notice = () => {};
	#closed;

	/** Connect, from an address of this machine's own. */
	constructor(address, localAddress) {
		this.began = now();
		const socket = net.connect({ ...destination(address), localAddress, noDelay: true });
		this.socket = socket;
		socket.on('connect', () => {
			this.#opened = true;
			this.port = socket.localPort;
		});
		socket.on('data', (chunk) => {
			this.#firstAt ??= now();
			this.#text += chunk.toString('latin1');
			this.#notice();
		});
		socket.on('end', () => this.#end('eof'));
		socket.on('error', () => this.#end(this.#opened ? 'reset' : 'no way in'));
		this.#closed = new Promise((resolve) => socket.on('close', () => resolve(true)));
	}

	#end(how) {
		this.#over ??= how;
		this.#notice();
	}

	/**
	 * Send the pieces of one request, `pauseMs` between them, and wait for what comes of it.
	 *
	 * @returns {Promise<{how: string, port: number, began: number, ended: number, status: number, body: string,
	 *     firstMs: number}>}  firstMs: from the beginning to the answer's first byte. A first request begins with
	 *     connecting.
	 */
	async ask(pieces, pauseMs = 0) {
		const began = this.began ?? now();
		this.began = undefined;
		this.#text = '';
		this.#firstAt = undefined;
		const ended = this.#finish();
		for (const [i, piece] of pieces.entries()) {
			if (i)
				await new Promise((resolve) => setTimeout(resolve, pauseMs));
			if (this.socket.writable)
				this.socket.write(piece);
		}
		const result = await ended;
		return { ...result, port: this.port, began, ended: now(), firstMs: this.#firstAt - began };
	}

	#finish() {
		return new Promise((resolve) => {
			const finish = (result) => {
				end.cancel();
				this.#notice = () => {};
				resolve(result);
			};
			const end = deadline(() => finish({ how: 'late' }));
			this.#notice = () => {
				const answer = answerIn(this.#text);
				if (answer)
					finish({ how: 'answered', ...answer });
				else if (this.#over)
					finish({ how: this.#over });
			};
			this.#notice();
		});
	}

	/** Whether the other side ends it by itself, as it said it would. */
	async closes() {
		const closed = await within('it is closed', this.#closed).catch(() => false);
		this.socket.destroy();
		return closed;
	}
}

module.exports = { Connection, now };
