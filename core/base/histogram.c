/*
 * A bucket's number is the value's highest bit and the two bits after it: 4 to 7 have one each, 8 to 15 one for two
 * values, and so on. Below 4 the value is the number.
 */
#include "base/histogram.h"

#define HALVINGS 2 /* A power of two has 2^HALVINGS buckets. */
#define PARTS (1u << HALVINGS)

static unsigned bucket_of(uint64_t value)
{
	if (value < PARTS)
		return (unsigned)value;
	unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HALVINGS;
	unsigned bucket = (shift + 1) * PARTS + (unsigned)(value >> shift) % PARTS;
	return bucket < LP_HISTOGRAM_BUCKETS ? bucket : LP_HISTOGRAM_BUCKETS - 1;
}

uint64_t lp_histogram_bound(unsigned bucket)
{
	if (bucket < PARTS)
		return bucket;
	unsigned shift = bucket / PARTS - 1;
	return ((uint64_t)(PARTS + bucket % PARTS + 1) << shift) - 1;
}

void lp_histogram_add(struct lp_histogram *histogram, uint64_t value)
{
	histogram->counts[bucket_of(value)]++;
	histogram->total++;
	histogram->sum += value;
	if (value > histogram->highest)
		histogram->highest = value;
}

unsigned lp_histogram_used(const struct lp_histogram *histogram)
{
	return histogram->total ? bucket_of(histogram->highest) + 1 : 0;
}

uint64_t lp_histogram_quantile(const struct lp_histogram *histogram, double share)
{
	unsigned used = lp_histogram_used(histogram);
	double wanted = share * (double)histogram->total;
	uint64_t seen = 0;
	for (unsigned i = 0; i + 1 < used; i++) {
		seen += histogram->counts[i];
		if (seen > 0 && (double)seen >= wanted)
			return lp_histogram_bound(i);
	}
	return histogram->highest; /* Of the last bucket no bound is nearer. */
}
