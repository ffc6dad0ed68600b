#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/histogram.h"

static void without_a_value_everything_is_zero(void **state)
{
	struct lp_histogram empty = {0};
	(void)state;
	assert_int_equal(lp_histogram_used(&empty), 0);
	assert_int_equal(lp_histogram_quantile(&empty, 0.5), 0);
	assert_int_equal(lp_histogram_quantile(&empty, 1), 0);
}

static void buckets_leave_no_gap_and_are_a_quarter_wide_at_most(void **state)
{
	(void)state;
	for (unsigned i = 1; i < LP_HISTOGRAM_BUCKETS; i++) {
		uint64_t least = lp_histogram_bound(i - 1) + 1;
		uint64_t most = lp_histogram_bound(i);
		assert_true(most >= least);
		assert_true((most - least) * 4 < least);
	}
	assert_int_equal(lp_histogram_bound(0), 0);
	assert_int_equal(lp_histogram_bound(LP_HISTOGRAM_BUCKETS - 1), (1u << 27) - 1);
}

static void a_value_is_counted_in_the_bucket_that_holds_it(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LP_HISTOGRAM_BUCKETS; i++) {
		struct lp_histogram histogram = {0};
		uint64_t least = i ? lp_histogram_bound(i - 1) + 1 : 0;
		lp_histogram_add(&histogram, least);
		lp_histogram_add(&histogram, lp_histogram_bound(i));
		assert_int_equal(histogram.counts[i], 2);
		assert_int_equal(lp_histogram_used(&histogram), i + 1);
	}
}

static void what_is_beyond_all_buckets_is_in_the_last(void **state)
{
	struct lp_histogram histogram = {0};
	(void)state;
	lp_histogram_add(&histogram, 1u << 27);
	lp_histogram_add(&histogram, UINT64_MAX);
	assert_int_equal(histogram.counts[LP_HISTOGRAM_BUCKETS - 1], 2);
	assert_true(lp_histogram_quantile(&histogram, 0.5) == UINT64_MAX);
}

static void quantiles_are_a_quarter_too_high_at_most(void **state)
{
	struct lp_histogram histogram = {0};
	(void)state;
	for (uint64_t value = 1; value <= 10000; value++)
		lp_histogram_add(&histogram, value);
	for (unsigned percent = 1; percent <= 100; percent++) {
		uint64_t exact = percent * 100;
		uint64_t given = lp_histogram_quantile(&histogram, percent / 100.0);
		assert_in_range(given, exact, exact + exact / 4);
		assert_true(given <= histogram.highest);
	}
	assert_int_equal(lp_histogram_quantile(&histogram, 1), 10000);
	assert_int_equal(histogram.total, 10000);
}

static void one_of_a_thousand_is_not_the_99th_percentile(void **state)
{
	struct lp_histogram histogram = {0};
	(void)state;
	for (int i = 0; i < 999; i++)
		lp_histogram_add(&histogram, 3);
	lp_histogram_add(&histogram, 1000000);
	assert_int_equal(lp_histogram_quantile(&histogram, 0.0), 3);
	assert_int_equal(lp_histogram_quantile(&histogram, 0.99), 3);
	assert_int_equal(lp_histogram_quantile(&histogram, 0.999), 3);
	assert_int_equal(lp_histogram_quantile(&histogram, 0.9999), 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_value_everything_is_zero),
		cmocka_unit_test(buckets_leave_no_gap_and_are_a_quarter_wide_at_most),
		cmocka_unit_test(a_value_is_counted_in_the_bucket_that_holds_it),
		cmocka_unit_test(what_is_beyond_all_buckets_is_in_the_last),
		cmocka_unit_test(quantiles_are_a_quarter_too_high_at_most),
		cmocka_unit_test(one_of_a_thousand_is_not_the_99th_percentile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
