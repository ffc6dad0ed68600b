/*
 * require: which modules are found, how often they run, what is said of those that fail, and that policies are made
 * again from the texts that were loaded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/source.h"
#include "policy_fixture.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>

#define MODULES_MAX 64

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
	(void)status;
	(void)type;
	return at->level > 0 ? remove(path) : 0;
}

static int tear_down(void **state)
{
	nftw(((struct fixture *)*state)->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return fixture_tear_down(state);
}

/* Beside the policy; its folders are made. */
static void write_module(const struct fixture *fixture, const char *name, const char *text)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
	for (char *slash = strchr(path + strlen(fixture->folder) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* The error of loading a policy, which must fail. */
static const char *refusal(struct fixture *fixture, const char *source, int code)
{
	static struct lp_error error;
	const char *name = fixture->file;
	struct lp_policy *policy;

	fixture_write(fixture, source, strlen(source));
	assert_int_equal(lp_policy_load(&policy, &fixture->host, &name, 1, &error), code);
	assert_null(policy);
	return error.text;
}

/* As refusal; the text begins with "policy FOLDER/" and this. */
static void assert_refusal_at(struct fixture *fixture, const char *source, const char *message, int line)
{
	const char *text = refusal(fixture, source, LP_EPOLICY);
	char expected[512];

	snprintf(expected, sizeof(expected), "policy %s/%s", fixture->folder, message);
	assert_contains_at(text, expected, __FILE__, line);
}
#define assert_refusal(fixture, source, message) assert_refusal_at(fixture, source, message, __LINE__)

static void a_module_is_named_by_its_place_beneath_the_policy(void **state)
{
	struct fixture *fixture = *state;

	write_module(fixture, "names.lua", "return 1");
	write_module(fixture, "tenants/names.lua", "local name = ... return require 'tenants.deep.list_2' + #name");
	write_module(fixture, "tenants/deep/list_2.lua", "return -12");
	load(fixture, "local n = require 'tenants.names'\nreturn { on_connect = function(_, workers)\n"
		      "return workers[n] end }");
	assert_worker(ask(fixture), 1);
}

static void a_module_runs_once_for_each_file(void **state)
{
	static const char source[] = "local m = require 'count' require 'also'\n"
				     "assert(m == require 'count' and m.count == 1)\n"
				     "return { on_connect = function() end }";
	struct fixture *fixture = *state;

	write_module(fixture, "count.lua",
		     "limpet.shared:incr('runs') count = (count or 0) + 1 return {count = count}");
	write_module(fixture, "also.lua", "assert(require 'count'.count == 1)");
	fixture_write(fixture, source, strlen(source));
	fixture_load_names_at(fixture, (const char *const[]){fixture->file, fixture->file}, 2, __FILE__, __LINE__);
	assert_gives_in(fixture, "on_connect", "limpet.shared:get('runs')", "2");
}

static void a_module_that_returns_nothing_is_true(void **state)
{
	struct fixture *fixture = *state;

	write_module(fixture, "nothing.lua", "");
	write_module(fixture, "no.lua", "return false");
	load(fixture, "assert(require 'nothing' == true and require 'no' == false)\n"
		      "return { on_connect = function() end }");
}

static void a_module_logs_by_its_own_name(void **state)
{
	struct fixture *fixture = *state;
	char expected[128];

	write_module(fixture, "tenants/names.lua", "limpet.log.info('hello')");
	load(fixture, "require 'tenants.names' return { on_connect = function() end }");
	snprintf(expected, sizeof(expected), "policy %s/tenants/names.lua: hello\n", fixture->folder);
	assert_said(fixture, expected);
}

static void what_a_module_raises_is_told_with_its_line(void **state)
{
	struct fixture *fixture = *state;
	char expected[256];

	write_module(fixture, "syntax.lua", "local x\nlocal = 1");
	write_module(fixture, "raises.lua", "\n\nerror('no list')");
	assert_refusal(fixture, "\nrequire 'raises'", "raises.lua:3: no list (called from ");
	assert_contains(refusal(fixture, "\nrequire 'syntax'", LP_EPOLICY), "/p.lua:2: require \"syntax\": ");
	assert_contains(refusal(fixture, "\nrequire 'syntax'", LP_EPOLICY), "/syntax.lua:2: ");

	write_module(fixture, "later.lua", "return {f = function(x)\nreturn x.y.z end}");
	load(fixture, "local later = require 'later'\nreturn { on_connect = function()\nlocal x = later.f({}) end }");
	assert_no_opinion(ask(fixture));
	snprintf(expected, sizeof(expected), "policy %s/later.lua:2: attempt to index field 'y' (a nil value) (called ",
		 fixture->folder);
	assert_said(fixture, expected);
}

static void a_module_that_is_not_there_says_where_it_was_looked_for(void **state)
{
	struct fixture *fixture = *state;
	char expected[256];

	snprintf(expected, sizeof(expected), "p.lua:1: require \"a.b\": %s/a/b.lua: no such file or directory",
		 fixture->folder);
	assert_refusal(fixture, "require 'a.b'", expected);
}

static void a_circle_is_named(void **state)
{
	struct fixture *fixture = *state;

	write_module(fixture, "a.lua", "require 'b.c'");
	write_module(fixture, "b/c.lua", "require 'd'");
	write_module(fixture, "d.lua", "require 'b.c'");
	assert_contains(refusal(fixture, "require 'a'", LP_EPOLICY),
			"/d.lua:1: require \"b.c\": modules require each other: b.c → d → b.c; ");
}

static void a_module_that_failed_can_be_tried_again(void **state)
{
	struct fixture *fixture = *state;

	write_module(fixture, "second.lua", "assert(limpet.shared:incr('tries') == 2) return 'done'");
	load(fixture, "assert(not pcall(require, 'second')) assert(require 'second' == 'done')\n"
		      "assert(not pcall(require, 'absent'))\n"
		      "assert(not xpcall(function() require 'absent' end, tostring))\n"
		      "return { on_connect = function() end }");
}

static void links_may_lead_about_in_the_folder(void **state)
{
	struct fixture *fixture = *state;
	char path[128];

	write_module(fixture, "data/names.lua", "return 7");
	snprintf(path, sizeof(path), "%s/current", fixture->folder);
	assert_int_equal(symlink("data", path), 0);
	load(fixture, "assert(require 'current.names' == 7) return { on_connect = function() end }");
}

static void modules_are_bounded_in_size_and_number(void **state)
{
	struct fixture *fixture = *state;
	size_t size = (size_t)1 << 20;
	char *text = malloc(size + 2);
	char name[32];

	memset(text, ' ', size + 1);
	text[size] = '\0';
	write_module(fixture, "large.lua", text);
	load(fixture, "require 'large' return { on_connect = function() end }");
	text[size] = ' ';
	text[size + 1] = '\0';
	write_module(fixture, "large.lua", text);
	free(text);
	assert_contains(refusal(fixture, "require 'large'", LP_EPOLICY), "/large.lua: the file is larger than 1 MiB");

	for (int i = 1; i <= MODULES_MAX + 1; i++) {
		snprintf(name, sizeof(name), "m%d.lua", i);
		write_module(fixture, name, "");
	}
	load(fixture, "for i = 1, 64 do require('m' .. i) end return { on_connect = function() end }");
	assert_contains(refusal(fixture, "for i = 1, 65 do require('m' .. i) end", LP_EPOLICY),
			"require \"m65\": a policy has at most 64 modules");
}

static void loading_modules_has_the_limits_of_loading(void **state)
{
	struct fixture *fixture = *state;

	write_module(fixture, "large.lua", "return ('x'):rep(2^28)");
	assert_contains(refusal(fixture, "require 'large'", LP_EPOLICY), "not enough memory");
	assert_contains(refusal(fixture, "pcall(require, 'large')\nreturn { on_connect = function() end }", LP_EPOLICY),
			"not enough memory");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* A loop cannot be stopped there. */
	fixture->host.limits.time_ms = 5;
	write_module(fixture, "endless.lua", "\nwhile true do end");
	assert_refusal(fixture, "require 'endless'", "endless.lua:2: stopped, because it ran for more than 50 ms");
#endif
}

static void an_included_policy_has_no_modules(void **state)
{
	struct lp_source *module;
	struct lp_source source;
	struct lp_error error;

	(void)state;
	assert_int_equal(lp_source_init(&source, "sid", &error), 0);
	assert_int_equal(lp_source_find_module(&module, &source, "names", &error), LP_EPOLICY);
	assert_string_equal(error.text, "the included policy sid has no folder to find modules in");
	lp_source_deinit(&source);
}

/* Sends all to the worker that the module names, and takes all memory when asked for that. */
static void load_choosing(struct fixture *fixture)
{
	write_module(fixture, "choice.lua", "return 3");
	load(fixture, "local choice = require 'choice' limpet.shared:incr('loads')\n"
		      "if limpet.shared:get('late') then require 'late' end\n"
		      "return { on_connect = function(conn, workers)\n"
		      "if conn.port == 1 then return ('x'):rep(2^28) end\n"
		      "return workers[choice] end }");
	write_module(fixture, "choice.lua", "return 1");
	write_module(fixture, "late.lua", "");
	write_module(fixture, "p.lua", "this is not Lua");
}

static void after_a_stop_policies_are_made_from_what_was_loaded(void **state)
{
	struct fixture *fixture = *state;

	load_choosing(fixture);
	assert_worker(ask(fixture), 3);
	fixture->conn.port = 1;
	assert_no_opinion(ask(fixture));
	assert_int_equal(lp_policy_kills(fixture->policy), 1);
	fixture->conn.port = 4321;
	assert_worker(ask(fixture), 3);
}

static void a_copy_is_made_from_what_was_loaded(void **state)
{
	struct fixture *fixture = *state;
	struct lp_policy_host host = fixture->host;
	struct lp_policy *copy;
	struct lp_policy *of_copy;
	struct lp_error error;

	host.shared = lp_shared_new(4, 200, 1);
	load_choosing(fixture);
	assert_int_equal(lp_policy_copy(&copy, fixture->policy, &host, &error), 0);
	lp_policy_free(fixture->policy);
	assert_int_equal(lp_policy_copy(&of_copy, copy, &host, &error), 0);
	lp_policy_free(copy);
	fixture->policy = of_copy;
	assert_worker(ask(fixture), 3);
	assert_gives_in(fixture, "on_connect", "limpet.shared:get('loads')", "1");
	lp_shared_free(host.shared);
}

static void a_copy_reads_no_more_modules(void **state)
{
	struct fixture *fixture = *state;
	struct lp_policy *copy = (struct lp_policy *)fixture;
	struct lp_shared_value late = {.kind = LP_SHARED_BOOLEAN, .boolean = true};
	struct lp_error error;

	load_choosing(fixture);
	assert_int_equal(lp_shared_set(fixture->host.shared, LP_SLICE("late"), &late, 0, 1), 0);
	assert_int_equal(lp_policy_copy(&copy, fixture->policy, &fixture->host, &error), LP_EPOLICY);
	assert_null(copy);
	assert_contains(error.text, "/p.lua:2: require \"late\": it was not read when the policies were loaded; ");
	assert_worker(ask(fixture), 3);
}

static void policies_that_are_none_can_be_copied(void **state)
{
	struct fixture *fixture = *state;
	struct lp_policy *copy;
	struct lp_error error;

	fixture_load_names_at(fixture, NULL, 0, __FILE__, __LINE__);
	assert_int_equal(lp_policy_copy(&copy, fixture->policy, &fixture->host, &error), 0);
	lp_policy_free(copy);
}

#define module_test(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		module_test(a_module_is_named_by_its_place_beneath_the_policy),
		module_test(a_module_runs_once_for_each_file),
		module_test(a_module_that_returns_nothing_is_true),
		module_test(a_module_logs_by_its_own_name),
		module_test(what_a_module_raises_is_told_with_its_line),
		module_test(a_module_that_is_not_there_says_where_it_was_looked_for),
		module_test(a_circle_is_named),
		module_test(a_module_that_failed_can_be_tried_again),
		module_test(links_may_lead_about_in_the_folder),
		module_test(modules_are_bounded_in_size_and_number),
		module_test(loading_modules_has_the_limits_of_loading),
		module_test(an_included_policy_has_no_modules),
		module_test(after_a_stop_policies_are_made_from_what_was_loaded),
		module_test(a_copy_is_made_from_what_was_loaded),
		module_test(a_copy_reads_no_more_modules),
		module_test(policies_that_are_none_can_be_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
