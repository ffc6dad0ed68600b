'use strict';
/**
 * Preloaded into a worker: what it tells its primary is also written to the file $LIMPET_TOLD, a line each.
 */
const cluster = require('node:cluster');
const fs = require('node:fs');

const send = process.send;

process.send = function (message, ...rest) {
	fs.appendFileSync(process.env.LIMPET_TOLD, JSON.stringify({ worker: cluster.worker.id, message }) + '\n');
	return send.call(this, message, ...rest);
};
