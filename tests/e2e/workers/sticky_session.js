'use strict';
/**
 * A worker of sticky-session as its README shows it, with Socket.IO on its server. /?close closes the server.
 */
var sticky = require('sticky-session');

var answer = require('./answering').answer;

var server = require('http').createServer(function (request, response) {
	if (request.url.endsWith('?close'))
		server.close();
	answer(request, response);
});

if (!sticky.listen(server, 3000)) {
	// Master code
	server.once('listening', function () {
		console.log('server started on 3000 port');
	});
} else {
	// Worker code
	const { Server } = require('socket.io');
	require('./chat')(new Server(server, { maxHttpBufferSize: 4e6 }));
}
