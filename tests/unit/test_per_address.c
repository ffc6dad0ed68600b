/*
 * What one address may have: counts, rates, who is exempt, and what happens when the table is full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "server/per_address.h"

/* Some moment. */
#define NOW_MS 5000

static struct lp_ip ip_of(const char *text)
{
	struct lp_ip ip;
	assert_int_equal(lp_ip_parse(text, strlen(text), &ip), 0);
	return ip;
}

static struct lp_per_address *table_of(uint32_t max_waiting, uint32_t max_rate, uint32_t room)
{
	struct lp_per_address_config config = {
		.max_waiting = max_waiting, .max_rate = max_rate, .room = room, .seed = 42};
	struct lp_per_address *table = lp_per_address_new(&config);
	assert_non_null(table);
	return table;
}

static enum lp_per_address_answer enter(struct lp_per_address *table, const char *text)
{
	struct lp_ip ip = ip_of(text);
	return lp_per_address_enter(table, &ip, NOW_MS);
}

static void leave(struct lp_per_address *table, const char *text)
{
	struct lp_ip ip = ip_of(text);
	lp_per_address_leave(table, &ip);
}

static bool admit(struct lp_per_address *table, const char *text, uint64_t now_ms)
{
	struct lp_ip ip = ip_of(text);
	return lp_per_address_admit(table, &ip, now_ms);
}

static void without_a_table_nobody_is_limited(void **state)
{
	(void)state;
	assert_int_equal(enter(NULL, "192.0.2.1"), LP_PER_ADDRESS_EXEMPT);
	assert_true(admit(NULL, "192.0.2.1", NOW_MS));
	lp_per_address_free(NULL);
}

static void an_address_may_have_as_many_as_the_limit(void **state)
{
	struct lp_per_address *table = table_of(3, 0, 100);
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(enter(table, "192.0.2.1"), LP_PER_ADDRESS_COUNTED);
	assert_int_equal(enter(table, "192.0.2.1"), LP_PER_ADDRESS_OVER);
	assert_int_equal(enter(table, "192.0.2.2"), LP_PER_ADDRESS_COUNTED);
	leave(table, "192.0.2.1");
	assert_int_equal(enter(table, "192.0.2.1"), LP_PER_ADDRESS_COUNTED);
	assert_int_equal(enter(table, "192.0.2.1"), LP_PER_ADDRESS_OVER);
	lp_per_address_free(table);
}

static void an_ipv6_network_of_64_bits_is_one_address(void **state)
{
	struct lp_per_address *table = table_of(2, 0, 100);
	(void)state;
	assert_int_equal(enter(table, "2001:db8:0:1::1"), LP_PER_ADDRESS_COUNTED);
	assert_int_equal(enter(table, "2001:db8:0:1:ffff::2"), LP_PER_ADDRESS_COUNTED);
	assert_int_equal(enter(table, "2001:db8:0:1::3"), LP_PER_ADDRESS_OVER);
	assert_int_equal(enter(table, "2001:db8:0:2::1"), LP_PER_ADDRESS_COUNTED);
	lp_per_address_free(table);
}

/* Their first bytes are the same. */
static void families_do_not_mix(void **state)
{
	struct lp_per_address *table = table_of(1, 0, 1);
	(void)state;
	assert_int_equal(enter(table, "0.0.0.0"), LP_PER_ADDRESS_COUNTED);
	assert_int_equal(enter(table, "::1"), LP_PER_ADDRESS_COUNTED);
	assert_int_equal(enter(table, "::2"), LP_PER_ADDRESS_OVER);
	lp_per_address_free(table);
}

static void a_rate_is_a_burst_and_then_one_at_a_time(void **state)
{
	struct lp_per_address *table = table_of(0, 10, 100);
	(void)state;
	for (int i = 0; i < 10; i++)
		assert_true(admit(table, "192.0.2.1", NOW_MS));
	assert_false(admit(table, "192.0.2.1", NOW_MS));
	assert_false(admit(table, "192.0.2.1", NOW_MS + 99));
	assert_true(admit(table, "192.0.2.1", NOW_MS + 100));
	assert_false(admit(table, "192.0.2.1", NOW_MS + 100));
	assert_true(admit(table, "192.0.2.2", NOW_MS + 100));
	for (int i = 0; i < 10; i++)
		assert_true(admit(table, "192.0.2.1", NOW_MS + 1100));
	assert_false(admit(table, "192.0.2.1", NOW_MS + 1100));
	lp_per_address_free(table);
}

/* A client that hammers on gets its rate all the same: what is turned away does not count. */
static void over_a_long_time_the_rate_is_what_it_says(void **state)
{
	struct lp_per_address *table = table_of(0, 50, 100);
	unsigned admitted = 0;
	(void)state;
	for (uint64_t ms = 0; ms < 10000; ms++)
		admitted += admit(table, "192.0.2.1", NOW_MS + ms);
	assert_in_range(admitted, 50 + 499, 50 + 500);
	lp_per_address_free(table);
}

static void the_fastest_rate_and_the_slowest(void **state)
{
	struct lp_per_address *table = table_of(0, 1, 100);
	(void)state;
	assert_true(admit(table, "192.0.2.1", NOW_MS));
	assert_false(admit(table, "192.0.2.1", NOW_MS + 999));
	assert_true(admit(table, "192.0.2.1", NOW_MS + 1000));
	lp_per_address_free(table);

	table = table_of(0, 1000000, 100);
	for (int i = 0; i < 1000000; i++)
		assert_true(admit(table, "192.0.2.1", NOW_MS));
	assert_false(admit(table, "192.0.2.1", NOW_MS));
	lp_per_address_free(table);
}

static void a_limit_of_zero_is_none(void **state)
{
	struct lp_per_address *table = table_of(0, 5, 100);
	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(enter(table, "192.0.2.1"), LP_PER_ADDRESS_EXEMPT);
	lp_per_address_free(table);
	table = table_of(5, 0, 100);
	for (int i = 0; i < 1000; i++)
		assert_true(admit(table, "192.0.2.1", NOW_MS));
	lp_per_address_free(table);
}

static void trusted_proxies_and_unix_peers_are_exempt(void **state)
{
	struct lp_network proxies[2];
	struct lp_per_address_config config = {
		.max_waiting = 1, .max_rate = 1, .room = 100, .trust = {.networks = proxies, .count = 2}};
	struct lp_ip local = {.family = LP_FAMILY_UNIX};
	struct lp_per_address *table = lp_per_address_new(&config);
	(void)state;
	assert_int_equal(lp_network_parse("10.0.0.0/8", &proxies[0], NULL), 0);
	assert_int_equal(lp_network_parse("fd00::/8", &proxies[1], NULL), 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(enter(table, "10.1.2.3"), LP_PER_ADDRESS_EXEMPT);
		assert_int_equal(enter(table, "fd00::1"), LP_PER_ADDRESS_EXEMPT);
		assert_int_equal(lp_per_address_enter(table, &local, NOW_MS), LP_PER_ADDRESS_EXEMPT);
		assert_true(admit(table, "10.1.2.3", NOW_MS));
		assert_true(lp_per_address_admit(table, &local, NOW_MS));
	}
	assert_int_equal(enter(table, "11.1.2.3"), LP_PER_ADDRESS_COUNTED);
	assert_int_equal(enter(table, "11.1.2.3"), LP_PER_ADDRESS_OVER);
	lp_per_address_free(table);
}

/* The smallest table is a single bucket of eight. */
static void in_a_full_table_others_are_not_limited_and_nobody_is_forgotten(void **state)
{
	struct lp_per_address *table = table_of(1, 0, 1);
	char text[LP_IP_TEXT_SIZE];
	(void)state;
	for (int i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "192.0.2.%d", i);
		assert_int_equal(enter(table, text), LP_PER_ADDRESS_COUNTED);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(enter(table, "198.51.100.1"), LP_PER_ADDRESS_EXEMPT);
	assert_int_equal(enter(table, "192.0.2.7"), LP_PER_ADDRESS_OVER);
	leave(table, "192.0.2.3");
	assert_int_equal(enter(table, "198.51.100.1"), LP_PER_ADDRESS_COUNTED);
	assert_int_equal(enter(table, "198.51.100.1"), LP_PER_ADDRESS_OVER);
	lp_per_address_free(table);
}

static void a_rate_that_has_recovered_makes_room(void **state)
{
	struct lp_per_address *table = table_of(0, 1, 1);
	char text[LP_IP_TEXT_SIZE];
	(void)state;
	for (int i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "192.0.2.%d", i);
		assert_true(admit(table, text, NOW_MS));
	}
	assert_true(admit(table, "198.51.100.1", NOW_MS + 999));
	assert_true(admit(table, "198.51.100.1", NOW_MS + 999));
	assert_true(admit(table, "198.51.100.1", NOW_MS + 1000));
	assert_false(admit(table, "198.51.100.1", NOW_MS + 1000));
	lp_per_address_free(table);
}

/* As many addresses as there is room for, one connection each: nearly all are counted. */
static void a_crowd_has_room(void **state)
{
	enum { CROWD = 16384 };
	struct lp_per_address *table = table_of(1, 0, CROWD);
	unsigned counted = 0;
	(void)state;
	for (unsigned i = 0; i < CROWD / 2; i++) {
		struct lp_ip ip = {.family = LP_FAMILY_IPV4, .bytes = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
		counted += lp_per_address_enter(table, &ip, NOW_MS) == LP_PER_ADDRESS_COUNTED;
	}
	assert_true(counted > CROWD / 2 * 97 / 100);
	lp_per_address_free(table);
}

static void what_waits_is_counted_beside_heads_and_has_a_share(void **state)
{
	struct lp_per_address_config config = {.max_waiting = 3, .share = 2, .room = 100, .seed = 42};
	struct lp_per_address *table = lp_per_address_new(&config);
	struct lp_ip one = ip_of("192.0.2.1");
	struct lp_ip other = ip_of("192.0.2.2");
	struct lp_ip peer = ip_of("192.0.2.1");
	(void)state;
	peer.family = LP_FAMILY_UNIX;
	for (int i = 0; i < 5; i++) {
		assert_true(lp_per_address_begin_wait(table, &one, NOW_MS));
		assert_int_equal(lp_per_address_is_over(table, &one), i >= 2);
	}
	assert_true(lp_per_address_begin_wait(table, &other, NOW_MS));
	assert_false(lp_per_address_is_over(table, &other));
	assert_int_equal(enter(table, "192.0.2.1"), LP_PER_ADDRESS_COUNTED); /* Its heads are another matter. */
	for (int i = 0; i < 3; i++)
		lp_per_address_end_wait(table, &one);
	assert_false(lp_per_address_is_over(table, &one));
	assert_false(lp_per_address_begin_wait(table, &peer, NOW_MS));
	assert_false(lp_per_address_begin_wait(NULL, &one, NOW_MS));
	lp_per_address_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_waits_is_counted_beside_heads_and_has_a_share),
		cmocka_unit_test(without_a_table_nobody_is_limited),
		cmocka_unit_test(an_address_may_have_as_many_as_the_limit),
		cmocka_unit_test(an_ipv6_network_of_64_bits_is_one_address),
		cmocka_unit_test(families_do_not_mix),
		cmocka_unit_test(a_rate_is_a_burst_and_then_one_at_a_time),
		cmocka_unit_test(over_a_long_time_the_rate_is_what_it_says),
		cmocka_unit_test(the_fastest_rate_and_the_slowest),
		cmocka_unit_test(a_limit_of_zero_is_none),
		cmocka_unit_test(trusted_proxies_and_unix_peers_are_exempt),
		cmocka_unit_test(in_a_full_table_others_are_not_limited_and_nobody_is_forgotten),
		cmocka_unit_test(a_rate_that_has_recovered_makes_room),
		cmocka_unit_test(a_crowd_has_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
