'use strict';
/**
 * Servers that know nothing of limpet, as Debian has them; the library in front of their C library makes each of their
 * processes a worker. Every Socket.IO session comes back to its process, by a connection for each request, and by kept
 * connections that carry requests of all sessions. gunicorn_serves_socket_io.test.js has one more, in all its kinds.
 */
const assert = require('node:assert/strict');
const test = require('node:test');
const { AT_PORT, assertSessions, registered, testServers, workerPids } = require('./any_server');
const { run } = require('./harness');

const BOTH = ['polling', 'websocket'];

testServers({
	'uvicorn, --workers 3': [
		3, BOTH, `${AT_PORT} uvicorn --app-dir workers/any_server --port PORT --workers 3 --loop asyncio chat_asgi:app`,
	],
	'uvicorn, --workers 3, uvloop': [
		3, BOTH, `${AT_PORT} uvicorn --app-dir workers/any_server --port PORT --workers 3 --loop uvloop chat_asgi:app`,
	],
	'uvicorn on descriptor 3, twice': [
		2, BOTH, 'uvicorn --app-dir workers/any_server --fd 3 chat_asgi:app', undefined, 2,
	],
	'aiohttp, thrice': [
		3, BOTH, `${AT_PORT} /usr/bin/python3 workers/any_server/chat_aiohttp.py PORT`, undefined, 3,
	],
	'aiohttp on descriptor 3': [1, BOTH, '/usr/bin/python3 workers/any_server/chat_aiohttp.py'],
	'Node, thrice': [3, BOTH, `${AT_PORT} node workers/any_server/chat.js PORT`, undefined, 3],
	'Node on descriptor 3, twice': [2, BOTH, 'node workers/any_server/chat.js', undefined, 2],
	'puma': [1, [], `${AT_PORT} puma -b tcp://127.0.0.1:PORT workers/any_server/config.ru`],
	'puma, 2 workers': [
		2, [], `${AT_PORT} puma -w 2 -b tcp://127.0.0.1:PORT workers/any_server/config.ru`,
	],
	'nginx, 2 workers': [2, [], 'workers/any_server/nginx'],
});

test('sessions whose ids are tagged need no table', run(
	`--workers 3 --policy sid_tag --dialect preload -- ${AT_PORT} node workers/any_server/chat.js PORT`,
	{ env: { TAGGED: '1' } },
	async (limpet) => {
		await registered(limpet, 3);
		assert.deepEqual(await assertSessions(limpet, BOTH), await workerPids(limpet));
	}));
