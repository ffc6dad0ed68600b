/*
 * The worked examples of examples/custom_policy/, each on what its first line promises.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "policy_fixture.h"

#define FOLDER LIMPET_SOURCE_DIR "/examples/custom_policy/"

/* A setting, and where a pointer to it lies while it is used. */
static const char *setting;

/* Load an example, with a "key=value" or NULL. Behind sid if that is what its first lines say. */
static void load_example_at(struct fixture *fixture, const char *const *names, size_t count, const char *set,
			    const char *file, int line)
{
	setting = set;
	fixture->host.settings = &setting;
	fixture->host.setting_count = set ? 1 : 0;
	fixture_load_names_at(fixture, names, count, file, line);
}
#define load_example(fixture, name, set)                                                                               \
	load_example_at(fixture, (const char *const[]){FOLDER name}, 1, set, __FILE__, __LINE__)
#define load_behind_sid(fixture, name, set)                                                                            \
	load_example_at(fixture, (const char *const[]){"sid", FOLDER name}, 2, set, __FILE__, __LINE__)

static void bind_session(struct fixture *fixture, const char *sid, unsigned worker)
{
	lp_sessions_bind(fixture->host.sessions, (struct lp_slice){sid, strlen(sid)}, worker);
}

static struct lp_worker *worker(struct fixture *fixture, unsigned id)
{
	return lp_workers_find(&fixture->workers, id);
}

/* Ask about a request with one more header line, or "". */
static struct lp_verdict ask_with(struct fixture *fixture, const char *target, const char *header)
{
	static char text[512];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a.example\r\n%s\r\n", target, header);
	request(fixture, text);
	return ask(fixture);
}

static unsigned home_of(struct fixture *fixture, const char *key)
{
	return lp_workers_hash(&fixture->workers, (struct lp_slice){key, strlen(key)});
}

static void tenants_meet_in_one_worker_whoever_asks(void **state)
{
	struct fixture *fixture = *state;

	load_example(fixture, "tenants.lua", NULL);
	for (unsigned i = 0; i < 3; i++) {
		fixture_come_from(fixture, (const char *[]){"192.0.2.1", "192.0.2.2", "2001:db8::1"}[i]);
		assert_worker(ask_with(fixture, "/", "X-Tenant: acme\r\n"), home_of(fixture, "acme"));
		assert_worker(ask_with(fixture, "/", "x-tenant: umbrella\r\n"), home_of(fixture, "umbrella"));
	}
	assert_no_opinion(ask_with(fixture, "/", ""));

	load_example(fixture, "tenants.lua", "header=X-Org");
	assert_worker(ask_with(fixture, "/", "X-Org: acme\r\n"), home_of(fixture, "acme"));
	assert_no_opinion(ask_with(fixture, "/", "X-Tenant: acme\r\n"));
}

static unsigned at_the_canary(struct fixture *fixture, unsigned asked)
{
	unsigned met = 0;

	for (unsigned i = 0; i < asked; i++) {
		struct lp_verdict verdict = ask_with(fixture, "/", "");

		assert_int_equal(verdict.kind, LP_VERDICT_WORKER);
		met += verdict.worker == 1;
	}
	return met;
}

static void canary_gets_its_share_of_new_sessions_and_no_old_one(void **state)
{
	struct fixture *fixture = *state;

	/* math.random is seeded anew in each run: these bounds are more than seven deviations away. */
	load_behind_sid(fixture, "canary.lua", NULL);
	assert_in_range(at_the_canary(fixture, 10000), 330, 670);
	load_behind_sid(fixture, "canary.lua", "percent=50");
	assert_in_range(at_the_canary(fixture, 10000), 4600, 5400);
	load_behind_sid(fixture, "canary.lua", "percent=0");
	assert_int_equal(at_the_canary(fixture, 1000), 0);
	load_behind_sid(fixture, "canary.lua", "percent=100");
	assert_int_equal(at_the_canary(fixture, 1000), 1000);
	bind_session(fixture, "abc", 3);
	assert_worker(ask_with(fixture, "/?sid=abc", ""), 3);
}

static void canary_alone_takes_what_it_can(void **state)
{
	struct fixture *fixture = *state;

	load_example(fixture, "canary.lua", "percent=0");
	for (unsigned id = 2; id <= FIXTURE_WORKERS; id++)
		lp_workers_set_usable(&fixture->workers, id, false);
	assert_no_opinion(ask(fixture)); /* The least busy: the only one. */
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
}

static void drain_gives_a_worker_nothing_new_and_leaves_it_what_it_has(void **state)
{
	struct fixture *fixture = *state;

	load_behind_sid(fixture, "drain.lua", "worker=3");
	worker(fixture, 1)->connections = 9;
	worker(fixture, 2)->connections = 7;
	worker(fixture, 4)->connections = 8;
	bind_session(fixture, "abc", 3);
	assert_worker(ask_with(fixture, "/", ""), 2);
	assert_worker(ask_with(fixture, "/?sid=abc", ""), 3);
}

static void drain_lets_the_last_worker_left_serve(void **state)
{
	struct fixture *fixture = *state;

	load_example(fixture, "drain.lua", "worker=3");
	for (unsigned id = 1; id <= FIXTURE_WORKERS; id++)
		lp_workers_set_usable(&fixture->workers, id, id == 3);
	assert_no_opinion(ask(fixture));
}

static void drain_must_be_told_which_worker(void **state)
{
	struct fixture *fixture = *state;
	const char *name = FOLDER "drain.lua";
	struct lp_policy *policy;
	struct lp_error error;

	assert_int_equal(lp_policy_load(&policy, &fixture->host, &name, 1, &error), LP_EPOLICY);
	assert_contains(error.text, "say which worker: --set worker=3");
}

static void weighted_workers_hold_connections_by_their_weights(void **state)
{
	struct fixture *fixture = *state;

	load_example(fixture, "weighted.lua", "2=3");
	for (unsigned i = 0; i < 600; i++) {
		struct lp_verdict verdict = ask(fixture);

		assert_int_equal(verdict.kind, LP_VERDICT_WORKER);
		worker(fixture, verdict.worker)->connections++;
	}
	assert_int_equal(worker(fixture, 1)->connections, 100);
	assert_int_equal(worker(fixture, 2)->connections, 300);
	assert_int_equal(worker(fixture, 3)->connections, 100);
	assert_int_equal(worker(fixture, 4)->connections, 100);
}

static void rate_limit_refuses_an_address_that_asks_too_often_and_no_other(void **state)
{
	struct fixture *fixture = *state;
	struct lp_verdict verdict;

	load_example(fixture, "rate_limit.lua", "most=3");
	for (unsigned i = 0; i < 3; i++)
		assert_no_opinion(ask(fixture));
	for (unsigned i = 0; i < 2; i++) {
		verdict = ask(fixture);
		assert_int_equal(verdict.kind, LP_VERDICT_REFUSE);
		assert_int_equal(verdict.status, 429);
	}
	fixture_come_from(fixture, "192.0.2.2");
	assert_no_opinion(ask(fixture));
}

static void rate_limit_begins_anew_after_a_minute(void **state)
{
	struct fixture *fixture = *state;
	struct lp_shared_value value;
	uint64_t now_ms = lp_clock_ns() / 1000000;

	load_example(fixture, "rate_limit.lua", NULL);
	ask(fixture);
	assert_true(lp_shared_find(fixture->host.shared, LP_SLICE("opened 192.0.2.1"), now_ms + 59000, &value));
	assert_int_equal((int)value.number, 1);
	assert_false(lp_shared_find(fixture->host.shared, LP_SLICE("opened 192.0.2.1"), now_ms + 61000, &value));
}

static void rate_limit_refuses_whom_there_is_no_room_to_count(void **state)
{
	struct fixture *fixture = *state;
	unsigned counted = 0;
	char ip[16];

	load_example(fixture, "rate_limit.lua", "most=1");
	for (unsigned i = 1; i <= 20; i++) {
		struct lp_verdict verdict;

		snprintf(ip, sizeof(ip), "192.0.2.%u", i);
		fixture_come_from(fixture, ip);
		verdict = ask(fixture);
		if (verdict.kind == LP_VERDICT_NONE)
			counted++;
		else
			assert_int_equal(verdict.status, 503);
	}
	assert_in_range(counted, 1, 4);
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
}

static void some_paths_stick_and_others_go_where_there_is_room(void **state)
{
	struct fixture *fixture = *state;

	load_example(fixture, "some_paths.lua", NULL);
	assert_worker(ask_with(fixture, "/socket.io/?EIO=4", ""), home_of(fixture, "192.0.2.1"));
	assert_no_opinion(ask_with(fixture, "/", ""));
	assert_no_opinion(ask_with(fixture, "/socketXio/", ""));
	assert_no_opinion(ask_with(fixture, "/a/socket.io/", ""));

	load_example(fixture, "some_paths.lua", "path=/chat/");
	assert_worker(ask_with(fixture, "/chat/room", ""), home_of(fixture, "192.0.2.1"));
	assert_no_opinion(ask_with(fixture, "/socket.io/", ""));
}

static void cookie_brings_a_browser_back_from_wherever_it_is(void **state)
{
	struct fixture *fixture = *state;

	load_example(fixture, "cookie.lua", NULL);
	assert_worker(ask_with(fixture, "/", "Cookie: a=b; session=s3cret\r\n"), home_of(fixture, "s3cret"));
	fixture_come_from(fixture, "2001:db8::1");
	assert_worker(ask_with(fixture, "/", "Cookie: session=s3cret\r\n"), home_of(fixture, "s3cret"));
	assert_no_opinion(ask_with(fixture, "/", "Cookie: Session=s3cret\r\n"));
	assert_no_opinion(ask_with(fixture, "/", ""));

	load_example(fixture, "cookie.lua", "cookie=io");
	assert_worker(ask_with(fixture, "/", "Cookie: io=s3cret\r\n"), home_of(fixture, "s3cret"));
}

static void nat_spreads_a_large_office_and_keeps_its_sessions(void **state)
{
	struct fixture *fixture = *state;
	unsigned home = home_of(fixture, "192.0.2.1");

	load_example(fixture, "nat.lua", NULL);
	assert_worker(ask_with(fixture, "/", ""), home);
	bind_session(fixture, "abc", home);
	for (unsigned i = 0; i < 400; i++) {
		struct lp_verdict verdict = ask_with(fixture, "/", "");

		assert_int_equal(verdict.kind, LP_VERDICT_WORKER);
		worker(fixture, verdict.worker)->connections++;
	}
	for (unsigned id = 1; id <= FIXTURE_WORKERS; id++)
		assert_true(worker(fixture, id)->connections <= 128);
	assert_true(worker(fixture, home)->connections > 100);

	worker(fixture, home)->connections = 1000;
	assert_worker(ask_with(fixture, "/?sid=abc", ""), home);
	assert_int_not_equal(ask_with(fixture, "/", "").worker, home);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(tenants_meet_in_one_worker_whoever_asks),
		policy_test(canary_gets_its_share_of_new_sessions_and_no_old_one),
		policy_test(canary_alone_takes_what_it_can),
		policy_test(drain_gives_a_worker_nothing_new_and_leaves_it_what_it_has),
		policy_test(drain_lets_the_last_worker_left_serve),
		policy_test(drain_must_be_told_which_worker),
		policy_test(weighted_workers_hold_connections_by_their_weights),
		policy_test(rate_limit_refuses_an_address_that_asks_too_often_and_no_other),
		policy_test(rate_limit_begins_anew_after_a_minute),
		policy_test(rate_limit_refuses_whom_there_is_no_room_to_count),
		policy_test(some_paths_stick_and_others_go_where_there_is_room),
		policy_test(cookie_brings_a_browser_back_from_wherever_it_is),
		policy_test(nat_spreads_a_large_office_and_keeps_its_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
