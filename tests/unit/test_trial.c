/*
 * Trials: what a dry run finds, that it leaves nothing behind outside, what a comparison counts, and probation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/trial.h"

#define WORKERS 4

/* So many in a recorder. */
#define CLIENTS 40

/* How much processor time a dry run on a full recorder may take. */
#define RUN_MS_MAX 50

/* What the monotonic clock goes ahead with each reading: the processor is others'. */
static _Atomic time_t pause_s;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	static _Atomic time_t ahead_s; /* A guard's thread reads the clock, too. */
	int status = __real_clock_gettime(clock, now);
	if (clock == CLOCK_MONOTONIC)
		now->tv_sec += atomic_fetch_add(&ahead_s, pause_s) + pause_s;
	return status;
}

struct fixture {
	struct lp_workers workers;
	struct lp_log log;
	struct lp_policy_host live;
	struct limpet_options options;
	struct lp_recorder *recorder;
	struct lp_trial *trial;
	struct lp_error error;
	char folder[32];
	char file[64];
	const char *policies[1];
	const char *listen[2];
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = fixture;
	lp_workers_init(&fixture->workers, WORKERS, 1);
	for (unsigned id = 1; id <= WORKERS; id++)
		lp_workers_set_usable(&fixture->workers, id, true);
	lp_log_init(&fixture->log, STDERR_FILENO, LP_LOG_DEBUG, LP_LOG_TEXT);
	fixture->live = (struct lp_policy_host){
		.workers = &fixture->workers,
		.sessions = lp_sessions_new(1000, &fixture->workers, 7),
		.shared = lp_shared_new(100, 10000, 7),
		.log = &fixture->log,
	};
	fixture->recorder = lp_recorder_new();
	strcpy(fixture->folder, "/tmp/limpet-trial-XXXXXX");
	if (!mkdtemp(fixture->folder))
		return -1;
	snprintf(fixture->file, sizeof(fixture->file), "%s/p.lua", fixture->folder);
	fixture->policies[0] = fixture->file;
	fixture->listen[0] = ":3000";
	fixture->listen[1] = "unix:/tmp/limpet.sock";
	fixture->options = (struct limpet_options){
		.policies = fixture->policies,
		.policy_count = 1,
		.listen = fixture->listen,
		.listen_count = 1,
	};
	return fixture->live.sessions && fixture->live.shared && fixture->recorder ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	lp_trial_free(fixture->trial);
	lp_recorder_free(fixture->recorder);
	lp_shared_free(fixture->live.shared);
	lp_sessions_free(fixture->live.sessions);
	lp_workers_deinit(&fixture->workers);
	unlink(fixture->file);
	rmdir(fixture->folder);
	free(fixture);
	return 0;
}

/* Load a policy whose file is "return { <hooks> }". */
static struct lp_trial *load(struct fixture *fixture, const char *hooks)
{
	FILE *file = fopen(fixture->file, "w");
	struct lp_trial *trial;

	fprintf(file, "return {\n%s\n}\n", hooks);
	fclose(file);
	if (lp_trial_new(&trial, &fixture->live, &fixture->options, &fixture->error) < 0)
		fail_msg("%s", fixture->error.text);
	return trial;
}

static int run(struct fixture *fixture, const char *hooks)
{
	lp_trial_free(fixture->trial);
	fixture->trial = load(fixture, hooks);
	return lp_trial_run(fixture->trial, fixture->recorder, &fixture->error);
}

static void assert_refused_at(struct fixture *fixture, const char *hooks, const char *part, int line)
{
	if (run(fixture, hooks) == LP_EPOLICY && strstr(fixture->error.text, part))
		return;
	print_error("\"%s\" is not in: %s\n", part, fixture->error.text);
	_fail(__FILE__, line);
}
#define assert_refused(fixture, hooks, part) assert_refused_at(fixture, hooks, part, __LINE__)

/* A connection from 192.0.2.<number> was recorded. */
static void record(struct fixture *fixture, unsigned number, const char *request)
{
	static const struct lp_head head;
	struct lp_policy_conn conn = {
		.ip = {LP_FAMILY_IPV4, {192, 0, 2, (uint8_t)number}},
		.port = 4321,
		.listener = ":3000",
		.protocol = request ? LP_PROTOCOL_HTTP : LP_PROTOCOL_UNSEEN,
		.head = request ? &head : NULL,
	};

	lp_recorder_note(fixture->recorder, number, &conn, request, request ? strlen(request) : 0, 1);
}

static void record_clients(struct fixture *fixture)
{
	for (unsigned number = 1; number <= CLIENTS; number++)
		record(fixture, number, "GET /chat?sid=secret HTTP/1.1\r\nHost: a.example\r\n\r\n");
}

static int compare(struct fixture *fixture, const char *before, const char *after, unsigned max_percent)
{
	struct lp_trial *old = load(fixture, before);
	int status;

	lp_trial_free(fixture->trial);
	fixture->trial = load(fixture, after);
	status = lp_trial_compare(fixture->trial, old, fixture->recorder, max_percent, &fixture->error);
	lp_trial_free(old);
	return status;
}

static struct lp_slice slice(const char *text)
{
	return (struct lp_slice){text, strlen(text)};
}

#define BY_IP "on_connect = function(conn, workers) return workers:hash(conn.ip or '') end"
#define BY_SID "on_request = function(conn, workers) return conn.sid and workers:session(conn.sid) end"
#define ALWAYS(id) "on_connect = function(_, workers) return workers[" #id "] end"

static void a_policy_without_mistakes_passes(void **state)
{
	record_clients(*state);
	assert_int_equal(run(*state, BY_IP), 0);
	assert_int_equal(run(*state, BY_SID), 0);
	assert_int_equal(run(*state, "on_hello = function(conn) if conn.sni then return limpet.refuse(403) end end"),
			 0);
}

static void each_kind_of_connection_is_made_up(void **state)
{
	assert_refused(*state, "on_connect = function(conn) if conn.ip:find(':') then error('six') end end",
		       "p.lua:2: six; tried on a made-up connection at :3000: GET / over IPv6");
	assert_refused(*state, "on_request = function(conn) return conn.sid:lower() end", "GET / over IPv4");
	assert_refused(*state, "on_request = function(conn) if conn.sid then error('sid') end end", "&sid=…");
	assert_refused(*state, "on_request = function(conn) if conn:cookie('io') then error('io') end end", "cookies");
	assert_refused(*state, "on_request = function(conn) if not conn:header('host') then error('h') end end",
		       "OPTIONS * without any header");
	assert_refused(*state, "on_hello = function(conn) return conn.sni:lower() .. 1 end", "a TLS hello");
	assert_refused(*state, "on_hello = function(conn) if not conn.sni then error('sni') end end", "without a name");
}

static void a_wrong_answer_is_refused_too(void **state)
{
	assert_refused(*state, "on_connect = function() return 3 end", "p.lua:2: on_connect returned the number 3");
}

static void a_policy_that_never_ends_is_refused_too(void **state)
{
	struct fixture *fixture = *state;

#ifdef __SANITIZE_THREAD__ /* No signal reaches a loop that never calls the C library. */
	skip();
#endif
	fixture->live.limits.time_ms = 5;
	assert_refused(fixture, "on_connect = function() while true do end end", "p.lua:2: ");
	assert_non_null(strstr(fixture->error.text, "tried on a made-up connection at :3000: GET / over IPv4"));
}

static void a_unix_peer_is_only_made_up_for_a_unix_listener(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(run(fixture, "on_connect = function(conn) return not conn.ip:lower() end"), 0);
	fixture->options.listen_count = 2;
	assert_refused(fixture, "on_connect = function(conn) return not conn.ip:lower() end",
		       "at unix:/tmp/limpet.sock: GET /");
}

static void what_only_a_recorded_connection_brings_out_is_found(void **state)
{
	static const char hooks[] = "on_request = function(conn, workers)\n"
				    "  if conn.path == '/chat' then return workers:hash(conn.pth) end\n"
				    "end";

	assert_int_equal(run(*state, hooks), 0);
	record_clients(*state);
	assert_refused(*state, hooks, "p.lua:3: ");
	assert_refused(*state, hooks, "tried on a recent connection at :3000: GET /chat from 192.0.2.40");
}

static void one_that_nobody_looked_at_is_tried_without_a_head(void **state)
{
	record(*state, 77, NULL);
	assert_int_equal(run(*state, "on_request = function(conn) if conn.port == 4321 then error('x') end end"), 0);
	assert_refused(*state, "on_connect = function(conn) if conn.port == 4321 then error('x') end end",
		       "unread from 192.0.2.77");
}

static void a_dry_run_changes_nothing_outside(void **state)
{
	struct fixture *fixture = *state;
	struct lp_shared_value value;
	struct lp_workers workers;

	lp_sessions_bind(fixture->live.sessions, slice("known"), 2);
	record_clients(fixture);
	workers = fixture->workers;
	assert_int_equal(run(fixture, "on_connect = function(conn, workers)\n"
				      "  limpet.shared:incr('n')\n"
				      "  assert(workers:session('known'))\n"
				      "  workers:bind('known', workers[3])\n"
				      "  workers:bind('new', workers[3])\n"
				      "  assert(workers:session('known').id == 3)\n"
				      "  workers:random()\n"
				      "  return workers:next()\n"
				      "end"),
			 0);
	assert_memory_equal(&workers, &fixture->workers, sizeof(workers));
	assert_int_equal(lp_sessions_find(fixture->live.sessions, slice("known")), 2);
	assert_int_equal(lp_sessions_find(fixture->live.sessions, slice("new")), 0);
	assert_int_equal(fixture->workers.slots[1].sessions, 1);
	assert_int_equal(fixture->workers.slots[2].sessions, 0);
	assert_false(lp_shared_find(fixture->live.shared, slice("n"), 0, &value));
}

static void the_workers_are_those_that_are_usable_or_all(void **state)
{
	struct fixture *fixture = *state;

	lp_workers_set_usable(&fixture->workers, 1, false);
	assert_int_equal(run(fixture, "on_connect = function(_, workers) assert(workers[1].id == 2) end"), 0);
	for (unsigned id = 2; id <= WORKERS; id++)
		lp_workers_set_usable(&fixture->workers, id, false);
	assert_int_equal(run(fixture, "on_connect = function(_, workers) assert(#workers == 4) end"), 0);
	assert_int_equal(fixture->workers.usable_count, 0);
}

static uint64_t ran_ns(void)
{
	struct timespec ran;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ran);
	return (uint64_t)ran.tv_sec * 1000000000 + (uint64_t)ran.tv_nsec;
}

static void a_dry_run_is_quick(void **state)
{
	uint64_t began_ns = ran_ns();

	for (unsigned i = 0; i < LP_RECORDER_CONNECTIONS; i++)
		record(*state, i, "GET /chat HTTP/1.1\r\nHost: a.example\r\n\r\n");
	assert_int_equal(run(*state, BY_IP), 0);
	assert_true(ran_ns() - began_ns < RUN_MS_MAX * UINT64_C(1000000));
}

static void a_slow_policy_is_not_tried_for_ever(void **state)
{
	uint64_t began_ns = ran_ns();

	for (unsigned i = 0; i < LP_RECORDER_CONNECTIONS; i++)
		record(*state, i, NULL);
	assert_int_equal(run(*state, "on_connect = function(conn)\n"
				     "  for i = 1, conn.port == 4321 and 1e6 or 0 do end\n"
				     "end"),
			 0);
	assert_true(ran_ns() - began_ns < 10 * RUN_MS_MAX * UINT64_C(1000000));
}

static void the_same_policy_moves_nobody(void **state)
{
	struct fixture *fixture = *state;

	record_clients(fixture);
	lp_sessions_bind(fixture->live.sessions, slice("known"), 2);
	assert_int_equal(compare(fixture, BY_IP, BY_IP, 0), 0);
	assert_int_equal(compare(fixture, BY_SID, BY_SID, 0), 0);
	assert_int_equal(compare(fixture, "on_connect = function(_, workers) return workers:next() end",
				 "on_connect = function(_, workers) return workers:next() end", 0),
			 0);
}

static void moves_are_counted_and_told(void **state)
{
	struct fixture *fixture = *state;

	record_clients(fixture);
	assert_int_equal(compare(fixture, ALWAYS(1), ALWAYS(3), 99), LP_EPOLICY);
	assert_string_equal(fixture->error.text, "40 of 40 recent connections and sessions would go elsewhere "
						 "(worker 1 to 3: 40); --max-moved 99 allows 39");
	assert_int_equal(compare(fixture, ALWAYS(1), ALWAYS(3), 100), 0);
}

static void a_busy_machine_does_not_shorten_a_comparison(void **state)
{
	struct fixture *fixture = *state;
	record_clients(fixture);
	pause_s = 1;
	int status = compare(fixture, ALWAYS(1), ALWAYS(2), 10);
	pause_s = 0;
	assert_int_equal(status, LP_EPOLICY);
	assert_non_null(strstr(fixture->error.text, "40 of 40 recent connections"));
}

static void a_share_up_to_the_limit_is_allowed(void **state)
{
	static const char some[] = "on_connect = function(conn, workers)\n"
				   "  local n = tonumber(conn.ip:match('%d+$'))\n"
				   "  if n <= 2 then return workers[2] end\n"
				   "  if n == 3 then return limpet.refuse(403) end\n"
				   "  if n > 4 then return workers[1] end\n"
				   "end";

	record_clients(*state);
	assert_int_equal(compare(*state, ALWAYS(1), some, 10), 0);
	assert_int_equal(compare(*state, ALWAYS(1), some, 9), LP_EPOLICY);
	assert_non_null(strstr(((struct fixture *)*state)->error.text, "4 of 40"));
	assert_non_null(strstr(((struct fixture *)*state)->error.text, "(worker 1 to 2: 2, 1 to "));
	assert_non_null(strstr(((struct fixture *)*state)->error.text, "1 to a refusal: 1"));
	assert_non_null(strstr(((struct fixture *)*state)->error.text, "1 to the least busy: 1"));
}

static void those_who_had_no_worker_of_their_own_do_not_count(void **state)
{
	record_clients(*state);
	assert_int_equal(compare(*state, "on_connect = function() end", ALWAYS(3), 0), 0);
	assert_int_equal(compare(*state, "on_connect = function() return limpet.refuse(403) end", ALWAYS(3), 0), 0);
}

static void live_sessions_count_although_no_connection_of_theirs_is_recorded(void **state)
{
	struct fixture *fixture = *state;

	lp_sessions_bind(fixture->live.sessions, slice("a&b c"), 2);
	lp_sessions_bind(fixture->live.sessions, slice("other"), 1);
	assert_int_equal(compare(fixture, BY_SID, ALWAYS(1), 49), LP_EPOLICY);
	assert_non_null(strstr(fixture->error.text, "1 of 2"));
	assert_non_null(strstr(fixture->error.text, "(worker 2 to 1: 1)"));
	assert_int_equal(compare(fixture, BY_IP, ALWAYS(1), 0), 0); /* They never followed the sid. */
}

static void three_failures_in_the_first_calls_fail_the_probation(void **state)
{
	struct lp_probation probation = {0};

	(void)state;
	assert_int_equal(lp_probation_note(&probation, 1), LP_PROBATION_ON);
	for (int i = 0; i < 10; i++)
		assert_int_equal(lp_probation_note(&probation, 1), LP_PROBATION_ON);
	assert_int_equal(lp_probation_note(&probation, 3), LP_PROBATION_ON); /* Two hooks of one call. */
	assert_int_equal(lp_probation_note(&probation, 4), LP_PROBATION_FAILED);
	assert_int_equal(probation.calls, 13);
	assert_int_equal(probation.failed, 3);
}

static void enough_calls_pass_it(void **state)
{
	struct lp_probation probation = {0};

	(void)state;
	for (unsigned i = 1; i < LP_PROBATION_CALLS; i++)
		assert_int_equal(lp_probation_note(&probation, i > 1 ? 2 : i), LP_PROBATION_ON);
	assert_int_equal(lp_probation_note(&probation, 2), LP_PROBATION_PASSED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_policy_without_mistakes_passes),
		TEST(each_kind_of_connection_is_made_up),
		TEST(a_wrong_answer_is_refused_too),
		TEST(a_policy_that_never_ends_is_refused_too),
		TEST(a_unix_peer_is_only_made_up_for_a_unix_listener),
		TEST(what_only_a_recorded_connection_brings_out_is_found),
		TEST(one_that_nobody_looked_at_is_tried_without_a_head),
		TEST(a_dry_run_changes_nothing_outside),
		TEST(the_workers_are_those_that_are_usable_or_all),
		TEST(a_dry_run_is_quick),
		TEST(a_slow_policy_is_not_tried_for_ever),
		TEST(the_same_policy_moves_nobody),
		TEST(moves_are_counted_and_told),
		TEST(a_busy_machine_does_not_shorten_a_comparison),
		TEST(a_share_up_to_the_limit_is_allowed),
		TEST(those_who_had_no_worker_of_their_own_do_not_count),
		TEST(live_sessions_count_although_no_connection_of_theirs_is_recorded),
		cmocka_unit_test(three_failures_in_the_first_calls_fail_the_probation),
		cmocka_unit_test(enough_calls_pass_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
