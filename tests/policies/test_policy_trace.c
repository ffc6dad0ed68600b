/*
 * What a traced policy tells: each hook, what it reads and asks, and its answer; and that tracing changes none of these.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_fixture.h"

static char told[8192];

static void on_trace(const struct lp_trace_event *event, void *owner)
{
	size_t length = strlen(told);
	char *at = told + length;

	assert_ptr_equal(owner, told);
	switch (event->kind) {
	case LP_TRACE_ASKED:
		snprintf(at, sizeof(told) - length, "%s%s%s?\n", event->what, event->name ? " " : "",
			 event->name ? event->name : "");
		break;
	case LP_TRACE_READ:
		snprintf(at, sizeof(told) - length, "%s = %s\n", event->what, event->value ? event->value : "nothing");
		break;
	case LP_TRACE_ANSWERED:
		snprintf(at, sizeof(told) - length, "%s: %d %u\n", event->what, event->verdict.kind,
			 event->verdict.worker);
	}
}

static int set_up(void **state)
{
	struct fixture *fixture;
	int status = fixture_set_up(state);

	fixture = *state;
	fixture->host.trace = on_trace;
	fixture->host.trace_owner = told;
	told[0] = '\0';
	return status;
}

static void each_hook_and_what_it_reads_is_told(void **state)
{
	struct fixture *fixture = *state;

	request(fixture, "GET /chat?sid=abc HTTP/1.1\r\nX-Tenant: ac\"me\r\n\r\n");
	load(fixture, "return {"
		      "{ on_connect = function(conn) return nil, conn.ip end },"
		      "{ name = 'mine', on_request = function(conn, workers)"
		      "  return workers:session(conn:query('sid')) or workers:hash(conn:header('x-tenant')) end } }");
	fixture->conn.session_awaited = true;
	assert_int_equal(ask(fixture).kind, LP_VERDICT_WORKER);
	assert_contains(told, "on_connect?\nconn.ip = \"192.0.2.1\"\non_connect: 0 0\non_request mine?\n"
			      "conn:query(\"sid\") = \"abc\"\nworkers:session(\"abc\") = nil\n"
			      "conn:header(\"x-tenant\") = \"ac\\\"me\"\nworkers:hash(\"ac\\\"me\") = worker ");
	assert_contains(told, "on_request: 1 ");
}

static void values_are_shown_as_one_would_write_them(void **state)
{
	struct fixture *fixture = *state;

	hello(fixture, "a.example");
	run(fixture, "on_hello",
	    "local x = conn.alpn, workers[2].connections, limpet.refuse(403), limpet.shared:set('a\\n\\1', true),"
	    "limpet.shared:get('none'), limpet.log.info('x')");
	assert_contains(told, "conn.alpn = {\"h2\", \"http/1.1\"}\nworker 2.connections = 0\n"
			      "limpet.refuse(403) = a refusal with 403\n"
			      "limpet.shared:set(\"a\\n\\1\", true) = true\nlimpet.shared:get(\"none\") = nil\n"
			      "limpet.log.info(\"x\") = nothing\n");
}

static void long_values_are_cut(void **state)
{
	struct fixture *fixture = *state;

	run(fixture, "on_connect", "local x = workers:hash(('x'):rep(100000), ('y'):rep(100000), 1)");
	assert_contains(told, "xxx…\", \"yyy");
	assert_true(strlen(told) < 1000);
}

static void an_error_keeps_its_place_and_words(void **state)
{
	struct fixture *fixture = *state;

	request(fixture, FIXTURE_REQUEST);
	assert_raises(fixture, "workers:hash(nil)", "workers:hash(key): key is nil");
	assert_raises(fixture, "conn.headers", "conn has no field 'headers'; did you mean conn:header(name)?");
	assert_raises(fixture, "conn.header('x')", "conn:header(name): call it with a colon");
	assert_contains(told, "on_request: 0 0\n");
}

static void what_is_not_asked_about_a_connection_is_not_told(void **state)
{
	struct fixture *fixture = *state;

	load(fixture,
	     "local n = limpet.cidr('10.0.0.0/8') return { on_worker_up = function(w) return w.id, limpet.now() end }");
	lp_policy_worker_up(fixture->policy, 1);
	assert_string_equal(told, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_hook_and_what_it_reads_is_told),
		TEST(values_are_shown_as_one_would_write_them),
		TEST(long_values_are_cut),
		TEST(an_error_keeps_its_place_and_words),
		TEST(what_is_not_asked_about_a_connection_is_not_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
