'use strict';
/**
 * Requests a second of long-polling, on kept connections, by Socket.IO servers of two Node processes: plain ones under
 * limpet, which the preloaded library makes workers, and those of @socket.io/sticky, whose primary closes a connection
 * behind each answer. Both are up at once and are loaded in turn, the order changing.
 *
 *     polling.js LIMPET [ROUNDS [SECONDS]]
 *
 * The clients are wrk's: 16 connections. Once each has a session of its own, as a browser's; once each carries requests of
 * four sessions in turn, as a proxy's: then limpet has about every other request given back.
 */
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { execFileSync, spawn } = require('node:child_process');

const AIM = 5;
const CONNECTIONS = 16;
const SESSIONS = 4; /* Of each connection; no session has two requests at a time, which Engine.IO would refuse. */

const top = path.join(__dirname, '../..');
const [program, rounds = 5, seconds = 2] = process.argv.slice(2);
const limpet = path.resolve(program);

/** Start a program; resolves to {port, stop} when it listens and both its workers are ready. */
function start(command, words) {
	const child = spawn(command, words, { cwd: path.join(top, 'tests/e2e'), stdio: ['ignore', 'pipe', 'pipe'] });
	let text = '';
	return new Promise((resolve, reject) => {
		const take = (chunk) => {
			text += chunk;
			const port = /listening on 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
			if (port && text.match(/is ready/g)?.length >= 2)
				resolve({ port: Number(port), stop: () => child.kill('SIGTERM') });
		};
		child.stdout.on('data', take);
		child.stderr.on('data', take);
		child.on('exit', () => reject(new Error(`${command} ended: ${text}`)));
	});
}

function open(port) {
	const options = { port, path: '/socket.io/?EIO=4&transport=polling', agent: false };
	return new Promise((resolve, reject) => {
		http.get(options, async (response) => {
			const text = Buffer.concat(await response.toArray()).toString();
			resolve(/"sid":"([^"]+)"/.exec(text)[1]);
		}).on('error', reject);
	});
}

/** wrk's script: a pong is the smallest packet that a session takes at any time. */
function script(sids, sessions) {
	return `
local sids = {${sids.map((sid) => `"${sid}"`).join(',')}}
local threads = 0
function setup(thread) thread:set("number", threads) threads = threads + 1 end
local count = 0
function request()
  count = count + 1
  local sid = sids[number * ${sessions} + count % ${sessions} + 1]
  return wrk.format("POST", "/socket.io/?EIO=4&transport=polling&sid=" .. sid, {["Content-Type"] = "text/plain"}, "3")
end`;
}

/** One slice of load: requests a second. */
async function measure(port, sessions, folder) {
	const sids = await Promise.all(Array.from({ length: CONNECTIONS * sessions }, () => open(port)));
	const file = path.join(folder, 'polling.lua');
	fs.writeFileSync(file, script(sids, sessions));
	const words = [`-t${CONNECTIONS}`, `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', file, `http://127.0.0.1:${port}`];
	const text = execFileSync('wrk', words, { encoding: 'utf8' });
	if (/Non-2xx/.test(text))
		throw new Error(`some requests failed:\n${text}`);
	return Number(/Requests\/sec: +([\d.]+)/.exec(text)[1]);
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

async function main() {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-polling-'));
	const ours = await start(limpet, [
		'run', '--listen', '127.0.0.1:0', '--workers', '2', '--policy', 'sid', '--drain-timeout', '100ms', '--dialect',
		'preload', '--', 'workers/any_server/at_port', 'node', 'workers/any_server/chat.js', 'PORT',
	]);
	const theirs = await start('node', [path.join(__dirname, 'peers/chat_sticky.js')]);
	try {
		for (const sessions of [1, SESSIONS]) {
			const figures = { ours: [], theirs: [] };
			for (let round = 0; round < rounds; round++) {
				const order = round % 2 ? [['ours', ours], ['theirs', theirs]] : [['theirs', theirs], ['ours', ours]];
				for (const [name, { port }] of order)
					figures[name].push(await measure(port, sessions, folder));
			}
			const [us, them] = [median(figures.ours), median(figures.theirs)];
			const missed = sessions === 1 && us / them < AIM;
			console.log(`requests a second by polling, ${sessions} session${sessions > 1 ? 's' : ''} a connection: ` +
				`${us.toFixed()} through limpet, ${them.toFixed()} through @socket.io/sticky 2.0.1; ` +
				`${(us / them).toFixed(1)} times${sessions > 1 ? '' : ` (aim: ${AIM})`}${missed ? ' MISSED' : ''}`);
			process.exitCode ||= Number(missed);
		}
	} finally {
		ours.stop();
		theirs.stop();
		fs.rmSync(folder, { recursive: true });
	}
}

main();
