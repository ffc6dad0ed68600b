'use strict';
/** A worker that says which one it is. */
const http = require('node:http');

http.createServer((request, response) => {
	response.setHeader('Connection', 'close'); // So that a browser's next request is routed, too.
	response.end(`worker ${process.env.LIMPET_WORKER_ID}, pid ${process.pid}\n`);
}).listen(process.env.PORT ?? 3000);
