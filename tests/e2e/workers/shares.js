'use strict';
/**
 * A plain cluster worker that shares a store and queues with the others, by strong-store-cluster and strong-mq. What the
 * test wants of it is asked by HTTP: /ACTION?key=K&value=V.
 */
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
	publishBytes: (topic, bytes) => void connection.createPubQueue('news').publish({ bytes: Buffer.from(bytes) }, topic),
	publish: (topic, message) => void connection.createPubQueue('news').publish(message, topic),
	push: (key, job) => void connection.createPushQueue('jobs').publish(job),
	pull: () => void jobs.subscribe(),
	received: () => received,
};

const server = http.createServer(async (request, response) => {
	const { pathname, searchParams } = new URL(request.url, 'http://limpet');
	console.log(`worker ${cluster.worker.id} is asked to ${pathname}`);
	const result = await ACTIONS[pathname.slice(1)](searchParams.get('key'), searchParams.get('value'));
	response.end(JSON.stringify({ worker: cluster.worker.id, result }));
});
server.listen(3000);
