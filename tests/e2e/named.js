'use strict';
/**
 * Workers that are spoken to by name: a policy that sends each connection to the worker that its URL names, as ?worker=ID.
 */
const assert = require('node:assert/strict');
const { eventually } = require('./harness');

/** Files of a limpet with `--policy ./named.lua`. */
const NAMED = {
	'named.lua': `return { on_request = function(conn, workers)
		local id = tonumber(conn:query("worker"))
		for _, worker in ipairs(workers) do
			if worker.id == id then return worker end
		end
	end }`,
};

/** What a worker answers when it is asked to do something. */
async function ask(limpet, worker, action, query = {}) {
	const { json } = await limpet.get(`/${action}?${new URLSearchParams({ worker, ...query })}`);
	assert.equal(json.worker, worker);
	return json.result;
}

/** Wait until each of workers/rooms.js's servers knows of all. */
async function known(limpet, workers) {
	for (const worker of workers)
		await eventually(`worker ${worker} knows the others`,
			async () => await ask(limpet, worker, 'count') === workers.length);
}

module.exports = { NAMED, ask, known };
