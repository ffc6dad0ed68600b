'use strict';
/**
 * Servers that know nothing of limpet, as Debian has them, each with several processes; the library in front of their C
 * library makes each process a worker. Every Socket.IO session comes back to its process, by a connection for each
 * request, and by kept connections that carry requests of all sessions.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { run } = require('./harness');
const { assertRequests, assertSessions, registered, workerPids } = require('./any_server');

const BOTH = ['polling', 'websocket'];
const POLLING = ['polling'];

const gunicorn = (words) => `workers/any_server/at_port gunicorn --chdir workers/any_server -b 127.0.0.1:PORT ${words}`;

/** What runs; how many workers that is; the transports it can do (none: it has no Socket.IO). */
const SERVERS = {
	'gunicorn, eventlet': [4, BOTH, gunicorn('-w 4 -k eventlet chat_wsgi:app'), 'eventlet'],
	'gunicorn, eventlet, --preload': [4, BOTH, gunicorn('-w 4 -k eventlet --preload chat_wsgi:app'), 'eventlet'],
	'gunicorn, gevent': [4, POLLING, gunicorn('-w 4 -k gevent chat_wsgi:app'), 'gevent'],
	'gunicorn, gevent, --preload': [4, POLLING, gunicorn('-w 4 -k gevent --preload chat_wsgi:app'), 'gevent'],
	'gunicorn, gevent-websocket': [
		4, BOTH, gunicorn('-w 4 -k geventwebsocket.gunicorn.workers.GeventWebSocketWorker chat_wsgi:app'), 'gevent',
	],
	'gunicorn, gthread': [4, POLLING, gunicorn('-w 4 -k gthread --threads 50 chat_wsgi:app'), 'threading'],
	'gunicorn, gthread, --preload': [
		4, POLLING, gunicorn('-w 4 -k gthread --threads 50 --preload chat_wsgi:app'), 'threading',
	],
	'gunicorn, sync': [4, [], gunicorn('-w 4 chat_wsgi:app')],
	'gunicorn, sync, --preload': [4, [], gunicorn('-w 4 --preload chat_wsgi:app')],
	'gunicorn, eventlet, which finds descriptor 3 by itself': [
		4, BOTH, 'gunicorn --chdir workers/any_server -w 4 -k eventlet chat_wsgi:app', 'eventlet',
	],
	'gunicorn, UvicornWorker': [4, BOTH, gunicorn('-w 4 -k uvicorn.workers.UvicornWorker chat_asgi:app')],
	'Flask-SocketIO under gunicorn, eventlet': [4, BOTH, gunicorn('-w 4 -k eventlet chat_flask:app'), 'eventlet'],
	'Flask-SocketIO under gunicorn, gthread': [
		4, POLLING, gunicorn('-w 4 -k gthread --threads 50 chat_flask:app'), 'threading',
	],
	'uvicorn, --workers 3': [
		3, BOTH, 'workers/any_server/at_port uvicorn --app-dir workers/any_server --port PORT --workers 3 --loop asyncio chat_asgi:app',
	],
	'uvicorn, --workers 3, uvloop': [
		3, BOTH, 'workers/any_server/at_port uvicorn --app-dir workers/any_server --port PORT --workers 3 --loop uvloop chat_asgi:app',
	],
	'uvicorn on descriptor 3, twice': [
		2, BOTH, 'uvicorn --app-dir workers/any_server --fd 3 chat_asgi:app', undefined, 2,
	],
	'aiohttp, thrice': [
		3, BOTH, 'workers/any_server/at_port /usr/bin/python3 workers/any_server/chat_aiohttp.py PORT', undefined, 3,
	],
	'aiohttp on descriptor 3': [1, BOTH, '/usr/bin/python3 workers/any_server/chat_aiohttp.py'],
	'Node, thrice': [3, BOTH, 'workers/any_server/at_port node workers/any_server/chat.js PORT', undefined, 3],
	'Node on descriptor 3, twice': [2, BOTH, 'node workers/any_server/chat.js', undefined, 2],
	'puma': [1, [], 'workers/any_server/at_port puma -b tcp://127.0.0.1:PORT workers/any_server/config.ru'],
	'puma, 2 workers': [
		2, [], 'workers/any_server/at_port puma -w 2 -b tcp://127.0.0.1:PORT workers/any_server/config.ru',
	],
	'nginx, 2 workers': [2, [], 'workers/any_server/nginx'],
};

for (const [name, [workers, transports, command, mode = 'threading', programs = 1]] of Object.entries(SERVERS))
	test(name, run(
		`--workers ${programs} --policy sid --dialect preload -- ${command}`,
		{ env: { ASYNC_MODE: mode } },
		async (limpet) => {
			await registered(limpet, workers);
			const served = transports.length ? await assertSessions(limpet, transports) : await assertRequests(limpet);
			assert.deepEqual(served, await workerPids(limpet), 'every process has served');
		}));
