/*
 * Choosing a worker: each way of it, over every set of usable workers worth trying; and that rendezvous hashing moves
 * only the keys of the worker that died, and home when it returns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "route/workers.h"

#define KEYS 20000

/* A table whose workers are usable, all of them. */
static struct lp_workers all_usable(unsigned count)
{
	struct lp_workers workers;

	assert_int_equal(lp_workers_init(&workers, count, 1), 0);
	for (unsigned id = 1; id <= count; id++)
		lp_workers_set_usable(&workers, id, true);
	return workers;
}

/* Make those workers usable whose bit is set, the first one's lowest. */
static void set_usable(struct lp_workers *workers, unsigned bits)
{
	for (unsigned id = 1; id <= workers->count; id++)
		lp_workers_set_usable(workers, id, bits >> (id - 1) & 1);
}

static void a_new_table_has_all_ids_and_nobody_usable(void **state)
{
	struct lp_workers workers;

	(void)state;
	assert_int_equal(lp_workers_init(&workers, 256, 0), 0);
	assert_int_equal(workers.count, 256);
	assert_int_equal(workers.usable_count, 0);
	for (unsigned id = 1; id <= 256; id++) {
		assert_int_equal(lp_workers_find(&workers, id)->id, id);
		assert_false(lp_workers_find(&workers, id)->usable);
	}
	lp_workers_deinit(&workers);
}

static void an_id_out_of_range_is_nobody(void **state)
{
	struct lp_workers workers = all_usable(3);

	(void)state;
	assert_null(lp_workers_find(&workers, 0));
	assert_null(lp_workers_find(&workers, 4));
	assert_null(lp_workers_find(&workers, UINT32_MAX));
	lp_workers_deinit(&workers);
}

static void the_generation_changes_only_with_the_usable_ones(void **state)
{
	struct lp_workers workers = all_usable(3);
	uint32_t before = workers.generation;

	(void)state;
	lp_workers_set_usable(&workers, 2, true);
	assert_int_equal(workers.generation, before);
	assert_int_equal(workers.usable_count, 3);
	lp_workers_set_usable(&workers, 2, false);
	assert_int_not_equal(workers.generation, before);
	assert_int_equal(workers.usable_count, 2);
	before = workers.generation;
	lp_workers_set_usable(&workers, 2, false);
	assert_int_equal(workers.generation, before);
	assert_int_equal(workers.usable_count, 2);
	lp_workers_deinit(&workers);
}

static void with_nobody_usable_nobody_is_chosen(void **state)
{
	struct lp_workers workers;

	(void)state;
	assert_int_equal(lp_workers_init(&workers, 8, 1), 0);
	assert_int_equal(lp_workers_hash(&workers, LP_SLICE("10.1.2.3")), 0);
	assert_int_equal(lp_workers_least(&workers, LP_LEAST_CONNECTIONS), 0);
	assert_int_equal(lp_workers_next(&workers), 0);
	assert_int_equal(lp_workers_random(&workers), 0);
	lp_workers_deinit(&workers);
}

static void only_usable_workers_are_chosen(void **state)
{
	struct lp_workers workers = all_usable(6);

	(void)state;
	for (unsigned usable = 1; usable < 64; usable++) {
		set_usable(&workers, usable);
		for (unsigned i = 0; i < 20; i++) {
			struct lp_slice key = {(const char *)&i, sizeof(i)};

			assert_true(lp_workers_find(&workers, lp_workers_hash(&workers, key))->usable);
			assert_true(lp_workers_find(&workers, lp_workers_least(&workers, i % 3))->usable);
			assert_true(lp_workers_find(&workers, lp_workers_next(&workers))->usable);
			assert_true(lp_workers_find(&workers, lp_workers_random(&workers))->usable);
		}
	}
	lp_workers_deinit(&workers);
}

static void choose_all(const struct lp_workers *workers, unsigned chosen[KEYS])
{
	for (unsigned i = 0; i < KEYS; i++) {
		char key[16];

		chosen[i] = lp_workers_hash(
			workers, (struct lp_slice){key, (size_t)sprintf(key, "10.0.%u.%u", i / 256, i % 256)});
	}
}

static void a_death_moves_only_that_workers_keys_and_its_return_brings_them_home(void **state)
{
	static unsigned before[KEYS], without[KEYS], after[KEYS];
	struct lp_workers workers = all_usable(8);

	(void)state;
	choose_all(&workers, before);
	for (unsigned dead = 1; dead <= 8; dead++) {
		unsigned heirs[8] = {0}, moved = 0;

		lp_workers_set_usable(&workers, dead, false);
		choose_all(&workers, without);
		lp_workers_set_usable(&workers, dead, true);
		choose_all(&workers, after);
		for (unsigned i = 0; i < KEYS; i++) {
			assert_int_equal(after[i], before[i]);
			if (before[i] != dead) {
				assert_int_equal(without[i], before[i]);
				continue;
			}
			heirs[without[i] - 1]++;
			moved++;
		}
		/* The heirs share alike: about 357 keys each, with a standard deviation of 18. */
		for (unsigned id = 1; id <= 8; id++) {
			if (id != dead)
				assert_in_range(heirs[id - 1], moved / 7 - 90, moved / 7 + 90);
		}
	}
	lp_workers_deinit(&workers);
}

static void a_worker_more_takes_its_share_and_moves_nothing_else(void **state)
{
	static unsigned before[KEYS], after[KEYS];
	struct lp_workers eight = all_usable(8), nine = all_usable(9);
	unsigned moved = 0;

	(void)state;
	choose_all(&eight, before);
	choose_all(&nine, after);
	for (unsigned i = 0; i < KEYS; i++) {
		if (after[i] != before[i]) {
			assert_int_equal(after[i], 9);
			moved++;
		}
	}
	/* KEYS / 9, with a standard deviation of 44. */
	assert_in_range(moved, KEYS / 9 - 5 * 44, KEYS / 9 + 5 * 44);
	lp_workers_deinit(&eight);
	lp_workers_deinit(&nine);
}

static void a_key_belongs_to_the_same_worker_whatever_the_seed(void **state)
{
	struct lp_workers one = all_usable(5), other;

	(void)state;
	assert_int_equal(lp_workers_init(&other, 5, 99), 0);
	set_usable(&other, 31);
	for (unsigned i = 0; i < 1000; i++) {
		struct lp_slice key = {(const char *)&i, sizeof(i)};

		assert_int_equal(lp_workers_hash(&one, key), lp_workers_hash(&other, key));
	}
	lp_workers_deinit(&one);
	lp_workers_deinit(&other);
}

static void the_least_of_each_measure_is_chosen(void **state)
{
	struct lp_workers workers = all_usable(4);

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		workers.slots[i].connections = i == 2 ? 1 : 5;
		workers.slots[i].sessions = i == 3 ? 1 : 5;
		workers.slots[i].waiting = i == 1 ? 1 : 5;
	}
	assert_int_equal(lp_workers_least(&workers, LP_LEAST_CONNECTIONS), 3);
	assert_int_equal(lp_workers_least(&workers, LP_LEAST_SESSIONS), 4);
	assert_int_equal(lp_workers_least(&workers, LP_LEAST_WAITING), 2);
	lp_workers_set_usable(&workers, 3, false);
	assert_int_equal(lp_workers_least(&workers, LP_LEAST_CONNECTIONS), 4);
	lp_workers_deinit(&workers);
}

static void equally_busy_workers_take_turns(void **state)
{
	static const unsigned turns[] = {1, 2, 3, 4, 1, 2};
	struct lp_workers workers = all_usable(4);

	(void)state;
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++)
		assert_int_equal(lp_workers_least(&workers, (enum lp_workers_measure)(i % 3)), turns[i]);
	workers.slots[2].connections = 1; /* Worker 3's turn, but it has more. */
	assert_int_equal(lp_workers_least(&workers, LP_LEAST_CONNECTIONS), 4);
	lp_workers_set_usable(&workers, 1, false);
	assert_int_equal(lp_workers_least(&workers, LP_LEAST_CONNECTIONS), 2);
	assert_int_equal(lp_workers_least_except(&workers, LP_LEAST_CONNECTIONS, 4), 2);
	lp_workers_deinit(&workers);
}

static void a_smaller_load_goes_before_the_turn(void **state)
{
	struct lp_workers workers = all_usable(3);

	(void)state;
	workers.slots[2].connections = 1;
	workers.slots[1].connections = 2;
	workers.slots[0].connections = 3;
	for (int i = 0; i < 5; i++)
		assert_int_equal(lp_workers_least(&workers, LP_LEAST_CONNECTIONS), 3);
	lp_workers_deinit(&workers);
}

static void next_goes_round_over_those_that_are_usable(void **state)
{
	static const unsigned rounds[] = {1, 3, 4, 1, 3, 4, 1};
	struct lp_workers workers = all_usable(4);

	(void)state;
	lp_workers_set_usable(&workers, 2, false);
	for (size_t i = 0; i < sizeof(rounds) / sizeof(*rounds); i++)
		assert_int_equal(lp_workers_next(&workers), rounds[i]);
	lp_workers_set_usable(&workers, 2, true);
	assert_int_equal(lp_workers_next(&workers), 2);
	set_usable(&workers, 2);
	assert_int_equal(lp_workers_next(&workers), 2);
	assert_int_equal(lp_workers_next(&workers), 2);
	lp_workers_deinit(&workers);
}

static void next_goes_on_where_it_was_after_nobody_was_usable(void **state)
{
	struct lp_workers workers = all_usable(4);

	(void)state;
	lp_workers_next(&workers);
	lp_workers_next(&workers);
	set_usable(&workers, 0);
	assert_int_equal(lp_workers_next(&workers), 0);
	set_usable(&workers, 15);
	assert_int_equal(lp_workers_next(&workers), 3);
	lp_workers_deinit(&workers);
}

static void random_chooses_each_usable_worker_equally_often(void **state)
{
	enum { DRAWS = 70000 };
	struct lp_workers workers = all_usable(10);
	unsigned chosen[10] = {0};

	(void)state;
	set_usable(&workers, 0x3b6); /* Seven, neither the first nor in a row. */
	for (unsigned i = 0; i < DRAWS; i++)
		chosen[lp_workers_random(&workers) - 1]++;
	/* A seventh each, with a standard deviation of 93. */
	for (unsigned i = 0; i < 10; i++) {
		if (workers.slots[i].usable)
			assert_in_range(chosen[i], DRAWS / 7 - 5 * 93, DRAWS / 7 + 5 * 93);
		else
			assert_int_equal(chosen[i], 0);
	}
	lp_workers_deinit(&workers);
}

static void equal_seeds_choose_equally_and_others_do_not(void **state)
{
	/* The second is mixed to 0, where xorshift would stay for ever. */
	static const uint64_t seeds[] = {0, -(uint64_t)0x9e3779b97f4a7c15u, 1, 2};
	unsigned first[4][64];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (unsigned again = 0; again < 2; again++) {
			struct lp_workers workers;

			assert_int_equal(lp_workers_init(&workers, 16, seeds[i]), 0);
			assert_int_not_equal(workers.random, 0);
			set_usable(&workers, 0xffff);
			for (unsigned draw = 0; draw < 64; draw++) {
				unsigned id = lp_workers_random(&workers);

				if (again)
					assert_int_equal(id, first[i][draw]);
				first[i][draw] = id;
			}
			lp_workers_deinit(&workers);
		}
		for (size_t other = 0; other < i; other++)
			assert_memory_not_equal(first[i], first[other], sizeof(first[i]));
	}
}

static void workers_equal_in_one_load_are_told_apart_by_the_other(void **state)
{
	struct lp_workers workers;

	(void)state;
	assert_int_equal(lp_workers_init(&workers, 3, 1), 0);
	for (unsigned id = 1; id <= 3; id++)
		lp_workers_set_usable(&workers, id, true);
	workers.slots[0].sessions = 9;
	workers.slots[1].sessions = 5;
	workers.slots[2].sessions = 5;
	assert_int_equal(lp_workers_least(&workers, LP_LEAST_CONNECTIONS), 2);
	assert_int_equal(lp_workers_least_except(&workers, LP_LEAST_CONNECTIONS, 2), 3);
	workers.slots[1].connections = 1;
	assert_int_equal(lp_workers_least(&workers, LP_LEAST_CONNECTIONS), 3);
	assert_int_equal(lp_workers_least(&workers, LP_LEAST_SESSIONS), 3);
	assert_int_equal(lp_workers_least_except(&workers, LP_LEAST_SESSIONS, 3), 2);
	lp_workers_deinit(&workers);
}

static void a_worker_that_drains_is_not_usable_and_keeps_its_sessions(void **state)
{
	struct lp_workers workers = all_usable(2);
	const struct lp_worker *second = lp_workers_find(&workers, 2);
	uint32_t generation = workers.generation;

	(void)state;
	lp_workers_set_draining(&workers, 2, true);
	assert_false(second->usable);
	assert_true(second->keeps);
	assert_int_equal(workers.usable_count, 1);
	assert_int_not_equal(workers.generation, generation);
	for (int i = 0; i < 4; i++)
		assert_int_equal(lp_workers_next(&workers), 1);
	lp_workers_set_usable(&workers, 2, false);
	assert_false(second->keeps);
	lp_workers_set_usable(&workers, 2, true);
	assert_false(second->usable);
	lp_workers_set_draining(&workers, 2, false);
	assert_true(second->usable);
	assert_false(second->keeps);
	lp_workers_deinit(&workers);
}

static void what_comes_to_an_address_goes_to_those_that_listen_there(void **state)
{
	struct lp_workers workers = all_usable(4);

	(void)state;
	for (unsigned id = 1; id <= 4; id++)
		lp_workers_set_listens(&workers, id, 0, true);
	lp_workers_set_listens(&workers, 3, 1, true);
	lp_workers_set_address(&workers, 0);
	assert_int_equal(workers.usable_count, 4);
	lp_workers_set_address(&workers, 1);
	assert_int_equal(workers.usable_count, 1);
	assert_int_equal(lp_workers_least(&workers, LP_LEAST_CONNECTIONS), 3);
	lp_workers_set_usable(&workers, 3, false);
	assert_int_equal(workers.usable_count, 0);
	lp_workers_set_usable(&workers, 3, true);
	lp_workers_set_listens(&workers, 4, 1, true);
	assert_int_equal(workers.usable_count, 2);
	lp_workers_set_address(&workers, LP_WORKERS_ANYWHERE);
	assert_int_equal(workers.usable_count, 4);
	lp_workers_deinit(&workers);
}

static void an_address_where_nobody_has_listened_is_anybodys(void **state)
{
	struct lp_workers workers = all_usable(3);

	(void)state;
	lp_workers_set_listens(&workers, 1, 0, true);
	lp_workers_set_listens(&workers, 2, 0, true);
	lp_workers_set_address(&workers, 1);
	assert_int_equal(workers.usable_count, 3);
	lp_workers_set_address(&workers, 40);
	assert_int_equal(workers.usable_count, 3);
	lp_workers_set_address(&workers, 0);
	assert_int_equal(workers.usable_count, 3); /* The third one does not tell. */
	lp_workers_set_listens(&workers, 2, 40, true);
	lp_workers_deinit(&workers);
}

static void an_address_is_nobody_elses_while_the_process_that_listened_there_lives(void **state)
{
	struct lp_workers workers = all_usable(2);

	(void)state;
	lp_workers_set_listens(&workers, 1, 0, true);
	lp_workers_set_listens(&workers, 2, 0, true);
	lp_workers_set_listens(&workers, 1, 1, true);
	lp_workers_set_listens(&workers, 1, 1, false);
	lp_workers_set_address(&workers, 1);
	assert_int_equal(workers.usable_count, 0);
	lp_workers_set_address(&workers, LP_WORKERS_ANYWHERE);
	lp_workers_forget_listens(&workers, 1, false);
	lp_workers_set_address(&workers, 0);
	assert_int_equal(workers.usable_count, 1);
	lp_workers_set_address(&workers, LP_WORKERS_ANYWHERE);
	lp_workers_forget_listens(&workers, 1, true);
	lp_workers_set_address(&workers, 1);
	assert_int_equal(workers.usable_count, 2);
	lp_workers_deinit(&workers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_table_has_all_ids_and_nobody_usable),
		cmocka_unit_test(an_id_out_of_range_is_nobody),
		cmocka_unit_test(the_generation_changes_only_with_the_usable_ones),
		cmocka_unit_test(with_nobody_usable_nobody_is_chosen),
		cmocka_unit_test(only_usable_workers_are_chosen),
		cmocka_unit_test(a_death_moves_only_that_workers_keys_and_its_return_brings_them_home),
		cmocka_unit_test(a_worker_more_takes_its_share_and_moves_nothing_else),
		cmocka_unit_test(a_key_belongs_to_the_same_worker_whatever_the_seed),
		cmocka_unit_test(the_least_of_each_measure_is_chosen),
		cmocka_unit_test(workers_equal_in_one_load_are_told_apart_by_the_other),
		cmocka_unit_test(equally_busy_workers_take_turns),
		cmocka_unit_test(a_smaller_load_goes_before_the_turn),
		cmocka_unit_test(next_goes_round_over_those_that_are_usable),
		cmocka_unit_test(next_goes_on_where_it_was_after_nobody_was_usable),
		cmocka_unit_test(random_chooses_each_usable_worker_equally_often),
		cmocka_unit_test(a_worker_that_drains_is_not_usable_and_keeps_its_sessions),
		cmocka_unit_test(what_comes_to_an_address_goes_to_those_that_listen_there),
		cmocka_unit_test(an_address_where_nobody_has_listened_is_anybodys),
		cmocka_unit_test(an_address_is_nobody_elses_while_the_process_that_listened_there_lives),
		cmocka_unit_test(equal_seeds_choose_equally_and_others_do_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
