'use strict';
/**
 * Says who it is: its id, its arguments, its environment and what it can see of its primary. The very same file is its own
 * Node primary, which forks two of it, and others when they end; for each line on standard output it is asked again.
 */
const cluster = require('node:cluster');

function who() {
	const { id, exitedAfterDisconnect } = cluster.worker;
	const { argv, argv0, execArgv, env, title, connected } = process;
	return {
		id, exitedAfterDisconnect, isPrimary: cluster.isPrimary, isWorker: cluster.isWorker,
		argv, argv0, execArgv, env, title, connected, cwd: process.cwd(), main: require.main?.filename,
		stackTraceLimit: Error.stackTraceLimit, // NODE_OPTIONS says it.
	};
}

if (cluster.isPrimary) {
	cluster.fork();
	cluster.fork();
	cluster.on('exit', () => cluster.fork());
	process.on('SIGTERM', () => {
		Object.values(cluster.workers).forEach((worker) => worker.process.kill('SIGKILL'));
		process.exit(0);
	});
} else {
	require('node:http').createServer().listen(0, '127.0.0.1', () => {
		console.log(`who: ${JSON.stringify({ pid: process.pid, ...who() })}`);
	});
}
