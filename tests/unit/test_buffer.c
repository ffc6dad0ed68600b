#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void an_emptied_buffer_gives_its_memory_back(void **state)
{
	struct lp_buffer buffer = {0};
	(void)state;
	assert_int_equal(lp_buffer_append(&buffer, "abc", 3), 0);
	lp_buffer_consume(&buffer, 1);
	assert_memory_equal(buffer.bytes, "bc", 2);
	lp_buffer_consume(&buffer, 2);
	assert_null(buffer.bytes);
}

static void what_is_reserved_stays_and_only_that(void **state)
{
	struct lp_buffer buffer = {0};
	char bytes[1000] = {0};
	(void)state;
	assert_int_equal(lp_buffer_reserve(&buffer, 100), 0);
	assert_int_equal(lp_buffer_append(&buffer, bytes, 100), 0);
	assert_int_equal(buffer.capacity, 100);
	assert_int_equal(lp_buffer_append(&buffer, bytes, sizeof(bytes)), 0);
	assert_in_range(buffer.capacity, 1100, 4000);
	lp_buffer_consume(&buffer, 1100);
	assert_int_equal(buffer.capacity, 100);
	lp_buffer_clear(&buffer);
	assert_null(buffer.bytes);
	assert_int_equal(buffer.reserved, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_emptied_buffer_gives_its_memory_back),
		cmocka_unit_test(what_is_reserved_stays_and_only_that),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
