/*
 * The included policies, each on what it promises.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_fixture.h"

static unsigned worker_of(struct fixture *fixture)
{
	struct lp_verdict verdict = ask(fixture);

	assert_int_equal(verdict.kind, LP_VERDICT_WORKER);
	return verdict.worker;
}

static void come_from(struct fixture *fixture, unsigned client)
{
	char ip[16];

	snprintf(ip, sizeof(ip), "192.0.2.%u", client);
	fixture_come_from(fixture, ip);
}

static void ip_hash_moves_only_a_dead_workers_clients_until_it_is_back(void **state)
{
	struct fixture *fixture = *state;
	unsigned homes[256];
	unsigned clients[FIXTURE_WORKERS + 1] = {0};

	load_named(fixture, "ip_hash");
	assert_false(lp_policy_needs_bytes(fixture->policy));
	for (unsigned i = 0; i < 256; i++) {
		come_from(fixture, i);
		homes[i] = worker_of(fixture);
		clients[homes[i]]++;
	}
	for (unsigned id = 1; id <= FIXTURE_WORKERS; id++)
		assert_in_range(clients[id], 32, 96);

	lp_workers_set_usable(&fixture->workers, 2, false);
	for (unsigned i = 0; i < 256; i++) {
		come_from(fixture, i);
		if (homes[i] == 2)
			assert_int_not_equal(worker_of(fixture), 2);
		else
			assert_int_equal(worker_of(fixture), homes[i]);
	}
	lp_workers_set_usable(&fixture->workers, 2, true);
	for (unsigned i = 0; i < 256; i++) {
		come_from(fixture, i);
		assert_int_equal(worker_of(fixture), homes[i]);
	}
}

static void ip_hash_does_not_care_for_ports_and_has_no_opinion_on_unix_peers(void **state)
{
	struct fixture *fixture = *state;
	unsigned home;

	load_named(fixture, "ip_hash");
	home = worker_of(fixture);
	for (uint16_t port = 1; port < 100; port++) {
		fixture->conn.port = port;
		assert_int_equal(worker_of(fixture), home);
	}
	fixture->conn.ip = (struct lp_ip){.family = LP_FAMILY_UNIX};
	assert_no_opinion(ask(fixture));
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
}

static void forwarded_for_follows_the_client_through_a_trusted_proxy_only(void **state)
{
	struct fixture *fixture = *state;
	unsigned home;

	load_named(fixture, "forwarded_for");
	assert_int_equal(ask(fixture).kind, LP_VERDICT_LOOK);
	request(fixture, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	fixture_come_from(fixture, "198.51.100.7");
	home = worker_of(fixture);
	assert_int_equal(home, lp_workers_hash(&fixture->workers, LP_SLICE("198.51.100.7")));

	request(fixture, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n");
	fixture_come_from(fixture, "10.0.0.1");
	assert_int_equal(worker_of(fixture), home);
	fixture_come_from(fixture, "203.0.113.5");
	assert_int_equal(worker_of(fixture), lp_workers_hash(&fixture->workers, LP_SLICE("203.0.113.5")));

	request(fixture, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: garbage\r\n\r\n");
	fixture_come_from(fixture, "10.0.0.1");
	assert_no_opinion(ask(fixture));
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
}

static void sid_returns_a_session_to_its_worker(void **state)
{
	struct fixture *fixture = *state;

	load_named(fixture, "sid");
	assert_int_equal(ask(fixture).kind, LP_VERDICT_LOOK);
	lp_sessions_bind(fixture->host.sessions, LP_SLICE("abc"), 3);
	request(fixture, "GET /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_worker(ask(fixture), 3);
	request(fixture, FIXTURE_REQUEST);
	assert_no_opinion(ask(fixture));
	request(fixture, "GET /?sid=new HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(ask(fixture).kind, LP_VERDICT_AWAIT);
	fixture->conn.session_awaited = true;
	assert_no_opinion(ask(fixture));
	hello(fixture, "a.example");
	assert_no_opinion(ask(fixture));
}

static void sid_leaves_new_clients_to_the_next_policy(void **state)
{
	struct fixture *fixture = *state;

	fixture_load_names_at(fixture, (const char *const[]){"sid", "ip_hash"}, 2, __FILE__, __LINE__);
	request(fixture, FIXTURE_REQUEST);
	assert_worker(ask(fixture), lp_workers_hash(&fixture->workers, LP_SLICE("192.0.2.1")));
}

static void least_connections_takes_equals_in_turn(void **state)
{
	struct fixture *fixture = *state;

	load_named(fixture, "least_connections");
	for (unsigned id = 1; id <= FIXTURE_WORKERS; id++)
		assert_worker(ask(fixture), id);
	assert_worker(ask(fixture), 1);
	for (unsigned id = 1; id <= FIXTURE_WORKERS; id++)
		lp_workers_find(&fixture->workers, id)->connections = id == 3 ? 1 : 2;
	assert_worker(ask(fixture), 3);
	lp_workers_set_usable(&fixture->workers, 3, false);
	assert_worker(ask(fixture), 3 % FIXTURE_WORKERS + 1);
}

static void least_sessions_looks_at_nothing_but_sessions(void **state)
{
	struct fixture *fixture = *state;

	load_named(fixture, "least_sessions");
	assert_false(lp_policy_needs_bytes(fixture->policy));
	for (unsigned id = 1; id <= FIXTURE_WORKERS; id++) {
		lp_workers_find(&fixture->workers, id)->sessions = id == 1 ? 2 : 1;
		lp_workers_find(&fixture->workers, id)->connections = 10 - id;
	}
	assert_worker(ask(fixture), 2);
	lp_workers_set_usable(&fixture->workers, 2, false);
	assert_worker(ask(fixture), 3);
	for (unsigned id = 1; id <= FIXTURE_WORKERS; id++)
		lp_workers_set_usable(&fixture->workers, id, false);
	assert_no_opinion(ask(fixture));
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
}

static void round_robin_goes_round_past_the_dead(void **state)
{
	static const unsigned turns[] = {1, 2, 4, 1, 2, 4};
	struct fixture *fixture = *state;

	load_named(fixture, "round_robin");
	lp_workers_set_usable(&fixture->workers, 3, false);
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++)
		assert_worker(ask(fixture), turns[i]);
}

static void random_comes_to_every_usable_worker(void **state)
{
	struct fixture *fixture = *state;
	unsigned clients[FIXTURE_WORKERS + 1] = {0};

	load_named(fixture, "random");
	lp_workers_set_usable(&fixture->workers, 3, false);
	for (int i = 0; i < 3000; i++)
		clients[worker_of(fixture)]++;
	assert_int_equal(clients[3], 0);
	for (unsigned id = 1; id <= FIXTURE_WORKERS; id++)
		if (id != 3)
			assert_in_range(clients[id], 800, 1200);
}

static void bounded_hash_spreads_an_office_and_leaves_others_at_home(void **state)
{
	struct fixture *fixture = *state;
	uint32_t most = 0;

	load_named(fixture, "bounded_hash");
	assert_false(lp_policy_needs_bytes(fixture->policy));
	assert_worker(ask(fixture), lp_workers_hash(&fixture->workers, LP_SLICE("192.0.2.1")));
	for (int i = 0; i < 1000; i++)
		lp_workers_find(&fixture->workers, worker_of(fixture))->connections++;
	for (unsigned id = 1; id <= FIXTURE_WORKERS; id++)
		if (lp_workers_find(&fixture->workers, id)->connections > most)
			most = lp_workers_find(&fixture->workers, id)->connections;
	assert_in_range(most, 250, 316);
	fixture->conn.ip = (struct lp_ip){.family = LP_FAMILY_UNIX};
	assert_no_opinion(ask(fixture));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(ip_hash_moves_only_a_dead_workers_clients_until_it_is_back),
		policy_test(ip_hash_does_not_care_for_ports_and_has_no_opinion_on_unix_peers),
		policy_test(forwarded_for_follows_the_client_through_a_trusted_proxy_only),
		policy_test(sid_returns_a_session_to_its_worker),
		policy_test(sid_leaves_new_clients_to_the_next_policy),
		policy_test(least_connections_takes_equals_in_turn),
		policy_test(least_sessions_looks_at_nothing_but_sessions),
		policy_test(round_robin_goes_round_past_the_dead),
		policy_test(random_comes_to_every_usable_worker),
		policy_test(bounded_hash_spreads_an_office_and_leaves_others_at_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
