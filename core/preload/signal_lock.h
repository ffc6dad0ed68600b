/**
 * A lock that no signal handler can find locked by the thread that it interrupts: as long as it is held, signals wait. A
 * program's handler may close, accept and poll; what stands in front of those must not hang there. Nor is the thread
 * cancelled meanwhile.
 */
#ifndef LP_PRELOAD_SIGNAL_LOCK_H
#define LP_PRELOAD_SIGNAL_LOCK_H

#include <pthread.h>
#include <signal.h>

/** What a thread was before it held a lock. */
struct lp_signal_lock_before {
	sigset_t signals;
	int cancellation;
};

/**
 * Lock.
 *
 * @param mutex  An ordinary one, not held by this thread.
 *
 * @return For lp_unlock.
 */
struct lp_signal_lock_before lp_signal_lock(pthread_mutex_t *mutex);

/** Unlock; signals that have come meanwhile arrive before this returns. @param mutex Held. @param before Of lp_signal_lock. */
void lp_unlock(pthread_mutex_t *mutex, const struct lp_signal_lock_before *before);

#endif
