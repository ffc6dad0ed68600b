/*
 * Ways out of the sandbox, each really tried: 127 probes, and never fewer than PROBES_LEAST.
 *
 * A probe is a policy whose on_request does something on requests of /probe, which are made twice, so that it can keep
 * what it was given and use it later; then its on_worker_up runs. Behind it, in the same state, stands a witness: another
 * file, which looks at everything that files could share, and has an opinion only if all of it is as it should be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_fixture.h"

#include <sys/stat.h>

#define PROBES_LEAST 40

enum outcome {
	RAISES,  /* An error of the file with this in its message, each time. */
	SAYS,    /* say() was given this, and nothing was raised. */
	HUSHES,  /* Nothing was raised, and this is not in the log. */
	STOPPED, /* The policies were stopped with this message. */
	REFUSED, /* The file does not load, with this message. */
};

struct probe {
	const char *name;
	const char *top;  /* Before the table that the file returns. */
	const char *code; /* Of on_request, for /probe. */
	enum outcome outcome;
	const char *what;
	const char *hooks; /* More of the table, or NULL. */
};

#define HOOK(name, code, outcome, what)                                                                                \
	{                                                                                                              \
		name, "", code, outcome, what, NULL                                                                    \
	}
#define LOAD(name, top, what)                                                                                          \
	{                                                                                                              \
		name, top, "", REFUSED, what, NULL                                                                     \
	}

static const struct probe absent[] = {
	HOOK("os.execute", "os.execute('touch /tmp/out')", RAISES, "os.execute is not available in a policy; "),
	HOOK("os.exit", "os.exit(3)", RAISES, "os.exit is not available in a policy; refuse a connection with limpet."),
	HOOK("os.time", "return os.time()", RAISES, "os.time is not available in a policy; use limpet.now()"),
	HOOK("os.clock", "return os.clock()", RAISES, "os.clock is not available in a policy; use limpet.now()"),
	HOOK("os.date", "return os.date()", RAISES, "os.date is not available in a policy; use limpet.now(), which "),
	HOOK("os.getenv", "return os.getenv('HOME')", RAISES, "os.getenv is not available in a policy; use --set key="),
	HOOK("os.remove", "os.remove('/tmp/out')", RAISES, "os.remove is not available in a policy; give policies "),
	HOOK("os.tmpname", "return os.tmpname()", RAISES, "os.tmpname is not available in a policy; give policies "),
	HOOK("os, raw", "say(rawget(os, 'time') == nil and next(os) == nil)", SAYS, "true"),
	HOOK("os through pcall", "pcall(os.exit, 3)", RAISES, "os.exit is not available in a policy"),
	HOOK("io.open", "io.open('/etc/passwd')", RAISES, "io.open is not available in a policy; give policies what"),
	HOOK("io.popen", "io.popen('id')", RAISES, "io.popen is not available in a policy; give policies what they"),
	HOOK("io.lines", "for line in io.lines('/etc/passwd') do say(line) end", RAISES, "io.lines is not available"),
	HOOK("io.write", "io.write('x')", RAISES, "io.write is not available in a policy; use limpet.log.info(...)"),
	HOOK("debug.getregistry", "debug.getregistry()", RAISES, "debug.getregistry is not available in a policy; a "),
	HOOK("debug.sethook", "debug.sethook()", RAISES, "debug.sethook is not available in a policy; a policy's err"),
	HOOK("debug.traceback", "xpcall(error, debug.traceback)", RAISES, "debug.traceback is not available in a "),
	HOOK("package.loadlib", "package.loadlib('libc.so.6', '*')", RAISES, "package.loadlib is not available in a "),
	HOOK("package.loaded", "return package.loaded.os", RAISES,
	     "package.loaded is not available in a policy; use r"),
	HOOK("ffi", "ffi.C.system('id')", RAISES, "ffi.C is not available in a policy; nothing may reach limpet's mem"),
	HOOK("jit.on", "jit.on()", RAISES, "jit.on is not available in a policy; policies run in the interpreter"),
	HOOK("coroutine.wrap", "coroutine.wrap(say)()", RAISES, "coroutine.wrap is not available in a policy; a hook "),
	HOOK("load", "load(function() end)", RAISES, "load is not available in a policy; put code into a file"),
	HOOK("loadstring", "loadstring('\\27LJ\\2')()", RAISES,
	     "loadstring is not available in a policy; put code int"),
	HOOK("loadfile", "loadfile('/etc/passwd')", RAISES, "loadfile is not available in a policy; put code into a f"),
	HOOK("dofile", "dofile('/etc/passwd')", RAISES, "dofile is not available in a policy; put code into a file"),
	HOOK("module", "module('out', function() end)", RAISES, "module is not available in a policy; return a table"),
	HOOK("getfenv", "return getfenv(0).os", RAISES, "getfenv is not available in a policy; a file's globals are"),
	HOOK("setfenv", "setfenv(1, {})", RAISES, "setfenv is not available in a policy; a file's globals are"),
	HOOK("newproxy", "newproxy(true)", RAISES, "newproxy is not available in a policy; use setmetatable({}, …)"),
	HOOK("collectgarbage", "collectgarbage('stop')", RAISES,
	     "collectgarbage is not available in a policy; limpet "),
	HOOK("gcinfo", "gcinfo()", RAISES, "gcinfo is not available in a policy; limpet collects garbage itself"),
	HOOK("print", "print('x')", RAISES, "print is not available in a policy; use limpet.log.info(...)"),
	HOOK("arg", "return arg[0]", RAISES,
	     "arg is not available in a policy; use --set key=value and setup(options)"),
	HOOK("_G", "return _G.os", RAISES, "_G is not available in a policy; name a global itself"),
	HOOK("string.dump", "string.dump(say)", RAISES, "string.dump is not available in a policy; bytecode cannot be"),
	HOOK("dump, a method", "('x'):dump(say)", RAISES, "string.dump is not available in a policy; bytecode cannot"),
	HOOK("table.foreach", "table.foreach({1}, say)", RAISES,
	     "table.foreach is not available in a policy; use for k"),
	HOOK("table.getn", "table.getn({})", RAISES, "table.getn is not available in a policy; use #table"),
};

static const struct probe loading[] = {
	LOAD("bytecode", "\33LJ\2", ": this is bytecode; name the source file"),
	LOAD("a module of bytecode", "require 'bytecode'", ":1: require \"bytecode\": "),
	LOAD("require ffi", "require 'ffi'",
	     ":1: require \"ffi\": ffi is not available in a policy; nothing may reach"),
	LOAD("require os", "require 'os'", ":1: require \"os\": os is not available in a policy; "),
	LOAD("require jit.util", "require 'jit.util'", ":1: require \"jit.util\": "),
	LOAD("require upwards", "require '../x'", ":1: require \"../x\": a module is named by words with dots betwee"),
	LOAD("require from the root", "require '/etc/passwd'", ":1: require \"/etc/passwd\": a module is named by"),
	LOAD("require down and up", "require 'a/../../b'", ":1: require \"a/../../b\": a module is named by words"),
	LOAD("require with dots only", "require '...etc.passwd'",
	     ":1: require \"...etc.passwd\": a module is named by"),
	LOAD("require a path's pattern", "require 'a.b;c'", ":1: require \"a.b;c\": a module is named by words with"),
	LOAD("require past a NUL", "require 'inside\\0/../x'", ":1: require \"inside\\0/../x\": a module is named by"),
	LOAD("require an endless name", "require(('x'):rep(1e6))", ":1: require \"xxxx"),
	LOAD("require a link out", "require 'link'",
	     "/link.lua leads out of the policy's folder; modules must lie ben"),
	LOAD("require in a linked folder", "require 'out.x'", "/out/x.lua leads out of the policy's folder; modules "),
	LOAD("require a folder", "require 'folder'", "/folder.lua: illegal operation on a directory"),
	LOAD("require in a circle", "require 'p'", ": modules require each other: p → p; move what both need into"),
	LOAD("require a table", "require {}", ":1: require(name): name must be a string, not a table"),
	HOOK("require in a hook", "require 'inside'", RAISES, "modules are read while a policy is loaded, not in on_r"),
	{"require kept by a module", "local inside = require 'inside'", "inside.require 'evil'", RAISES,
	 "modules are read while a policy is loaded, not in on_request", NULL},
	{"a module's globals", "require 'inside'", "say(mine)", SAYS, "nil", NULL},
	{"a module that breaks its libraries", "require 'evil'", "say(('%d'):format(7) .. string.rep('x', 2))", SAYS,
	 "7xx", NULL},
	{"options", "", "say('ok')", SAYS, "ok",
	 "setup = function(options) setmetatable(options, {__index = error}) options.key = 'evil' end,"},
};

static const struct probe tampering[] = {
	HOOK("the metatable of strings", "getmetatable('').__index = say", RAISES, "attempt to index a boolean value"),
	HOOK("another metatable for strings", "setmetatable('', {})", RAISES, "table expected, got string"),
	HOOK("string.rep", "string.rep = nil say(('x'):rep(2))", SAYS, "xx"),
	HOOK("string.format, raw", "rawset(string, 'format', error) say(('%d'):format(7))", SAYS, "7"),
	HOOK("the metatable of string", "setmetatable(string, {})", RAISES, "cannot change a protected metatable"),
	HOOK("math.floor", "math.floor = error say(1)", SAYS, "1"),
	HOOK("table.concat", "rawset(table, 'concat', error) say(1)", SAYS, "1"),
	HOOK("bit.band", "bit.band = nil say(1)", SAYS, "1"),
	HOOK("globals", "tostring, pairs, string, limpet.x = nil", RAISES, "limpet is read-only"),
	HOOK("globals that are gone", "ipairs, pairs, tonumber, string, math, limpet = nil", HUSHES, "policy"),
	HOOK("new globals", "mine, limpet, conn, workers = 1, 2, 3, 4", HUSHES, "policy"),
	HOOK("limpet.refuse", "limpet.refuse = error say(1)", SAYS, "1"),
	HOOK("limpet.refuse, raw", "rawset(limpet, 'refuse', error) say(1)", SAYS, "1"),
	HOOK("the metatable of limpet", "setmetatable(limpet, {})", RAISES, "cannot change a protected metatable"),
	HOOK("__metatable of limpet.log", "say(getmetatable(limpet.log))", SAYS, "false"),
	HOOK("__metatable of conn", "say(getmetatable(conn))", SAYS, "false"),
	HOOK("__metatable of a worker", "getmetatable(workers[1]).__index = say", RAISES, "attempt to index a boolean"),
	HOOK("a metatable for conn", "setmetatable(conn, {})", RAISES, "table expected, got userdata"),
	HOOK("a metatable for a worker", "setmetatable(workers[1], {})", RAISES, "table expected, got userdata"),
	HOOK("a metatable for workers", "setmetatable(workers, {})", RAISES, "cannot change a protected metatable"),
	HOOK("workers.hash", "workers.hash = error", RAISES, "workers is read-only"),
	HOOK("workers.hash, raw", "rawset(workers, 'hash', error)", RAISES, "workers is read-only; change a copy of"),
	HOOK("the order of workers", "table.sort(workers, function(a, b) return a.id > b.id end)", RAISES, "read-only"),
	HOOK("conn.ip", "conn.ip = '10.0.0.1'", RAISES, "conn is read-only"),
	HOOK("conn, raw", "rawset(conn, 'ip', 1)", RAISES, "table expected, got userdata"),
	HOOK("all of conn", "for name in pairs(conn) do say(name) end", RAISES, "table expected, got userdata"),
	HOOK("a worker's id", "workers[1].id = 9", RAISES, "worker is read-only"),
	HOOK("the replacement of gsub", "('x'):gsub('.', setmetatable({}, {__index = function() return os end}))",
	     RAISES, "invalid replacement value (a table)"),
};

static const struct probe forging[] = {
	HOOK("a forged worker", "return {id = 3}", RAISES, "on_request returned a table; return a worker"),
	HOOK("a forged worker, bound", "workers:bind('k', {id = 3})", RAISES,
	     "worker must be one of workers, not a ta"),
	HOOK("a refusal, bound", "workers:bind('k', limpet.refuse(403))", RAISES,
	     "worker must be one of workers, not "),
	HOOK("a method of another's", "limpet.shared.get(limpet.cidr('::/0'), 'k')", RAISES, "call it with a colon"),
	HOOK("conn's for a worker", "conn.header(workers[1], 'host')", RAISES, "call it with a colon"),
	HOOK("conn's for a table", "conn.query({}, 'sid')", RAISES, "call it with a colon"),
	HOOK("networks' for conn", "limpet.cidr('::/0').contains(conn, '::1')", RAISES, "call it with a colon"),
	HOOK("no worker", "return workers[1].id * 1000", RAISES, "returned the number 1000"),
	{"conn, kept", "local kept", "kept = kept or conn say(kept.ip)", SAYS, "192.0.2.1", NULL},
	{"conn, used later", "local kept", "kept = conn", RAISES, "conn is only valid during the call; keep what you",
	 "on_worker_up = function() return kept.ip end,"},
	{"a method of conn, used later", "local kept, header", "kept, header = conn, conn.header", RAISES,
	 "conn is only valid during the call", "on_worker_up = function() return header(kept, 'host') end,"},
	{"workers, used later", "local kept = {}", "kept = workers", SAYS, "4",
	 "on_worker_up = function() say(#kept) end,"},
	{"conn in a weak table", "local kept = setmetatable({}, {__mode = 'v'})", "kept[1] = conn say(kept[1] == conn)",
	 SAYS, "true", NULL},
};

static const struct probe excess[] = {
	HOOK("string.rep", "return ('x'):rep(2^28)", STOPPED, "33554432 bytes of memory"),
	HOOK("string.rep past all numbers", "return ('x'):rep(2^31 - 100)", RAISES, "not enough memory"),
	HOOK("a huge width", "return ('%99999d'):format(1)", RAISES, "invalid"),
	HOOK("a huge precision", "return ('%.100000f'):format(1)", RAISES, "invalid"),
	HOOK("table.insert far away", "table.insert({}, 2^31, 1)", RAISES, "position must be from 1 to 1"),
	HOOK("table.insert nowhere", "table.insert({}, 0/0, 1)", RAISES, "position must be from 1 to 1"),
	HOOK("unpack of nothing", "unpack({}, 1, 1e8)", RAISES, "too many results to unpack"),
	HOOK("select before all", "select(-5, 1)", RAISES, "bad argument #1 to 'select' (index out of range)"),
	HOOK("concat of nothing", "table.concat({}, '', 1, 1e8)", RAISES, "invalid value (nil) at index 1"),
	HOOK("gsub in gsub", "local function f() return ('x'):gsub('x', f) end f()", RAISES, "nested too deep"),
	HOOK("sort in sort", "local function f() table.sort({1, 2, 3}, f) end f()", RAISES, ""),
	HOOK("pcall in pcall", "local function f() return assert(pcall(f)) end f()", RAISES, ""),
	HOOK("__tostring in %s",
	     "local t = setmetatable({}, {__tostring = function(t) return ('%s'):format(t) end}) tostring(t)", RAISES,
	     "nested too deep"),
	HOOK("__tostring of an error",
	     "if escaped then say('out') end error(setmetatable({}, {__tostring = function() escaped = 1 end}))",
	     RAISES, "error() was given a table and no message"),
	HOOK("xpcall's handler", "xpcall(error, function() return os.exit(3) end)", HUSHES, "policy"),
	HOOK("an error out of __index",
	     "say(pcall(function() return setmetatable({}, {__index = function() error('x') end}).y end))", SAYS,
	     "false"),
	HOOK("an error out of sort", "table.sort({3, 2, 1}, function() error('out of sort') end)", RAISES, "out of so"),
	HOOK("__gc", "setmetatable({}, {__gc = function() say('out') end})", HUSHES, "<out>"),
	HOOK("a huge list of networks",
	     "local t = {} for i = 1, 5000 do t[i] = '10.0.0.0/8' end say(limpet.cidr(unpack(t)):contains('10.1.1.1'))",
	     SAYS, "true"),
	HOOK("networks that are none", "limpet.cidr(('1'):rep(1e5))", RAISES, "limpet.cidr(...): "),
	HOOK("a shared key with a NUL", "limpet.shared:set('a\\0b', 1) say(limpet.shared:get('a'))", SAYS, "nil"),
	HOOK("a shared key too long", "say(select(2, limpet.shared:set(('k'):rep(1e5), 1)))", SAYS,
	     "limpet.shared is full"),
	HOOK("a session's key too long", "workers:bind(('k'):rep(1e5), workers[1])", RAISES,
	     "key must be of 1 to 1024"),
	HOOK("a flood of lines", "for i = 1, 1000 do limpet.log.info('line', i) end", HUSHES, "line 900"),
	HOOK("a line in a line", "limpet.log.info('x\\nlimpet: forged')", HUSHES, "\nlimpet: forged"),
};

static const struct {
	const struct probe *probes;
	size_t count;
} groups[] = {
#define GROUP(probes)                                                                                                  \
	{                                                                                                              \
		probes, sizeof(probes) / sizeof((probes)[0])                                                           \
	}
	GROUP(absent), GROUP(loading), GROUP(tampering), GROUP(forging), GROUP(excess),
};

/* Returns the second worker if nothing that it sees has been changed. */
static const char witness[] =
	"local setting\n"
	"return {\n"
	"  setup = function(options) setting = options.key end,\n"
	"  on_request = function(conn, workers)\n"
	"    local said = {}\n"
	"    for i, worker in ipairs(workers) do said[i] = tostring(worker.id) end\n"
	"    assert(table.concat(said) == '1234' and #workers == 4)\n"
	"    assert(setting == 'value' and mine == nil and escaped == nil)\n"
	"    assert(('%d'):format(7) == '7' and string.format('%s', ('x'):rep(2)) == 'xx')\n"
	"    assert(math.floor(2.5) == 2 and bit.band(3, 1) == 1 and tonumber('7') == 7)\n"
	"    assert(conn.ip == '192.0.2.1' and conn:header('host') == 'a.example')\n"
	"    assert(limpet.refuse(403) and limpet.cidr('::/0'):contains('::1') and workers:hash('x'))\n"
	"    return workers[2]\n"
	"  end,\n"
	"}\n";

/* What lies beside the policy. */
static const struct {
	const char *name;
	const char *text;
} files[] = {
	{"witness.lua", witness},
	{"inside.lua", "mine = 1 return {require = require}"},
	{"evil.lua", "string.format = nil string.rep = nil string = nil escaped = 1"},
	{"bytecode.lua", "\33LJ\2"},
};

/* A folder out of the policy's reach, to which links lead. */
static char outside[32];

static const char *path_in(const char *folder, const char *name)
{
	static char paths[2][96];
	static unsigned turn;
	char *path = paths[turn++ % 2];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int set_up(void **state)
{
	static const char *const settings[] = {"key=value"};
	struct fixture *fixture;

	strcpy(outside, "/tmp/limpet-outside-XXXXXX");
	if (fixture_set_up(state) || !mkdtemp(outside))
		return -1;
	fixture = *state;
	fixture->host.settings = settings;
	fixture->host.setting_count = 1;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		write_file(path_in(fixture->folder, files[i].name), files[i].text);
	write_file(path_in(outside, "x.lua"), "return {}");
	return mkdir(path_in(fixture->folder, "folder.lua"), 0700) ||
	       symlink(path_in(outside, "x.lua"), path_in(fixture->folder, "link.lua")) ||
	       symlink(outside, path_in(fixture->folder, "out"));
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(path_in(fixture->folder, files[i].name));
	rmdir(path_in(fixture->folder, "folder.lua"));
	unlink(path_in(fixture->folder, "link.lua"));
	unlink(path_in(fixture->folder, "out"));
	unlink(path_in(outside, "x.lua"));
	rmdir(outside);
	return fixture_tear_down(state);
}

static void write_probe(struct fixture *fixture, const struct probe *probe)
{
	char source[2048];

	snprintf(source, sizeof(source),
		 "%s\nlocal log, tostring = limpet.log.info, tostring\n"
		 "local function say(what) log('<' .. tostring(what) .. '>') end\n"
		 "return { %s on_request = function(conn, workers) if conn.path == '/probe' then %s end end }",
		 probe->top, probe->hooks ? probe->hooks : "", probe->code);
	fixture_write(fixture, source, strlen(source));
}

static void try_to_load(struct fixture *fixture, const struct probe *probe)
{
	const char *const names[] = {fixture->file};
	struct lp_policy *policy;
	struct lp_error error = {0};

	if (lp_policy_load(&policy, &fixture->host, names, 1, &error) != LP_EPOLICY || !strstr(error.text, probe->what))
		fail_msg("%s: not refused with \"%s\" but \"%s\"", probe->name, probe->what, error.text);
}

/* What the policies had to say to it, as it should be. */
static bool is_as_expected(struct fixture *fixture, const struct probe *probe)
{
	uint64_t errors = lp_policy_errors(fixture->policy);
	uint64_t kills = lp_policy_kills(fixture->policy);
	const char *said = fixture_said(fixture);
	char line[256];

	snprintf(line, sizeof(line), "<%s>\n", probe->what);
	switch (probe->outcome) {
	case RAISES:
		return errors > 0 && kills == 0 && strstr(said, probe->what) && !strstr(said, "<out>");
	case SAYS:
		return errors == 0 && strstr(said, line);
	case HUSHES:
		return errors == 0 && !strstr(said, probe->what);
	case STOPPED:
		return kills == 2 && strstr(said, probe->what);
	case REFUSED:
		break;
	}
	return false;
}

static void try_out(struct fixture *fixture, const struct probe *probe)
{
	const char *const names[] = {fixture->file, path_in(fixture->folder, "witness.lua")};
	struct lp_verdict verdict;

	fixture_load_names_at(fixture, names, 2, __FILE__, __LINE__);
	fixture_forget(fixture);
	request(fixture, "GET /probe HTTP/1.1\r\nHost: a.example\r\n\r\n");
	ask(fixture);
	ask(fixture);
	lp_policy_worker_down(fixture->policy, 1); /* Of which it heard when it was first asked. */
	lp_policy_worker_up(fixture->policy, 1);
	if (!is_as_expected(fixture, probe))
		fail_msg("%s: not \"%s\" but\n%s", probe->name, probe->what, fixture_said(fixture));

	fixture_forget(fixture);
	request(fixture, FIXTURE_REQUEST);
	verdict = ask(fixture);
	if (verdict.kind != LP_VERDICT_WORKER || verdict.worker != 2)
		fail_msg("%s: the witness says\n%s", probe->name, fixture_said(fixture));
}

static void no_way_leads_out(void **state)
{
	size_t tried = 0;

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		for (size_t j = 0; j < groups[i].count; j++, tried++) {
			write_probe(*state, &groups[i].probes[j]);
			(groups[i].probes[j].outcome == REFUSED ? try_to_load : try_out)(*state, &groups[i].probes[j]);
		}
	print_message("%zu probes\n", tried);
	assert_true(tried >= PROBES_LEAST);
}

/* The witness must be able to see something. */
static void the_witness_notices(void **state)
{
	struct fixture *fixture = *state;
	const char *const names[] = {path_in(fixture->folder, "witness.lua")};

	fixture_load_names_at(fixture, names, 1, __FILE__, __LINE__);
	request(fixture, FIXTURE_REQUEST);
	assert_worker(ask(fixture), 2);
	lp_workers_set_usable(&fixture->workers, 4, false);
	assert_no_opinion(ask(fixture));
	assert_int_equal(lp_policy_errors(fixture->policy), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_way_leads_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_witness_notices, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
