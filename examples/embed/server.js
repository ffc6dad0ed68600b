/*
 * A worker that knows nothing of balancers: any server of node:http.
 */
'use strict';

const http = require('node:http');

http.createServer((request, response) => response.end(`worker ${process.pid}\n`)).listen(process.env.PORT ?? 3000);
