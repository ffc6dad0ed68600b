'use strict';
/** Express, with Socket.IO beside it. */
const express = require('express');
const talk = require('./talk');

const app = express();
app.get('/', (request, response) => response.json({ pid: process.pid }));
talk(app.listen(process.env.PORT));
