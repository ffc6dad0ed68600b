'use strict';
/**
 * Faults 42 to 47: policies that fail, lie, never end or reach for what is not theirs, in a limpet that serves.
 *
 * Every policy here has a list of such calls, each behind a path of its own, and an opinion on all other paths. After
 * each call the connection is at some worker all the same, the counters tell what happened, and the next is routed.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { head } = require('../e2e/clients');
const { run, sanitized } = require('../e2e/harness');
const proc = require('../e2e/proc');
const { assertWhole, send, workerOf } = require('./inspected');

/** Whom other paths belong to, and whom the policy behind the failing one sends its connections to. */
const OPINION = 2;
const FALLBACK = 3;

const inspect = (flags = '') => `${flags} --workers 3 --policy ./bad.lua --policy ./fallback.lua --dialect native -- `
	+ 'python3 workers/inspector.py';

/** A policy that does the nth of these, Lua statements, for the path /n. `before` is the file's beginning. */
const policy = (calls, before = '') => ({
	'bad.lua': `${before}
		local calls = {}
		${calls.map((call, i) => `calls["/${i}"] = function(conn, workers) ${call}\nend`).join('\n')}
		return { on_request = function(conn, workers)
			local call = calls[conn.path]
			if call then return call(conn, workers) end
			return workers[${OPINION}]
		end }`,
	'fallback.lua': `return { on_request = function(conn, workers) return workers[${FALLBACK}] end }`,
});

/** Ask for a path: the worker that has the connection, whole. */
async function routed(limpet, target) {
	const bytes = Buffer.from(head(target));
	const answer = await send(limpet, bytes);
	assertWhole(answer, bytes, target);
	return workerOf(answer);
}

/** What the counters say of policies, since they were read before. */
async function failures(limpet, before = { policy_errors: 0, policy_kills: 0 }) {
	const { policy_errors, policy_kills } = await limpet.counts();
	return { policy_errors: policy_errors - before.policy_errors, policy_kills: policy_kills - before.policy_kills };
}

/** Ask for each call once: the fallback has its connection, it is counted as `each`, and the next is routed. */
async function assertPassedOver(limpet, calls, each) {
	for (const [i, call] of calls.entries()) {
		const before = await limpet.counts();
		assert.equal(await routed(limpet, `/${i}`), FALLBACK, call);
		assert.deepEqual(await failures(limpet, before), { policy_errors: each, policy_kills: 0 }, call);
		assert.equal(await routed(limpet, '/next'), OPINION, call);
	}
}

const ERRORS = [
	'error("it fails")',
	'error()',
	'error({})',
	'error(setmetatable({}, { __tostring = function() error("again") end }))',
	'error(("x"):rep(100000))',
	'error("\\0\\27[2J\\nlimpet: forged")',
	'return conn.path.no.such',
	'return conn.spelt_wrong',
	'return nothing()',
	'return 1 + {}',
	'return workers:hash(nil)',
	'return workers:no_such_method()',
	'return workers["1"]',
	'return limpet.refuse(99)',
	'return limpet.refuse("503")',
	'conn.path = "/"',
	'return conn:header()',
	'local function deep() return 1 + deep() end return deep()',
	'local function f() return ("x"):gsub("x", f) end return f()',
	'return assert(pcall(error, "twice"), "no") and error("no")',
];

test('42: a policy\'s error is logged and counted, and the connection served', async (t) => {
	await t.test('in on_request', run(inspect(), { files: policy(ERRORS) }, async (limpet) => {
		await assertPassedOver(limpet, ERRORS, 1);
		await limpet.said(/^limpet: policy \.\/bad\.lua:3: it fails/);
		assert.equal(limpet.lines.filter((line) => /^limpet: forged|\x1b/.test(line)).length, 0);
		assert.equal((await limpet.counts()).policy_errors, ERRORS.length);
	}));
	const everywhere = `local function fail() error("in every hook") end
		return { on_connect = fail, on_hello = fail, on_request = fail, on_worker_up = fail, on_worker_down = fail }`;
	await t.test('in every hook', run(inspect(), { files: { ...policy([]), 'bad.lua': everywhere } }, async (limpet) => {
		const before = await limpet.counts();
		assert.equal(before.policy_errors, 3, 'one for each worker that came up');
		assert.equal(await routed(limpet, '/'), FALLBACK);
		assert.deepEqual(await failures(limpet, before), { policy_errors: 2, policy_kills: 0 });

		const since = limpet.now;
		process.kill((await limpet.worker(1)).pid, 'SIGKILL');
		await limpet.said(/^limpet: worker 1 is ready/, since);
		assert.deepEqual(await failures(limpet, before), { policy_errors: 4, policy_kills: 0 });
		assert.equal(await routed(limpet, '/'), FALLBACK);
	}));
});

/** No worker, and no opinion either. */
const NONSENSE = ['0/0', '1', '-1', '2^53', '1/0', '"worker 1"', '""', 'true', '{}', '{ id = 1 }', 'workers', 'conn',
	'function() end', 'limpet', 'limpet.refuse', 'setmetatable({}, getmetatable(workers[1]) or nil)'];

/** No opinion. */
const NOTHING = ['nil', 'false', 'workers[0]', 'workers[4]', 'workers[-1]', 'workers[0/0]', 'workers[2^53]',
	'workers[1.5]', 'workers:session("never heard of")'];

/** A worker that is started while the file "shut" is there does not get as far as to be ready. */
const GATE = `const fs = require('node:fs');
	while (fs.existsSync('shut'))
		Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);`;

test('43: an answer that is no worker, or none that can take it, is passed over', async (t) => {
	const returning = (values) => values.map((value) => `return ${value}`);
	await t.test('no worker', run(inspect(), { files: policy(returning(NONSENSE)) }, async (limpet) => {
		await assertPassedOver(limpet, returning(NONSENSE), 1);
		await limpet.said(/^limpet: policy \.\/bad\.lua:\d+: on_request returned the number /);
	}));
	await t.test('nothing', run(inspect(), { files: policy(returning(NOTHING)) }, async (limpet) => {
		await assertPassedOver(limpet, returning(NOTHING), 0);
	}));
	await t.test('a worker that is dead', run(
		'--workers 2 --policy ./kept.lua --dialect cluster -- node -r ./gate.js workers/answer.js',
		{
			files: {
				'gate.js': GATE,
				'kept.lua': `local kept
					return {
						on_worker_up = function(worker) if worker.id == 2 then kept = worker end end,
						on_connect = function() return kept end,
					}`,
			},
		},
		async (limpet) => {
			assert.equal((await limpet.get('/')).json.worker, 2);
			const { policy_errors } = await limpet.counts();
			const since = limpet.now;
			limpet.write('shut', '');
			process.kill((await limpet.worker(2)).pid, 'SIGKILL');
			await limpet.said(/^limpet: worker 2 .* was killed/, since);
			for (let i = 0; i < 20; i++)
				assert.equal((await limpet.get('/')).json.worker, 1);
			assert.equal((await limpet.counts()).policy_errors, policy_errors);

			fs.rmSync(path.join(limpet.folder, 'shut'));
			await limpet.said(/^limpet: worker 2 is ready/, since);
			assert.equal((await limpet.get('/')).json.worker, 2);
		}));
});

/** How often a policy may be stopped before it is benched, less one for the call that is looked at. */
const AT_ONCE = 4;

/**
 * Set each of these off in a live limpet: it is stopped once, with others waiting behind it, and they are routed.
 *
 * @param {{name: string}} bombs  Lua statements by what they are.
 * @param {object} settings       before: the file's beginning; flags: for limpet; check(limpet): what else holds.
 */
async function setOff(t, bombs, { before, flags, skip, check = () => {} }) {
	const names = Object.keys(bombs);
	for (let first = 0; first < names.length; first += AT_ONCE) {
		const some = names.slice(first, first + AT_ONCE);
		const files = policy(some.map((name) => bombs[name]), before);
		await t.test(some.join(', '), { skip }, run(inspect(flags), { files }, async (limpet) => {
			for (const [i, name] of some.entries()) {
				const [bombed, ...others] = await Promise.all(
					[`/${i}`, ...Array(20).fill('/next')].map((target) => routed(limpet, target)));
				assert.ok(bombed, name);
				others.forEach((worker) => assert.equal(worker, OPINION, name));
				assert.equal((await limpet.counts()).policy_kills, i + 1, name);
				await check(limpet, name);
			}
			assert.equal((await limpet.counts()).policy_benched_ms, 0);
			assert.ok(limpet.lines.some((line) => /^limpet: policy \.\/bad\.lua.* stopped/.test(line)));
		}));
	}
}

test('44: an endless loop is stopped, the connection served, and a policy that goes on so is benched', async (t) => {
	await setOff(t, {
		'a loop': 'while true do end',
		'a hot loop that a compiler would take': 'local x = 0 for i = 1, 1e18 do x = x + i % 7 end return x',
		'loops in pcall': 'while true do pcall(function() while true do end end) end',
		'a loop in the handler of xpcall': 'xpcall(error, function() while true do end end)',
		'tail calls': 'local function f() return f() end return f()',
		'recursion through pcall': 'local function f() pcall(f) pcall(f) end f()',
		'a loop in a metamethod': 'return setmetatable({}, { __index = function() while true do end end }).x',
		'a loop in a comparison': 'table.sort({ 3, 2, 1 }, function() while true do end end)',
		'a loop in a replacement': '(("x"):rep(10)):gsub("x", function() while true do end end)',
		'questions for ever': 'while true do workers:hash(conn.ip) end',
		'writes for ever': 'while true do limpet.shared:incr("k") end',
		'words for ever': 'while true do limpet.log.info("more") end',
	}, {});

	await t.test('benched', run(inspect(), { files: policy(['while true do end']) }, async (limpet) => {
		for (let i = 0; i < 5; i++)
			assert.ok(await routed(limpet, '/0'));
		await limpet.said(/policy \.\/bad\.lua:3: stopped, because it ran for more than 50 ms/);
		await limpet.said(/policy \.\/[a-z.]+ is benched/);
		const { policy_kills, policy_benched_ms } = await limpet.counts();
		assert.equal(policy_kills, 5);
		assert.ok(policy_benched_ms > 0);
		assert.ok(await routed(limpet, '/0'), 'served without them');
		assert.equal((await limpet.counts()).policy_kills, 5);

		limpet.signal('SIGHUP');
		await limpet.said(/bad\.lua:3: stopped.*keeping the policies/);
		limpet.write('bad.lua', policy([])['bad.lua']);
		limpet.signal('SIGHUP');
		await limpet.said(/reloaded the policies/);
		assert.equal((await limpet.counts()).policy_benched_ms, 0, 'a reload that takes ends it');
		assert.equal(await routed(limpet, '/0'), OPINION);
	}));
});

test('45: a long call into C is left behind in the middle', async (t) => {
	await setOff(t, {
		'a pattern that backtracks': 'return long:find((".-"):rep(20) .. "b")',
		'the same in pcall': 'while true do pcall(long.find, long, (".-"):rep(20) .. "b") end',
		'the same in a replacement': 'return long:gsub((".-"):rep(20) .. "b", "")',
		'the same in an iterator': 'for x in long:gmatch((".-"):rep(20) .. "b") do end',
		'long strings in a row': 'for i = 1, 1e9 do local s = ("x"):rep(1e6 + i) end',
		'long lists in a row': 'local t = {} for i = 1, 1e4 do t[i] = "x" end while true do table.concat(t) end',
		'sorting in a row': 'local t = {} while true do for i = 1, 1e4 do t[i] = -i end table.sort(t) end',
		'reversals in a row': 'while true do long = long:reverse():upper():lower() end',
	}, {
		before: 'local long = ("a"):rep(16384)',
		skip: sanitized && 'AddressSanitizer cannot follow a call that is left behind',
	});
});

/** The most memory that a process has had resident, in KiB. */
const peakKib = (pid) => Number(/^VmHWM:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

test('46: a memory bomb meets a bound, and its memory is given back', async (t) => {
	const MOST_KIB = 8 << 10;
	await setOff(t, {
		'one long string': 'return ("x"):rep(2^28)',
		'a string that doubles': 'local s = "x" while true do s = s .. s end',
		'the same in pcall': 'local s = "x" while true do pcall(function() s = s .. s end) end',
		'a table that grows': 'local t = {} while true do t[#t + 1] = {} end',
		'a kept table that grows': 'while true do kept[#kept + 1] = {} end',
		'kept strings': 'for i = 1, 1e9 do kept[i] = ("x"):rep(1e5 + i) end',
		'nested closures': 'local f while true do local g = f f = function() return g end end',
		'a replacement that explodes': '(("x"):rep(1e5)):gsub("x", ("y"):rep(1e5))',
	}, {
		before: 'local kept = {}',
		flags: '--policy-memory 8m --policy-time 1s',
		skip: sanitized && 'AddressSanitizer keeps what is freed, and cannot follow a call that is left behind',
		check(limpet, name) {
			// limpet itself has some 10 MiB; while one bomb's memory is given back, the next policy's is taken.
			assert.ok(peakKib(limpet.pid) < (20 << 10) + 2 * MOST_KIB, `${name}: ${peakKib(limpet.pid)} KiB`);
			assert.ok(proc.residentKib(limpet.pid) < (12 << 10) + MOST_KIB, `${name}: ${proc.residentKib(limpet.pid)} KiB`);
		},
	});
});

/** What a policy would find if it were not kept from it. */
const FORBIDDEN = ['os', 'io', 'ffi', 'debug', 'package', 'require', 'jit', 'load', 'loadstring', 'loadfile', 'dofile',
	'module', 'getfenv', 'setfenv', 'newproxy', 'collectgarbage', 'coroutine', 'print', '_G', 'string.dump'];

/** Each wants to leave a file behind, or to change what others see. */
const ESCAPES = [
	'os.execute("touch ./escaped")',
	'io.open("./escaped", "w"):close()',
	'require("ffi").C.creat("./escaped", 420)',
	'require("os").rename("./bad.lua", "./escaped")',
	'loadstring("os.execute([[touch ./escaped]])")()',
	'(load or loadstring)("\\27LJ")()',
	'getmetatable("").__index.rep = nil',
	'getmetatable("").__index = nil',
	'setmetatable(workers, {})',
	'setmetatable(conn, {})',
	'getmetatable(limpet).__index = nil',
	'debug.getregistry()[1] = nil',
	'package.loaded.os.exit(3)',
	'os.exit(3)',
	'(function() end)[1] = setfenv(1, {})',
	'string.dump(function() end)',
	'error(getfenv(0))',
];

test('47: os, io, ffi, debug and the like are out of reach', async (t) => {
	const naming = FORBIDDEN.map((name) => `return ${name}.anything and workers[${OPINION}]`);
	await t.test('whoever reaches into one has an error', run(
		inspect(),
		{ files: policy(naming) },
		(limpet) => assertPassedOver(limpet, naming, 1)));
	await t.test('who tries has an error, and changes nothing', run(
		inspect(),
		{ files: policy(ESCAPES) },
		async (limpet) => {
			const before = fs.readdirSync(limpet.folder).sort();
			await assertPassedOver(limpet, ESCAPES, 1);
			assert.deepEqual(fs.readdirSync(limpet.folder).sort(), before);
		}));
	await t.test('bytecode, which knows no rules, is refused', run(inspect(), { files: policy([]) }, async (limpet) => {
		limpet.write('bad.lua', '\x1bLJ\x02\x02\x0e\0\x01\x02\0\0\0\x01K\0\x01\0\0');
		limpet.signal('SIGHUP');
		await limpet.said(/^limpet: .*bad\.lua.*bytecode.*keeping the policies/);
		assert.equal(await routed(limpet, '/'), OPINION);
	}));
});
