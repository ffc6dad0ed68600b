'use strict';
/**
 * gunicorn in all its kinds; as any_server_serves_socket_io.test.js.
 */
const { AT_PORT, testServers } = require('./any_server');

const BOTH = ['polling', 'websocket'];
const POLLING = ['polling'];

const gunicorn = (words) => `${AT_PORT} gunicorn --chdir workers/any_server -b 127.0.0.1:PORT ${words}`;

testServers({
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
});
