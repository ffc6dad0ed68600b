'use strict';
/**
 * The court believes the kernel: a connection whose owner is killed ends with RST when bytes wait in it that were not
 * read, and with FIN when all were. Here that is tried, with a process that is killed.
 */
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { Connection } = require('./connection');

/** Accepts, reads or does not, and says so when a byte has come. */
const OWNER = (reads) => `
	const server = require('node:net').createServer({ pauseOnConnect: true }, (socket) => {
		console.log('taken');
		if (${reads})
			socket.on('data', () => console.log('read')).resume();
	});
	server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;

async function endOf(reads) {
	const owner = spawn(process.execPath, ['-e', OWNER(reads)], { stdio: ['ignore', 'pipe', 'inherit'] });
	const exited = once(owner, 'exit');
	let output = '';
	const said = (what) => new Promise((resolve) => {
		const look = () => what.test(output) && resolve(what.exec(output)[1]);
		owner.stdout.on('data', look);
		look();
	});
	owner.stdout.on('data', (chunk) => (output += chunk));
	try {
		const port = await said(/^(\d+)\n/);
		const answer = new Connection(`127.0.0.1:${port}`).ask(['GET / HTTP/1.1\r\n\r\n']);
		await said(reads ? /(read)/ : /(taken)/);
		owner.kill('SIGKILL');
		return (await answer).how;
	} finally {
		owner.kill('SIGKILL');
		await exited;
	}
}

/** Fails where the kernel does not do as the court believes. */
async function assertKernelTellsUnread() {
	assert.equal(await endOf(true), 'eof', 'a connection ends with FIN when its dead owner had read all');
	assert.equal(await endOf(false), 'reset', 'a connection ends with RST when its dead owner had not read all');
}

module.exports = { assertKernelTellsUnread };
