'use strict';
/**
 * A plain cluster worker that speaks as @socket.io/cluster-engine 0.1.0 was seen to: who is asked for a session of another
 * worker's asks all for its lock (type 0), is answered by the one that has it (1), and gets its packets (2). Each counts its
 * requests from 1, takes whatever answer it hears, and is known by an id of its own. What the test wants is asked by HTTP:
 * /ACTION?sid=….
 */
const cluster = require('node:cluster');
const crypto = require('node:crypto');
const http = require('node:http');

const LOCK = 0;
const LOCKED = 1;
const DRAIN = 2;

const nodeId = crypto.randomBytes(3).toString('hex');
const sessions = new Map();
const requests = new Map();
const polls = new Map();
const heard = [];
let requestCount = 0;

const say = (message) => process.send({ ...message, _source: '_eio' });

const RECEIVE = {
	[LOCK]: ({ requestId, senderId, data: { sid } }) => {
		if (!sessions.has(sid))
			return;
		say({ requestId, senderId: nodeId, recipientId: senderId, type: LOCKED, data: { success: true } });
		say({ senderId: nodeId, recipientId: senderId, type: DRAIN, data: { sid, packets: [sessions.get(sid)] } });
	},
	[LOCKED]: ({ requestId }) => requests.delete(requestId),
	[DRAIN]: ({ data: { sid, packets } }) => polls.get(sid)?.(packets[0]),
};

process.on('message', (message) => {
	if (message._source !== '_eio')
		return;
	heard.push(message.type === LOCK ? `0 of ${message.data.worker}` : String(message.type));
	RECEIVE[message.type]?.(message);
});

const ACTIONS = {
	id: () => nodeId,
	heard: () => heard,
	open: ({ sid, data, binary }) => {
		const bytes = Buffer.from(data, 'base64');
		sessions.set(sid, { type: 'message', data: binary === 'true' ? bytes : bytes.toString() });
	},
	poll: ({ sid }) => new Promise((resolve) => {
		const requestId = ++requestCount;
		requests.set(requestId, sid);
		polls.set(sid, ({ type, data }) => resolve({ type, data: Buffer.from(data).toString('base64') }));
		say({ requestId, senderId: nodeId, type: LOCK,
			data: { sid, transportName: 'polling', type: 'read', worker: cluster.worker.id } });
	}),
	answer: ({ id }) => void say({ requestId: 1, senderId: nodeId, recipientId: id, type: LOCKED, data: { success: true } }),
};

const server = http.createServer(async (request, response) => {
	const { pathname, searchParams } = new URL(request.url, 'http://limpet');
	const result = await ACTIONS[pathname.slice(1)](Object.fromEntries(searchParams));
	response.end(JSON.stringify({ worker: cluster.worker.id, result }));
});
server.listen(require('./port'));
