'use strict';
/** Koa, with Socket.IO beside it. */
const http = require('node:http');
const Koa = require('koa');
const talk = require('./talk');

const app = new Koa();
app.use((context) => (context.body = { pid: process.pid }));
const server = http.createServer(app.callback());
talk(server);
server.listen(process.env.PORT);
