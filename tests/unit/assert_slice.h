/**
 * cmocka's missing assertion: that a slice is there and holds a text. Include after cmocka.h.
 */
#ifndef LP_TESTS_ASSERT_SLICE_H
#define LP_TESTS_ASSERT_SLICE_H

#include <string.h>

#include "base/slice.h"

#define assert_slice(actual, expected) assert_slice_at(actual, expected, __FILE__, __LINE__)

/** Fail the test at file and line unless actual is the text expected. */
static inline void assert_slice_at(struct lp_slice actual, const char *expected, const char *file, int line)
{
	if (!actual.bytes || actual.length != strlen(expected) || memcmp(actual.bytes, expected, actual.length) != 0) {
		print_error("\"%.*s\" != \"%s\"\n", LP_SLICE_ARG(actual), expected);
		_fail(file, line);
	}
}

#endif
