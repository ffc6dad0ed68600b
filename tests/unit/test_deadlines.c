#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/region.h"
#include "connection/deadlines.h"

enum { COUNT = 500 };

struct world {
	struct lp_deadlines deadlines;
	struct lp_connection connections[COUNT];
};

static struct world *open_world(void)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	assert_int_equal(lp_deadlines_reserve(&world->deadlines, COUNT), 0);
	return world;
}

static void close_world(struct world *world)
{
	lp_deadlines_free(&world->deadlines);
	free(world);
}

static uint32_t draw(uint32_t *random)
{
	*random = *random * 1103515245 + 12345;
	return *random >> 8;
}

static void nobody_is_first_of_none(void **state)
{
	struct world *world = open_world();
	(void)state;
	assert_null(lp_deadlines_first(&world->deadlines));
	lp_deadlines_remove(&world->deadlines, &world->connections[0]);
	assert_int_equal(world->deadlines.count, 0);
	close_world(world);
}

static void the_earliest_is_first_whatever_the_order_they_came_in(void **state)
{
	struct world *world = open_world();
	uint32_t random = 7;
	uint64_t last = 0;
	(void)state;
	for (int i = 0; i < COUNT; i++)
		lp_deadlines_set(&world->deadlines, &world->connections[i], draw(&random) % 100);
	for (int i = 0; i < COUNT; i++) {
		struct lp_connection *first = lp_deadlines_first(&world->deadlines);
		assert_true(first->until_ms >= last);
		last = first->until_ms;
		lp_deadlines_remove(&world->deadlines, first);
		assert_int_equal(first->place, 0);
	}
	assert_null(lp_deadlines_first(&world->deadlines));
	close_world(world);
}

static void those_that_change_or_leave_do_not_disturb_the_others(void **state)
{
	struct world *world = open_world();
	uint32_t random = 99;
	(void)state;
	for (int step = 0; step < 20000; step++) {
		struct lp_connection *connection = &world->connections[draw(&random) % COUNT];
		if (draw(&random) % 3)
			lp_deadlines_set(&world->deadlines, connection, draw(&random) % 1000);
		else
			lp_deadlines_remove(&world->deadlines, connection);
		if (step % 16)
			continue;
		uint64_t earliest = UINT64_MAX;
		uint32_t count = 0;
		for (int i = 0; i < COUNT; i++) {
			if (!world->connections[i].place)
				continue;
			count++;
			if (world->connections[i].until_ms < earliest)
				earliest = world->connections[i].until_ms;
		}
		assert_int_equal(world->deadlines.count, count);
		if (count)
			assert_int_equal(lp_deadlines_first(&world->deadlines)->until_ms, earliest);
	}
	close_world(world);
}

static void equal_times_in_the_order_of_arrival_are_not_moved(void **state)
{
	struct world *world = open_world();
	(void)state;
	for (int i = 0; i < COUNT; i++) {
		lp_deadlines_set(&world->deadlines, &world->connections[i], (uint64_t)i / 10);
		assert_int_equal(world->connections[i].place, i + 1); /* At the end: constant time. */
	}
	uint32_t place = world->connections[17].place;
	lp_deadlines_set(&world->deadlines, &world->connections[17], world->connections[17].until_ms);
	assert_int_equal(world->connections[17].place, place);
	close_world(world);
}

static void room_grows_and_keeps_who_is_there(void **state)
{
	struct lp_deadlines deadlines = {0};
	struct lp_connection one = {0};
	(void)state;
	assert_int_equal(lp_deadlines_reserve(&deadlines, 1), 0);
	lp_deadlines_set(&deadlines, &one, 7);
	assert_int_equal(lp_deadlines_reserve(&deadlines, 100000), 0);
	assert_int_equal(lp_deadlines_reserve(&deadlines, 5), 0);
	assert_int_equal(deadlines.capacity, 100000);
	assert_ptr_equal(lp_deadlines_first(&deadlines), &one);
	lp_deadlines_free(&deadlines);
}

static void a_region_gives_out_aligned_zeroes_in_blocks(void **state)
{
	struct lp_region region = {0};
	(void)state;
	char *one = lp_region_take(&region, 1);
	char *two = lp_region_take(&region, LP_REGION_ALIGNMENT + 1);
	char *three = lp_region_take(&region, 1);
	assert_int_equal(two - one, LP_REGION_ALIGNMENT);
	assert_int_equal(three - two, 2 * LP_REGION_ALIGNMENT);
	assert_int_equal((uintptr_t)one % LP_REGION_ALIGNMENT, 0);
	assert_int_equal(*one + *two, 0);
	memset(three, 1, 1);
	char *large = lp_region_take(&region, 3 * LP_REGION_BLOCK);
	large[3 * LP_REGION_BLOCK - 1] = 1;
	assert_int_equal(*three, 1); /* Where it was. */
	assert_null(lp_region_take(&region, SIZE_MAX));
	lp_region_close(&region);
	lp_region_close(&region);
	assert_non_null(lp_region_take(&region, 1));
	lp_region_close(&region);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_first_of_none),
		cmocka_unit_test(the_earliest_is_first_whatever_the_order_they_came_in),
		cmocka_unit_test(those_that_change_or_leave_do_not_disturb_the_others),
		cmocka_unit_test(equal_times_in_the_order_of_arrival_are_not_moved),
		cmocka_unit_test(room_grows_and_keeps_who_is_there),
		cmocka_unit_test(a_region_gives_out_aligned_zeroes_in_blocks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
