/*
 * Sessions: first the rules one by one; then random calls beside a model that is too simple to be wrong (an array,
 * searched from end to end), over tables so small that they are nearly always full; then a million keys, for the memory
 * that the header promises.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sessions_fixture.h"

static void a_bound_key_is_found_and_an_unknown_one_is_not(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, 10);
	bind_key(&fixture, "lv_VI97HAXpY6yYWAAAC", 3);
	assert_int_equal(find_key(&fixture, "lv_VI97HAXpY6yYWAAAC"), 3);
	assert_int_equal(find_key(&fixture, "lv_VI97HAXpY6yYWAAAD"), 0);
	assert_int_equal(find_key(&fixture, "lv_VI97HAXpY6yYWAAA"), 0);
	assert_int_equal(find_key(&fixture, ""), 0);
	assert_int_equal(lp_sessions_find(fixture.sessions, (struct lp_slice){NULL, 0}), 0);
	assert_int_equal(lp_sessions_count(fixture.sessions), 1);
	assert_int_equal(held_by(&fixture, 3), 1);
	fixture_deinit(&fixture);
}

static void binding_to_another_worker_moves_the_key(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, 10);
	bind_key(&fixture, "a", 1);
	bind_key(&fixture, "b", 1);
	bind_key(&fixture, "a", 2);
	bind_key(&fixture, "a", 2);
	assert_int_equal(find_key(&fixture, "a"), 2);
	assert_int_equal(held_by(&fixture, 1), 1);
	assert_int_equal(held_by(&fixture, 2), 1);
	assert_int_equal(lp_sessions_count(fixture.sessions), 2);
	assert_int_equal(lp_sessions_forget_worker(fixture.sessions, 1), 1);
	assert_int_equal(find_key(&fixture, "a"), 2);
	assert_int_equal(find_key(&fixture, "b"), 0);
	fixture_deinit(&fixture);
}

static void when_full_the_key_least_recently_used_goes(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, 4);
	bind_key(&fixture, "a", 1);
	bind_key(&fixture, "b", 2);
	bind_key(&fixture, "c", 3);
	bind_key(&fixture, "d", 4);
	assert_int_equal(find_key(&fixture, "a"), 1); /* Finding counts as use, */
	bind_key(&fixture, "b", 2);                   /* and so does binding. */
	bind_key(&fixture, "e", 5);
	assert_int_equal(find_key(&fixture, "c"), 0);
	bind_key(&fixture, "f", 5);
	assert_int_equal(find_key(&fixture, "d"), 0);
	bind_key(&fixture, "g", 5);
	assert_int_equal(find_key(&fixture, "a"), 0);
	assert_int_equal(find_key(&fixture, "b"), 2);
	assert_int_equal(lp_sessions_count(fixture.sessions), 4);
	assert_int_equal(lp_sessions_evicted(fixture.sessions), 3);
	assert_int_equal(held_by(&fixture, 1), 0);
	assert_int_equal(held_by(&fixture, 3), 0);
	assert_int_equal(held_by(&fixture, 5), 3);
	fixture_deinit(&fixture);
}

static void a_key_already_known_evicts_nobody(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, 2);
	bind_key(&fixture, "a", 1);
	bind_key(&fixture, "b", 2);
	bind_key(&fixture, "a", 3);
	assert_int_equal(find_key(&fixture, "b"), 2);
	assert_int_equal(lp_sessions_evicted(fixture.sessions), 0);
	fixture_deinit(&fixture);
}

static void a_failed_look_up_uses_nothing(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, 2);
	bind_key(&fixture, "a", 1);
	bind_key(&fixture, "b", 2);
	assert_int_equal(find_key(&fixture, "x"), 0);
	lp_sessions_forget(fixture.sessions, slice("a"), 2); /* Not its worker: stays, and is not used. */
	bind_key(&fixture, "c", 3);
	assert_int_equal(find_key(&fixture, "a"), 0);
	assert_int_equal(find_key(&fixture, "b"), 2);
	fixture_deinit(&fixture);
}

static void only_the_keys_own_worker_or_anybody_forgets_it(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, 10);
	bind_key(&fixture, "a", 1);
	bind_key(&fixture, "b", 1);
	lp_sessions_forget(fixture.sessions, slice("a"), 2);
	assert_int_equal(find_key(&fixture, "a"), 1);
	lp_sessions_forget(fixture.sessions, slice("a"), 1);
	assert_int_equal(find_key(&fixture, "a"), 0);
	lp_sessions_forget(fixture.sessions, slice("b"), 0);
	lp_sessions_forget(fixture.sessions, slice("b"), 0);
	assert_int_equal(find_key(&fixture, "b"), 0);
	assert_int_equal(held_by(&fixture, 1), 0);
	assert_int_equal(lp_sessions_count(fixture.sessions), 0);
	assert_int_equal(lp_sessions_evicted(fixture.sessions), 0);
	fixture_deinit(&fixture);
}

static void a_workers_death_costs_only_its_own_keys(void **state)
{
	struct fixture fixture;
	char key[8];

	(void)state;
	fixture_init(&fixture, 1000);
	for (unsigned i = 0; i < 1000; i++) {
		sprintf(key, "%u", i);
		bind_key(&fixture, key, i % WORKERS + 1);
	}
	assert_int_equal(lp_sessions_forget_worker(fixture.sessions, 2), 200);
	assert_int_equal(lp_sessions_forget_worker(fixture.sessions, 2), 0);
	assert_int_equal(lp_sessions_forget_worker(fixture.sessions, 0), 0);
	assert_int_equal(lp_sessions_forget_worker(fixture.sessions, WORKERS + 1), 0);
	for (unsigned i = 0; i < 1000; i++) {
		sprintf(key, "%u", i);
		assert_int_equal(find_key(&fixture, key), i % WORKERS == 1 ? 0 : i % WORKERS + 1);
	}
	assert_int_equal(held_by(&fixture, 2), 0);
	assert_int_equal(held_by(&fixture, 3), 200);
	fixture_deinit(&fixture);
}

static bool is_dead(const struct fixture *fixture, const char *key)
{
	return lp_sessions_is_dead(fixture->sessions, slice(key));
}

static void keys_of_a_dead_worker_are_known_to_be_dead_until_their_room_is_needed(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, 3);
	bind_key(&fixture, "a", 1);
	bind_key(&fixture, "a key that has no room in its entry", 1);
	bind_key(&fixture, "c", 2);
	assert_false(is_dead(&fixture, "a"));
	assert_false(is_dead(&fixture, "nobody's"));
	assert_int_equal(lp_sessions_forget_worker(fixture.sessions, 1), 2);
	assert_true(is_dead(&fixture, "a"));
	assert_int_equal(find_key(&fixture, "a"), 0);
	assert_int_equal(lp_sessions_count(fixture.sessions), 1);
	bind_key(&fixture, "d", 3); /* The longest dead one goes, */
	assert_false(is_dead(&fixture, "a"));
	assert_true(is_dead(&fixture, "a key that has no room in its entry"));
	assert_int_equal(lp_sessions_evicted(fixture.sessions), 0);
	bind_key(&fixture, "a key that has no room in its entry", 2); /* the other is somebody's again, */
	assert_false(is_dead(&fixture, "a key that has no room in its entry"));
	assert_int_equal(lp_sessions_count(fixture.sessions), 3);
	bind_key(&fixture, "e", 3); /* and now the living have to make room. */
	assert_int_equal(find_key(&fixture, "c"), 0);
	assert_int_equal(lp_sessions_evicted(fixture.sessions), 1);
	assert_int_equal(lp_sessions_forget_worker(fixture.sessions, 3), 2);
	lp_sessions_forget(fixture.sessions, slice("e"), 2);
	assert_true(is_dead(&fixture, "e"));
	lp_sessions_forget(fixture.sessions, slice("e"), 0);
	assert_false(is_dead(&fixture, "e"));
	fixture_deinit(&fixture);
}

static void keys_and_ids_out_of_range_are_refused(void **state)
{
	char longest[LP_SESSION_KEY_MAX + 1];
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, 1);
	bind_key(&fixture, "a", 1);
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(lp_sessions_bind(fixture.sessions, (struct lp_slice){longest, sizeof(longest)}, 1), -EINVAL);
	assert_int_equal(lp_sessions_bind(fixture.sessions, LP_SLICE(""), 1), -EINVAL);
	assert_int_equal(lp_sessions_bind(fixture.sessions, LP_SLICE("b"), 0), -EINVAL);
	assert_int_equal(lp_sessions_bind(fixture.sessions, LP_SLICE("b"), WORKERS + 1), -EINVAL);
	assert_int_equal(lp_sessions_find(fixture.sessions, (struct lp_slice){longest, sizeof(longest)}), 0);
	assert_int_equal(find_key(&fixture, "a"), 1);
	assert_int_equal(lp_sessions_evicted(fixture.sessions), 0);
	fixture_deinit(&fixture);
}

static void keys_of_every_length_are_copied_whole(void **state)
{
	char key[LP_SESSION_KEY_MAX];
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, LP_SESSION_KEY_MAX);
	for (size_t length = 1; length <= sizeof(key); length++) {
		memset(key, (int)length, length);
		assert_int_equal(lp_sessions_bind(fixture.sessions, (struct lp_slice){key, length}, length % 5 + 1), 0);
		memset(key, 0, sizeof(key));
	}
	for (size_t length = 1; length <= sizeof(key); length++) {
		struct lp_slice whole = {key, length};

		memset(key, (int)length, length);
		assert_int_equal(lp_sessions_find(fixture.sessions, whole), length % 5 + 1);
		key[length - 1]++;
		assert_int_equal(lp_sessions_find(fixture.sessions, whole), 0);
	}
	fixture_deinit(&fixture);
}

static void equal_keys_have_equal_hashes_in_one_table_only(void **state)
{
	struct fixture fixture;
	struct lp_sessions *other;
	char copy[] = "lv_VI97HAXpY6yYWAAAC";

	(void)state;
	fixture_init(&fixture, 10);
	other = lp_sessions_new(10, &fixture.workers, 0x5eee);
	assert_int_equal(lp_sessions_hash(fixture.sessions, slice(copy)),
			 lp_sessions_hash(fixture.sessions, LP_SLICE("lv_VI97HAXpY6yYWAAAC")));
	assert_int_not_equal(lp_sessions_hash(fixture.sessions, slice(copy)), lp_sessions_hash(other, slice(copy)));
	lp_sessions_free(other);
	fixture_deinit(&fixture);
}

static void freeing_nothing_is_allowed(void **state)
{
	(void)state;
	lp_sessions_free(NULL);
}

/* The model */

#define MODEL_MAX 100
#define UNIVERSE 160 /* Different keys: some more than there is room for. */

struct model {
	unsigned worker[UNIVERSE]; /* 0: not known. */
	uint64_t used[UNIVERSE];   /* When. */
	uint64_t clock;
	uint64_t evicted;
	size_t max;
};

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

/* The i-th key: lengths on both sides of what is kept inline, many with the same beginning. */
static struct lp_slice key_of(unsigned i, char text[64])
{
	memset(text, 'k', 64);
	sprintf(text + i % 40, "%u", i);
	return (struct lp_slice){text, i % 40 + 3};
}

static size_t model_count(const struct model *model, unsigned worker)
{
	size_t count = 0;

	for (unsigned i = 0; i < UNIVERSE; i++)
		count += worker ? model->worker[i] == worker : model->worker[i] != 0;
	return count;
}

static void model_bind(struct model *model, unsigned key, unsigned worker)
{
	if (!model->worker[key] && model_count(model, 0) == model->max) {
		unsigned oldest = UNIVERSE;

		for (unsigned i = 0; i < UNIVERSE; i++) {
			if (model->worker[i] && (oldest == UNIVERSE || model->used[i] < model->used[oldest]))
				oldest = i;
		}
		model->worker[oldest] = 0;
		model->evicted++;
	}
	model->worker[key] = worker;
	model->used[key] = ++model->clock;
}

static unsigned model_find(struct model *model, unsigned key)
{
	if (model->worker[key])
		model->used[key] = ++model->clock;
	return model->worker[key];
}

static void model_forget(struct model *model, unsigned key, unsigned worker)
{
	if (!worker || model->worker[key] == worker)
		model->worker[key] = 0;
}

static size_t model_forget_worker(struct model *model, unsigned worker)
{
	size_t forgotten = model_count(model, worker);

	for (unsigned i = 0; i < UNIVERSE; i++)
		model_forget(model, i, worker);
	return forgotten;
}

static void do_both(struct fixture *fixture, struct model *model, uint64_t *random)
{
	unsigned what = next_random(random) % 1000, key = next_random(random) % UNIVERSE;
	unsigned worker = next_random(random) % WORKERS + 1;
	char text[64];
	struct lp_slice slice_of_key = key_of(key, text);

	if (what < 450) {
		assert_int_equal(lp_sessions_bind(fixture->sessions, slice_of_key, worker), 0);
		model_bind(model, key, worker);
	} else if (what < 800) {
		assert_int_equal(lp_sessions_find(fixture->sessions, slice_of_key), model_find(model, key));
	} else if (what < 998) {
		worker = what % 2 ? worker : 0;
		lp_sessions_forget(fixture->sessions, slice_of_key, worker);
		model_forget(model, key, worker);
	} else {
		assert_int_equal(lp_sessions_forget_worker(fixture->sessions, worker),
				 model_forget_worker(model, worker));
	}
}

static void compare(struct fixture *fixture, struct model *model)
{
	assert_int_equal(lp_sessions_count(fixture->sessions), model_count(model, 0));
	assert_int_equal(lp_sessions_evicted(fixture->sessions), model->evicted);
	for (unsigned worker = 1; worker <= WORKERS; worker++)
		assert_int_equal(held_by(fixture, worker), model_count(model, worker));
}

static void a_table_does_what_its_model_does(void **state)
{
	static const uint32_t sizes[] = {1, 2, 3, 7, 32, MODEL_MAX, UNIVERSE};
	uint64_t random = 2024;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct model model = {.max = sizes[i]};
		struct fixture fixture;

		fixture_init(&fixture, sizes[i]);
		for (unsigned call = 0; call < 40000; call++) {
			do_both(&fixture, &model, &random);
			compare(&fixture, &model);
			if (call % 1000 != 0)
				continue;
			for (unsigned key = 0; key < UNIVERSE; key++) {
				char text[64];

				assert_int_equal(lp_sessions_find(fixture.sessions, key_of(key, text)),
						 model_find(&model, key));
			}
		}
		fixture_deinit(&fixture);
	}
}

/* A million */

static size_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long size, resident;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
	fclose(file);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void bind_numbers(struct fixture *fixture, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		char key[LP_SESSION_KEY_INLINE + 1];

		sprintf(key, "%024u", i);
		bind_key(fixture, key, i % WORKERS + 1);
	}
}

static void a_million_keys_cost_no_more_than_promised_and_evicting_costs_nothing(void **state)
{
	enum { KEYS = 1000000 };
	struct fixture fixture;
	size_t before = resident_bytes();

	(void)state;
	fixture_init(&fixture, KEYS);
	bind_numbers(&fixture, 0, KEYS);
	bind_numbers(&fixture, KEYS, KEYS + KEYS / 4);
	assert_int_equal(lp_sessions_count(fixture.sessions), KEYS);
	assert_int_equal(lp_sessions_evicted(fixture.sessions), KEYS / 4);
	assert_int_equal(find_key(&fixture, "000000000000000000249999"), 0);
	assert_int_equal(find_key(&fixture, "000000000000000000250000"), 1);
	assert_int_equal(lp_sessions_forget_worker(fixture.sessions, 4), KEYS / WORKERS);
	bind_numbers(&fixture, 2 * KEYS, 2 * KEYS + KEYS / WORKERS);
	assert_int_equal(lp_sessions_evicted(fixture.sessions), KEYS / 4);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* They keep shadows of their own. */
	assert_in_range(resident_bytes() - before, KEYS * 48, KEYS * LP_SESSION_BYTES);
#else
	(void)before;
#endif
	fixture_deinit(&fixture);
}

/* The next table begins with what the last one had, in the same memory. */
static void begin_anew(struct fixture *fixture, uint32_t max, void *memory, size_t found)
{
	fixture_deinit(fixture);
	fixture_init(fixture, max);
	assert_int_equal(lp_sessions_outlive(fixture->sessions, memory), found);
}

static void keys_outlive_the_table_that_they_were_bound_in(void **state)
{
	enum { MAX = 4 };
	struct fixture fixture;
	char long_key[LP_SESSION_LASTING_BYTES];
	void *memory = calloc(MAX + 1, LP_SESSION_LASTING_BYTES);
	(void)state;
	memset(long_key, 'k', sizeof(long_key));
	fixture_init(&fixture, MAX);
	assert_int_equal(lp_sessions_outlive(fixture.sessions, memory), 0);
	lp_sessions_bind(fixture.sessions, slice("gone"), 1);
	lp_sessions_bind(fixture.sessions, slice("moved"), 1);
	lp_sessions_bind(fixture.sessions, slice("kept"), 2);
	lp_sessions_bind(fixture.sessions, (struct lp_slice){long_key, sizeof(long_key)}, 2);
	lp_sessions_bind(fixture.sessions, slice("moved"), 3);
	lp_sessions_forget(fixture.sessions, slice("gone"), 1);
	for (int lives = 0; lives < 3; lives++) {
		begin_anew(&fixture, MAX, memory, 2);
		assert_int_equal(lp_sessions_count(fixture.sessions), 2);
		assert_int_equal(lp_sessions_peek(fixture.sessions, slice("kept")), 2);
		assert_int_equal(lp_sessions_peek(fixture.sessions, slice("moved")), 3);
		assert_int_equal(fixture.workers.slots[1].sessions, 1);
	}
	lp_sessions_forget_worker(fixture.sessions, 2);
	begin_anew(&fixture, MAX, memory, 1);
	assert_int_equal(lp_sessions_peek(fixture.sessions, slice("kept")), 0);
	fixture_deinit(&fixture);
	free(memory);
}

static void a_key_of_a_worker_that_there_is_not_is_not_believed(void **state)
{
	enum { MAX = 4 };
	struct fixture fixture;
	uint16_t *memory = calloc(MAX + 1, LP_SESSION_LASTING_BYTES);
	(void)state;
	fixture_init(&fixture, MAX);
	lp_sessions_outlive(fixture.sessions, memory);
	lp_sessions_bind(fixture.sessions, slice("key"), 1);
	memory[LP_SESSION_LASTING_BYTES / sizeof(*memory)] = WORKERS + 1;
	begin_anew(&fixture, MAX, memory, 0);
	assert_int_equal(lp_sessions_peek(fixture.sessions, slice("key")), 0);
	fixture_deinit(&fixture);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bound_key_is_found_and_an_unknown_one_is_not),
		cmocka_unit_test(binding_to_another_worker_moves_the_key),
		cmocka_unit_test(when_full_the_key_least_recently_used_goes),
		cmocka_unit_test(a_key_already_known_evicts_nobody),
		cmocka_unit_test(a_failed_look_up_uses_nothing),
		cmocka_unit_test(only_the_keys_own_worker_or_anybody_forgets_it),
		cmocka_unit_test(a_workers_death_costs_only_its_own_keys),
		cmocka_unit_test(keys_of_a_dead_worker_are_known_to_be_dead_until_their_room_is_needed),
		cmocka_unit_test(keys_and_ids_out_of_range_are_refused),
		cmocka_unit_test(keys_of_every_length_are_copied_whole),
		cmocka_unit_test(equal_keys_have_equal_hashes_in_one_table_only),
		cmocka_unit_test(freeing_nothing_is_allowed),
		cmocka_unit_test(keys_outlive_the_table_that_they_were_bound_in),
		cmocka_unit_test(a_key_of_a_worker_that_there_is_not_is_not_believed),
		cmocka_unit_test(a_table_does_what_its_model_does),
		cmocka_unit_test(a_million_keys_cost_no_more_than_promised_and_evicting_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
