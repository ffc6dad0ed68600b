'use strict';
/**
 * A counter that all workers share, and a page that each of them keeps up to date. No package is needed for either: they are
 * messages to limpet and from it, and README.md has the list.
 */
const cluster = require('node:cluster');
const http = require('node:http');

const waiting = new Map();
let requests = 0;
let latest = { visit: 0 };

/** Ask the store; resolves to the value, if there is one. */
function ask(method, collection, key, json) {
	const requestId = ++requests;
	process.send({ type: 'DSM_REQUEST', method, collection, key, json, requestId });
	return new Promise((resolve, reject) => waiting.set(requestId, { resolve, reject }));
}

process.on('message', (message) => {
	if (message.type === 'DSM_REPLY') {
		const { resolve, reject } = waiting.get(message.requestId);
		waiting.delete(message.requestId);
		message.err ? reject(new Error(message.err)) : resolve(message.json);
	} else if (message.type === 'publish' && message.topic === 'visits') {
		latest = message.msg;
	}
});

/** Between these two requests the counter is this worker's alone. */
async function count() {
	const visit = (await ask('acquire', 'visits', 'total') ?? 0) + 1;
	await ask('setRelease', 'visits', 'total', visit);
	return visit;
}

const server = http.createServer(async (request, response) => {
	if (request.url === '/latest')
		return response.end(JSON.stringify({ worker: cluster.worker.id, ...latest }));
	const visit = await count();
	process.send({ type: 'publishreq', name: 'page', topic: 'visits', msg: { visit, by: cluster.worker.id } });
	response.end(JSON.stringify({ worker: cluster.worker.id, visit }));
});
server.listen(Number(process.env.PORT ?? 3000));
