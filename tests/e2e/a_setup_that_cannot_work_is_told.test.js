'use strict';
/**
 * What a user would learn from his clients' failures is said by limpet: at start where it can be known, else at the first
 * connection that shows it; once, with the name, the value and the way out.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const tls = require('node:tls');
const { AT_PORT } = require('./any_server');
const { run, runToItsEnd } = require('./harness');

const ANSWER = '--workers 1 --dialect cluster';
const PRELOADED = `--workers 1 --dialect preload`;
const answer = '-- node workers/answer.js';
const preloaded = `-- ${AT_PORT} node workers/logins.js PORT`;

const BY_COOKIE = `return { on_request = function(conn, workers)
	local id = conn:cookie("JSESSIONID")
	return id and workers:session(id)
end }`;
const BINDING = `return { on_request = function(conn, workers)
	local id = conn:cookie("JSESSIONID")
	return id and (workers:session(id) or workers:bind(id, workers:next()))
end }`;
const EACH = 'return { route_each = "request", on_request = function(conn, workers) return workers:hash(conn.path) end }';

const TOLD = {
	'a policy that looks for sessions that nothing reports': [
		`${ANSWER} --policy sid ${answer}`,
		/^limpet: policy sid looks for sessions, but workers of dialect cluster report none: .* --dialect (node|preload), which learns them/],
	'a policy of the user that does so': [
		`${ANSWER} --policy ./mine.lua ${answer}`,
		/^limpet: policy \.\/mine\.lua looks for sessions, but workers of dialect cluster report none/],
	'a policy that looks by what is not learnt': [
		`${PRELOADED} --policy ./mine.lua ${preloaded}`,
		/^limpet: policy \.\/mine\.lua looks sessions up by cookie:JSESSIONID, but limpet learns only Engine\.IO's sid; add --session cookie:JSESSIONID/],
	'sessions that no policy looks up': [
		`${PRELOADED} --session mcp --policy ip_hash ${preloaded}`,
		/^limpet: --session mcp: no policy looks these sessions up; add --policy session/],
	'some of them': [
		`${PRELOADED} --session mcp --session sid --policy sid ${preloaded}`,
		/^limpet: --session mcp: no policy looks these sessions up; add --policy session/],
	'requests that workers cannot give back': [
		`${ANSWER} --policy ./each.lua ${answer}`,
		/^limpet: policy \.\/each\.lua: route_each does nothing in dialect cluster, .* with --dialect (node|preload)/],
};
for (const [what, [command, line]] of Object.entries(TOLD))
	test(`told at start: ${what}`, run(command, { files: { 'mine.lua': BY_COOKIE, 'each.lua': EACH } }, async (limpet) => {
		await limpet.said(line);
	}));

const FINE = {
	'sessions that are learnt and looked up': `${PRELOADED} --session cookie:JSESSIONID --policy ./mine.lua ${preloaded}`,
	'the same by --learn': `${PRELOADED} --learn cookie:JSESSIONID --policy ./mine.lua ${preloaded}`,
	'sessions that a policy binds itself': `${ANSWER} --policy ./binding.lua ${answer}`,
	'no session at all': `${ANSWER} --policy ip_hash ${answer}`,
	'the sid, reported by a package': '--workers 1 --policy sid --dialect socket.io-sticky -- node workers/socketio_sticky.js',
};
for (const [what, command] of Object.entries(FINE))
	test(`nothing to tell: ${what}`, run(command, { files: { 'mine.lua': BY_COOKIE, 'binding.lua': BINDING } },
		async (limpet) => {
			assert.deepEqual(limpet.raw.filter((line) => / warning /.test(line)), []);
		}));

test('a reload tells of the new policies', run(`${ANSWER} --policy ./mine.lua ${answer}`, { files: { 'mine.lua': BINDING } },
	async (limpet) => {
		limpet.write('mine.lua', BY_COOKIE);
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: policy \.\/mine\.lua looks for sessions, but workers of dialect cluster report none/);
	}));

test('a reload that changes nothing about it does not say it again', run(
	`${ANSWER} --policy ./mine.lua --policy ./each.lua ${answer}`, { files: { 'mine.lua': BY_COOKIE, 'each.lua': EACH } },
	async (limpet) => {
		const told = () => limpet.lines.filter((line) => /looks for sessions, but|route_each does nothing/.test(line)).length;
		const reload = async (text) => {
			const since = limpet.now;
			limpet.write('mine.lua', text);
			limpet.signal('SIGHUP');
			await limpet.said(/^limpet: reloaded the policies/, since);
		};
		assert.equal(told(), 2);
		await reload(`${BY_COOKIE} -- as before`);
		assert.equal(told(), 2);
		await reload(BINDING);
		await reload(BY_COOKIE);
		assert.equal(told(), 3, 'what was mended, and is not any more, is news');
	}));

/** A program that the dynamic linker keeps libraries out of, because its file has another group's rights. */
const PRIVILEGED = {
	skip: process.getuid() !== 0 && 'only root can make such a file',
	prepare(folder) {
		const node = path.join(folder, 'node');
		fs.copyFileSync(process.execPath, node);
		fs.chownSync(node, 0, 42425);
		fs.chmodSync(node, 0o2755);
	},
};

test('a Node that no library can be put in front of is served in the dialect cluster, and what is lost is said', PRIVILEGED, run(
	'--workers 2 -- ./node ./server.js',
	{
		prepare: PRIVILEGED.prepare,
		files: {
			'server.js': `require('node:http').createServer((request, response) =>
				response.end(String(require('node:cluster').worker.id))).listen(3000);`,
		},
	},
	async (limpet) => {
		await limpet.said(/\/node has .*setcap -r.*; without it sessions are known only if workers tell them .*, and a kept connection stays/);
		await limpet.said(/^limpet: dialect cluster: /);
		const served = new Set();
		for (let i = 0; i < 8; i++)
			served.add((await limpet.get('/')).text);
		assert.deepEqual([...served].sort(), ['1', '2']);
	}));

test('a TLS client of policies that look into requests is told of, once', run(
	`--workers 1 --dialect cluster --policy sid ${answer}`, async (limpet) => {
		const greet = async () => {
			const socket = tls.connect({ port: Number(limpet.address.split(':')[1]), host: '127.0.0.1' });
			await new Promise((resolve) => socket.on('error', resolve).on('close', resolve));
		};
		await greet();
		await limpet.said(/^limpet: a connection at 127\.0\.0\.1:0 is TLS, .*on_request of policy sid .*nginx.*--policy ip_hash/);
		await greet();
		assert.equal(limpet.lines.filter((line) => /is TLS, which/.test(line)).length, 1);
	}));

test('a server that speaks first behind policies that look is told of, once', run(
	`--workers 1 --dialect cluster --head-timeout 50ms --policy sid ${answer}`, async (limpet) => {
		const wait = async () => {
			const socket = await limpet.connect();
			await new Promise((resolve) => socket.on('end', resolve).resume());
		};
		await wait();
		await limpet.said(/^limpet: a client at 127\.0\.0\.1:0 said nothing for 0\.05 s .*on_connect alone.*--no-defer-accept/);
		await wait();
		assert.equal(limpet.lines.filter((line) => /said nothing for/.test(line)).length, 1);
	}));

test('a silent client where others speak is not', run(
	`--workers 1 --dialect cluster --head-timeout 50ms --policy sid ${answer}`, async (limpet) => {
		await limpet.get('/');
		const socket = await limpet.connect();
		await new Promise((resolve) => socket.on('end', resolve).resume());
		assert.deepEqual(limpet.lines.filter((line) => /said nothing/.test(line)), []);
	}));

const REFUSED = {
	'a --set that no policy reads': [
		'--policy ../../examples/custom_policy/canary.lua --set precent=5',
		/^limpet: --set precent=5: no policy reads "precent"; did you mean percent\?/m],
	'a --set without a policy': ['--set a=1', /^limpet: --set a=1: no policy reads "a" in setup\(options\)/m],
	'the policy session without --session': [
		'--policy session', /^limpet: policy session looks for what --session names, and there is none; add --session sid/m],
};
for (const [what, [flags, message]] of Object.entries(REFUSED))
	test(`refused at start: ${what}`, async () => {
		const { status, log } = await runToItsEnd(`run --listen 127.0.0.1:0 --dialect cluster ${flags} -- node workers/answer.js`);
		assert.match(log, message);
		assert.equal(status, 2);
	});
