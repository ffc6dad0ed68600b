'use strict';
/**
 * A connection that a worker gives back between two requests is what it was: policies see the listener that it came
 * through, and while its next worker has not read from it, that worker's death moves it to another.
 */
const assert = require('node:assert/strict');
const path = require('node:path');
const test = require('node:test');
const { AT_PORT, KeptConnection } = require('./any_server');
const { head, receiveAll } = require('./clients');
const { eventually, run } = require('./harness');

const KEPT = `${AT_PORT} /usr/bin/python3 workers/any_server/kept.py PORT`;

const TENANTS = {
	'tenants.lua': `return {
		route_each = "request",
		on_request = function(conn, workers)
			if conn:header("Listener") and conn:header("Listener") ~= conn.listener then
				return limpet.refuse(421)
			end
			return workers[tonumber(conn:header("Tenant"))] or workers[1]
		end,
	}`,
};

const pids = async (limpet) => (await limpet.status()).workers.map(({ pid }) => pid);

test('every request has the listener that its connection came through', run(
	`--listen unix:./inner --listen unix:./outer --workers 2 --policy ./tenants.lua --dialect preload -- ${KEPT} SECOND`,
	{ files: TENANTS },
	async (limpet) => {
		const workers = await pids(limpet);
		for (const address of limpet.addresses) {
			await eventually('each takes what comes through each', async () => { // A worker is ready with its first listener.
				const answers = [1, 2].map(async (Tenant) =>
					new KeptConnection(await limpet.connect(address)).ask('/', { Tenant }));
				return (await Promise.all(answers)).every(({ json }, i) => json.pid === workers[i]);
			});
		}
		for (const [i, address] of limpet.addresses.entries()) {
			const kept = new KeptConnection(await limpet.connect(address));
			for (const tenant of [1, 2, 1, 1, 2]) {
				const listener = `unix:./${path.basename(address)}`;
				const { head: status, json } = await kept.ask('/', { Tenant: tenant, Listener: listener });
				assert.match(status, /^HTTP\/1\.1 200 /, `through ${address}: ${status}`);
				assert.equal(json.pid, workers[tenant - 1]);
				assert.equal(json.server, i + 1);
			}
		}
		assert.ok((await limpet.counts()).bounced >= 6, 'they were given back');
	}));

/** A worker takes what `send` sends and stops before it reads; it is killed, and another answers. */
const survivesItsWorker = (send) => run(
	`--workers 2 --policy ./tenants.lua --dialect preload -- ${KEPT}`,
	{ files: TENANTS },
	async (limpet) => {
		const workers = await pids(limpet);
		const answer = await send(limpet, workers);
		const [, held] = await limpet.said(/^holds (\d+)/);
		await eventually('it is acknowledged', async () => (await limpet.status()).workers
			.every(({ waiting }) => waiting === 0));
		limpet.remove('hold');
		process.kill(Number(held), 'SIGKILL');
		const text = await answer();
		assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
		assert.notEqual(JSON.parse(text.split('\r\n\r\n')[1]).pid, Number(held));
		assert.equal((await limpet.counts()).returned_lost, 1);
	});

test('a request on a kept connection whose next worker is killed before it reads is answered by another', survivesItsWorker(
	async (limpet, workers) => {
		const kept = new KeptConnection(await limpet.connect());
		assert.equal((await kept.ask('/', { Tenant: 1 })).json.pid, workers[0]);
		limpet.write('hold', '');
		const answer = kept.ask('/', { Tenant: 2 });
		return async () => {
			const { head: status, text } = await answer;
			return `${status}\r\n\r\n${text}`;
		};
	}));

test('so is the request of a client that has ended its side', survivesItsWorker(async (limpet) => {
	const socket = await limpet.connect();
	const answer = receiveAll(socket);
	limpet.write('hold', '');
	socket.end(head('/', { headers: { Tenant: 2 } }));
	return async () => (await answer).text;
}));
