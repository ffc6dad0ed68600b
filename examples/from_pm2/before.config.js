'use strict';
// A chat on @socket.io/pm2, in the manner of its documentation:  pm2 start before.config.js
module.exports = {
	apps: [{
		script: 'after.js',
		instances: 4,
		exec_mode: 'cluster',
	}],
};
