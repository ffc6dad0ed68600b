/*
 * Who the client is behind proxies: believed from the right, and only as far as trusted proxies wrote.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "route/forwarded.h"

/*
 * In all tests 10.0.0.0/8 and fd00::/8 are trusted, and the peer is 10.0.0.1 where none is named. The header that proxies write
 * is the first one of the lines, unless it is fixed.
 */
struct fixture {
	bool fixed;
	struct lp_head *head;
	struct lp_network networks[2];
	struct lp_trust trust;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture.head = lp_head_new(4096);
	fixture.trust = (struct lp_trust){fixture.networks, 2, LP_X_FORWARDED_FOR};
	fixture.fixed = false;
	*state = &fixture;
	if (!fixture.head || lp_network_parse("10.0.0.0/8", &fixture.networks[0], NULL) < 0)
		return -1;
	return lp_network_parse("fd00::/8", &fixture.networks[1], NULL);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	lp_head_free(fixture->head);
	return 0;
}

static struct lp_ip ip(const char *text)
{
	struct lp_ip result;

	assert_int_equal(lp_ip_parse(text, strlen(text), &result), 0);
	return result;
}

static int client_of(struct fixture *fixture, const struct lp_ip *peer, const char *lines, struct lp_ip *client)
{
	char text[2048];
	int length = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", lines);

	assert_int_equal(lp_head_parse(fixture->head, text, (size_t)length), length);
	if (!fixture->fixed)
		fixture->trust.header = strncasecmp(lines, "forwarded", 9) == 0 ? LP_FORWARDED : LP_X_FORWARDED_FOR;
	return lp_forwarded_client(fixture->head, peer, &fixture->trust, client);
}

#define assert_client_from(fixture, peer, lines, expected)                                                             \
	assert_client_at(fixture, ip(peer), lines, expected, __FILE__, __LINE__)
#define assert_client(fixture, lines, expected) assert_client_from(fixture, "10.0.0.1", lines, expected)
static void assert_client_at(struct fixture *fixture, struct lp_ip peer, const char *lines, const char *expected,
			     const char *file, int line)
{
	struct lp_ip wanted = ip(expected);
	struct lp_ip client;

	if (client_of(fixture, &peer, lines, &client) != 0 || !lp_ip_equal(&client, &wanted)) {
		print_error("not %s: %s\n", expected, lines);
		_fail(file, line);
	}
}

#define assert_nobody(fixture, lines) assert_nobody_at(fixture, lines, __FILE__, __LINE__)
static void assert_nobody_at(struct fixture *fixture, const char *lines, const char *file, int line)
{
	struct lp_ip peer = ip("10.0.0.1");
	struct lp_ip client = ip("192.0.2.77");
	struct lp_ip before = client;

	if (client_of(fixture, &peer, lines, &client) != -EINVAL) {
		print_error("somebody: %s\n", lines);
		_fail(file, line);
	}
	assert_true(lp_ip_equal(&client, &before));
}

static void an_untrusted_peer_is_the_client(void **state)
{
	assert_client_from(*state, "192.0.2.1", "X-Forwarded-For: 203.0.113.9\r\n", "192.0.2.1");
	assert_client_from(*state, "192.0.2.1", "X-Forwarded-For: garbage\r\nForwarded: garbage\r\n", "192.0.2.1");
	assert_client_from(*state, "2001:db8::1", "Forwarded: for=203.0.113.9\r\n", "2001:db8::1");
}

static void without_trust_the_peer_is_the_client(void **state)
{
	struct fixture *fixture = *state;

	fixture->trust.count = 0;
	assert_client(fixture, "X-Forwarded-For: 203.0.113.9\r\n", "10.0.0.1");
}

static void a_trusted_peer_without_headers_is_the_client(void **state)
{
	assert_client(*state, "", "10.0.0.1");
	assert_client(*state, "X-Real-IP: 203.0.113.9\r\n", "10.0.0.1");
	assert_client(*state, "X-Forwarded-For:\r\nForwarded: ,\r\n", "10.0.0.1");
}

static void a_trusted_peer_names_the_client(void **state)
{
	assert_client(*state, "X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "forwarded: for=203.0.113.9\r\n", "203.0.113.9");
	assert_client_from(*state, "fd00::1", "X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9");
}

static void a_mapped_peer_is_the_same_peer(void **state)
{
	assert_client_from(*state, "::ffff:10.0.0.1", "X-Forwarded-For: ::ffff:203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "X-Forwarded-For: 203.0.113.9, ::ffff:10.1.1.1\r\n", "203.0.113.9");
	assert_client(*state, "X-Forwarded-For: [::ffff:203.0.113.9]:80\r\n", "203.0.113.9");
}

static void what_the_client_itself_wrote_is_not_believed(void **state)
{
	assert_client(*state, "X-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "X-Forwarded-For: 10.9.9.9, 203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: for=198.51.100.1, for=203.0.113.9\r\n", "203.0.113.9");
}

static void garbage_that_the_client_wrote_does_no_harm(void **state)
{
	assert_client(*state, "X-Forwarded-For: unknown, \", 203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: garbage, for=203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: for=\"1.1.1.1, for=203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: for=10.0.0.9;x=\", for=\"[2001:db8::1]\"\r\n", "2001:db8::1");
	assert_client(*state, "Forwarded: for=10.0.0.9;x=\"\\, for=\"[2001:db8::1]\"\r\n", "2001:db8::1");
}

static void trusted_hops_are_walked_past(void **state)
{
	assert_client(*state, "X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.1.1.1, fd00::2\r\n", "203.0.113.9");
	assert_client(*state, "X-Forwarded-For: 203.0.113.9, 10.1.1.1\r\nX-Forwarded-For: 10.2.2.2\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: for=203.0.113.9, for=10.1.1.1, for=\"[fd00::2]\"\r\n", "203.0.113.9");
}

static void if_all_are_trusted_the_first_is_the_client(void **state)
{
	assert_client(*state, "X-Forwarded-For: 10.1.1.1, 10.2.2.2\r\nX-Forwarded-For: 10.3.3.3\r\n", "10.1.1.1");
	assert_client(*state, "Forwarded: for=10.1.1.1\r\nForwarded: for=10.2.2.2\r\n", "10.1.1.1");
}

static void garbage_where_the_client_should_stand_is_nobody(void **state)
{
	static const char *const garbage[] = {
		"unknown",
		"_hidden",
		"203.0.113",
		"203.0.113.9:",
		"203.0.113.9:x",
		"203.0.113.9:123456",
		":80",
		"[2001:db8::1",
		"[2001:db8::1]x",
		"[2001:db8::1]x80",
		"203.0.113.9:_",
		"203.0.113.9:_\"",
		"[2001:db8::1]:",
		"[2001:db8::1]:x",
		"[203.0.113.9]",
		"[]",
		"2001:db8::g",
		"203.0.113.9 1.1.1.1",
		"\"203.0.113.9\"",
		"fe80::1%eth0",
		"[",
		"]",
		"\"",
		"203.0.113.9;",
		"1",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaa",
	};
	char lines[512];

	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		snprintf(lines, sizeof(lines), "X-Forwarded-For: %s\r\n", garbage[i]);
		assert_nobody(*state, lines);
		snprintf(lines, sizeof(lines), "X-Forwarded-For: 203.0.113.9, %s, 10.1.1.1\r\n", garbage[i]);
		assert_nobody(*state, lines);
	}
}

static void ports_are_passed_over(void **state)
{
	assert_client(*state, "X-Forwarded-For: 203.0.113.9:4711\r\n", "203.0.113.9");
	assert_client(*state, "X-Forwarded-For: [2001:db8::1]:4711\r\n", "2001:db8::1");
	assert_client(*state, "X-Forwarded-For: [2001:db8::1]\r\n", "2001:db8::1");
	assert_client(*state, "X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1");
	assert_client(*state, "X-Forwarded-For: 203.0.113.9:4711, [fd00::2]:80, 10.1.1.1:80\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: for=\"203.0.113.9:4711\"\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: for=\"203.0.113.9:_port\"\r\n", "203.0.113.9");
}

static void blanks_and_empty_elements_are_passed_over(void **state)
{
	assert_client(*state, "X-Forwarded-For:  \t1.1.1.1,203.0.113.9\t ,,  10.1.1.1 , ,\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: ,for=203.0.113.9 ,, for=10.1.1.1 ,\r\n", "203.0.113.9");
}

static void forwarded_elements_are_read_as_their_grammar_has_them(void **state)
{
	assert_client(*state, "Forwarded: For=203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: FOR=\"[2001:DB8::1]:4711\"\r\n", "2001:db8::1");
	assert_client(*state, "Forwarded: proto=https;for=203.0.113.9;by=10.0.0.1\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: proto=https; for=203.0.113.9 ;host=\"a\"\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: ;for=203.0.113.9;\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: for=\"203.0.11\\3.9\"\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: ext=\"a;for=1.1.1.1, for=2.2.2.2\\\"\";for=203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: for=203.0.113.9;ext=\"a\\\\\", for=10.1.1.1\r\n", "203.0.113.9");
}

static void a_forwarded_element_that_names_nobody_is_nobody(void **state)
{
	assert_nobody(*state, "Forwarded: proto=https;by=203.0.113.9\r\n");
	assert_nobody(*state, "Forwarded: for=203.0.113.9, proto=https\r\n");
	assert_nobody(*state, "Forwarded: for=unknown\r\n");
	assert_nobody(*state, "Forwarded: for=\"_hidden\"\r\n");
	assert_nobody(*state, "Forwarded: for=\r\n");
	assert_nobody(*state, "Forwarded: for=\"\"\r\n");
	assert_nobody(*state, "Forwarded: for=\"203.0.113.9\r\n");
	assert_nobody(*state, "Forwarded: for=\"203.0.113.9\\\"\r\n");
	assert_nobody(*state, "Forwarded: for=\"203.0.113.9\"x\"\r\n");
	assert_nobody(*state, "Forwarded: for=\"203.0.113.9:_x\"x\"\r\n");
	assert_nobody(*state,
		      "Forwarded: for=\"203.0.113.9:_0123456789012345678901234567890123456789012345678901234567\"\r\n");
	assert_nobody(*state, "Forwarded: for=203.0.113.9;for=203.0.113.10\r\n");
	assert_nobody(*state, "Forwarded: xfor=203.0.113.9\r\n");
	assert_nobody(*state, "Forwarded: ext=\"a;for=203.0.113.9\r\n");
	assert_nobody(*state, "Forwarded: 203.0.113.9\r\n");
}

static void fix_header(struct fixture *fixture, enum lp_forwarded_header header)
{
	fixture->trust.header = header;
	fixture->fixed = true;
}

/* A client adds the one that its proxies do not write: it must not become nobody, nor anybody else. */
static void the_other_header_is_not_read(void **state)
{
	fix_header(*state, LP_X_FORWARDED_FOR);
	assert_client(*state, "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.10\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: for=unknown\r\nX-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "X-Real-IP: 203.0.113.10\r\nX-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "Forwarded: for=203.0.113.10\r\n", "10.0.0.1");
	fix_header(*state, LP_FORWARDED);
	assert_client(*state, "X-Forwarded-For: 203.0.113.10\r\nForwarded: for=203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "X-Forwarded-For: unknown\r\nForwarded: for=203.0.113.9\r\n", "203.0.113.9");
	assert_client(*state, "X-Forwarded-For: 203.0.113.10\r\n", "10.0.0.1");
	fix_header(*state, LP_X_REAL_IP);
	assert_client(*state, "X-Forwarded-For: unknown\r\nX-Real-IP: 203.0.113.9\r\n", "203.0.113.9");
	assert_nobody(*state, "X-Forwarded-For: 203.0.113.9\r\nX-Real-IP: unknown\r\n");
}

static void a_header_is_found_in_any_case(void **state)
{
	enum lp_forwarded_header header = LP_FORWARDED;

	(void)state;
	assert_true(lp_forwarded_header_find("X-Forwarded-For", &header));
	assert_int_equal(header, LP_X_FORWARDED_FOR);
	assert_true(lp_forwarded_header_find("forwarded", &header));
	assert_int_equal(header, LP_FORWARDED);
	assert_false(lp_forwarded_header_find("x-forwarded", &header));
}

static void a_unix_peer_is_believed_when_anyone_is(void **state)
{
	static const struct lp_ip peer = {.family = LP_FAMILY_UNIX};
	struct fixture *fixture = *state;
	struct lp_ip wanted = ip("203.0.113.9");
	struct lp_ip client;

	assert_int_equal(client_of(fixture, &peer, "X-Forwarded-For: 203.0.113.9\r\n", &client), 0);
	assert_true(lp_ip_equal(&client, &wanted));
	assert_int_equal(client_of(fixture, &peer, "", &client), 0);
	assert_int_equal(client.family, LP_FAMILY_UNIX);

	fixture->trust.count = 0;
	assert_int_equal(client_of(fixture, &peer, "X-Forwarded-For: 203.0.113.9\r\n", &client), 0);
	assert_int_equal(client.family, LP_FAMILY_UNIX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_untrusted_peer_is_the_client, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_trust_the_peer_is_the_client, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_trusted_peer_without_headers_is_the_client, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_trusted_peer_names_the_client, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_mapped_peer_is_the_same_peer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_the_client_itself_wrote_is_not_believed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(garbage_that_the_client_wrote_does_no_harm, set_up, tear_down),
		cmocka_unit_test_setup_teardown(trusted_hops_are_walked_past, set_up, tear_down),
		cmocka_unit_test_setup_teardown(if_all_are_trusted_the_first_is_the_client, set_up, tear_down),
		cmocka_unit_test_setup_teardown(garbage_where_the_client_should_stand_is_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ports_are_passed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(blanks_and_empty_elements_are_passed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(forwarded_elements_are_read_as_their_grammar_has_them, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_forwarded_element_that_names_nobody_is_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_other_header_is_not_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_header_is_found_in_any_case, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_unix_peer_is_believed_when_anyone_is, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("forwarded", tests, NULL, NULL);
}
