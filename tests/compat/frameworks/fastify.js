'use strict';
/** Fastify as its documentation has it: without a host it listens at every address that localhost has. */
const fastify = require('fastify')();
const talk = require('./talk');

fastify.get('/', async () => ({ pid: process.pid }));
talk(fastify.server);
fastify.listen({ port: Number(process.env.PORT) });
