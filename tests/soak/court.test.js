'use strict';
/**
 * The court's verdicts, each on the evidence that makes it and on that which nearly does.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { Court } = require('./court');

const DEAD = 11;
const ALIVE = 22;

/** A failed request, by default one that the dead worker had read. */
const request = (more) => ({ id: 'new-1', how: 'eof', port: 5000, began: 100, ended: 200, ...more });

/** Judge on ledgers given as {pid: [line, …]}. */
function judge(t, ledgers, { requests = [], sessions = [], noneUsable = false }) {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-court-'));
	t.after(() => fs.rmSync(folder, { recursive: true }));
	for (const [pid, lines] of Object.entries(ledgers))
		fs.writeFileSync(path.join(folder, pid), lines.map((line) => `${line}\n`).join(''));
	const court = new Court({ killed: new Map([[DEAD, [150]]]), noneUsable: () => noneUsable });
	requests.forEach((failure) => court.failed(failure));
	sessions.forEach((failure) => court.broken(failure));
	return court.judge(folder);
}

function verdict(t, ledgers, failure, more) {
	const { requests } = judge(t, ledgers, { requests: [failure], ...more });
	return Object.keys(requests).join();
}

test('what a killed worker had read died with it', (t) => {
	assert.equal(verdict(t, { [DEAD]: ['read new-1 120'] }, request()), 'begun');
	assert.equal(verdict(t, { [ALIVE]: ['read new-1 120'] }, request()), 'lost');
	assert.equal(verdict(t, { [DEAD]: ['read new-2 120'] }, request()), 'lost');
	assert.equal(verdict(t, { [DEAD]: ['read new-1 120'] }, request({ ended: 140 })), 'lost', 'it died later');
});

test('FIN and a dead taker explain one request for each death', (t) => {
	const took = { [DEAD]: ['took 5000 120', 'took 5001 121'] };
	assert.equal(verdict(t, took, request()), 'read');
	assert.equal(verdict(t, took, request({ how: 'reset' })), 'lost');
	assert.equal(verdict(t, took, request({ port: 5002 })), 'lost');
	assert.equal(verdict(t, took, request({ began: 130 })), 'lost', 'an earlier connection from that port');
	assert.equal(verdict(t, { ...took, [ALIVE]: ['took 5000 130'] }, request()), 'lost', 'it was moved since');
	const two = [request(), request({ id: 'new-2', port: 5001 })];
	assert.deepEqual(Object.keys(judge(t, took, { requests: two }).requests), ['read', 'lost']);
});

test('a later request on a kept connection fails with the worker of the earlier one', (t) => {
	assert.equal(verdict(t, {}, request({ how: 'reset', earlierPid: DEAD })), 'later');
	assert.equal(verdict(t, {}, request({ how: 'reset', earlierPid: ALIVE })), 'lost');
	assert.equal(verdict(t, {}, request({ how: 'late', earlierPid: DEAD })), 'lost');
	assert.equal(verdict(t, {}, request({ how: 'reset', earlierPid: DEAD, ended: 140 })), 'lost', 'it died later');
});

test('503 is an answer only when no worker was usable', (t) => {
	const refused = request({ how: 'answered', status: 503 });
	assert.equal(verdict(t, {}, refused, { noneUsable: true }), 'refused');
	assert.equal(verdict(t, {}, refused), 'lost');
	assert.equal(verdict(t, {}, request({ how: 'answered', status: 408 }), { noneUsable: true }), 'lost');
});

test('what is late, or finds no way in, is lost whoever died', (t) => {
	for (const how of ['late', 'no way in', 'changed hands'])
		assert.equal(verdict(t, { [DEAD]: ['read new-1 120'] }, request({ how })), 'lost');
});

test('a session may end with its own worker only', (t) => {
	const session = (n, pid, ended = 200) => ({ id: `session-${n}`, pid, ended });
	const sessions = [session(1, DEAD), session(2, ALIVE), session(3), session(4), session(5, DEAD, 140)];
	const ends = judge(t, { [DEAD]: ['read session-3 120'] }, { sessions }).sessions;
	assert.deepEqual(ends['its worker died'].map(({ id }) => id), ['session-1', 'session-3']);
	assert.deepEqual(ends.broken.map(({ id }) => id), ['session-2', 'session-4', 'session-5']);
});

test('a handshake is judged as a request is', (t) => {
	const handshake = (how) => ({ sessions: [{ id: 'session-1', how, port: 5000, began: 100, ended: 200 }] });
	const endOf = (how) => Object.keys(judge(t, { [DEAD]: ['took 5000 120'] }, handshake(how)).sessions).join();
	assert.equal(endOf('eof'), 'its worker died');
	assert.equal(endOf('other'), 'broken');
});

test('a request is read once', (t) => {
	const ledgers = { [DEAD]: ['read new-1 120', 'read session-1 1'], [ALIVE]: ['read new-1 130', 'read session-1 2'] };
	assert.deepEqual(judge(t, ledgers, {}).twice, ['new-1']);
});
