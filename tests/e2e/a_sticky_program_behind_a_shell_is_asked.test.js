'use strict';
/** Workers of a sticky package that a shell has started are asked for a session that nobody has named, as all are. */
const assert = require('node:assert/strict');
const test = require('node:test');
const { run } = require('./harness');

test('an unknown session behind a shell is answered by a worker', run(
	'--workers 2 --policy sid -- sh start',
	{ files: { start: 'node workers/socketio_sticky.js sticky201\ntrue\n' } },
	async (limpet) => {
		const { status } = await limpet.get('/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAB');
		assert.equal(status, 400, 'the worker says that it does not know it');
	}));
