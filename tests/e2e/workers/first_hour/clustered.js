'use strict';
/** A program that forks a cluster of its own, as Node's documentation has it; each worker is a plain Socket.IO server. */
const cluster = require('node:cluster');

if (cluster.isPrimary)
	for (let i = 0; i < 3; i++)
		cluster.fork();
else
	require('./server');
