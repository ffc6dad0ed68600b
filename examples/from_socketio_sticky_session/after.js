'use strict';
// The same chat on limpet:  limpet run --listen :3000 --workers 4 --policy ip_hash -- node after.js
// With `proxy: true`, whose own primary fails on Node 12 and later, and a proxy at 10.0.0.1:
// limpet run --listen :3000 --workers 4 --policy forwarded_for --trust 10.0.0.1/32 -- node after.js
const http = require('http');
const { Server } = require('socket.io');

const port = process.env.PORT || 3000;

const server = http.createServer((request, response) => response.end(`process ${process.pid}\n`));
const io = new Server(server);

io.on('connection', (socket) => {
	socket.on('say', (text) => io.emit('said', text));
});
server.listen(port);
