/*
 * Sessions seen by somebody who must not change them: the walk, and views.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "sessions_fixture.h"

static void a_walk_goes_from_the_most_to_the_least_recently_used(void **state)
{
	struct fixture fixture;
	unsigned order = 0;
	unsigned worker;
	uint32_t at = 0;

	(void)state;
	fixture_init(&fixture, 10);
	assert_null(lp_sessions_walk(fixture.sessions, &at, &worker).bytes);
	bind_key(&fixture, "a", 1);
	bind_key(&fixture, "a key that does not fit its entry", 2);
	bind_key(&fixture, "c", 3);
	find_key(&fixture, "a");
	for (at = 0; lp_sessions_walk(fixture.sessions, &at, &worker).bytes;)
		order = order * 10 + worker;
	assert_int_equal(order, 132);
	fixture_deinit(&fixture);
}

static void a_view_sees_keys_without_using_them_and_keeps_its_own_to_itself(void **state)
{
	struct fixture fixture;
	struct lp_workers workers;
	struct lp_sessions *view;

	(void)state;
	fixture_init(&fixture, 2);
	bind_key(&fixture, "a", 1);
	bind_key(&fixture, "b", 2);
	assert_int_equal(lp_workers_init(&workers, WORKERS, 1), 0);
	view = lp_sessions_new_view(fixture.sessions, 2, &workers);
	assert_non_null(view);
	assert_true(lp_sessions_hash(view, slice("a")) == lp_sessions_hash(fixture.sessions, slice("a")));
	assert_int_equal(lp_sessions_find(view, slice("a")), 1);
	assert_int_equal(lp_sessions_find(view, slice("nobody's")), 0);
	assert_int_equal(lp_sessions_bind(view, slice("b"), 4), 0);
	assert_int_equal(lp_sessions_find(view, slice("b")), 4);
	assert_int_equal(workers.slots[3].sessions, 1);
	assert_int_equal(held_by(&fixture, 4), 0);
	bind_key(&fixture, "c", 3); /* The least recently used key is still "a". */
	assert_int_equal(find_key(&fixture, "a"), 0);
	assert_int_equal(find_key(&fixture, "b"), 2);
	lp_sessions_free(view);
	lp_workers_deinit(&workers);
	fixture_deinit(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_walk_goes_from_the_most_to_the_least_recently_used),
		cmocka_unit_test(a_view_sees_keys_without_using_them_and_keeps_its_own_to_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
