'use strict';
/**
 * A worker with strong-store-cluster and strong-mq, each call of theirs offered as an action.
 */
const http = require('node:http');
const mq = require('strong-mq');
const store = require('strong-store-cluster');
const steer = require('./steered');

const connection = mq.create({ provider: 'native' }).open();
const locks = new Map();
const heard = [];
const pulling = new Map();

/** A call with a callback (error, value), as a promise. */
function answered(call) {
	return new Promise((resolve, reject) => {
		call((error, value) => (error ? reject(error) : resolve(value)));
	});
}

function acquire(name, key) {
	return new Promise((resolve, reject) => {
		store.collection(name).acquire(key, (error, lock, value) => (error ? reject(error) : resolve({ lock, value })));
	});
}

steer({
	get: (name, key) => answered((done) => store.collection(name).get(key, done)),
	set: (name, key, value) => answered((done) => store.collection(name).set(key, value, done)),
	del: (name, key) => answered((done) => store.collection(name).del(key, done)),
	configure: (name, config) => new Promise((resolve) => {
		const collection = store.collection(name).once('error', (error) => resolve(error.message)).configure(config);
		collection.get('behind it', () => resolve('ok'));
	}),
	acquire: async (name, key) => {
		const { lock, value } = await acquire(name, key);
		locks.set(key, lock);
		return value;
	},
	release: (key) => answered((done) => locks.get(key).release(done)),
	setRelease: async (key, value) => {
		locks.get(key).set(value);
		await answered((done) => locks.get(key).release(done));
	},
	delRelease: async (key) => {
		locks.get(key).del();
		await answered((done) => locks.get(key).release(done));
	},
	/** Add one to a counter so many times, under its lock. */
	count: async (name, key, times) => {
		for (let i = 0; i < times; i++) {
			const { lock, value = 0 } = await acquire(name, key);
			lock.set(value + 1);
			await answered((done) => lock.release(done));
		}
	},

	subscribe: async (name, topic) => void connection.createSubQueue(name).subscribe(topic, (said) => heard.push(said)),
	publish: async (name, message, topic) => void connection.createPubQueue(name).publish(message, topic),
	pull: async (name) => {
		pulling.set(name, connection.createPullQueue(name).subscribe((said) => heard.push(said)));
	},
	stop: async (name) => void pulling.get(name).close(),
	push: async (name, ...messages) => {
		const queue = connection.createPushQueue(name);
		messages.forEach((message) => queue.publish(message));
	},
	heard: async () => heard,
});
http.createServer().listen(0, '127.0.0.1');
