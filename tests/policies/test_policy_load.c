/*
 * Loading: which names are found, which shapes are policies, what setup is given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/testing.h"
#include "policy_fixture.h"

#include <errno.h>
#include <sys/stat.h>

/* What loading says when it refuses a name. */
static const char *refusal_of(struct fixture *fixture, const char *name, int code)
{
	static struct lp_error error;
	struct lp_policy *policy = (struct lp_policy *)fixture;

	assert_int_equal(lp_policy_load(&policy, &fixture->host, &name, 1, &error), code);
	assert_null(policy);
	return error.text;
}

static void no_policies_have_no_opinion(void **state)
{
	struct fixture *fixture = *state;

	fixture_load_names_at(fixture, NULL, 0, __FILE__, __LINE__);
	assert_no_opinion(ask(fixture));
	assert_false(lp_policy_needs_bytes(fixture->policy));
}

static void an_unknown_name_is_told_which_there_are(void **state)
{
	struct fixture *fixture = *state;

	assert_string_equal(
		refusal_of(fixture, "tenants", LP_EPOLICY),
		"policy tenants: no included policy has this name; there are bounded_hash, forwarded_for, "
		"ip_hash, least_connections, least_sessions, random, round_robin, session, sid, sid_tag (a file is "
		"named with a slash or .lua: ./tenants.lua)");
	assert_contains(refusal_of(fixture, "siid", LP_EPOLICY),
			"policy siid: no included policy has this name; did you mean sid?");
	assert_contains(refusal_of(fixture, "iphash", LP_EPOLICY), "did you mean ip_hash?");
	assert_contains(refusal_of(fixture, "", LP_EPOLICY), "no included policy has this name; there are");
}

static void a_file_that_cannot_be_read_says_why(void **state)
{
	struct fixture *fixture = *state;
	char pipe[64];

	assert_string_equal(refusal_of(fixture, "absent.lua", -ENOENT), "policy absent.lua: no such file or directory");
	assert_string_equal(refusal_of(fixture, "/", -EISDIR), "policy /: illegal operation on a directory");
	snprintf(pipe, sizeof(pipe), "%s/pipe", fixture->folder);
	assert_int_equal(mkfifo(pipe, 0600), 0);
	assert_contains(refusal_of(fixture, pipe, -EINVAL), "/pipe: ");
	unlink(pipe);
}

static void a_file_has_at_most_a_mebibyte(void **state)
{
	struct fixture *fixture = *state;
	size_t size = (size_t)1 << 20;
	char *source = malloc(size + 2);

	memset(source, ' ', size + 1);
	source[size] = '\0';
	memcpy(source, "return { on_connect = function() end }", strlen("return { on_connect = function() end }"));
	load(fixture, source);
	source[size] = ' ';
	source[size + 1] = '\0';
	assert_refused(fixture, source, ": the file is larger than 1 MiB");
	free(source);
}

static void broken_syntax_is_told_with_its_line(void **state)
{
	struct fixture *fixture = *state;

	assert_refused(fixture, "return {\n  on_connect = function(conn workers)\n", ":2: ");
	assert_refused(fixture, "local x = =", ":1: unexpected symbol near '='");
}

static void what_a_file_raises_is_told_with_its_line(void **state)
{
	struct fixture *fixture = *state;

	assert_refused(fixture, "local x\nreturn x.y", ":2: attempt to index local 'x' (a nil value)");
	assert_refused(fixture, "\nerror('no tenants')", ":2: no tenants");
	assert_refused(fixture, "\nerror('no tenants', 0)", ":2: no tenants");
	assert_refused(fixture, "\nerror({})", ":2: error() was given a table and no message");
	assert_refused(fixture, "\nerror()", ":2: error() was given a nil and no message");
	assert_refused(fixture, "return limpet.cidr('x')", ": limpet.cidr(...): \"x\"");
	assert_refused(fixture, "local function f()\nerror('deep')\nend\nlocal function g()\nf()\nend\ng()\n",
		       ":2: deep (called from ");
}

static void bytecode_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_refused(fixture, "\x1bLJ\x02\n", ": this is bytecode; name the source file");
	assert_refused(fixture, "#!/usr/bin/lua\n\x1bLJ\x02\n", ": cannot load malformed bytecode");
}

static void a_shape_that_is_no_policy_says_what_is_missing(void **state)
{
	static const char *const cases[][2] = {
		{"", ": the file returns nothing; return a table with on_connect, on_hello or on_request"},
		{"return 5", ": a number is no policy; return a table with on_connect"},
		{"return {}", ": the policy has no hook; give it on_connect, on_hello or on_request"},
		{"return { name = 'a' }", ": the policy has no hook"},
		{"return { on_reqest = function() end }",
		 ": a policy has no field 'on_reqest'; did you mean on_request?"},
		{"return { onConnect = function() end }",
		 ": a policy has no field 'onConnect'; did you mean on_connect?"},
		{"return { choose_worker = function() end }",
		 ": a policy has no field 'choose_worker'; there are on_connect, on_hello, "},
		{"return { on_connect = function() end, route_each = 'reqest' }",
		 ": route_each is \"reqest\"; it can be \"connection\", \"session\" or \"request\""},
		{"return { on_connect = 5 }", ": on_connect must be a function, not a number"},
		{"return { on_connect = function() end, name = 5 }", ": name must be a string, not a number"},
		{"return { on_connect = function() end, [5] = 1 }", ": the table has fields and a list; return either"},
		{"return { { on_connect = function() end }, name = 'a' }",
		 ": the table has fields and a list; return either"},
		{"return { { on_connect = function() end }, 5 }", ": [2]: a number is no policy"},
		{"return { { on_connect = function() end }, { {}, } }", ": [2][1]: the policy has no hook"},
		{"return { { on_connect = function() end }, { on_hallo = function() end } }",
		 ": [2]: a policy has no field"},
		{"local p = { on_connect = function() end } return { p, nil, p }", ": the list has a hole: "},
		{"local p = { on_connect = function() end } return { p, p, [4] = p, [9] = p }",
		 ": the list has a hole: "},
		{"return setmetatable({}, { __index = function() return print end })", ": the policy has no hook"},
		{"local t = {} t[1] = t return t",
		 ": [1][1][1][1][1][1][1][1]: lists of policies are nested too deep; 8 is the most"},
		{"local p, l = { on_connect = function() end }, {} for i = 1, 257 do l[i] = p end return l",
		 ": [257]: these are too many policies; 256 is the most"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(fixture, cases[i][0], cases[i][1]);
}

static void a_list_of_policies_is_a_policy(void **state)
{
	struct fixture *fixture = *state;

	load(fixture,
	     "local function pick(n) return { on_connect = function(conn, workers) "
	     "return conn.port == n and workers[n] end } end return { pick(1), { pick(2), { pick(3) } }, pick(4) }");
	for (uint16_t port = 1; port <= FIXTURE_WORKERS; port++) {
		fixture->conn.port = port;
		assert_worker(ask(fixture), port);
	}
	fixture->conn.port = 5;
	assert_no_opinion(ask(fixture));
}

static void setup_is_given_the_settings_once(void **state)
{
	static const char *const settings[] = {"tenants=/etc/tenants", "empty=", "sum=a=b"};
	struct fixture *fixture = *state;

	fixture->host.settings = settings;
	fixture->host.setting_count = 3;
	load(fixture, "local calls = 0\n"
		      "local function setup(options) calls = calls + 1 limpet.log.info(calls, options.tenants, "
		      "'<' .. options.empty .. '>', options.sum, options.absent) options.tenants = nil end\n"
		      "return { { setup = setup, on_connect = function() end }, { setup = setup, name = 'second' } }");
	assert_said(fixture, "p.lua: 1 /etc/tenants <> a=b nil\n");
	assert_said(fixture, "p.lua: 2 /etc/tenants <> a=b nil\n");
}

static void a_setup_that_raises_fails_the_load(void **state)
{
	struct fixture *fixture = *state;

	assert_refused(fixture,
		       "return {\n  setup = function(options)\n    assert(options.tenants, 'say --set tenants=FILE')\n"
		       "  end }",
		       ":3: say --set tenants=FILE");
}

static void errors_come_from_the_file_that_has_them(void **state)
{
	struct fixture *fixture = *state;

	fixture_write(fixture, "\nreturn { on_connect = function() error('mine') end }", 53);
	fixture_load_names_at(fixture, (const char *const[]){"sid", fixture->file, "ip_hash"}, 3, __FILE__, __LINE__);
	request(fixture, FIXTURE_REQUEST);
	assert_int_equal(ask(fixture).kind, LP_VERDICT_WORKER);
	assert_said(fixture, "/p.lua:2: mine");
}

static void a_long_path_keeps_its_end_in_messages(void **state)
{
	struct fixture *fixture = *state;
	char source[] = "\nreturn { on_connect = function() error('mine') end }";
	char path[400];

	snprintf(path, sizeof(path), "%s/", fixture->folder);
	for (int i = 0; i < 100; i++)
		strcat(path, "./");
	strcat(path, "p.lua");
	fixture_write(fixture, source, strlen(source));
	fixture_load_names_at(fixture, (const char *const[]){path}, 1, __FILE__, __LINE__);
	ask(fixture);
	assert_said(fixture, "/p.lua:2: mine");
}

static void a_reload_stands_beside_the_old_policy(void **state)
{
	struct fixture *fixture = *state;
	struct lp_policy *old;

	load(fixture, "local n = 0 return { on_connect = function(conn, workers) n = n + 1 return workers[n] end }");
	assert_worker(ask(fixture), 1);
	old = fixture->policy;
	fixture->policy = NULL;
	run(fixture, "on_connect", "limpet.shared:incr('n') workers:bind('key', workers[3]) return workers[4]");
	assert_worker(ask(fixture), 4);
	fixture->cursor = 0;
	assert_worker(lp_policy_decide(old, &fixture->conn, &fixture->cursor), 2);
	lp_policy_free(old);
	load(fixture, "return { on_connect = function(conn, workers) return limpet.shared:get('n') == 2 and "
		      "workers:session('key') end }");
	assert_worker(ask(fixture), 3);
}

static void on_tested(const struct lp_test_result *result, void *owner)
{
	int *passed = owner;

	if (result->failure)
		fail_msg("%s: %s", result->name, result->failure);
	++*passed;
}

/* Run a block of the guide that is a test, of the policy that the guide begins with. */
static void run_as_test(struct fixture *fixture, const char *policy, const char *source)
{
	struct lp_error error = {0};
	char test[sizeof(fixture->file)];
	int passed = 0;

	snprintf(test, sizeof(test), "%s", fixture->file);
	snprintf(fixture->file, sizeof(fixture->file), "%s/tenants.lua", fixture->folder);
	fixture_write(fixture, policy, strlen(policy));
	strcpy(fixture->file, test);
	fixture_write(fixture, source, strlen(source));
	if (lp_policy_test(fixture->file, on_tested, &passed, &error) != 0)
		fail_msg("%s", error.text);
	assert_true(passed > 0);
	snprintf(test, sizeof(test), "%s/tenants.lua", fixture->folder);
	unlink(test);
}

/* The module that one of the guide's policies requires. */
static void write_list(const struct fixture *fixture)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/homes", fixture->folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/homes/list.lua", fixture->folder);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("return { acme = 1, globex = 3 }", file);
	fclose(file);
}

static void remove_list(const struct fixture *fixture)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/homes/list.lua", fixture->folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/homes", fixture->folder);
	rmdir(path);
}

/* Every ```lua block of the guide is loaded and asked, or run if it is a test. */
static void the_examples_of_the_guide_work(void **state)
{
	static const char *const settings[] = {"office=192.0.2.0/24"};
	struct fixture *fixture = *state;
	FILE *file = fopen(LIMPET_SOURCE_DIR "/policies/README.md", "r");
	char source[4096] = "";
	char first[4096] = "";
	char line[1024];
	bool is_inside = false;
	int examples = 0;

	assert_non_null(file);
	write_list(fixture);
	fixture->host.settings = settings;
	fixture->host.setting_count = 1;
	request(fixture, FIXTURE_REQUEST);
	while (fgets(line, sizeof(line), file)) {
		if (is_inside && strncmp(line, "```", 3) == 0) {
			if (!*first)
				strcpy(first, source);
			if (strstr(source, "load_policy(")) {
				run_as_test(fixture, first, source);
			} else {
				load(fixture, source);
				ask(fixture);
				assert_int_equal(lp_policy_errors(fixture->policy), 0);
			}
			examples++;
			is_inside = false;
		} else if (is_inside) {
			assert_true(strlen(source) + strlen(line) < sizeof(source));
			strcat(source, line);
		} else if (strcmp(line, "```lua\n") == 0) {
			is_inside = true;
			source[0] = '\0';
		}
	}
	fclose(file);
	remove_list(fixture);
	assert_in_range(examples, 4, 100);
}

static void a_policy_says_which_requests_it_routes(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "return { on_connect = function() end }");
	assert_int_equal(lp_policy_route_each(fixture->policy), LP_ROUTE_FIRST);
	load(fixture, "return { route_each = 'connection', on_connect = function() end }");
	assert_int_equal(lp_policy_route_each(fixture->policy), LP_ROUTE_FIRST);
	load(fixture, "return { route_each = 'session', on_request = function() end }");
	assert_int_equal(lp_policy_route_each(fixture->policy), LP_ROUTE_SESSION);
	load(fixture, "return { route_each = 'request', on_request = function() end }");
	assert_int_equal(lp_policy_route_each(fixture->policy), LP_ROUTE_REQUEST);
}

static void of_several_the_one_that_wants_most_counts(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "return { { route_each = 'request', on_request = function() end }, "
		      "{ route_each = 'session', on_request = function() end }, { on_connect = function() end } }");
	assert_int_equal(lp_policy_route_each(fixture->policy), LP_ROUTE_REQUEST);
	load_named(fixture, "sid");
	assert_int_equal(lp_policy_route_each(fixture->policy), LP_ROUTE_SESSION);
	load_named(fixture, "ip_hash");
	assert_int_equal(lp_policy_route_each(fixture->policy), LP_ROUTE_FIRST);
}

static void sessions_carried_elsewhere_than_in_the_sid_want_every_request(void **state)
{
	static const char *const texts[] = {"sid", "mcp"};
	struct fixture *fixture = *state;
	struct lp_session_rule *rules;

	assert_int_equal(lp_session_rules_new(texts, 2, &rules, NULL), 0);
	fixture->host.rules = rules;
	fixture->host.rule_count = 1;
	load_named(fixture, "session");
	assert_int_equal(lp_policy_route_each(fixture->policy), LP_ROUTE_SESSION);
	fixture->host.rule_count = 2;
	assert_int_equal(lp_policy_route_each(fixture->policy), LP_ROUTE_REQUEST);
	load_named(fixture, "ip_hash");
	assert_int_equal(lp_policy_route_each(fixture->policy), LP_ROUTE_FIRST);
	free(rules);
}

static void route_each_is_one_of_three_words(void **state)
{
	struct fixture *fixture = *state;

	assert_refused(fixture, "return { route_each = 'always', on_request = function() end }",
		       ": route_each is \"always\"; it can be \"connection\", \"session\" or \"request\"");
	assert_refused(fixture, "return { route_each = true, on_request = function() end }", ": ");
	assert_refused(fixture, "return { route_each = 1, on_request = function() end }", ": ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(no_policies_have_no_opinion),
		policy_test(a_policy_says_which_requests_it_routes),
		policy_test(of_several_the_one_that_wants_most_counts),
		policy_test(sessions_carried_elsewhere_than_in_the_sid_want_every_request),
		policy_test(route_each_is_one_of_three_words),
		policy_test(an_unknown_name_is_told_which_there_are),
		policy_test(a_file_that_cannot_be_read_says_why),
		policy_test(a_file_has_at_most_a_mebibyte),
		policy_test(broken_syntax_is_told_with_its_line),
		policy_test(what_a_file_raises_is_told_with_its_line),
		policy_test(bytecode_is_refused),
		policy_test(a_shape_that_is_no_policy_says_what_is_missing),
		policy_test(a_list_of_policies_is_a_policy),
		policy_test(setup_is_given_the_settings_once),
		policy_test(a_setup_that_raises_fails_the_load),
		policy_test(errors_come_from_the_file_that_has_them),
		policy_test(a_long_path_keeps_its_end_in_messages),
		policy_test(a_reload_stands_beside_the_old_policy),
		policy_test(the_examples_of_the_guide_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
