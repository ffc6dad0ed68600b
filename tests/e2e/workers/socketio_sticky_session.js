'use strict';
/**
 * A worker of socketio-sticky-session as its README shows it; with the argument "proxy", as the README's part about
 * proxied connections does.
 */
var sticky = require('socketio-sticky-session');

var options = process.argv[2] !== 'proxy' ? { num: 2 } : {
	proxy: true, //activate layer 4 patching
	header: 'x-forwarded-for', //provide here your header containing the users ip
	num: 2 //count of processes to create, defaults to maximum if omitted
};

sticky(options, function () {
	// This code will be executed only in slave workers

	var http = require('http');
	var { Server } = require('socket.io');

	var server = http.createServer(require('./answering').answer);
	require('./chat')(new Server(server, { maxHttpBufferSize: 4e6 }));

	return server;
}).listen(3000, function () {
	console.log('server started on 3000 port');
});
