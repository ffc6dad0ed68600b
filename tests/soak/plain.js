'use strict';
/**
 * Well-behaved clients that speak plain HTTP. What does not end as it should goes, with its evidence, to the court.
 *
 *     new    a request on a connection of its own
 *     slow   the same, its head in pieces over a second or so, and its answer takes a moment
 *     kept   a connection with many requests, and thinking in between
 *
 * New and slow ones come at a rate, however the last ones fared; of kept connections there is a fixed number.
 */
const { setTimeout: pause } = require('node:timers/promises');
const { Connection } = require('./connection');
const { between } = require('./schedule');

const LOCAL_ADDRESS = '127.0.1.1';

/** A head; `more` is what else its URL says to the worker. */
const headOf = (id, more) =>
	`GET /?id=${id}${more} HTTP/1.1\r\nHost: limpet\r\nUser-Agent: soak\r\nAccept: */*\r\n` +
	`${more === '&kept' ? '' : 'Connection: close\r\n'}\r\n`;

class PlainClients {
	#address;
	#random;
	#court;
	#latencies;
	#going = true;
	#number = 0;
	#all = new Set();
	/** Requests answered, by kind. */
	answered = { new: 0, slow: 0, kept: 0 };
	/** Connections that a worker had promised to close and nobody did. */
	leftOpen = 0;

	constructor(address, random, court, latencies) {
		this.#address = address;
		this.#random = random;
		this.#court = court;
		this.#latencies = latencies;
	}

	/** How many new and slow ones there are a second, and how many kept connections. */
	start({ news, slows, kepts }) {
		const arrivals = async (perSecond, one) => {
			while (this.#going) {
				this.#track(one());
				await pause(-Math.log(1 - this.#random()) * 1000 / perSecond);
			}
		};
		const again = async () => {
			while (this.#going)
				await this.#kept();
		};
		this.#track(arrivals(news, () => this.one()));
		this.#track(arrivals(slows, () => this.#slow()));
		for (let i = 0; i < kepts; i++)
			this.#track(again());
	}

	#track(promise) {
		this.#all.add(promise);
		promise.finally(() => this.#all.delete(promise));
	}

	/** Let all of them come to their ends. */
	async stop() {
		this.#going = false;
		while (this.#all.size)
			await Promise.all(this.#all);
	}

	#judge(kind, id, result, earlierPid) {
		const [pid, answerId] = (result.body ?? '').split(' ');
		if (result.how === 'answered' && result.status === 200 && answerId === id) {
			this.answered[kind]++;
			return Number(pid);
		}
		this.#court.failed({ ...result, kind, id, earlierPid });
		return undefined;
	}

	async #alone(kind, more, pieces, pauseMs) {
		const id = `${kind}-${++this.#number}`;
		const connection = new Connection(this.#address, LOCAL_ADDRESS);
		const storm = this.#latencies.isStorm();
		const result = await connection.ask(pieces(headOf(id, more)), pauseMs);
		if (this.#judge(kind, id, result) && kind === 'new')
			this.#latencies.add(storm, result.firstMs);
		if (!await connection.closes())
			this.leftOpen++;
	}

	/** One request. */
	one() {
		return this.#alone('new', '', (head) => [head]);
	}

	#slow() {
		const pieces = between(this.#random, 2, 8);
		const cut = (head) => head.match(new RegExp(`[^]{1,${Math.ceil(head.length / pieces)}}`, 'g'));
		return this.#alone('slow', '&later', cut, between(this.#random, 20, 250));
	}

	async #kept() {
		const connection = new Connection(this.#address, LOCAL_ADDRESS);
		let pid;
		for (let left = between(this.#random, 1, 60); left > 0 && this.#going; left--) {
			const id = `kept-${++this.#number}`;
			const result = await connection.ask([headOf(id, '&kept')]);
			const by = this.#judge('kept', id, result, pid);
			if (by && pid && by !== pid)
				this.#court.failed({ ...result, how: 'changed hands', kind: 'kept', id });
			if (!by)
				break;
			pid = by;
			await pause(between(this.#random, 50, 400));
		}
		connection.socket.destroy();
	}
}

module.exports = { PlainClients };
