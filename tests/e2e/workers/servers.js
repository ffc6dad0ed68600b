'use strict';
/**
 * A plain cluster worker with several servers. What they are is in servers.json, once that is there: a list of {name, at},
 * `at` being what server.listen() takes, in the order in which they listen; one with `after` waits for the file of that
 * name and the worker's number. Each answers who it is. It is asked by HTTP:
 *
 *     /close?NAME      the server closes
 *     /listen?NAME     it listens again
 *     /relisten?FILE   the server that is asked closes, and listens again when FILE exists
 */
const cluster = require('node:cluster');
const fs = require('node:fs');
const http = require('node:http');
const { once } = require('node:events');
const { whenThere } = require('./answering');

const there = (file) => new Promise((resolve) => whenThere(file, resolve));
const servers = new Map();

const ACTIONS = {
	close: (name) => void servers.get(name).server.close(),
	listen: (name) => once(servers.get(name).server.listen(servers.get(name).at), 'listening'),
	relisten: (file, asked) => {
		asked.close();
		there(file).then(() => ACTIONS.listen(asked.title));
	},
};

async function serve(request, response) {
	const { pathname, search } = new URL(request.url, 'http://limpet');
	await ACTIONS[pathname.slice(1)]?.(search.slice(1), this);
	response.setHeader('Connection', 'close');
	response.end(JSON.stringify({ worker: cluster.worker.id, server: this.title }));
}

async function main() {
	await there('servers.json');
	for (const { name, at, after } of JSON.parse(fs.readFileSync('servers.json'))) {
		const server = http.createServer(serve);
		server.title = name;
		servers.set(name, { server, at });
		if (after)
			await there(`${after}${cluster.worker.id}`);
		await once(server.listen(at), 'listening');
		console.log(`worker ${cluster.worker.id} listens at ${JSON.stringify(server.address())}`);
	}
}

main();
