'use strict';
/** SockJS: the session is in the path, and all but a websocket is many requests. */
const http = require('node:http');
const sockjs = require('sockjs');

const echo = sockjs.createServer({ log: () => {} });
echo.on('connection', (connection) => {
	connection.on('data', (text) => connection.write(JSON.stringify({ pid: process.pid, text })));
});
const server = http.createServer();
echo.installHandlers(server, { prefix: '/echo' });
server.listen(process.env.PORT);
