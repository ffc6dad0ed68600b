/*
 * `workers` and the workers in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_fixture.h"

#include "base/clock.h"

static void workers_are_a_table_of_the_usable_ones_in_slot_order(void **state)
{
	struct fixture *fixture = *state;

	assert_gives_in(fixture, "on_connect", "#workers", "4");
	assert_gives_in(fixture, "on_connect", "workers[2]", "worker 2");
	assert_gives_in(fixture, "on_connect", "workers[5]", "nil");
	assert_gives_in(fixture, "on_connect", "workers[0]", "nil");
	lp_workers_set_usable(&fixture->workers, 2, false);
	assert_gives_in(fixture, "on_connect",
			"(function() local ids = {} for i, w in ipairs(workers) do ids[i] = w.id end "
			"return #workers .. ':' .. table.concat(ids, ' ') end)()",
			"3:1 3 4");
}

static void workers_come_and_go_between_calls(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "return { on_connect = function(conn, workers) return workers[#workers] end }");
	assert_worker(ask(fixture), 4);
	lp_workers_set_usable(&fixture->workers, 4, false);
	assert_worker(ask(fixture), 3);
	for (unsigned id = 1; id <= 3; id++)
		lp_workers_set_usable(&fixture->workers, id, false);
	assert_no_opinion(ask(fixture));
	lp_workers_set_usable(&fixture->workers, 2, true);
	assert_worker(ask(fixture), 2);
	lp_workers_set_usable(&fixture->workers, 4, true);
	assert_worker(ask(fixture), 4);
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
}

static void a_worker_tells_its_numbers(void **state)
{
	struct fixture *fixture = *state;
	struct lp_worker *worker = lp_workers_find(&fixture->workers, 3);

	worker->connections = 7;
	worker->waiting = 2;
	worker->sessions = 5;
	worker->started_ns = lp_clock_ns() - 1500000000u;
	assert_gives_in(fixture, "on_connect", "workers[3].id", "3");
	assert_gives_in(fixture, "on_connect", "workers[3].pid", "1003");
	assert_gives_in(fixture, "on_connect", "workers[3].connections", "7");
	assert_gives_in(fixture, "on_connect", "workers[3].waiting", "2");
	assert_gives_in(fixture, "on_connect", "workers[3].sessions", "5");
	assert_gives_in(fixture, "on_connect", "workers[3].uptime >= 1.5 and workers[3].uptime < 60", "true");
	assert_gives_in(fixture, "on_connect", "workers[3] == workers[3] and workers[3] ~= workers[2]", "true");
	worker->pid = 0;
	assert_gives_in(fixture, "on_connect", "workers[3].pid", "nil");
	assert_gives_in(fixture, "on_connect", "workers[3].uptime", "0");
}

static void hash_takes_strings_and_numbers(void **state)
{
	struct fixture *fixture = *state;

	assert_worker(run(fixture, "on_connect", "return workers:hash('acme')"),
		      lp_workers_hash(&fixture->workers, LP_SLICE("acme")));
	assert_worker(run(fixture, "on_connect", "return workers:hash(17)"),
		      lp_workers_hash(&fixture->workers, LP_SLICE("17")));
	assert_gives_in(fixture, "on_connect", "workers:hash('17') == workers:hash(17)", "true");
}

static void bounded_hash_passes_over_full_workers(void **state)
{
	struct fixture *fixture = *state;
	unsigned home = lp_workers_hash(&fixture->workers, LP_SLICE("acme"));

	assert_worker(run(fixture, "on_connect", "return workers:bounded_hash('acme', 1.25)"), home);
	lp_workers_find(&fixture->workers, home)->connections = 100;
	assert_worker(run(fixture, "on_connect", "return workers:bounded_hash('acme', 1.25)"),
		      lp_workers_bounded_hash(&fixture->workers, LP_SLICE("acme"), 1.25));
	assert_worker(run(fixture, "on_connect", "return workers:bounded_hash('acme', 4)"), home);
}

static void least_next_and_random_choose(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned id = 1; id <= FIXTURE_WORKERS; id++)
		*lp_workers_find(&fixture->workers, id) = (struct lp_worker){
			.id = id,
			.usable = true,
			.connections = id == 2 ? 1 : 5,
			.sessions = id == 3 ? 1 : 5,
			.waiting = id == 4 ? 1 : 5,
		};
	assert_worker(run(fixture, "on_connect", "return workers:least('connections')"), 2);
	assert_worker(run(fixture, "on_connect", "return workers:least('sessions')"), 3);
	assert_worker(run(fixture, "on_connect", "return workers:least('waiting')"), 4);
	load(fixture, "return { on_connect = function(conn, workers) return workers:next() end }");
	for (unsigned id = 1; id <= 2 * FIXTURE_WORKERS; id++)
		assert_worker(ask(fixture), (id - 1) % FIXTURE_WORKERS + 1);
	assert_int_equal(run(fixture, "on_connect", "return workers:random()").kind, LP_VERDICT_WORKER);
}

static void nothing_is_chosen_when_no_worker_is_usable(void **state)
{
	static const char *const choices[] = {"workers:hash('a')", "workers:bounded_hash('a', 2)",
					      "workers:next()",    "workers:least('connections')",
					      "workers:random()",  "workers[1]"};
	struct fixture *fixture = *state;

	for (unsigned id = 1; id <= FIXTURE_WORKERS; id++)
		lp_workers_set_usable(&fixture->workers, id, false);
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
		assert_gives_in(fixture, "on_connect", choices[i], "nil");
}

static void bind_makes_a_session_and_gives_its_worker(void **state)
{
	struct fixture *fixture = *state;

	assert_worker(run(fixture, "on_connect", "return workers:bind('acme', workers[3])"), 3);
	assert_int_equal(lp_sessions_find(fixture->host.sessions, LP_SLICE("acme")), 3);
	assert_worker(run(fixture, "on_connect", "return workers:session('acme')"), 3);
	assert_worker(run(fixture, "on_connect", "return workers:bind(17, workers[2])"), 2);
	assert_worker(run(fixture, "on_connect", "return workers:session('17')"), 2);
	assert_gives_in(fixture, "on_connect", "workers:session('unknown')", "nil");
	lp_workers_set_draining(fixture->host.workers, 3, true);
	assert_worker(run(fixture, "on_connect", "return workers:session('acme')"), 3);
	assert_gives_in(fixture, "on_connect", "workers[#workers].id ~= 3", "true");
	lp_workers_set_draining(fixture->host.workers, 3, false);
	lp_workers_set_usable(&fixture->workers, 3, false);
	assert_gives_in(fixture, "on_connect", "workers:session('acme')", "nil");
}

static void wrong_calls_say_what_is_right(void **state)
{
	struct fixture *fixture = *state;

	request(fixture, FIXTURE_REQUEST);
	assert_raises(fixture, "workers:hash(nil)",
		      "workers:hash(key): key is nil; where it may be, test it first: \"x and workers:hash(key)\"");
	assert_raises(fixture, "workers:session(conn.sid)", "workers:session(key): key is nil; where it may be");
	assert_raises(fixture, "workers:bind(nil, workers[1])", "workers:bind(key, worker): key is nil");
	assert_raises(fixture, "workers:hash({})", "workers:hash(key): key must be a string, not a table");
	assert_raises(fixture, "workers.hash('a')", "workers:hash(key): call it with a colon");
	assert_raises(fixture, "workers.next()", "workers:next(): call it with a colon");
	assert_raises(
		fixture, "workers:least()",
		"workers:least(measure): measure must be \"connections\", \"sessions\" or \"waiting\", not no value");
	assert_raises(fixture, "workers:least('load')", "\"waiting\", not load");
	assert_raises(fixture, "workers:bind('a', 2)",
		      "workers:bind(key, worker): worker must be one of workers, not a number");
	assert_raises(fixture, "workers:bind('a', conn)", "worker must be one of workers, not a userdata");
	assert_raises(fixture, "workers:bind('', workers[1])",
		      "workers:bind(key, worker): key must be of 1 to 1024 bytes");
	assert_raises(fixture, "workers:bind(('x'):rep(1025), workers[1])", "key must be of 1 to 1024 bytes");
	assert_raises(fixture, "workers:bounded_hash('a')",
		      "workers:bounded_hash(key, load): load must be a number from 1 up");
	assert_raises(fixture, "workers:bounded_hash('a', 0.5)", "load must be a number from 1 up");
	assert_raises(fixture, "workers:bounded_hash('a', 0/0)", "load must be a number from 1 up");
	assert_raises(fixture, "workers:bounded_hash('a', 1/0)", "load must be a number from 1 up");
	assert_raises(fixture, "workers:hsah('a')", "workers has no field 'hsah'; did you mean workers:hash(key)?");
	assert_raises(fixture, "workers[1].conections",
		      "worker has no field 'conections'; did you mean worker.connections?");
	assert_raises(fixture, "workers[1].load", "worker has no field 'load'; there are worker.id, worker.pid, ");
}

static void what_a_hook_does_to_workers_the_next_hook_does_not_see(void **state)
{
	static const char *const mischief[] = {
		"workers[1] = workers[2]", "workers[1], workers[2] = workers[2], workers[1]",
		"workers[#workers] = nil", "for i = 1, #workers do workers[i] = nil end",
		"workers[2] = 'x'",        "workers[1] = conn",
		"workers[3] = {}",
	};
	char source[512];

	for (size_t i = 0; i < sizeof(mischief) / sizeof(mischief[0]); i++) {
		struct fixture *fixture = *state;

		snprintf(
			source, sizeof(source),
			"local function seen(workers) local ids = {} for i, w in ipairs(workers) do ids[i] = w.id end\n"
			"return table.concat(ids) end\n"
			"return { { on_connect = function(conn, workers) %s end },\n"
			"{ on_connect = function(conn, workers) assert(seen(workers) == '1234' and #workers == 4)\n"
			"return workers[3] end } }",
			mischief[i]);
		load(fixture, source);
		for (int call = 0; call < 3; call++)
			assert_worker(ask(fixture), 3);
		assert_int_equal(lp_policy_errors(fixture->policy), 0);
	}
}

static void workers_are_read_only(void **state)
{
	struct fixture *fixture = *state;

	request(fixture, FIXTURE_REQUEST);
	assert_raises(fixture, "1 workers[5] = workers[1]", "workers is read-only; there are workers:hash(key), ");
	assert_raises(fixture, "1 workers.best = 1", "workers is read-only");
	assert_raises(fixture, "1 workers[1].id = 2", "worker is read-only; there are worker.id, ");
	assert_raises(fixture, "table.sort(workers, function() end)",
		      "workers is read-only; change a copy of it: {unpack(workers)}");
	assert_raises(fixture, "table.remove(workers)", "workers is read-only; change a copy");
	assert_raises(fixture, "table.insert(workers, 1)", "workers is read-only; change a copy");
	assert_worker(run(fixture, "on_request",
			  "local sorted = {unpack(workers)} table.sort(sorted, function(a, b) return a.id > b.id end) "
			  "return sorted[1]"),
		      4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(workers_are_a_table_of_the_usable_ones_in_slot_order),
		policy_test(workers_come_and_go_between_calls),
		policy_test(a_worker_tells_its_numbers),
		policy_test(hash_takes_strings_and_numbers),
		policy_test(bounded_hash_passes_over_full_workers),
		policy_test(least_next_and_random_choose),
		policy_test(nothing_is_chosen_when_no_worker_is_usable),
		policy_test(bind_makes_a_session_and_gives_its_worker),
		policy_test(wrong_calls_say_what_is_right),
		policy_test(what_a_hook_does_to_workers_the_next_hook_does_not_see),
		policy_test(workers_are_read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
