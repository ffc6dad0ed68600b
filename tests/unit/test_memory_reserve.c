#include "server/memory_reserve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

/* More than any address space: the C library has none of it, and the reserve neither. */
#define TOO_MUCH ((size_t)1 << 62)

/* What malloc takes a mapping for, so that the limit of address space refuses it. */
#define LARGE ((size_t)512 << 10)

static struct rlimit before;

static int take_address_space(void **state)
{
	(void)state;
	assert_int_equal(lp_memory_reserve_open(), 0);
	getrlimit(RLIMIT_AS, &before);
	struct rlimit none = {.rlim_cur = 1, .rlim_max = before.rlim_max};
	return setrlimit(RLIMIT_AS, &none);
}

static int give_address_space(void **state)
{
	(void)state;
	return setrlimit(RLIMIT_AS, &before);
}

static void it_serves_what_the_c_library_cannot(void **state)
{
	(void)state;
	char *first = lp_memory_reserve_malloc(LARGE);
	assert_non_null(first);
	assert_in_range(lp_memory_reserve_used(), LARGE, LARGE + 64);
	assert_int_equal((uintptr_t)first % _Alignof(max_align_t), 0);
	memset(first, 'a', LARGE);
	char *zeroed = lp_memory_reserve_calloc(1, LARGE);
	assert_non_null(zeroed);
	for (size_t i = 0; i < LARGE; i++)
		assert_int_equal(zeroed[i], 0);
	lp_memory_reserve_free(zeroed);
	first = lp_memory_reserve_realloc(first, LARGE + 1);
	assert_non_null(first);
	assert_int_equal(first[LARGE - 1], 'a');
	assert_null(lp_memory_reserve_realloc(first, TOO_MUCH));
	assert_int_equal(first[0], 'a');
	lp_memory_reserve_free(first);
	assert_int_equal(lp_memory_reserve_used(), 0);
}

static void a_block_of_the_c_library_grows_into_it(void **state)
{
	(void)state;
	char *block = lp_memory_reserve_malloc(100);
	assert_non_null(block);
	assert_int_equal(lp_memory_reserve_used(), 0);
	memset(block, 'b', 100);
	block = lp_memory_reserve_realloc(block, LARGE);
	assert_non_null(block);
	assert_in_range(lp_memory_reserve_used(), LARGE, LARGE + 64);
	assert_int_equal(block[99], 'b');
	assert_null(lp_memory_reserve_realloc(block, 0));
	assert_int_equal(lp_memory_reserve_used(), 0);
}

static void it_ends_too(void **state)
{
	(void)state;
	assert_null(lp_memory_reserve_malloc(LP_MEMORY_RESERVE_BYTES));
	assert_null(lp_memory_reserve_malloc(SIZE_MAX));
	assert_null(lp_memory_reserve_calloc(TOO_MUCH, 16));
	assert_int_equal(lp_memory_reserve_used(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_serves_what_the_c_library_cannot, take_address_space,
						give_address_space),
		cmocka_unit_test_setup_teardown(a_block_of_the_c_library_grows_into_it, take_address_space,
						give_address_space),
		cmocka_unit_test_setup_teardown(it_ends_too, take_address_space, give_address_space),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
