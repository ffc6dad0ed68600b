'use strict';
/** Next with a custom server, as its documentation has it, and Socket.IO beside it; built by the test. */
const http = require('node:http');
const path = require('node:path');
const next = require('next');
const talk = require('./talk');

const app = next({ dev: false, dir: path.join(__dirname, 'next') });
const handle = app.getRequestHandler();
app.prepare().then(() => {
	const server = http.createServer((request, response) => handle(request, response));
	talk(server);
	server.listen(process.env.PORT);
});
