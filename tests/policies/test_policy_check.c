/*
 * What reading a policy finds: every mistake with its line, and nothing in what is right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/check.h"
#include "policy/included.h"
#include "policy_fixture.h"

static char found[8192];

static void on_found(const char *file, int line, const char *message, void *owner)
{
	size_t length = strlen(found);

	assert_non_null(file);
	assert_null(owner);
	snprintf(found + length, sizeof(found) - length, "%d %s\n", line, message);
}

static const char *check(struct fixture *fixture, const char *source)
{
	struct lp_error error;

	found[0] = '\0';
	fixture_write(fixture, source, strlen(source));
	assert_int_equal(lp_policy_check(fixture->file, on_found, NULL, &error), 0);
	return found;
}

static void unknown_globals_are_found_wherever_they_are(void **state)
{
	assert_string_equal(check(*state, "local x = {}\nif x.y then prnt(x) end\n"
					  "return { on_connect = function() return function()\nreturn pars end end }"),
			    "2 there is no global 'prnt'\n4 there is no global 'pars'; did you mean pairs?\n");
}

static void globals_of_the_sandbox_and_of_the_file_are_fine(void **state)
{
	assert_string_equal(
		check(*state, "later = nil function f() return later, f, string.format, limpet, bit.band end"), "");
}

static void fields_of_limpet_are_known(void **state)
{
	assert_string_equal(
		check(*state, "limpet.log.info('x') limpet.shared:get('x') limpet.cidr('::1'):contains('::1')"), "");
	assert_string_equal(check(*state, "limpet.log.inof('x')\nlimpet.shared.get('x')\nlimpet.nwo()"),
			    "1 limpet.log has no field 'inof'; did you mean limpet.log.info(...)?\n"
			    "2 limpet.shared.get is a function; did you mean limpet.shared:get(key)?\n"
			    "3 limpet has no field 'nwo'; did you mean limpet.now()?\n");
}

static void parameters_named_conn_and_workers_are_known(void **state)
{
	assert_string_equal(check(*state, "return {\non_request = function(conn, workers)\nlocal a = conn.sidd\n"
					  "local b = conn.cookie == 'x'\nreturn workers:next(), workers:nxt() end }"),
			    "3 conn has no field 'sidd'; did you mean conn.sid?\n"
			    "4 conn.cookie is a function; did you mean conn:cookie(name)?\n"
			    "5 workers has no field 'nxt'; did you mean workers:next()?\n");
}

static void calls_with_the_object_as_argument_are_calls(void **state)
{
	assert_string_equal(
		check(*state, "return { on_request = function(conn, workers)\n"
			      "return conn.header(conn, 'a'), workers.hash(workers, 'x'), #workers, workers[1] end }"),
		"");
}

static void other_tables_are_left_alone(void **state)
{
	assert_string_equal(
		check(*state,
		      "local conn = {} conn.x = 1\nlocal t = { limpet = 1 } local y = conn.z, t.limpet, t.conn\n"
		      "local f = function(a, b) return a.x, b.header, function(c) return c.conn end end"),
		"");
}

static const char *check_hooks(struct fixture *fixture, const char *source)
{
	struct lp_error error;

	found[0] = '\0';
	load(fixture, source);
	assert_int_equal(lp_policy_check_hooks(fixture->policy, on_found, NULL, &error), 0);
	return found;
}

static void what_a_hook_cannot_know_is_found_where_no_connection_came_by(void **state)
{
	assert_contains(check_hooks(*state,
				    "return { on_connect = function(conn, workers)\n"
				    "if conn.ip == '10.9.9.9' then return workers:hash(conn:header('X')) end end }"),
			"2 conn:header(name) is always nil in on_connect; it is known in on_request");
	assert_contains(check_hooks(*state, "return { on_connect = function(c)\nreturn c.path and nil end }"),
			"2 conn.path is always nil in on_connect");
	assert_contains(check_hooks(*state, "return { on_hello = function(conn)\nreturn conn.session and nil end }"),
			"2 conn.session is always nil in on_hello; it is known in on_request");
	assert_contains(check_hooks(*state, "return { on_request = function(conn)\nreturn conn.alpn and nil end }"),
			"2 conn.alpn is always nil in on_request; it is known in on_hello");
	assert_contains(check_hooks(*state, "local function hook(conn)\nreturn conn:cookie('a') and nil end\n"
					    "return { { on_connect = hook } }"),
			"2 conn:cookie(name) is always nil in on_connect");
}

static void what_a_hook_knows_is_fine(void **state)
{
	static const char *const sources[] = {
		"return { on_connect = function(conn, workers) return conn.ip and conn.port and conn.listener and nil "
		"end }",
		"return { on_hello = function(conn) return conn.sni and conn.alpn and nil end }",
		"return { on_request = function(conn) return conn.path and conn:header('a') and conn.session and nil "
		"end }",
		"local function both(conn)\nreturn conn.sid and nil end\n"
		"return { on_connect = both, on_request = both }",
		"return { on_connect = function() end }",
	};

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		assert_string_equal(check_hooks(*state, sources[i]), "");
}

static void what_does_not_compile_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	struct lp_error error;

	fixture_write(fixture, "x x", 3);
	assert_int_equal(lp_policy_check(fixture->file, on_found, NULL, &error), LP_EPOLICY);
	assert_contains(error.text, ":1: '=' expected near 'x'");
}

static void included_policies_have_no_mistakes(void **state)
{
	struct lp_error error;

	(void)state;
	found[0] = '\0';
	for (const struct lp_included_policy *included = lp_included_policies; included->name; included++)
		assert_int_equal(lp_policy_check(included->name, on_found, NULL, &error), 0);
	assert_string_equal(found, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(unknown_globals_are_found_wherever_they_are),
		policy_test(globals_of_the_sandbox_and_of_the_file_are_fine),
		policy_test(fields_of_limpet_are_known),
		policy_test(parameters_named_conn_and_workers_are_known),
		policy_test(calls_with_the_object_as_argument_are_calls),
		policy_test(other_tables_are_left_alone),
		policy_test(what_a_hook_cannot_know_is_found_where_no_connection_came_by),
		policy_test(what_a_hook_knows_is_fine),
		policy_test(what_does_not_compile_is_an_error),
		policy_test(included_policies_have_no_mistakes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
