'use strict';
/**
 * What every Node worker here answers to a plain request: JSON of who it is, what it was asked, and what it received.
 * With $SERVED it first adds the line "ID URL" to that file.
 */
const cluster = require('node:cluster');
const crypto = require('node:crypto');
const fs = require('node:fs');

const worker = cluster.worker.id;

/** For http.createServer. */
async function answer(request, response) {
	const body = Buffer.concat(await request.toArray().catch(() => []));
	const sha256 = crypto.createHash('sha256').update(body).digest('hex');
	const { method, url, headers } = request;
	if (process.env.SERVED)
		fs.appendFileSync(process.env.SERVED, `${worker} ${url}\n`);
	const { pid } = process;
	const text = JSON.stringify({ worker, pid, method, url, headers, length: body.length, sha256 });
	const file = new URL(url, 'http://limpet').searchParams.get('wait');
	const respond = () => {
		response.setHeader('Content-Type', 'application/json');
		response.end(text);
	};
	if (file) {
		console.log(`worker ${worker} waits for ${file}`);
		whenThere(file, respond);
	} else {
		respond();
	}
}

/** Call `then` when a file exists. */
function whenThere(file, then) {
	const timer = setInterval(() => {
		if (!fs.existsSync(file))
			return;
		clearInterval(timer);
		then();
	}, 5);
}

module.exports = { answer, whenThere };
