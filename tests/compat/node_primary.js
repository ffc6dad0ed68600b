'use strict';
/**
 * What the packages' READMEs have as the primary half: Node's own primary, with what the named packages add to it.
 *
 *     node node_primary.js WORKERS [sticky=METHOD] [adapter022|adapter030] [strong] -- SCRIPT [ARGUMENT…]
 *
 * Without sticky=… the workers listen for themselves, and worker 1 tells the address.
 */
const cluster = require('node:cluster');
const http = require('node:http');

const words = process.argv.slice(2);
const [workers, ...parts] = words.splice(0, words.indexOf('--'));
const [, exec, ...args] = words;
const [, method] = parts.find((part) => part.startsWith('sticky='))?.split('=') ?? [];

cluster.setupPrimary({ exec, args });

for (const adapter of parts.filter((part) => part.startsWith('adapter')))
	require(adapter).setupPrimary();

if (parts.includes('strong')) {
	require('strong-store-cluster');
	require('strong-mq').create({ provider: 'native' }).close(); // Creating one is what starts its broker.
}

if (method) {
	const server = http.createServer();
	require('sticky104').setupMaster(server, { loadBalancingMethod: method });
	server.listen(0, '127.0.0.1', () => console.log(`primary: listening on 127.0.0.1:${server.address().port}`));
} else {
	cluster.on('listening', (worker, { port }) => {
		if (worker.id === 1)
			console.log(`primary: listening on 127.0.0.1:${port}`);
	});
}

for (let i = 0; i < Number(workers); i++)
	cluster.fork();
cluster.on('exit', () => cluster.fork());
process.on('SIGTERM', () => {
	Object.values(cluster.workers).forEach((worker) => worker.process.kill('SIGKILL'));
	process.exit(0);
});
