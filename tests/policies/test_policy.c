/*
 * Asking: the walk through the hooks, what answers and errors mean, awaited sessions, workers that come and go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_fixture.h"

#include <malloc.h>

#define RETURNS(worker) "function(conn, workers) return workers[" #worker "] end"
#define NOTHING "function() end"

static void a_set_of_on_connect_is_never_looked_at(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "return { { on_connect = " NOTHING " }, { on_connect = " NOTHING " } }");
	assert_false(lp_policy_needs_bytes(fixture->policy));
	assert_no_opinion(ask(fixture));
}

static void on_connect_first_decides_without_a_look(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "return { { on_connect = " RETURNS(1) " }, { on_request = " RETURNS(2) " } }");
	assert_true(lp_policy_needs_bytes(fixture->policy));
	assert_worker(ask(fixture), 1);
}

static void a_hook_that_needs_bytes_stops_the_walk(void **state)
{
	struct fixture *fixture = *state;

	load(fixture,
	     "local n = 0 return { { on_connect = function() n = n + 1 end }, { on_request = function(conn, workers) "
	     "return workers[n] end } }");
	assert_int_equal(ask(fixture).kind, LP_VERDICT_LOOK);
	assert_int_equal(lp_policy_decide(fixture->policy, &fixture->conn, &fixture->cursor).kind, LP_VERDICT_LOOK);
	request(fixture, FIXTURE_REQUEST);
	assert_worker(lp_policy_decide(fixture->policy, &fixture->conn, &fixture->cursor), 1);
}

static void each_protocol_has_its_hook(void **state)
{
	struct fixture *fixture = *state;

	load(fixture,
	     "return { { on_request = " RETURNS(1) ", on_hello = " RETURNS(2) " }, { on_connect = " RETURNS(3) " } }");
	assert_int_equal(ask(fixture).kind, LP_VERDICT_LOOK);
	request(fixture, FIXTURE_REQUEST);
	assert_worker(ask(fixture), 1);
	hello(fixture, "a.example");
	assert_worker(ask(fixture), 2);
	fixture->conn.protocol = LP_PROTOCOL_OTHER;
	assert_worker(ask(fixture), 3);
}

static void policies_are_tried_in_order_and_each_in_its_own(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "local order = '' local function note(s) return function() order = order .. s end end\n"
		      "return { { on_request = note('b'), on_connect = note('a') }, { on_connect = note('c'), on_hello "
		      "= note('x') },\n"
		      "{ on_request = function(conn, workers) limpet.log.info('<' .. order .. '>') end } }");
	request(fixture, FIXTURE_REQUEST);
	assert_no_opinion(ask(fixture));
	assert_said(fixture, "<abc>");
}

static void a_walk_goes_on_behind_the_hook_that_answered(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "return { { on_connect = " RETURNS(1) " }, { on_connect = " RETURNS(2) " } }");
	assert_worker(ask(fixture), 1);
	assert_worker(lp_policy_decide(fixture->policy, &fixture->conn, &fixture->cursor), 2);
	assert_no_opinion(lp_policy_decide(fixture->policy, &fixture->conn, &fixture->cursor));
	assert_no_opinion(lp_policy_decide(fixture->policy, &fixture->conn, &fixture->cursor));
}

static void nil_and_false_are_no_opinion(void **state)
{
	struct fixture *fixture = *state;

	assert_no_opinion(run(fixture, "on_connect", ""));
	assert_no_opinion(run(fixture, "on_connect", "return nil"));
	assert_no_opinion(run(fixture, "on_connect", "return false"));
	assert_no_opinion(run(fixture, "on_connect", "return conn.port == 1 and workers[1]"));
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
}

static void a_worker_that_is_not_usable_is_no_opinion_and_no_error(void **state)
{
	struct fixture *fixture = *state;

	load(fixture,
	     "local kept return { on_connect = function(conn, workers) kept = kept or workers[2] return kept end }");
	assert_worker(ask(fixture), 2);
	lp_workers_set_usable(&fixture->workers, 2, false);
	assert_no_opinion(ask(fixture));
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
	lp_workers_set_usable(&fixture->workers, 2, true);
	assert_worker(ask(fixture), 2);
}

static void what_is_no_answer_is_told_and_counted(void **state)
{
	static const char *const cases[][2] = {
		{"3", "the number 3 (a worker is workers[i])"},
		{"0/0", "the number "},
		{"'worker 3'", "the string \"worker 3\""},
		{"true", "true"},
		{"{}", "a table"},
		{"workers", "a table"},
		{"conn", "conn"},
		{"limpet.now", "a function"},
		{"limpet.shared", "a thing of limpet's"},
		{"limpet.cidr('::/0')", "a thing of limpet's"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char statements[128];

		snprintf(statements, sizeof(statements), "\nreturn %s", cases[i][0]);
		assert_no_opinion(run(fixture, "on_connect", statements));
		assert_said(fixture, "/p.lua:1: on_connect returned ");
		assert_said(fixture, cases[i][1]);
		assert_said(fixture, "; return a worker, nil or limpet.refuse(status)\n");
		assert_int_equal(lp_policy_errors(fixture->policy), 1);
	}
	load(fixture, "\nreturn { name = 'canary', on_connect = function() return 1 end }");
	ask(fixture);
	assert_said(fixture, "/p.lua:2: on_connect of canary returned the number 1");
}

static void an_error_is_told_and_counted_and_the_next_policy_decides(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "return {\n  { on_connect = function(conn)\n    return conn.absent.field\n  end },\n"
		      "  { on_connect = " RETURNS(2) " } }");
	for (uint64_t i = 1; i <= 5; i++) {
		assert_worker(ask(fixture), 2);
		assert_int_equal(lp_policy_errors(fixture->policy), i);
	}
	assert_said(fixture, "/p.lua:3: conn has no field 'absent'");
}

static void errors_have_a_line_whatever_raised_them(void **state)
{
	static const char *const cases[][2] = {
		{"\nlocal x = nil + 1", ":2: attempt to perform arithmetic on a nil value\n"},
		{"\nerror('plain')", ":2: plain\n"},
		{"\nerror('two\\nlines')", ":2: two lines\n"},
		{"\nerror('bare', 0)", ":2: bare\n"},
		{"\nerror({})", ":2: error() was given a table and no message\n"},
		{"\nerror()", ":2: error() was given a nil and no message\n"},
		{"\nerror(setmetatable({}, {__tostring = function() while true do end end}))",
		 ":2: error() was given a table"},
		{"\nlocal x = ('x'):rep(5, 6, 7, 8):bad()", ":2: attempt to call method 'bad' (a nil value)\n"},
		{"\nlocal x = ('a'):gsub('a', function()\nerror('inside') end)", ":3: inside (called from "},
		{"\nreturn workers:hash(nil)", ":1: in a return of on_connect: workers:hash(key): key is nil"},
		{"\nlocal function f() return f() + 1 end\nlocal x = f()", ": stack overflow"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char file_and_message[256];

		assert_no_opinion(run(fixture, "on_connect", cases[i][0]));
		assert_int_equal(lp_policy_errors(fixture->policy), 1);
		snprintf(file_and_message, sizeof(file_and_message), "limpet: policy %s", fixture->file);
		assert_said(fixture, file_and_message);
		assert_said(fixture, cases[i][1]);
	}
}

static void errors_in_floods_are_counted_and_not_all_written(void **state)
{
	struct fixture *fixture = *state;
	size_t lines = 0;

	run(fixture, "on_connect", "error('flood')");
	for (int i = 0; i < 999; i++)
		ask(fixture);
	assert_int_equal(lp_policy_errors(fixture->policy), 1000);
	for (const char *at = fixture_said(fixture); (at = strstr(at, "flood")); at++)
		lines++;
	assert_in_range(lines, 1, 5 * LP_LOG_BURST);
}

static void pcall_and_xpcall_catch_what_policies_raise(void **state)
{
	struct fixture *fixture = *state;

	assert_gives_in(fixture, "on_connect", "select(2, pcall(error, 'x'))", "x");
	assert_gives_in(fixture, "on_connect", "select('#', pcall(function() return 1, nil, nil end))", "4");
	assert_gives_in(fixture, "on_connect", "select(2, pcall(function() return conn.absent end)):match('no field')",
			"no field");
	assert_gives_in(fixture, "on_connect", "select(2, xpcall(error, function(e) return e .. '!' end, 'x'))", "x!");
	assert_gives_in(fixture, "on_connect", "select('#', xpcall(function(...) return ... end, error, 1, nil))", "3");
	assert_gives_in(fixture, "on_connect", "select(2, xpcall(function(a, b) return a .. b end, error, 'x', 'y'))",
			"xy");
	assert_gives_in(fixture, "on_connect", "(pcall(pcall))", "false");
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
}

/* A connection that names the session "abc", which nobody knows. */
static void name_unknown_session(struct fixture *fixture)
{
	request(fixture, "GET /?sid=abc HTTP/1.1\r\nHost: a\r\n\r\n");
	fixture->conn.session_awaited = false;
}

static void an_unknown_sid_is_awaited_once(void **state)
{
	struct fixture *fixture = *state;
	struct lp_verdict verdict;

	load(fixture, "return { { on_connect = " NOTHING " }, { on_request = function(conn, workers) "
		      "return workers:session(conn.sid) end }, { on_connect = " RETURNS(4) " } }");
	name_unknown_session(fixture);
	verdict = ask(fixture);
	assert_int_equal(verdict.kind, LP_VERDICT_AWAIT);
	assert_int_equal(verdict.session_hash, lp_sessions_hash(fixture->host.sessions, LP_SLICE("abc")));
	assert_int_equal(fixture->cursor, 1);

	assert_int_equal(lp_policy_decide(fixture->policy, &fixture->conn, &fixture->cursor).kind, LP_VERDICT_AWAIT);
	lp_sessions_bind(fixture->host.sessions, LP_SLICE("abc"), 3);
	assert_worker(lp_policy_decide(fixture->policy, &fixture->conn, &fixture->cursor), 3);

	lp_sessions_forget(fixture->host.sessions, LP_SLICE("abc"), 0);
	fixture->cursor = 1;
	fixture->conn.session_awaited = true;
	assert_worker(lp_policy_decide(fixture->policy, &fixture->conn, &fixture->cursor), 4);
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
	assert_string_equal(fixture_said(fixture), "");
}

static void nothing_in_a_policy_stops_the_awaiting(void **state)
{
	static const char *const ways[] = {
		"pcall(workers.session, workers, conn.sid)",
		"pcall(pcall, workers.session, workers, conn.sid)",
		"xpcall(function() return workers:session(conn.sid) end, function() limpet.log.info('handled') return "
		"1 end)",
		"local ok = pcall(function() local s = ('a'):gsub('a', function() return workers:session(conn.sid) "
		"end) end)",
		"pcall(table.sort, {3, 2, 1}, function(a, b) return workers:session(conn.sid) end)",
		"workers:session(conn:query('sid'))",
		"workers:session('a' .. 'bc')",
		"local t = setmetatable({}, {__index = function() return workers:session(conn.sid) end}) pcall(rawget, "
		"t.x)",
	};
	struct fixture *fixture = *state;

	name_unknown_session(fixture);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		char statements[256];

		snprintf(statements, sizeof(statements), "%s limpet.log.info('went on')", ways[i]);
		assert_int_equal(run(fixture, "on_request", statements).kind, LP_VERDICT_AWAIT);
		assert_string_equal(fixture_said(fixture), "");
		assert_int_equal(lp_policy_errors(fixture->policy), 0);
		fixture->conn.session_awaited = true;
		ask(fixture);
		assert_said(fixture, "went on");
		fixture->conn.session_awaited = false;
	}
}

static void only_the_connections_own_sid_is_awaited(void **state)
{
	struct fixture *fixture = *state;

	name_unknown_session(fixture);
	assert_no_opinion(run(fixture, "on_request", "return workers:session('other')"));
	assert_no_opinion(run(fixture, "on_request", "return conn.sid and workers:session('ab')"));
	assert_no_opinion(run(fixture, "on_connect", "return workers:session('abc')"));
	request(fixture, "GET /?sid= HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_no_opinion(run(fixture, "on_request", "return workers:session('')"));
	request(fixture, FIXTURE_REQUEST);
	assert_no_opinion(run(fixture, "on_request", "return workers:session('abc')"));
}

static void a_known_session_whose_worker_is_gone_is_not_awaited(void **state)
{
	struct fixture *fixture = *state;

	name_unknown_session(fixture);
	lp_sessions_bind(fixture->host.sessions, LP_SLICE("abc"), 2);
	lp_workers_set_usable(&fixture->workers, 2, false);
	assert_no_opinion(run(fixture, "on_request", "return workers:session(conn.sid)"));
}

static void a_session_of_a_busy_worker_is_held_for_it(void **state)
{
	struct fixture *fixture = *state;
	struct lp_worker *busy = lp_workers_find(&fixture->workers, 2);

	load(fixture, "return { { on_connect = " NOTHING " }, { on_request = function(conn, workers) "
		      "return workers:session(conn.sid) end }, { on_connect = " RETURNS(3) " } }");
	name_unknown_session(fixture);
	fixture->conn.session_awaited = true;
	lp_sessions_bind(fixture->host.sessions, LP_SLICE("abc"), 2);
	lp_workers_set_usable(&fixture->workers, 2, false);
	busy->busy = true;
	assert_int_equal(ask(fixture).kind, LP_VERDICT_HOLD);
	assert_int_equal(fixture->cursor, 1);
	assert_int_equal(lp_policy_decide(fixture->policy, &fixture->conn, &fixture->cursor).kind, LP_VERDICT_HOLD);

	busy->busy = false;
	lp_workers_set_usable(&fixture->workers, 2, true);
	assert_worker(lp_policy_decide(fixture->policy, &fixture->conn, &fixture->cursor), 2);

	lp_workers_set_usable(&fixture->workers, 2, false);
	fixture->cursor = 1;
	assert_worker(lp_policy_decide(fixture->policy, &fixture->conn, &fixture->cursor), 4);
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
	assert_string_equal(fixture_said(fixture), "");
}

static void no_other_key_is_held_for(void **state)
{
	struct fixture *fixture = *state;

	name_unknown_session(fixture);
	lp_sessions_bind(fixture->host.sessions, LP_SLICE("other"), 2);
	lp_workers_set_usable(&fixture->workers, 2, false);
	lp_workers_find(&fixture->workers, 2)->busy = true;
	assert_no_opinion(run(fixture, "on_request", "return workers:session('other')"));
	assert_no_opinion(run(fixture, "on_connect", "return workers:session('other')"));
}

static void policies_hear_of_workers(void **state)
{
	struct fixture *fixture = *state;

	load(fixture,
	     "return { { on_worker_up = function(worker) limpet.log.info('up ' .. worker.id) end },\n"
	     "{ on_worker_up = function(worker) limpet.log.info('also ' .. worker.id) end,\n"
	     "on_worker_down = function(worker) limpet.log.info('down ' .. worker.id)\nerror('after') end } }");
	assert_false(lp_policy_needs_bytes(fixture->policy));
	lp_policy_worker_up(fixture->policy, 3);
	assert_said(fixture, "up 3\n");
	assert_said(fixture, "also 3\n");
	fixture_forget(fixture);
	lp_policy_worker_up(fixture->policy, 3);
	lp_policy_worker_down(fixture->policy, 2);
	assert_string_equal(fixture_said(fixture), "");
	lp_policy_worker_down(fixture->policy, 3);
	assert_said(fixture, "down 3\n");
	assert_said(fixture, "p.lua:4: after");
	assert_int_equal(lp_policy_errors(fixture->policy), 1);
	assert_no_opinion(ask(fixture));
}

static void policies_that_come_later_hear_of_the_workers_that_are_there(void **state)
{
	struct fixture *fixture = *state;

	lp_workers_set_usable(&fixture->workers, 2, false);
	load(fixture, "local up = 0\nreturn { on_worker_up = function() up = up + 1 end,\n"
		      "on_request = function(conn, workers) if conn.path == '/bomb' then while true do end end\n"
		      "return up == #workers and workers[1] end }");
	fixture->host.limits.time_ms = 5;
	request(fixture, "GET /up HTTP/1.1\r\n\r\n");
	assert_worker(ask(fixture), 1);
	lp_workers_set_usable(&fixture->workers, 2, true);
	assert_worker(ask(fixture), 1);
#ifndef __SANITIZE_THREAD__ /* No signal reaches a loop that never calls the C library. */
	request(fixture, "GET /bomb HTTP/1.1\r\n\r\n");
	assert_no_opinion(ask(fixture));
	request(fixture, "GET /up HTTP/1.1\r\n\r\n");
	assert_worker(ask(fixture), 1);
#endif
}

static void garbage_is_collected_between_calls(void **state)
{
	struct fixture *fixture = *state;
	struct mallinfo2 before;

	load(fixture, "local n = 0 return { on_connect = function(conn, workers) n = n + 1 "
		      "local text = ('x'):rep(1000) .. n return workers:hash(text) end }");
	for (int i = 0; i < 20000; i++)
		ask(fixture);
	before = mallinfo2();
	for (int i = 0; i < 200000; i++)
		ask(fixture);
	assert_true(mallinfo2().uordblks < before.uordblks + (4u << 20));
}

static void a_policy_keeps_its_state_between_calls(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "turn = 0 local seen = {} return { on_connect = function(conn, workers) turn = turn + 1 "
		      "seen[#seen + 1] = conn.ip if #seen < 3000 then return end return workers[3] end }");
	for (int i = 1; i < 3000; i++)
		assert_no_opinion(ask(fixture));
	assert_worker(ask(fixture), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(a_set_of_on_connect_is_never_looked_at),
		policy_test(on_connect_first_decides_without_a_look),
		policy_test(a_hook_that_needs_bytes_stops_the_walk),
		policy_test(each_protocol_has_its_hook),
		policy_test(policies_are_tried_in_order_and_each_in_its_own),
		policy_test(a_walk_goes_on_behind_the_hook_that_answered),
		policy_test(nil_and_false_are_no_opinion),
		policy_test(a_worker_that_is_not_usable_is_no_opinion_and_no_error),
		policy_test(what_is_no_answer_is_told_and_counted),
		policy_test(an_error_is_told_and_counted_and_the_next_policy_decides),
		policy_test(errors_have_a_line_whatever_raised_them),
		policy_test(errors_in_floods_are_counted_and_not_all_written),
		policy_test(pcall_and_xpcall_catch_what_policies_raise),
		policy_test(an_unknown_sid_is_awaited_once),
		policy_test(nothing_in_a_policy_stops_the_awaiting),
		policy_test(only_the_connections_own_sid_is_awaited),
		policy_test(a_known_session_whose_worker_is_gone_is_not_awaited),
		policy_test(a_session_of_a_busy_worker_is_held_for_it),
		policy_test(no_other_key_is_held_for),
		policy_test(policies_hear_of_workers),
		policy_test(policies_that_come_later_hear_of_the_workers_that_are_there),
		policy_test(garbage_is_collected_between_calls),
		policy_test(a_policy_keeps_its_state_between_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
