'use strict';
/**
 * Socket.IO on a plain cluster worker: no sticky package at all.
 */
const http = require('node:http');
const { Server } = require('socket.io');

const server = http.createServer(require('./answering').answer);
require('./chat')(new Server(server, { maxHttpBufferSize: 4e6 }));
server.listen(require('./port'));
