/*
 * The arena is driven as Lua drives it: old sizes are told exactly. The long run holds what it gets against a second
 * copy, so that blocks that overlap are seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/arena.h"

#define MIB ((size_t)1 << 20)

static int set_up(void **state)
{
	*state = lp_arena_new(MIB);
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	lp_arena_free(*state);
	return 0;
}

static void memory_is_aligned_and_writable(void **state)
{
	for (size_t size = 1; size <= 5000; size += 7) {
		char *block = lp_arena_allocate(*state, NULL, 0, size);

		assert_non_null(block);
		assert_int_equal((uintptr_t)block % 16, 0);
		memset(block, 'x', size);
		assert_null(lp_arena_allocate(*state, block, size, 0));
	}
}

static void a_block_keeps_its_bytes_when_it_moves(void **state)
{
	static const size_t sizes[] = {10, 17, 500, 513, 4096, 100000, 4096, 600, 512, 30, 1};
	char *block = lp_arena_allocate(*state, NULL, 0, 1);
	size_t old = 1;

	*block = 'k';
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		block = lp_arena_allocate(*state, block, old, sizes[i]);
		old = sizes[i];
		assert_int_equal(*block, 'k');
		lp_arena_allocate(*state, lp_arena_allocate(*state, NULL, 0, old), old, 0);
	}
}

static void the_cap_refuses_and_changes_nothing(void **state)
{
	char *block = lp_arena_allocate(*state, NULL, 0, MIB / 2);
	size_t used = lp_arena_used(*state);

	memset(block, 'x', MIB / 2);
	assert_null(lp_arena_allocate(*state, block, MIB / 2, 2 * MIB));
	assert_null(lp_arena_allocate(*state, NULL, 0, MIB / 2));
	assert_null(lp_arena_allocate(*state, NULL, 0, SIZE_MAX));
	assert_int_equal(lp_arena_refusals(*state), 3);
	assert_int_equal(lp_arena_used(*state), used);
	assert_int_equal(block[MIB / 2 - 1], 'x');
	assert_non_null(lp_arena_allocate(*state, NULL, 0, MIB / 4));
}

static void small_blocks_are_refused_at_the_cap_too(void **state)
{
	size_t count = 0;

	while (lp_arena_allocate(*state, NULL, 0, 48))
		count++;
	assert_in_range(count * 48, MIB * 9 / 10, MIB);
	assert_int_equal(lp_arena_refusals(*state), 1);
}

static void what_is_freed_becomes_one_block_again(void **state)
{
	size_t used = lp_arena_used(*state);
	void *blocks[64];

	for (size_t i = 0; i < 64; i++)
		assert_non_null(blocks[i] = lp_arena_allocate(*state, NULL, 0, 10000));
	for (size_t i = 0; i < 64; i += 2)
		lp_arena_allocate(*state, blocks[i], 10000, 0);
	for (size_t i = 1; i < 64; i += 2)
		lp_arena_allocate(*state, blocks[i], 10000, 0);
	assert_int_equal(lp_arena_used(*state), used);
	assert_non_null(lp_arena_allocate(*state, NULL, 0, MIB - used - 16));
}

static void a_buffer_grows_in_place(void **state)
{
	char *block = lp_arena_allocate(*state, NULL, 0, 1000);

	for (size_t size = 1000; size < MIB / 2; size *= 2)
		assert_ptr_equal(lp_arena_allocate(*state, block, size, size * 2), block);
}

static void sizes_out_of_range_make_no_arena(void **state)
{
	(void)state;
	assert_null(lp_arena_new(0));
	assert_null(lp_arena_new(LP_ARENA_BYTES_MIN / 2));
	assert_null(lp_arena_new(LP_ARENA_BYTES_MAX + 1));
	lp_arena_free(NULL);
}

struct held {
	unsigned char *block;
	size_t size;
	unsigned char mark;
};

static void check(const struct held *held)
{
	for (size_t i = 0; i < held->size; i++)
		if (held->block[i] != held->mark)
			fail_msg("byte %zu of %zu was overwritten", i, held->size);
}

static size_t random_size(unsigned *seed)
{
	switch (rand_r(seed) % 4) {
	case 0:
		return 0;
	case 1:
		return (size_t)(rand_r(seed) % 20000);
	default:
		return (size_t)(rand_r(seed) % 700);
	}
}

static void blocks_never_overlap(void **state)
{
	struct held all[300] = {0};
	unsigned seed = 1;

	for (int round = 0; round < 60000; round++) {
		struct held *held = &all[rand_r(&seed) % 300];
		size_t size = random_size(&seed);
		unsigned char *block;

		check(held);
		block = lp_arena_allocate(*state, held->block, held->size, size);
		if (size > 0 && !block)
			continue; /* At the cap. */
		for (size_t i = 0; i < size && i < held->size; i++)
			assert_int_equal(block[i], held->mark);
		*held = (struct held){block, size, (unsigned char)round};
		if (size)
			memset(block, held->mark, size);
	}
	for (size_t i = 0; i < 300; i++)
		check(&all[i]);
}

static size_t resident_kb(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t size;
	size_t resident;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%zu %zu", &size, &resident), 2);
	fclose(file);
	return resident * 4;
}

static void a_freed_arena_leaves_nothing(void **state)
{
	size_t before = resident_kb();

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct lp_arena *arena = lp_arena_new(MIB);

		memset(lp_arena_allocate(arena, NULL, 0, MIB / 2), 'x', MIB / 2);
		lp_arena_free(arena);
	}
	assert_in_range(resident_kb(), 0, before + 2048);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(memory_is_aligned_and_writable),        TEST(a_block_keeps_its_bytes_when_it_moves),
		TEST(the_cap_refuses_and_changes_nothing),   TEST(small_blocks_are_refused_at_the_cap_too),
		TEST(what_is_freed_becomes_one_block_again), TEST(a_buffer_grows_in_place),
		TEST(sizes_out_of_range_make_no_arena),      TEST(blocks_never_overlap),
		TEST(a_freed_arena_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
