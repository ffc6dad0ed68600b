/*
 * Policies that would hurt the balancer: each is stopped in time and without harm, the connection is served without an
 * opinion, and the next call works.
 *
 * A stop comes later where other things run, so it is the time that the thread had a processor, of the quickest of
 * several, which is held against the bound; that is five times as wide under sanitizers. The clock of the bench is the
 * test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "policy_fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLACK 5
#else
#define SLACK 1
#endif

#define LIMIT_MS 50
#define LATE_MS 20
#define TRIES 3

#ifdef __SANITIZE_ADDRESS__
/* What is freed is not kept for long, so that memory can be measured. */
const char *__asan_default_options(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}
#endif

/* A policy that goes off at /bomb and has an opinion elsewhere. */
#define POLICY(before, bomb)                                                                                           \
	before "\nreturn { on_request = function(conn, workers)\n"                                                     \
	       "if conn.path == '/bomb' then\n" bomb "\nend\n"                                                         \
	       "return workers[2]\nend }"

#define BOMB "GET /bomb HTTP/1.1\r\nHost: a.example\r\n\r\n"

/* Never benched, so that one may go off as often as it likes. */
static void never_bench(struct fixture *fixture)
{
	fixture->host.limits.kill_window_ms = 1;
}

struct bomb {
	const char *name;
	const char *source;
	bool is_stopped; /* Otherwise it ends by itself, with an error. */
	const char *said;
};

static const struct bomb bombs[] = {
	{"endless loop", POLICY("", "while true do end"), true, ":4: stopped, because it ran for more than 50 ms"},
	{"loop in pcall", POLICY("", "while true do pcall(function()\nwhile true do end end) end"), true,
	 ":5: stopped"},
	{"loop in xpcall's handler", POLICY("", "xpcall(error, function() while true do end end)"), true,
	 ":4: stopped"},
	{"pcall in a loop", POLICY("", "while true do pcall(error, 'x') end"), true, "stopped"},
	{"unbounded recursion", POLICY("", "local function f() return 1 + f() end f()"), false, "stack overflow"},
	{"endless tail calls", POLICY("", "local function f() return f() end f()"), true, "stopped"},
	{"recursion through pcall", POLICY("", "local function f() pcall(f) pcall(f) end f()"), true, "stopped"},
	{"recursion through gsub", POLICY("", "local function f() return ('x'):gsub('x', f) end f()"), false,
	 "nested too deep"},
	{"recursion through sort", POLICY("", "local function f() table.sort({1, 2, 3}, f) end f()"), false, ""},
	{"recursion through __tostring",
	 POLICY("", "local t = setmetatable({}, {__tostring = function(t) return ('%s'):format(t) end}) tostring(t)"),
	 false, "nested too deep"},
	{"recursion through limpet.log",
	 POLICY("", "local t = setmetatable({}, {__tostring = function(t) limpet.log.info(t) return '' end})\n"
		    "limpet.log.info(t)"),
	 false, "nested too deep"},
	{"string.rep", POLICY("", "local s = ('x'):rep(2^28)"), true, "33554432 bytes of memory"},
	{"string.rep past what Lua has", POLICY("", "local s = ('x'):rep(2^31 - 100)"), false, "not enough memory"},
	{"string.rep in a loop", POLICY("", "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6 + i) end"), true,
	 "stopped"},
	{"string.rep of nothing", POLICY("", "local s = (''):rep(1e15)"), false, ""},
	{"concatenation", POLICY("", "local s = 'x' while true do s = s .. s end"), true, "stopped"},
	{"concatenation in pcall", POLICY("", "local s = 'x' while true do pcall(function() s = s .. s end) end"), true,
	 "stopped"},
	{"a table that grows", POLICY("", "local t = {} while true do t[#t + 1] = {} end"), true, "stopped"},
	{"a kept table that grows", POLICY("local kept = {}", "while true do kept[#kept + 1] = {} end"), true,
	 "stopped"},
	{"string.find", POLICY("local s = ('a'):rep(16384)", "s:find(('.-'):rep(20) .. 'b')"), true,
	 "on_request was stopped"},
	{"string.find in pcall",
	 POLICY("local s = ('a'):rep(16384)", "while true do pcall(s.find, s, ('.-'):rep(20) .. 'b') end"), true,
	 "on_request was stopped"},
	{"table.insert far away", POLICY("", "table.insert({}, 2^31, 1)"), false, "position must be from 1 to 1"},
	{"table.insert before all", POLICY("", "table.insert({1}, -2^31, 1)"), false, "position must be from 1 to 2"},
	{"table.concat",
	 POLICY("", "table.concat(setmetatable({}, {__index = function() return 'x' end}), '', 1, 2^31)"), false, ""},
	{"unpack", POLICY("", "unpack({}, 1, 1e8)"), false, "too many results"},
	{"error object whose __tostring loops",
	 POLICY("", "error(setmetatable({}, {__tostring = function() while true do end end}))"), false,
	 "error() was given a table"},
	{"__tostring that loops",
	 POLICY("", "limpet.log.info(setmetatable({}, {__tostring = function() while true do end end}))"), true,
	 "stopped"},
	{"writes to limpet.shared for ever", POLICY("", "while true do limpet.shared:incr('k') end"), true, "stopped"},
	{"binds for ever", POLICY("", "local i = 0 while true do i = i + 1 workers:bind('k' .. i, workers[1]) end"),
	 true, "stopped"},
};

static enum lp_verdict_kind set_off(struct fixture *fixture)
{
	request(fixture, BOMB);
	return ask(fixture).kind;
}

static void assert_next_call_works(struct fixture *fixture)
{
	request(fixture, FIXTURE_REQUEST);
	assert_worker(ask(fixture), 2);
}

static uint64_t ran_ns(void)
{
	struct timespec ran;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ran);
	return (uint64_t)ran.tv_sec * 1000000000 + (uint64_t)ran.tv_nsec;
}

static void try_bomb(struct fixture *fixture, const struct bomb *bomb)
{
	uint64_t best_ns = UINT64_MAX;
	uint64_t least_ns = UINT64_MAX;

	load(fixture, bomb->source);
	assert_next_call_works(fixture);
	for (uint64_t i = 1; i <= TRIES; i++) {
		uint64_t began_ns = lp_clock_ns();
		uint64_t ran_before_ns = ran_ns();
		enum lp_verdict_kind kind;

		fixture_forget(fixture);
		kind = set_off(fixture);
		if (lp_clock_ns() - began_ns < best_ns)
			best_ns = lp_clock_ns() - began_ns;
		if (ran_ns() - ran_before_ns < least_ns)
			least_ns = ran_ns() - ran_before_ns;
		if (lp_policy_kills(fixture->policy) != (bomb->is_stopped ? i : 0) ||
		    (bomb->is_stopped && kind != LP_VERDICT_NONE))
			fail_msg("%s: %d kills, verdict %d\n%s", bomb->name, (int)lp_policy_kills(fixture->policy),
				 kind, fixture_said(fixture));
		if (*bomb->said)
			assert_said(fixture, bomb->said);
		assert_next_call_works(fixture);
	}
	print_message("%-36s %6.1f ms  %s\n", bomb->name, (double)best_ns / 1e6, bomb->is_stopped ? "stopped" : "");
	if (least_ns / 1000000 > (LIMIT_MS + LATE_MS) * SLACK)
		fail_msg("%s: stopped after it ran for %d ms", bomb->name, (int)(least_ns / 1000000));
}

static void every_bomb_is_stopped_in_time(void **state)
{
	never_bench(*state);
	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++)
		try_bomb(*state, &bombs[i]);
}

static size_t resident_kb(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t size;
	size_t resident;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%zu %zu", &size, &resident), 2);
	fclose(file);
	return resident * 4;
}

/* Half of them are left inside of a C function, half take all the memory. */
static void a_thousand_stops_leave_nothing_behind(void **state)
{
	struct fixture *fixture = *state;
	size_t before;

	never_bench(fixture);
	fixture->host.limits.time_ms = 1;
	load(fixture, "local n = 0 local s = ('a'):rep(16384)\n" POLICY("", "if limpet.shared:incr('n') % 2 == 0 then\n"
									    "s:find(('.-'):rep(20) .. 'b') end\n"
									    "while true do s = s .. s end"));
	for (int i = 0; i < 50; i++)
		set_off(fixture);
	before = resident_kb();
	for (int i = 0; i < 1000; i++)
		assert_int_equal(set_off(fixture), LP_VERDICT_NONE);
	assert_int_equal(lp_policy_kills(fixture->policy), 1050);
	print_message("1,000 stops: %zu KiB before, %zu KiB after\n", before, resident_kb());
	assert_in_range(resident_kb(), 0, before + 2048 * SLACK);
	fixture->host.limits.time_ms = 0;
	load(fixture, POLICY("", ""));
	assert_next_call_works(fixture);
}

static void the_file_is_not_read_again_after_a_stop(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, bombs[0].source);
	fixture_write(fixture, "broken", strlen("broken"));
	assert_int_equal(set_off(fixture), LP_VERDICT_NONE);
	assert_next_call_works(fixture);
}

static void a_reload_after_a_stop_takes_the_new_file(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, bombs[0].source);
	assert_int_equal(set_off(fixture), LP_VERDICT_NONE);
	load(fixture, POLICY("", "return workers[3]"));
	request(fixture, BOMB);
	assert_worker(ask(fixture), 3);
	assert_int_equal(lp_policy_kills(fixture->policy), 0);
}

static void what_policies_shared_survives_a_stop(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, POLICY("local mine = 0", "limpet.shared:incr('ours') while true do end")
	     /* The rest of the file cannot be reached. */);
	set_off(fixture);
	load(fixture,
	     "return { on_request = function(conn, workers) return workers[limpet.shared:get('ours') + 2] end }");
	assert_worker(ask(fixture), 3);
}

static void a_policy_that_is_stopped_too_often_is_benched(void **state)
{
	struct fixture *fixture = *state;
	uint64_t now_ns = 1;

	fixture->host.now_ns = &now_ns;
	fixture->host.limits =
		(struct lp_policy_limits){.time_ms = 5, .kills = 3, .kill_window_ms = 1000, .bench_ms = 100};
	load(fixture, bombs[0].source);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(lp_policy_benched_ms(fixture->policy), 0);
		set_off(fixture);
	}
	assert_int_equal(lp_policy_benched_ms(fixture->policy), 100);
	assert_said(fixture,
		    "is benched for 0.1 s, after being stopped 3 times in 1 s; until then each connection goes to the "
		    "least busy worker");
	request(fixture, FIXTURE_REQUEST);
	assert_no_opinion(ask(fixture));
	set_off(fixture);
	assert_int_equal(lp_policy_kills(fixture->policy), 3);

	now_ns += 100 * UINT64_C(1000000);
	assert_int_equal(lp_policy_benched_ms(fixture->policy), 0);
	assert_next_call_works(fixture);
	set_off(fixture);
	assert_int_equal(lp_policy_benched_ms(fixture->policy), 200);
	now_ns += 5000 * UINT64_C(1000000);
	set_off(fixture);
	assert_int_equal(lp_policy_benched_ms(fixture->policy), 0);
	assert_next_call_works(fixture);
	fixture->host.now_ns = NULL;
}

static void one_that_no_longer_loads_is_benched_at_once(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, POLICY("assert(limpet.shared:incr('loads') < 2, 'no more')", "while true do end"));
	set_off(fixture);
	request(fixture, FIXTURE_REQUEST);
	fixture_forget(fixture);
	assert_no_opinion(ask(fixture));
	assert_said(fixture, "no more");
	assert_said(fixture, "is benched for 60 s, because it no longer loads");
	assert_no_opinion(ask(fixture));
}

/* Three policies as one file each: the second is the bomb. */
static void load_three(struct fixture *fixture, const char *bomb)
{
	static const char *const others[] = {
		"return { on_connect = function(conn) if conn.port == 1 then return limpet.refuse(403) end end }",
		"return { on_worker_up = function() limpet.shared:incr('heard') end,\n"
		"on_request = function(conn, workers) return workers[2] end }",
	};
	static char files[3][80];
	const char *const sources[] = {others[0], bomb, others[1]};
	const char *const names[] = {files[0], files[1], files[2]};

	for (int i = 0; i < 3; i++) {
		FILE *file;

		snprintf(files[i], sizeof(files[i]), "%s/%d.lua", fixture->folder, i);
		file = fopen(files[i], "w");
		fputs(sources[i], file);
		fclose(file);
	}
	fixture_load_names_at(fixture, names, 3, __FILE__, __LINE__);
	for (int i = 0; i < 3; i++)
		unlink(files[i]);
}

static void assert_others_are_asked(struct fixture *fixture)
{
	struct lp_verdict verdict;

	request(fixture, FIXTURE_REQUEST);
	fixture->conn.port = 1;
	verdict = ask(fixture);
	assert_int_equal(verdict.kind, LP_VERDICT_REFUSE);
	assert_int_equal(verdict.status, 403);
	fixture->conn.port = 2;
	assert_worker(ask(fixture), 2);
}

static void one_that_is_stopped_too_often_costs_no_other_policy(void **state)
{
	struct fixture *fixture = *state;
	uint64_t now_ns = 1;

	fixture->host.now_ns = &now_ns;
	fixture->host.limits =
		(struct lp_policy_limits){.time_ms = 5, .kills = 3, .kill_window_ms = 1000, .bench_ms = 100};
	load_three(fixture,
		   "return { on_request = function(conn) if conn.path == '/bomb' then while true do end end end }");
	fixture->conn.port = 2;
	for (int i = 0; i < 3; i++) {
		request(fixture, "GET /bomb HTTP/1.1\r\n\r\n");
		assert_worker(ask(fixture), 2);
	}
	assert_int_equal(lp_policy_kills(fixture->policy), 3);
	assert_said(fixture, "/1.lua is benched for 0.1 s, after being stopped 3 times in 1 s; the other policies are "
			     "asked as before");
	assert_int_equal(lp_policy_benched_ms(fixture->policy), 100);
	assert_others_are_asked(fixture);
	request(fixture, "GET /bomb HTTP/1.1\r\n\r\n");
	assert_worker(ask(fixture), 2);
	assert_int_equal(lp_policy_kills(fixture->policy), 3);

	now_ns += 100 * UINT64_C(1000000);
	assert_int_equal(lp_policy_benched_ms(fixture->policy), 0);
	request(fixture, "GET /bomb HTTP/1.1\r\n\r\n");
	assert_worker(ask(fixture), 2);
	assert_int_equal(lp_policy_kills(fixture->policy), 4);
	assert_others_are_asked(fixture);
	fixture->host.now_ns = NULL;
}

static void one_that_no_longer_loads_costs_no_other_policy(void **state)
{
	struct fixture *fixture = *state;
	lp_policy_cursor waiting = 0;

	fixture->host.limits = (struct lp_policy_limits){.time_ms = 5, .kills = 10};
	load_three(fixture,
		   "assert(limpet.shared:incr('loads') < 2, 'no more')\n"
		   "return { on_hello = function() end, setup = function() end, on_worker_down = function() end,\n"
		   "on_request = function(conn) if conn.path == '/bomb' then while true do end end end }");
	fixture->conn.port = 2;
	assert_int_equal(lp_policy_decide(fixture->policy, &fixture->conn, &waiting).kind, LP_VERDICT_LOOK);
	request(fixture, "GET /bomb HTTP/1.1\r\n\r\n");
	assert_worker(ask(fixture), 2);
	assert_others_are_asked(fixture);
	assert_said(fixture, "no more");
	assert_said(fixture,
		    "/1.lua is benched for 60 s, because it no longer loads; the other policies are asked as before");

	/* One that waited among the hooks of before finds its place. */
	fixture->conn.port = 2;
	assert_worker(lp_policy_decide(fixture->policy, &fixture->conn, &waiting), 2);
	assert_string_equal(lp_policy_hook_name(fixture->policy, 1), "on_hello");
	assert_string_equal(lp_policy_hook_name(fixture->policy, 3), "on_request");
	assert_null(lp_policy_hook_name(fixture->policy, 4));
	lp_policy_worker_down(fixture->policy, 1);
}

static void files_and_setup_are_stopped_too(void **state)
{
	struct fixture *fixture = *state;

	fixture->host.limits.time_ms = 5;
	assert_refused(fixture, "local x = 1\nwhile true do end", ":2: stopped, because it ran for more than 50 ms");
	assert_refused(fixture, "return { on_connect = assert, setup = 1 }", ": ");
	assert_refused(fixture, "return { on_connect = function() end, setup = function()\nwhile true do end end }",
		       ":2: stopped, because it ran for more than 50 ms");
	assert_refused(fixture, "local s = ('a'):rep(16384) s:find(('.-'):rep(20) .. 'b')",
		       ": stopped, because it took more than 50 ms to load");
	assert_refused(fixture, "local s = 'x' while true do s = s .. s end", "");
	load(fixture, POLICY("", ""));
	assert_next_call_works(fixture);
}

static void a_worker_event_is_stopped_too(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "return { on_worker_up = function() while limpet.shared:incr('ups') == 1 do while true do end "
		      "end end, on_request = function(_, workers) "
		      "return workers[2] end }");
	lp_policy_worker_up(fixture->policy, 1);
	assert_int_equal(lp_policy_kills(fixture->policy), 1);
	assert_next_call_works(fixture);
}

static void a_shrunken_table_of_workers_at_the_cap_does_no_harm(void **state)
{
	struct fixture *fixture = *state;

	never_bench(fixture);
	fixture->host.limits.memory_bytes = 1 << 20;
	load(fixture, "local kept = {}\n" POLICY("", "for i = 1, #workers do rawset(workers, i, nil) end\n"
						     "for i = 1, 100 do rawset(workers, 'k' .. i, i) end\n"
						     "for i = 1, 100 do rawset(workers, 'k' .. i, nil) end\n"
						     "while true do kept[#kept + 1] = {} end"));
	set_off(fixture);
	lp_workers_set_usable(&fixture->workers, 1, false);
	lp_workers_set_usable(&fixture->workers, 1, true);
	assert_next_call_works(fixture);
}

static void memory_in_use_counts_but_garbage_is_collected(void **state)
{
	struct fixture *fixture = *state;

	fixture->host.limits.memory_bytes = 4 << 20;
	load(fixture, POLICY("", "return workers[#('x'):rep(1e5 + limpet.shared:incr('n')) > 0 and 1]"));
	request(fixture, BOMB);
	for (int i = 0; i < 2000; i++)
		assert_worker(ask(fixture), 1);
	assert_int_equal(lp_policy_kills(fixture->policy), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(every_bomb_is_stopped_in_time),
		policy_test(a_thousand_stops_leave_nothing_behind),
		policy_test(the_file_is_not_read_again_after_a_stop),
		policy_test(a_reload_after_a_stop_takes_the_new_file),
		policy_test(what_policies_shared_survives_a_stop),
		policy_test(a_policy_that_is_stopped_too_often_is_benched),
		policy_test(one_that_no_longer_loads_is_benched_at_once),
		policy_test(one_that_is_stopped_too_often_costs_no_other_policy),
		policy_test(one_that_no_longer_loads_costs_no_other_policy),
		policy_test(files_and_setup_are_stopped_too),
		policy_test(a_worker_event_is_stopped_too),
		policy_test(a_shrunken_table_of_workers_at_the_cap_does_no_harm),
		policy_test(memory_in_use_counts_but_garbage_is_collected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
