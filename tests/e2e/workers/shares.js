'use strict';
/**
 * A plain cluster worker that shares a store and queues with the others, by strong-store-cluster and strong-mq. What the
 * test wants of it is asked by HTTP: /ACTION?key=K&value=V.
 */
const assert = require('node:assert/strict');
const cluster = require('node:cluster');
const http = require('node:http');
const { promisify } = require('node:util');
const collection = require('strong-store-cluster').collection('test');
const connection = require('strong-mq').create({ provider: 'native' });

const locks = new Map();
const received = [];
const jobs = connection.createPullQueue('jobs');
connection.open();
connection.createSubQueue('news').subscribe('a', (message) => received.push(message));
jobs.on('message', (job) => received.push(job));

/** What JSON has no word for. */
function anything(text) {
	const one = { date: new Date(0) };
	return {
		text, bytes: Buffer.from(text), map: new Map([[one, text]]), twice: [one, one], array: new Float64Array([1.5]), big: 1n,
	};
}

/** A message to the store, and its answer, without strong-store-cluster. */
function say(request) {
	const requestId = 1e6 + Math.floor(Math.random() * 1e6);
	return new Promise((resolve) => {
		process.prependListener('message', function listen(reply) {
			if (reply.requestId !== requestId)
				return;
			process.removeListener('message', listen);
			reply.type = 'done';
			resolve(reply);
		});
		process.send({ type: 'DSM_REQUEST', collection: 'bytes', requestId, ...request });
	});
}

const ACTIONS = {
	configure: (key, value) => collection.configure(JSON.parse(value)) && undefined,
	get: (key) => promisify(collection.get.bind(collection))(key),
	set: (key, value) => promisify(collection.set.bind(collection))(key, value),
	del: (key) => promisify(collection.del.bind(collection))(key),
	acquire: (key) => new Promise((resolve, reject) => {
		collection.acquire(key, (error, lock, value) => {
			locks.set(key, lock);
			return error ? reject(error) : resolve(value);
		});
	}),
	release: (key, value) => {
		const lock = locks.get(key);
		if (value)
			lock.set(value);
		return promisify(lock.release.bind(lock))();
	},
	publishJson: (topic, message) => void connection.createPubQueue('news').publish(JSON.parse(message), topic),
	publishAnything: (topic, text) => void connection.createPubQueue('news').publish(anything(text), topic),
	pushAnything: (key, text) => void connection.createPushQueue('jobs').publish(anything(text)),
	receivedAnything: () => received.map((message) => {
		assert.deepStrictEqual(message, anything(message.text));
		assert.equal(message.twice[0], message.twice[1]);
		return message.text;
	}),
	setBytes: (key, value) => say({ method: 'set', key, json: Buffer.from(value) }),
	getBytes: async (key) => {
		const { json } = await say({ method: 'get', key });
		assert.ok(Buffer.isBuffer(json));
		return json.toString();
	},
	publish: (topic, message) => void connection.createPubQueue('news').publish(message, topic),
	push: (key, job) => void connection.createPushQueue('jobs').publish(job),
	pull: () => void jobs.subscribe(),
	received: () => received.map((message) => (message.map instanceof Map ? 'anything' : message)),
	forget: () => void received.splice(0),
};

const server = http.createServer(async (request, response) => {
	const { pathname, searchParams } = new URL(request.url, 'http://limpet');
	console.log(`worker ${cluster.worker.id} is asked to ${pathname}`);
	const result = await ACTIONS[pathname.slice(1)](searchParams.get('key'), searchParams.get('value'));
	response.end(JSON.stringify({ worker: cluster.worker.id, result }));
});
server.listen(require('./port'));
