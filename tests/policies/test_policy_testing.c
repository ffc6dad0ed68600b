/*
 * Tests that are written in Lua: which of them pass, and what is said of those that do not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/testing.h"

/* The policy that tests load. */
#define POLICY                                                                                                         \
	"local ups = 0\n"                                                                                              \
	"return {\n"                                                                                                   \
	"  setup = function(options) assert(options.bad == nil, 'bad option') end,\n"                                  \
	"  on_worker_up = function() ups = ups + 1 end,\n"                                                             \
	"  on_request = function(conn, workers)\n"                                                                     \
	"    if conn.path == '/raise' then local x = nil + 1 end\n"                                                    \
	"    if conn.path == '/refuse' then return limpet.refuse(403) end\n"                                           \
	"    if conn.path == '/time' then return workers[1 + limpet.now() % 2] end\n"                                  \
	"    if conn.path == '/count' then return workers[limpet.shared:incr('count')] end\n"                          \
	"    if conn.path == '/client' then return conn.client_ip == '192.0.2.9' and workers[3] end\n"                 \
	"    if conn.path == '/ups' then return workers[ups - 3] end\n"                                                \
	"    return conn.sid and workers:session(conn.sid)\n"                                                          \
	"  end,\n"                                                                                                     \
	"}\n"

struct fixture {
	char folder[32];
	char files[3][64]; /* The test, the policy, a module. */
	struct lp_error error;
	char told[4096]; /* "name: ok\n", or "name: failure [expected | got]\n" without the folder. */
};

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = fixture;
	strcpy(fixture->folder, "/tmp/limpet-testing-XXXXXX");
	if (!mkdtemp(fixture->folder))
		return -1;
	snprintf(fixture->files[0], sizeof(fixture->files[0]), "%s/p.test.lua", fixture->folder);
	snprintf(fixture->files[1], sizeof(fixture->files[1]), "%s/p.lua", fixture->folder);
	snprintf(fixture->files[2], sizeof(fixture->files[2]), "%s/m.lua", fixture->folder);
	write_file(fixture->files[1], POLICY);
	write_file(fixture->files[2], "return {answer = 42}");
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(fixture->files) / sizeof(fixture->files[0]); i++)
		unlink(fixture->files[i]);
	rmdir(fixture->folder);
	free(fixture);
	return 0;
}

static void on_tested(const struct lp_test_result *result, void *owner)
{
	struct fixture *fixture = owner;
	size_t length = strlen(fixture->told);
	const char *failure = result->failure ? result->failure : "ok";
	size_t folder = strlen(fixture->folder);

	if (strncmp(failure, fixture->folder, folder) == 0)
		failure += folder + 1;
	length += (size_t)snprintf(fixture->told + length, sizeof(fixture->told) - length, "%s: %s", result->name,
				   failure);
	if (result->expected)
		length += (size_t)snprintf(fixture->told + length, sizeof(fixture->told) - length, " [%s | %s]",
					   result->expected, result->got);
	snprintf(fixture->told + length, sizeof(fixture->told) - length, "\n");
}

static int run(struct fixture *fixture, const char *source)
{
	fixture->told[0] = '\0';
	fixture->error.text[0] = '\0';
	write_file(fixture->files[0], source);
	return lp_policy_test(fixture->files[0], on_tested, fixture, &fixture->error);
}

static void assert_told_at(struct fixture *fixture, const char *source, const char *told, int line)
{
	if (run(fixture, source) == 0 && strcmp(fixture->told, told) == 0)
		return;
	print_error("told:\n%snot:\n%serror: %s\n", fixture->told, told, fixture->error.text);
	_fail(__FILE__, line);
}
#define assert_told(fixture, source, told) assert_told_at(fixture, source, told, __LINE__)

/* Of one test, which fails with a message that has a part. */
static void assert_fails_at(struct fixture *fixture, const char *statements, const char *part, int line)
{
	char source[1024];

	snprintf(source, sizeof(source), "local policy = load_policy('p.lua')\ntest('t', function() %s end)",
		 statements);
	if (run(fixture, source) == 0 && strncmp(fixture->told, "t: p.test.lua:2: ", 17) == 0 &&
	    strstr(fixture->told, part))
		return;
	print_error("\"%s\" is not in: %s%s\n", part, fixture->told, fixture->error.text);
	_fail(__FILE__, line);
}
#define assert_fails(fixture, statements, part) assert_fails_at(fixture, statements, part, __LINE__)

/* The file is refused as a whole, with a message that has a part. */
static void assert_no_tests_at(struct fixture *fixture, const char *source, const char *part, int line)
{
	if (run(fixture, source) == LP_EPOLICY && !*fixture->told && strstr(fixture->error.text, part))
		return;
	print_error("\"%s\" is not in: %s\n%s", part, fixture->error.text, fixture->told);
	_fail(__FILE__, line);
}
#define assert_no_tests(fixture, source, part) assert_no_tests_at(fixture, source, part, __LINE__)

static void tests_pass_or_fail_in_order(void **state)
{
	assert_told(*state,
		    "test('b', function() expect(1, 1) end)\n"
		    "test('a', function()\n  expect(1 + 1, 3)\nend)\n"
		    "test('raises', function()\n  local x = nil + 1\nend)\n"
		    "test('last', function() end)\n",
		    "b: ok\na: p.test.lua:3 [3 | 2]\n"
		    "raises: p.test.lua:6: attempt to perform arithmetic on a nil value\nlast: ok\n");
}

static void what_was_expected_is_shown_beside_what_came(void **state)
{
	assert_told(*state,
		    "test('text', function() expect('a', 'b') end)\n"
		    "test('worker', function() expect(workers(2)[2], nil) end)\n"
		    "test('list', function() expect(false, {1, 'x'}) end)\n",
		    "text: p.test.lua:1 [\"b\" | \"a\"]\n"
		    "worker: p.test.lua:2 [nil | worker 2]\n"
		    "list: p.test.lua:3 [{1, \"x\"} | false]\n");
}

static void policies_answer_as_they_would(void **state)
{
	assert_told(
		*state,
		"local policy = load_policy('p.lua')\n"
		"test('answers', function()\n"
		"  local home = workers(3)[2]\n"
		"  session('abc', home)\n"
		"  expect(policy:route(conn{sid = 'abc'}), home)\n"
		"  expect(policy:route{}, nil)\n"
		"  expect(policy:route{path = '/refuse'}, 'refused 403')\n"
		"  stop(home)\n"
		"  expect(policy:route{sid = 'abc'}, nil)\n"
		"  start(home)\n"
		"  expect(policy:route{path = '/ups'}, workers(3)[1])\n"
		"  local before = policy:route{path = '/time'}\n"
		"  expect(policy:route{path = '/time'}, before)\n"
		"  advance(1)\n"
		"  expect(policy:route{path = '/time'} ~= before, true)\n"
		"  local from = {path = '/client', ip = '10.0.0.1', headers = {['X-Forwarded-For'] = '192.0.2.9'}}\n"
		"  expect(policy:route(from), nil)\n"
		"  trust('10.0.0.0/8')\n"
		"  expect(policy:route(from).id, 3)\n"
		"end)",
		"answers: ok\n");
}

static void each_test_begins_anew(void **state)
{
	assert_told(*state,
		    "local policy = load_policy('p.lua')\n"
		    "local function once()\n"
		    "  expect(policy:route{path = '/count'}.id, 1)\n"
		    "  expect(policy:route{sid = 'abc'}, nil)\n"
		    "  session('abc', workers(4)[4]) workers(1)\n"
		    "end\n"
		    "test('first', once) test('second', once)",
		    "first: ok\nsecond: ok\n");
}

static void an_error_of_the_policy_fails_the_test(void **state)
{
	assert_fails(*state, "policy:route{path = '/raise'}", "p.lua:6: attempt to perform arithmetic on a nil value");
	assert_fails(*state, "load_policy('p.lua', {bad = 1})", "p.lua:3: bad option");
	assert_fails(*state, "load_policy('absent.lua')", "absent.lua: no such file or directory");
	assert_fails(*state, "load_policy('siid')", "did you mean sid?");
}

static void mistakes_of_the_test_are_told(void **state)
{
	assert_fails(*state, "policy.route{}", "policy:route(conn): call it with a colon");
	assert_fails(*state, "policy:route()", "policy:route{} is one without anything to it");
	assert_fails(*state, "policy:rout{}", "policy has no field 'rout'; did you mean policy:route(conn)?");
	assert_fails(*state, "conn{pth = '/'}", "a connection has no 'pth'; did you mean path?");
	assert_fails(*state, "policy:route{ip = 'nowhere'}", "nowhere");
	assert_fails(*state, "expect(1)", "expect(actual, expected): takes two values, not 1");
	assert_fails(*state, "workers(1e6)", "workers: there can be 0 to 256, not 1000000");
	assert_fails(*state, "workers{{sessions = 1}}", "a worker can be given connections and waiting, not sessions");
	assert_fails(*state, "stop(1)", "must be a worker");
	assert_fails(*state, "session('', workers(1)[1])", "sid must be of 1 to 1024 bytes");
	assert_fails(*state, "trust('x')", "trust(cidr): ");
	assert_fails(*state, "advance(-1)", "seconds must be a number from 0 to 1e9");
	assert_fails(*state, "load_policy()", "name a policy");
	assert_fails(*state, "load_policy('p.lua', {1})", "options are strings by name");
	assert_fails(*state, "test('inner', function() end)", "a test cannot contain another");
}

static void a_policy_ends_with_its_test(void **state)
{
	assert_told(*state,
		    "local kept\n"
		    "test('one', function() kept = load_policy('sid') expect(kept:route{}, nil) end)\n"
		    "test('two', function() kept:route{} end)",
		    "one: ok\ntwo: p.test.lua:3: this policy was of a test that has ended; load it in the file, or in "
		    "each test\n");
}

static void a_test_has_the_policies_sandbox(void **state)
{
	assert_fails(*state, "os.exit(0)", "os.exit is not available in a policy");
	assert_fails(*state, "require 'absent'", "/absent.lua: no such file or directory");
	assert_told(*state,
		    "local m = require 'm'\n"
		    "test('module', function() expect(m.answer, 42) expect(require 'm', m) end)",
		    "module: ok\n");
}

static void a_file_without_tests_is_refused(void **state)
{
	assert_no_tests(*state, "", "p.test.lua: no test; write test(name, function() … end)");
	assert_no_tests(*state, "\nerror('early')", "p.test.lua:2: early");
	assert_no_tests(*state, "test(", "p.test.lua:1: ");
	assert_no_tests(*state, "test('t', 1)", "p.test.lua:1: bad argument #2");
}

#define testing_test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		testing_test(tests_pass_or_fail_in_order),
		testing_test(what_was_expected_is_shown_beside_what_came),
		testing_test(policies_answer_as_they_would),
		testing_test(each_test_begins_anew),
		testing_test(an_error_of_the_policy_fails_the_test),
		testing_test(mistakes_of_the_test_are_told),
		testing_test(a_policy_ends_with_its_test),
		testing_test(a_test_has_the_policies_sandbox),
		testing_test(a_file_without_tests_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
