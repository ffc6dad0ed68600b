'use strict';
/**
 * A program as one writes it for pm2's cluster mode, after its documentation: one instance has the cron job, it says when it
 * is ready, and it closes by itself when told to, by SIGINT or by the message "shutdown". Its "database" is there when the
 * file `database` is, and takes its time to close: until the file `closed` is there.
 */
const http = require('node:http');
const { whenThere } = require('./answering');

const instance = process.env.NODE_APP_INSTANCE;
const log = (text) => console.log(`instance ${instance} ${text}`);

if (instance === '0')
	log('has the cron job');

const server = http.createServer((request, response) => {
	const { NODE_APP_INSTANCE, pm_id, instances } = process.env;
	response.end(JSON.stringify({ pid: process.pid, env: { NODE_APP_INSTANCE, pm_id, instances } }));
});
server.listen(require('./port'), () => {
	log('listens');
	process.send({ type: 'process:msg', data: { any: 'thing' } });
	process.send({ type: 'log:out', data: 'a line' });
	whenThere('database', () => process.send('ready', () => log('is ready')));
});

function stop(why) {
	log(`stops: ${why}, connected: ${process.connected}`);
	server.close(() => log('has served its last'));
	whenThere('closed', () => {
		log('has closed its database');
		process.exit(0);
	});
}
process.on('SIGINT', () => stop('SIGINT'));
process.on('message', (message) => {
	if (message === 'shutdown')
		stop('shutdown');
});
