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

/** Nanoseconds for which this thread has had a processor: for budgets that a busy machine is not to shorten. */
static inline uint64_t lp_clock_thread_ns(void)
{
	struct timespec used;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/** Room for a time as text. */
#define LP_CLOCK_TEXT_SIZE sizeof("2026-11-29T05:14:12Z")

/** Write a time of the wall clock as ISO 8601 in UTC. @param seconds Since 1970. @param text LP_CLOCK_TEXT_SIZE bytes. */
static inline void lp_clock_format(time_t seconds, char *text)
{
	struct tm utc;
	if (!gmtime_r(&seconds, &utc) || strftime(text, LP_CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		text[0] = '\0';
}

#endif
