/**
 * Threads that end by themselves, and that somebody has to join: later, so that nobody waits for a busy machine to give
 * them a processor.
 */
#ifndef LP_POLICY_RETIRED_THREADS_H
#define LP_POLICY_RETIRED_THREADS_H

#include <pthread.h>

/** The most threads that can be retired and not joined yet. */
#define LP_RETIRED_THREADS_MAX 8

/** All zero: none. */
struct lp_retired_threads {
	pthread_t threads[LP_RETIRED_THREADS_MAX];
	unsigned count;
};

/**
 * Add a thread that is about to end; those that have ended meanwhile are joined.
 *
 * @param retired  The caller's. With LP_RETIRED_THREADS_MAX in it the oldest is waited for.
 * @param thread   Joinable.
 */
void lp_retired_threads_add(struct lp_retired_threads *retired, pthread_t thread);

/** Wait for all. @param retired The caller's; empty then. */
void lp_retired_threads_join(struct lp_retired_threads *retired);

#endif
