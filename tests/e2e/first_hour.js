'use strict';
/**
 * What a new user types, with the port in it: programs that listen where they were told to, and know nothing of limpet.
 */
const net = require('node:net');
const { once } = require('node:events');
const { run } = require('./harness');

/** A port that is free now. */
async function freePort() {
	const server = net.createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	await once(server.close(), 'close');
	return port;
}

/** What of a command or an environment says PORT, with the port in its place. */
const put = (text, port) => text.replaceAll('PORT', port);

/**
 * A test's body as harness.run makes it, at a port that is free: PORT in the command, in files and in the values of the
 * environment stands for it.
 */
function atPort(command, settings, body = settings) {
	return async (t) => {
		const port = String(await freePort());
		const { env = {}, files = {} } = settings;
		const replaced = (object) => Object.fromEntries(Object.entries(object).map(([name, text]) => [name, put(text, port)]));
		await run(`--listen 127.0.0.1:${port} ${put(command, port)}`,
			{ ...settings, env: replaced(env), files: replaced(files) }, body)(t);
	};
}

module.exports = { atPort, freePort };
