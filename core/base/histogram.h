/**
 * How often values of each size came: a fixed table, no allocation, a few nanoseconds a value.
 *
 * Buckets grow with the values, four to each power of two, so a bucket's bounds are at most a quarter apart: whoever
 * reads a value back gets it at most that much too high. Counts only grow; two readings can be subtracted.
 */
#ifndef LP_BASE_HISTOGRAM_H
#define LP_BASE_HISTOGRAM_H

#include <stdint.h>

/** For values up to 2^27 - 1 (134 s in microseconds); the last bucket takes what is beyond. */
#define LP_HISTOGRAM_BUCKETS 104

/** The owner's memory; all zero is empty. */
struct lp_histogram {
	uint64_t counts[LP_HISTOGRAM_BUCKETS];
	uint64_t total;
	uint64_t sum;     /**< Of all values. */
	uint64_t highest; /**< Exact. */
};

/** Count a value. @param histogram Borrowed. @param value Any. */
void lp_histogram_add(struct lp_histogram *histogram, uint64_t value);

/** The highest value of a bucket. @param bucket Below LP_HISTOGRAM_BUCKETS. */
uint64_t lp_histogram_bound(unsigned bucket);

/** Buckets up to the last that is in use; 0 when there is no value. @param histogram Borrowed. */
unsigned lp_histogram_used(const struct lp_histogram *histogram);

/**
 * The value that a share of all values do not exceed: 0.99 for the 99th percentile.
 *
 * @param histogram  Borrowed.
 * @param share      0 to 1.
 *
 * @return It, at most a quarter too high and never above the highest; 0 when there is no value.
 */
uint64_t lp_histogram_quantile(const struct lp_histogram *histogram, double share);

#endif
