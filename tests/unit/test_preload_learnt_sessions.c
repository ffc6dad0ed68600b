/*
 * Known sessions: added once, bounded, the oldest forgotten first, and never one that is still young.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "preload/learnt_sessions.h"

static struct lp_slice key_of(unsigned number)
{
	static char text[32];
	return (struct lp_slice){text, (size_t)snprintf(text, sizeof(text), "session-%u", number)};
}

static void an_empty_one_knows_nothing(void **state)
{
	struct lp_learnt_sessions known = {0};
	(void)state;
	assert_false(lp_learnt_sessions_has(&known, key_of(1)));
	lp_learnt_sessions_clear(&known);
	assert_false(lp_learnt_sessions_has(&known, key_of(1)));
}

static void a_key_is_new_once(void **state)
{
	struct lp_learnt_sessions known = {0};
	(void)state;
	assert_true(lp_learnt_sessions_add(&known, key_of(1)));
	assert_false(lp_learnt_sessions_add(&known, key_of(1)));
	assert_true(lp_learnt_sessions_has(&known, key_of(1)));
	assert_false(lp_learnt_sessions_has(&known, key_of(2)));
	assert_int_equal(known.count, 1);
	lp_learnt_sessions_clear(&known);
}

static void keys_are_compared_to_their_last_byte(void **state)
{
	struct lp_learnt_sessions known = {0};
	(void)state;
	assert_true(lp_learnt_sessions_add(&known, (struct lp_slice){"a\0b", 3}));
	assert_false(lp_learnt_sessions_has(&known, (struct lp_slice){"a\0c", 3}));
	assert_false(lp_learnt_sessions_has(&known, (struct lp_slice){"a", 1}));
	assert_true(lp_learnt_sessions_has(&known, (struct lp_slice){"a\0b", 3}));
	lp_learnt_sessions_clear(&known);
}

/* Three times as many as there is room for: deleting has to leave every probe whole. */
static void the_oldest_are_forgotten_and_no_other(void **state)
{
	struct lp_learnt_sessions known = {0};
	const unsigned total = 3 * LP_LEARNT_SESSIONS_MAX;
	(void)state;
	for (unsigned i = 0; i < total; i++)
		assert_true(lp_learnt_sessions_add(&known, key_of(i)));
	assert_int_equal(known.count, LP_LEARNT_SESSIONS_MAX);
	for (unsigned i = 0; i < total; i++)
		assert_int_equal(lp_learnt_sessions_has(&known, key_of(i)), i >= total - LP_LEARNT_SESSIONS_MAX);
	lp_learnt_sessions_clear(&known);
}

static void they_are_listed_in_the_order_they_came(void **state)
{
	struct lp_learnt_sessions known = {0};
	unsigned next = 0;
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		lp_learnt_sessions_add(&known, key_of(i));
	for (struct lp_learnt_sessions_key *key = known.oldest; key; key = key->next) {
		struct lp_slice expected = key_of(next++);
		assert_int_equal(key->length, expected.length);
		assert_memory_equal(key->bytes, expected.bytes, expected.length);
	}
	assert_int_equal(next, 1000);
	lp_learnt_sessions_clear(&known);
}

static void cleared_it_can_be_filled_again(void **state)
{
	struct lp_learnt_sessions known = {0};
	(void)state;
	lp_learnt_sessions_add(&known, key_of(1));
	lp_learnt_sessions_clear(&known);
	assert_false(lp_learnt_sessions_has(&known, key_of(1)));
	assert_true(lp_learnt_sessions_add(&known, key_of(1)));
	assert_true(lp_learnt_sessions_has(&known, key_of(1)));
	lp_learnt_sessions_clear(&known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_one_knows_nothing),
		cmocka_unit_test(a_key_is_new_once),
		cmocka_unit_test(keys_are_compared_to_their_last_byte),
		cmocka_unit_test(the_oldest_are_forgotten_and_no_other),
		cmocka_unit_test(they_are_listed_in_the_order_they_came),
		cmocka_unit_test(cleared_it_can_be_filled_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
