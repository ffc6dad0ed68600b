/**
 * Time. Every deadline is on the monotonic clock; the wall clock is only ever shown to people.
 */
#ifndef LP_BASE_CLOCK_H
#define LP_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/** Nanoseconds on the monotonic clock. */
static inline uint64_t lp_clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
