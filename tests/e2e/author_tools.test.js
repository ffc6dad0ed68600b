'use strict';
/**
 * What an author of policies types: `limpet check`, `limpet route`, `limpet test`, on files as they write them.
 *
 * The program under test is $LIMPET, by default build/limpet.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { after, before, test } = require('node:test');

const LIMPET = path.resolve(process.env.LIMPET ?? path.join(__dirname, '../../build/limpet'));

let folder;

before(() => {
	folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-author-'));
});

after(() => fs.rmSync(folder, { recursive: true, force: true }));

function write(name, text) {
	fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
	fs.writeFileSync(path.join(folder, name), text);
}

/** What a command printed, and how it ended. */
function limpet(...words) {
	const { status, stdout, stderr } = spawnSync(LIMPET, words, { cwd: folder, encoding: 'utf8' });
	return { status, stdout, stderr };
}

/** A report without its times, which differ from run to run. */
function untimed(output) {
	return output.replace(/\([\d.]+ µs\)/g, '(TIME)');
}

const TENANTS = `return {
  on_request = function(conn, workers)
    local tenant = conn:header("X-Tenant")
    return tenant and workers:hash(tenant)
  end,
}
`;

test('check says ok of what is right', () => {
	write('tenants.lua', TENANTS);
	assert.deepEqual(limpet('check', 'tenants.lua', 'sid'), { status: 0, stdout: 'tenants.lua: ok\nsid: ok\n', stderr: '' });
});

test('check finds mistakes where no connection comes by', () => {
	write('never.lua', `return {
  on_request = function(conn, workers)
    if conn.path == "/never" then
      limpt.log.info("seen")
      if conn.header == "x" then return workers:hsh("a") end
      limpet.shared:gett(conn.headers)
    end
  end,
}
`);
	assert.deepEqual(limpet('check', 'never.lua'), {
		status: 1,
		stderr: '',
		stdout: `never.lua:4: there is no global 'limpt'; did you mean limpet?
never.lua:5: conn.header is a function; did you mean conn:header(name)?
never.lua:5: workers has no field 'hsh'; did you mean workers:hash(key)?
never.lua:6: limpet.shared has no field 'gett'; did you mean limpet.shared:get(key)?
never.lua:6: conn has no field 'headers'; did you mean conn:header(name)?
`,
	});
});

test('check finds what a dry run meets', () => {
	const mistakes = {
		'conn.sid .. "x"': "attempt to concatenate field 'sid' (a nil value) (on a connection from IPv4, with 4 workers)",
		'workers[1].id': "attempt to index a nil value (on a connection from IPv4, with 0 workers)",
		'workers:hash(conn.ip)': 'workers:hash(key): key is nil; where it may be, test it first: ' +
			'"x and workers:hash(key)" (on a connection from a unix socket, with 4 workers)',
		'conn:query("room") and nil .. ""': 'attempt to concatenate a nil value ' +
			'(on a connection that has what the policy asks for, with 4 workers)',
	};
	for (const [expression, message] of Object.entries(mistakes)) {
		write('dry.lua', `return {\n  on_request = function(conn, workers)\n    local found = ${expression}\n  end,\n}\n`);
		assert.deepEqual(limpet('check', 'dry.lua'), { status: 1, stdout: `dry.lua:3: ${message}\n`, stderr: '' });
	}
});

test('check names the line of an answer that is none, and of an event that fails', () => {
	write('answers.lua', `return {
  on_connect = function() return 3 end,
  on_worker_down = function(worker) error("no") end,
}
`);
	const { status, stdout } = limpet('check', 'answers.lua');
	assert.equal(status, 1);
	assert.match(stdout, /^answers\.lua:2: on_connect returned the number 3 .*\nanswers\.lua:3: no \(when a worker .*\n$/);
});

test('check finds what does not load', () => {
	const mistakes = {
		'x x': "1: '=' expected near 'x'",
		'': '1: the file returns nothing; return a table with on_connect, on_hello or on_request',
		'return { on_reqest = print }': '1: print is not available in a policy; use limpet.log.info(...)',
		'return { on_connect = function() return os.time() end }': '1: os.time is not available in a policy; use limpet.now()',
		'return { on_reqest = function() end }': "1: a policy has no field 'on_reqest'; did you mean on_request?",
		'\nreturn { setup = function(o) assert(o.size, "say --set size=N") end }': '2: say --set size=N',
	};
	for (const [source, message] of Object.entries(mistakes)) {
		write('broken.lua', source);
		const { status, stdout } = limpet('check', 'broken.lua');
		assert.equal(status, 1);
		assert.equal(stdout.split('\n')[0], `broken.lua:${message}`);
	}
	assert.equal(limpet('check', 'broken.lua', '--set', 'size=3').stdout, 'broken.lua: ok\n');
});

test('every tool takes a policy in two files', () => {
	write('two/p.lua', 'local homes = require "lists.homes"\n' +
		'return { on_connect = function(conn, workers) return workers[homes[conn.ip] or 1] end }\n');
	write('two/lists/homes.lua', 'return { ["192.0.2.1"] = 2 }\n');
	write('two/p.test.lua', 'test("at home", function()\n' +
		'  expect(load_policy("p.lua"):route{}.id, require "lists.homes"["192.0.2.1"])\nend)\n');
	assert.equal(limpet('check', 'two/p.lua').stdout, 'two/p.lua: ok\n');
	assert.match(limpet('test', 'two').stdout, /1 passed, 0 failed/);
	assert.match(limpet('route', 'two/p.lua').stdout, /^worker 2, by on_connect of two\/p\.lua$/m);
	assert.equal(limpet('bench', 'two/p.lua').status, 0);
	assert.equal(limpet('simulate', 'two/p.lua', '--clients', '1000').status, 0);
});

test('check finds mistakes in modules, and names their files', () => {
	write('modules/p.lua', 'local m = require "m"\nreturn { on_connect = function() m.f() end }\n');
	write('modules/m.lua', 'local m = {}\nfunction m.f(x) if x then prnt(x) end return x.y end\nreturn m\n');
	assert.equal(limpet('check', 'modules/p.lua').stdout, "modules/m.lua:2: there is no global 'prnt'\n");
	write('modules/m.lua', 'return {\n  f = function(x)\n    return x.y\n  end,\n}\n');
	assert.match(limpet('check', 'modules/p.lua').stdout, /^modules\/m\.lua:3: attempt to index local 'x'/);
});

test('check takes globals that the file sets, and passes tests over', () => {
	write('globals/a.lua', 'count = 0\nreturn { on_connect = function() count = count + 1 end }\n');
	write('globals/a.test.lua', 'test("nothing", function() end)\n');
	assert.deepEqual(limpet('check', 'globals/a.lua', 'globals/a.test.lua'),
		{ status: 0, stdout: 'globals/a.lua: ok\n', stderr: '' });
});

test('wrong usage is told and ends with 2', () => {
	for (const [words, message] of [
		[['check'], 'limpet: check needs a policy; limpet check --help has examples\n'],
		[['check', './nowhere.lua'], 'limpet: policy ./nowhere.lua: no such file or directory\n'],
		[['route', 'sid', '--ip', 'here'], 'limpet: --ip: "here" is no address, such as 192.0.2.1 or 2001:db8::1\n'],
		[['route', 'sid', '--session', 'a=5'], 'limpet: --session: there is no worker 5; --workers makes 4\n'],
		[['route', 'sid', '--sni', 'a.example', '--sid', 'a'],
			'limpet: --sni makes the connection TLS, and --sid would be encrypted in it; leave out one of them\n'],
		[['test', 'nowhere'], 'limpet: nowhere: no such file or directory\n'],
	])
		assert.deepEqual(limpet(...words), { status: 2, stdout: '', stderr: message });
});

test('route says which worker and why', () => {
	write('tenants.lua', TENANTS);
	const { status, stdout } = limpet('route', 'sid', './tenants.lua', '--header', 'x-tenant: acme', '--sid', 'b c');
	assert.equal(status, 0);
	assert.equal(untimed(stdout), `sid: on_request
  conn.sid = "b c"
  workers:session("b c") → nil
  answer: no opinion (TIME)

./tenants.lua: on_request
  conn:header("X-Tenant") = "acme"
  workers:hash("acme") → worker 3
  answer: worker 3 (TIME)

worker 3, by on_request of ./tenants.lua
`);
});

test('route knows sessions, proxies and the fallback', () => {
	assert.match(limpet('route', 'sid', '--sid', 'abc', '--session', 'abc=2').stdout, /\nworker 2, by on_request of sid\n$/);
	assert.match(limpet('route', 'sid').stdout, /\nworker 1, the least busy: no policy has an opinion\n$/);
	assert.match(limpet('route', 'forwarded_for', '--ip', '10.0.0.1', '--trust', '10.0.0.0/8', '--header',
		'X-Forwarded-For: 203.0.113.9').stdout, /conn\.client_ip = "203\.0\.113\.9"/);
	assert.match(limpet('route', 'sid', '--sni', 'a.example').stdout, /^No hook is asked about a connection that is TLS\.\n/);
});

test('route takes a recorded head', () => {
	write('tenants.lua', TENANTS);
	write('head.txt', 'GET /chat HTTP/1.1\r\nHost: a.example\r\nX-Tenant: acme\r\n\r\nbody');
	assert.match(limpet('route', './tenants.lua', '--raw', 'head.txt').stdout, /\nworker 3, by on_request of \.\/tenants\.lua\n$/);
	write('half.txt', 'GET /chat HTTP/1.1\r\nHost: a.exa');
	const half = limpet('route', './tenants.lua', '--raw', 'half.txt');
	assert.deepEqual([half.status, half.stderr], [2, 'limpet: the request head is not complete: no empty line ends it\n']);
});

test('route shows a refusal, and an error with its line', () => {
	write('refuse.lua', 'return { on_connect = function(conn) return conn.port and limpet.refuse(403) end }\n');
	assert.match(limpet('route', './refuse.lua').stdout, /\nrefused with 403, by on_connect of \.\/refuse\.lua\n$/);
	write('error.lua', 'return {\n  on_connect = function(conn)\n    return conn.sid.x\n  end,\n}\n');
	const { status, stdout } = limpet('route', './error.lua', 'ip_hash');
	assert.equal(status, 1);
	assert.match(stdout, /\n {2}log: policy \.\/error\.lua:3: attempt to index field 'sid' \(a nil value\)\n {2}answer: no opinion/);
	assert.match(stdout, /by on_connect of ip_hash\n$/);
});

test('tests of policies pass, and fail with expected beside got', () => {
	write('tested/tenants.lua', TENANTS);
	write('tested/tenants.test.lua', `local policy = load_policy("tenants.lua")
test("a tenant has a home", function()
  local home = policy:route{headers = {["X-Tenant"] = "acme"}}
  expect(policy:route{ip = "2001:db8::1", headers = {["x-tenant"] = "acme"}}, home)
end)
test("everyone has a home", function()
  expect(policy:route{}, workers(4)[2])
end)
test("a mistake of the test", function()
  policy:route{header = {}}
end)
`);
	assert.deepEqual(limpet('test', 'tested'), {
		status: 1,
		stderr: '',
		stdout: `tested/tenants.test.lua
  ok   a tenant has a home
  FAIL everyone has a home
       tested/tenants.test.lua:7
         expected  worker 2
         got       nil
  FAIL a mistake of the test
       tested/tenants.test.lua:10: a connection has no 'header'; did you mean headers?

1 passed, 2 failed
`,
	});
});

test('tests are the same on every run, have a clock, and begin anew', () => {
	write('same/r.lua', `return {
  on_connect = function(conn, workers)
    local count = limpet.shared:incr(conn.ip, 1, 60)
    if count > 1 then return limpet.refuse(429) end
    return workers[math.random(#workers)]
  end,
}
`);
	write('same/r.test.lua', `local policy = load_policy("./r.lua")
test("once a minute", function()
  workers(100)
  expect(policy:route{} ~= nil, true)
  expect(policy:route{}, "refused 429")
  advance(61)
  expect(policy:route{}, "a worker")
end)
test("another test knows nothing of it", function()
  expect(policy:route{} ~= "refused 429", true)
end)
`);
	const first = limpet('test', 'same/r.test.lua');
	assert.match(first.stdout, /got {7}worker \d+\n {2}ok {3}another test knows nothing of it\n\n1 passed, 1 failed\n$/);
	assert.deepEqual(limpet('test', 'same/r.test.lua'), first);
});

test('a policy that does not end fails its test, and the others go on', () => {
	write('loop/loop.lua', 'return {\n  on_connect = function()\n    while true do end\n  end,\n}\n');
	write('loop/loop.test.lua', `test("ends", function()
  load_policy("loop.lua"):route{}
end)
test("goes on", function()
  expect(load_policy("ip_hash"):route{ip = "unix"}, nil)
end)
`);
	const { status, stdout } = limpet('test', 'loop');
	assert.equal(status, 1);
	assert.match(stdout, /FAIL ends\n {7}loop\/loop\.test\.lua:2: policy loop\/loop\.lua:3: stopped/);
	assert.match(stdout, /ok {3}goes on\n\n1 passed, 1 failed\n$/);
});
