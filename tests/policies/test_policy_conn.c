/*
 * `conn`: what each hook knows, and what it says when it is used wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_fixture.h"

static void on_connect_knows_the_peer(void **state)
{
	struct fixture *fixture = *state;

	assert_gives_in(fixture, "on_connect", "conn.ip", "192.0.2.1");
	assert_gives_in(fixture, "on_connect", "conn.port + 1", "4322");
	assert_gives_in(fixture, "on_connect", "conn.listener", ":3000");
	fixture_come_from(fixture, "2001:db8::1");
	assert_gives_in(fixture, "on_connect", "conn.ip", "2001:db8::1");
}

static void a_unix_peer_has_no_address(void **state)
{
	struct fixture *fixture = *state;

	fixture->conn.ip = (struct lp_ip){.family = LP_FAMILY_UNIX};
	assert_gives_in(fixture, "on_connect", "conn.ip", "nil");
	assert_gives_in(fixture, "on_connect", "conn.port", "nil");
}

static void what_a_hook_cannot_know_is_nil(void **state)
{
	static const char *const requests[] = {"conn.method",      "conn.path",           "conn.sid",
					       "conn.client_ip",   "conn:header('Host')", "conn:query('a')",
					       "conn:cookie('a')", "conn.session"};
	struct fixture *fixture = *state;

	fixture->host.rules = &lp_session_rule_sid;
	fixture->host.rule_count = 1;
	request(fixture, "GET /?a=1&sid=2 HTTP/1.1\r\nHost: a.example\r\nCookie: a=1\r\n\r\n");
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		assert_gives_in(fixture, "on_connect", requests[i], "nil");
	assert_gives_in(fixture, "on_connect", "conn.sni", "nil");
	assert_gives_in(fixture, "on_request", "conn.sni", "nil");
	assert_gives_in(fixture, "on_request", "conn.alpn", "nil");

	hello(fixture, "a.example");
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		assert_gives_in(fixture, "on_hello", requests[i], "nil");
}

static void a_session_is_what_the_first_rule_finds(void **state)
{
	static const char *const texts[] = {"cookie:c", "header:X-S", "query:q"};
	struct fixture *fixture = *state;
	struct lp_session_rule *rules;

	assert_int_equal(lp_session_rules_new(texts, 3, &rules, NULL), 0);
	request(fixture, "GET /?q=4%205 HTTP/1.1\r\nx-s: 3\r\nCookie: b=1; c=\"2\"\r\n\r\n");
	assert_gives(fixture, "conn.session", "nil");
	fixture->host.rules = rules;
	fixture->host.rule_count = 3;
	assert_gives(fixture, "conn.session", "2");
	fixture->host.rules = rules + 1;
	fixture->host.rule_count = 2;
	assert_gives(fixture, "conn.session", "3");
	fixture->host.rules = rules + 2;
	fixture->host.rule_count = 1;
	assert_gives(fixture, "conn.session", "4 5");
	request(fixture, "GET /?q= HTTP/1.1\r\nX-S:\r\n\r\n");
	fixture->host.rules = rules;
	fixture->host.rule_count = 3;
	assert_gives(fixture, "conn.session", "nil");
	free(rules);
}

static void on_hello_knows_names_and_protocols(void **state)
{
	struct fixture *fixture = *state;

	hello(fixture, "a.example");
	assert_gives_in(fixture, "on_hello", "conn.sni", "a.example");
	assert_gives_in(fixture, "on_hello", "#conn.alpn", "2");
	assert_gives_in(fixture, "on_hello", "table.concat(conn.alpn, ' ')", "h2 http/1.1");
	assert_gives_in(fixture, "on_hello", "conn.ip", "192.0.2.1");
	hello(fixture, NULL);
	assert_gives_in(fixture, "on_hello", "conn.sni", "nil");
}

static void on_request_knows_the_request(void **state)
{
	struct fixture *fixture = *state;

	request(fixture, "POST /a%20b?x=1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
	assert_gives(fixture, "conn.method", "POST");
	assert_gives(fixture, "conn.path", "/a%20b");
	assert_gives(fixture, "conn.ip .. conn.listener", "192.0.2.1:3000");
}

static void header_names_have_no_case_and_repeated_ones_are_joined_in_order(void **state)
{
	struct fixture *fixture = *state;

	request(fixture,
		"GET / HTTP/1.1\r\nHost: a.example\r\nX-Tag: one\r\ncookie: a=1\r\nX-TAG: two\r\nCookie: b=2\r\n"
		"x-tag: three\r\nX-Empty:\r\n\r\n");
	assert_gives(fixture, "conn:header('HOST')", "a.example");
	assert_gives(fixture, "conn:header('x-tag')", "one, two, three");
	assert_gives(fixture, "conn:header('COOKIE')", "a=1; b=2");
	assert_gives(fixture, "conn:header('X-Empty')", "");
	assert_gives(fixture, "conn:header('X-Ta')", "nil");
	assert_gives(fixture, "type(conn.header)", "function");
}

static void cookies_and_query_parameters_are_found_by_name(void **state)
{
	struct fixture *fixture = *state;

	request(fixture, "GET /?a=x%2By&b=1+2&a=second HTTP/1.1\r\nHost: a\r\nCookie: id=\"q\"; id=second\r\n\r\n");
	assert_gives(fixture, "conn:query('a')", "x+y");
	assert_gives(fixture, "conn:query('b')", "1 2");
	assert_gives(fixture, "conn:query('c')", "nil");
	assert_gives(fixture, "conn:cookie('id')", "q");
	assert_gives(fixture, "conn:cookie('ID')", "nil");
}

static void a_query_parameter_may_fill_the_head(void **state)
{
	struct fixture *fixture = *state;
	char *text = malloc(FIXTURE_MAX_HEAD);

	snprintf(text, FIXTURE_MAX_HEAD, "GET /?a=%09000d&sid=%05000d HTTP/1.1\r\nHost: a\r\n\r\n", 7, 8);
	request(fixture, text);
	assert_gives(fixture, "#conn:query('a')", "9000");
	assert_gives(fixture, "#conn.sid", "5000");
	assert_no_opinion(run(fixture, "on_request", "return workers:session(conn:query('sid'))"));
	free(text);
}

static void sid_is_the_first_sid_of_the_query_and_never_empty(void **state)
{
	static const char *const targets[][2] = {
		{"/?sid=a", "a"},    {"/?x=1&sid=a%2Fb&sid=c", "a/b"},
		{"/?sid=", "nil"},   {"/?sid", "nil"},
		{"/?SID=a", "nil"},  {"/sid=a", "nil"},
		{"/?xsid=a", "nil"}, {"/?sid=&sid=b", "nil"},
		{"/?s%69d=a", "a"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		char text[128];

		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\nCookie: sid=c\r\n\r\n", targets[i][0]);
		request(fixture, text);
		assert_gives(fixture, "conn.sid", targets[i][1]);
		assert_gives(fixture, "conn.sid and conn.sid", targets[i][1]);
	}
}

static void client_ip_believes_trusted_proxies_only(void **state)
{
	struct fixture *fixture = *state;

	request(fixture, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n");
	assert_gives(fixture, "conn.client_ip", "192.0.2.1");
	fixture_come_from(fixture, "10.1.1.1");
	assert_gives(fixture, "conn.client_ip", "198.51.100.7");
	assert_gives(fixture, "conn.client_ip .. conn.client_ip", "198.51.100.7198.51.100.7");
	assert_gives(fixture, "conn.ip", "10.1.1.1");
	request(fixture, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: unknown\r\n\r\n");
	assert_gives(fixture, "conn.client_ip", "nil");
}

static void every_call_sees_its_own_connection(void **state)
{
	struct fixture *fixture = *state;

	load(fixture, "return { on_request = function(conn) limpet.log.info(conn.ip, conn.ip, conn.sid, conn.sid, "
		      "conn.client_ip, conn.client_ip) end }");
	request(fixture, "GET /?sid=a HTTP/1.1\r\nHost: a\r\n\r\n");
	ask(fixture);
	assert_said(fixture, "192.0.2.1 192.0.2.1 a a 192.0.2.1 192.0.2.1\n");
	request(fixture, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	fixture_come_from(fixture, "192.0.2.9");
	ask(fixture);
	assert_said(fixture, "192.0.2.9 192.0.2.9 nil nil 192.0.2.9 192.0.2.9\n");
}

static void a_misspelt_name_is_told_the_right_one(void **state)
{
	struct fixture *fixture = *state;

	request(fixture, FIXTURE_REQUEST);
	assert_raises(fixture, "conn.hedaer", "conn has no field 'hedaer'; did you mean conn:header(name)?");
	assert_raises(fixture, "conn.Method", "conn has no field 'Method'; did you mean conn.method?");
	assert_raises(fixture, "conn:cooky('a')", "conn has no field 'cooky'; did you mean conn:cookie(name)?");
	assert_raises(fixture, "conn.absent", "conn has no field 'absent'; there are conn.ip, conn.port, ");
	assert_raises(fixture, "conn[1]", "conn has no field 'number'; there are conn.ip");
}

static void wrong_calls_say_what_is_right(void **state)
{
	struct fixture *fixture = *state;

	request(fixture, FIXTURE_REQUEST);
	assert_raises(fixture, "conn.header('Host')", "conn:header(name): call it with a colon, as it is written here");
	assert_raises(fixture, "conn:header()", "conn:header(name): name is nil; where it may be, test it first: ");
	assert_raises(fixture, "conn:query({})", "conn:query(name): name must be a string, not a table");
	assert_raises(fixture, "conn:cookie(true)", "conn:cookie(name): name must be a string, not a boolean");
	assert_raises(fixture, "1 conn.ip = 'x'", "conn is read-only; there are conn.ip, ");
}

static void a_kept_conn_is_of_no_use_after_the_call(void **state)
{
	static const char message[] = "conn is only valid during the call; keep what you need of it in locals";
	struct fixture *fixture = *state;

	load(fixture, "local kept = {}\nreturn { on_connect = function(conn) kept = conn end,\n"
		      "on_worker_up = function() return kept.ip end,\n"
		      "on_worker_down = function() return kept:header('Host') end }");
	ask(fixture);
	lp_policy_worker_down(fixture->policy, 1);
	assert_said(fixture, ":4: in a return of on_worker_down: conn is only");
	assert_said(fixture, message);
	fixture_forget(fixture);
	lp_policy_worker_up(fixture->policy, 1);
	assert_said(fixture, ":3: ");
	assert_said(fixture, message);
	assert_int_equal(lp_policy_errors(fixture->policy), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(on_connect_knows_the_peer),
		policy_test(a_unix_peer_has_no_address),
		policy_test(what_a_hook_cannot_know_is_nil),
		policy_test(a_session_is_what_the_first_rule_finds),
		policy_test(a_session_is_what_the_first_rule_finds),
		policy_test(on_hello_knows_names_and_protocols),
		policy_test(on_request_knows_the_request),
		policy_test(header_names_have_no_case_and_repeated_ones_are_joined_in_order),
		policy_test(cookies_and_query_parameters_are_found_by_name),
		policy_test(a_query_parameter_may_fill_the_head),
		policy_test(sid_is_the_first_sid_of_the_query_and_never_empty),
		policy_test(client_ip_believes_trusted_proxies_only),
		policy_test(every_call_sees_its_own_connection),
		policy_test(a_misspelt_name_is_told_the_right_one),
		policy_test(wrong_calls_say_what_is_right),
		policy_test(a_kept_conn_is_of_no_use_after_the_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
