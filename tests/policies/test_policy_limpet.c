/*
 * `limpet`: refusing, time, networks, the log, and what is remembered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_fixture.h"

#include "base/clock.h"

static void refuse_takes_statuses_of_errors(void **state)
{
	struct fixture *fixture = *state;
	struct lp_verdict verdict = run(fixture, "on_connect", "return limpet.refuse(429)");

	assert_int_equal(verdict.kind, LP_VERDICT_REFUSE);
	assert_int_equal(verdict.status, 429);
	assert_int_equal(run(fixture, "on_connect", "return limpet.refuse(400)").status, 400);
	assert_int_equal(run(fixture, "on_connect", "return limpet.refuse(599)").status, 599);
	assert_gives_in(fixture, "on_connect", "limpet.refuse(503) == limpet.refuse(503)", "true");
}

static void refuse_takes_nothing_else(void **state)
{
	static const char *const wrong[] = {"399", "600", "403.5", "0/0", "1/0", "'403'", "nil", "{}", ""};
	struct fixture *fixture = *state;

	request(fixture, FIXTURE_REQUEST);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char call[64];

		snprintf(call, sizeof(call), "limpet.refuse(%s)", wrong[i]);
		assert_raises(fixture, call, "limpet.refuse(status): status must be a whole number from 400 to 599");
	}
}

static void now_is_monotonic_seconds(void **state)
{
	struct fixture *fixture = *state;
	double before = (double)lp_clock_ns() / 1e9;
	char expression[128];

	snprintf(expression, sizeof(expression), "limpet.now() >= %.9f and limpet.now() < %.9f", before, before + 60);
	assert_gives_in(fixture, "on_connect", expression, "true");
}

static void a_subnet_is_what_one_subscriber_has(void **state)
{
	struct fixture *fixture = *state;

	request(fixture, FIXTURE_REQUEST);
	assert_gives(fixture, "limpet.subnet('192.0.2.7')", "192.0.2.7");
	assert_gives(fixture, "limpet.subnet('::ffff:192.0.2.7')", "192.0.2.7");
	assert_gives(fixture, "limpet.subnet('2001:db8:1:2:3:4:5:6')", "2001:db8:1:2::/64");
	assert_gives(fixture, "limpet.subnet('2001:db8:1:2::')", "2001:db8:1:2::/64");
	assert_gives(fixture, "limpet.subnet('2001:db8:1:3::')", "2001:db8:1:3::/64");
	assert_gives(fixture, "limpet.subnet(nil)", "nil");
	assert_raises(fixture, "limpet.subnet('here')", "limpet.subnet(ip): \"here\" is no address");
	assert_raises(fixture, "limpet.subnet({})", "limpet.subnet(ip): ip must be a string, not a table");
}

static void cidr_knows_what_lies_in_networks(void **state)
{
	static const char *const cases[][2] = {
		{"'10.0.0.0/8'):contains('10.255.0.1')", "true"},
		{"'10.0.0.0/8'):contains('11.0.0.1')", "false"},
		{"'10.0.0.0/8', 'fd00::/8'):contains('fd00::1')", "true"},
		{"'10.0.0.0/8'):contains('::ffff:10.0.0.1')", "true"},
		{"'192.0.2.1'):contains(conn.ip)", "true"},
		{"'192.0.2.1'):contains('garbage')", "false"},
		{"'192.0.2.1'):contains('')", "false"},
		{"'0.0.0.0/0', '::/0'):contains(nil)", "false"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char expression[128];

		snprintf(expression, sizeof(expression), "limpet.cidr(%s", cases[i][0]);
		assert_gives_in(fixture, "on_connect", expression, cases[i][1]);
	}
}

static void log_lines_name_their_policy(void **state)
{
	struct fixture *fixture = *state;

	run(fixture, "on_connect",
	    "limpet.log.error('a', 1, nil, true, {}) limpet.log.warning('b') limpet.log.info() "
	    "limpet.log.debug(workers[2], 'c\\nd', setmetatable({}, {__tostring = function() "
	    "return 'mine' end}))");
	assert_said(fixture, "/p.lua: a 1 nil true table\n");
	assert_said(fixture, "/p.lua: b\n");
	assert_said(fixture, "/p.lua: \n");
	assert_said(fixture, "/p.lua: worker 2 c\\x0ad mine\n");
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
}

static void log_lines_below_the_level_are_not_made(void **state)
{
	struct fixture *fixture = *state;

	fixture->log.level = LP_LOG_WARNING;
	run(fixture, "on_connect",
	    "limpet.log.info(setmetatable({}, {__tostring = function() error('asked') end})) "
	    "limpet.log.warning('heard')");
	assert_null(strstr(fixture_said(fixture), "asked"));
	assert_said(fixture, "heard");
}

static void log_lines_have_a_budget(void **state)
{
	struct fixture *fixture = *state;
	size_t lines = 0;

	run(fixture, "on_connect", "for i = 1, 1000 do limpet.log.info('flood') end");
	for (const char *at = fixture_said(fixture); (at = strstr(at, "flood")); at++)
		lines++;
	assert_in_range(lines, 1, 2 * LP_LOG_BURST);
}

static void shared_keeps_numbers_strings_and_booleans(void **state)
{
	struct fixture *fixture = *state;

	assert_gives_in(fixture, "on_connect", "limpet.shared:get('a')", "nil");
	assert_gives_in(fixture, "on_connect", "limpet.shared:set('a', 1.5)", "true");
	assert_gives_in(fixture, "on_connect", "limpet.shared:get('a')", "1.5");
	assert_gives_in(fixture, "on_connect", "limpet.shared:set('a', 'x\\0y')", "true");
	assert_gives_in(fixture, "on_connect", "limpet.shared:get('a') == 'x\\0y'", "true");
	assert_gives_in(fixture, "on_connect", "limpet.shared:set('a', false)", "true");
	assert_gives_in(fixture, "on_connect", "limpet.shared:get('a')", "false");
	assert_gives_in(fixture, "on_connect", "limpet.shared:set('a', '2') and type(limpet.shared:get('a'))",
			"string");
	assert_gives_in(fixture, "on_connect", "limpet.shared:set(7, 'seven') and limpet.shared:get('7')", "seven");
	assert_gives_in(fixture, "on_connect", "limpet.shared:delete('a')", "nil");
	assert_gives_in(fixture, "on_connect", "limpet.shared:get('a')", "nil");
}

static void shared_counts(void **state)
{
	struct fixture *fixture = *state;

	assert_gives_in(fixture, "on_connect", "limpet.shared:incr('n')", "1");
	assert_gives_in(fixture, "on_connect", "limpet.shared:incr('n', 2.5)", "3.5");
	assert_gives_in(fixture, "on_connect", "limpet.shared:incr('n', -3.5)", "0");
	assert_gives_in(fixture, "on_connect", "limpet.shared:incr('m', 1, 60)", "1");
}

static bool is_shared_in(struct fixture *fixture, struct lp_slice key, uint64_t seconds)
{
	struct lp_shared_value value;

	return lp_shared_find(fixture->host.shared, key, lp_clock_ns() / 1000000 + seconds * 1000, &value);
}

static void shared_forgets_after_the_time_to_live(void **state)
{
	struct fixture *fixture = *state;

	run(fixture, "on_connect",
	    "limpet.shared:set('a', 1, 60) limpet.shared:incr('b', 1, 60) limpet.shared:set('c', 1)");
	assert_true(is_shared_in(fixture, LP_SLICE("a"), 50));
	assert_true(is_shared_in(fixture, LP_SLICE("b"), 50));
	assert_false(is_shared_in(fixture, LP_SLICE("a"), 70));
	assert_false(is_shared_in(fixture, LP_SLICE("b"), 70));
	assert_true(is_shared_in(fixture, LP_SLICE("c"), 1000000));
}

static void shared_says_when_it_is_full(void **state)
{
	struct fixture *fixture = *state;

	assert_gives_in(fixture, "on_connect", "select(2, limpet.shared:set('a', ('x'):rep(1000)))",
			"limpet.shared is full");
	for (int i = 0; i < 4; i++)
		assert_gives_in(fixture, "on_connect",
				i == 0   ? "limpet.shared:set('a', 1)"
				: i == 1 ? "limpet.shared:set('b', 1)"
				: i == 2 ? "limpet.shared:set('c', 1)"
					 : "limpet.shared:set('d', 'text')",
				"true");
	assert_gives_in(fixture, "on_connect", "limpet.shared:set('e', 1)", "nil");
	assert_gives_in(fixture, "on_connect", "select(2, limpet.shared:incr('e'))", "limpet.shared is full");
	assert_gives_in(fixture, "on_connect", "select(2, limpet.shared:incr('d'))", "the key holds no number");
	assert_gives_in(fixture, "on_connect", "limpet.shared:set('a', 2) and limpet.shared:get('a')", "2");
}

static void wrong_calls_say_what_is_right(void **state)
{
	struct fixture *fixture = *state;

	request(fixture, FIXTURE_REQUEST);
	assert_raises(fixture, "limpet.cidr()", "limpet.cidr(...): name at least one network, such as");
	assert_raises(fixture, "limpet.cidr('10.0.0.0/8', '10.0.0/8')", "limpet.cidr(...): ");
	assert_raises(fixture, "limpet.cidr('10.0.0.0/8', '10.0.0/8')", "limpet.cidr(...): \"10.0.0/8\"");
	assert_raises(fixture, "limpet.cidr({'10.0.0.0/8'})",
		      "limpet.cidr(...): the network must be a string, not a table");
	assert_raises(fixture, "limpet.cidr('::/0').contains('::1')", "networks:contains(ip): call it with a colon");
	assert_raises(fixture, "limpet.cidr('::/0'):has('::1')",
		      "networks has no field 'has'; there are networks:contains(ip)");
	assert_raises(fixture, "limpet.cidr('::/0'):contains({})",
		      "networks:contains(ip): ip must be a string, not a table");
	assert_raises(fixture, "limpet.refues(503)",
		      "limpet has no field 'refues'; did you mean limpet.refuse(status)?");
	assert_raises(fixture, "limpet.log.inof('a')",
		      "limpet.log has no field 'inof'; did you mean limpet.log.info(...)?");
	assert_raises(fixture, "limpet.log('a')", "attempt to call field 'log' (a table value)");
	assert_raises(fixture, "limpet.shared.get('a')", "limpet.shared:get(key): call it with a colon");
	assert_raises(fixture, "limpet.shared.turns",
		      "limpet.shared has no field 'turns'; there are limpet.shared:get(key), ");
	assert_raises(fixture, "1 limpet.shared.turns = 1",
		      "limpet.shared is read-only; there are limpet.shared:get(key), ");
	assert_raises(fixture, "1 limpet.mine = 1", "limpet is read-only; there are limpet.refuse(status), ");
	assert_raises(fixture, "limpet.shared:get(nil)", "limpet.shared:get(key): key is nil");
	assert_raises(fixture, "limpet.shared:set('a', {})",
		      "limpet.shared:set(key, value, ttl): value must be a number, a string or a boolean, not table");
	assert_raises(fixture, "limpet.shared:set('a', nil)", "limpet.shared:delete(key) takes a key away");
	assert_raises(fixture, "limpet.shared:set('a', 1, 0)", "ttl must be a number of seconds above 0 and up to 1e9");
	assert_raises(fixture, "limpet.shared:set('a', 1, 0/0)",
		      "ttl must be a number of seconds above 0 and up to 1e9");
	assert_raises(fixture, "limpet.shared:set('a', 1, '5')",
		      "ttl must be a number of seconds above 0 and up to 1e9");
	assert_raises(fixture, "limpet.shared:incr('a', '5')",
		      "limpet.shared:incr(key, by, ttl): by must be a number, not string");
	assert_raises(fixture, "limpet.shared:incr('a', 1/0)", "by must be a number");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(refuse_takes_statuses_of_errors),
		policy_test(refuse_takes_nothing_else),
		policy_test(now_is_monotonic_seconds),
		policy_test(a_subnet_is_what_one_subscriber_has),
		policy_test(cidr_knows_what_lies_in_networks),
		policy_test(log_lines_name_their_policy),
		policy_test(log_lines_below_the_level_are_not_made),
		policy_test(log_lines_have_a_budget),
		policy_test(shared_keeps_numbers_strings_and_booleans),
		policy_test(shared_counts),
		policy_test(shared_forgets_after_the_time_to_live),
		policy_test(shared_says_when_it_is_full),
		policy_test(wrong_calls_say_what_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
