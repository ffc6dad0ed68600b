/*
 * Hashing with a bound on the load.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "route/workers.h"

#define WORKERS 8
#define LOAD 1.25

static int set_up(void **state)
{
	static struct lp_workers workers;

	*state = &workers;
	if (lp_workers_init(&workers, WORKERS, 1) != 0)
		return -1;
	for (unsigned id = 1; id <= WORKERS; id++)
		lp_workers_set_usable(&workers, id, true);
	return 0;
}

static int tear_down(void **state)
{
	lp_workers_deinit(*state);
	return 0;
}

static struct lp_slice key(char text[16], unsigned i)
{
	return (struct lp_slice){text, (size_t)snprintf(text, 16, "key %u", i)};
}

static void with_room_everywhere_it_is_the_plain_hash(void **state)
{
	struct lp_workers *workers = *state;
	char text[16];

	for (unsigned id = 1; id <= WORKERS; id++)
		lp_workers_find(workers, id)->connections = 100 + id;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(lp_workers_bounded_hash(workers, key(text, i), LOAD),
				 lp_workers_hash(workers, key(text, i)));
}

static void one_key_alone_does_not_sink_its_worker(void **state)
{
	struct lp_workers *workers = *state;
	uint32_t most = 0;

	for (unsigned i = 0; i < 8000; i++)
		lp_workers_find(workers, lp_workers_bounded_hash(workers, LP_SLICE("office"), LOAD))->connections++;
	for (unsigned id = 1; id <= WORKERS; id++)
		if (lp_workers_find(workers, id)->connections > most)
			most = lp_workers_find(workers, id)->connections;
	assert_in_range(most, 1000, (uint32_t)(LOAD * 1001) + 1);
}

static void a_key_comes_home_when_there_is_room_again(void **state)
{
	struct lp_workers *workers = *state;
	unsigned home = lp_workers_hash(workers, LP_SLICE("office"));
	unsigned second;

	lp_workers_find(workers, home)->connections = 10;
	second = lp_workers_bounded_hash(workers, LP_SLICE("office"), LOAD);
	assert_int_not_equal(second, home);
	assert_int_equal(lp_workers_bounded_hash(workers, LP_SLICE("office"), LOAD), second);
	lp_workers_find(workers, home)->connections = 1;
	assert_int_equal(lp_workers_bounded_hash(workers, LP_SLICE("office"), LOAD), home);
}

static void only_the_full_workers_keys_go_elsewhere(void **state)
{
	struct lp_workers *workers = *state;
	char text[16];

	lp_workers_find(workers, 3)->connections = 1000;
	for (unsigned i = 0; i < 1000; i++) {
		unsigned home = lp_workers_hash(workers, key(text, i));
		unsigned chosen = lp_workers_bounded_hash(workers, key(text, i), LOAD);

		if (home == 3)
			assert_int_not_equal(chosen, 3);
		else
			assert_int_equal(chosen, home);
	}
}

static void there_is_always_one_while_any_is_usable(void **state)
{
	struct lp_workers *workers = *state;
	char text[16];

	for (unsigned id = 1; id <= WORKERS; id++) {
		lp_workers_find(workers, id)->connections = UINT32_MAX;
		if (id != 5)
			lp_workers_set_usable(workers, id, false);
	}
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(lp_workers_bounded_hash(workers, key(text, i), 1), 5);
	lp_workers_set_usable(workers, 5, false);
	assert_int_equal(lp_workers_bounded_hash(workers, key(text, 1), 1), 0);
}

#define bounded_test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		bounded_test(with_room_everywhere_it_is_the_plain_hash),
		bounded_test(one_key_alone_does_not_sink_its_worker),
		bounded_test(a_key_comes_home_when_there_is_room_again),
		bounded_test(only_the_full_workers_keys_go_elsewhere),
		bounded_test(there_is_always_one_while_any_is_usable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
