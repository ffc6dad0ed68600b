'use strict';
/**
 * An application that keeps its sessions in memory, as express-session does by default. The answer says which process it
 * was, and how often this session has been here.
 */
const express = require('express');
const session = require('express-session');

const app = express();
app.use(session({ secret: 'limpet', resave: false, saveUninitialized: true }));
app.get('/', (request, response) => {
	request.session.visits = (request.session.visits ?? 0) + 1;
	response.json({ pid: process.pid, visits: request.session.visits });
});
app.listen(Number(process.argv[2]));
