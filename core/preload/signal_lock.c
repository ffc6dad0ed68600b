/*
 * Signals are blocked before the mutex is taken, and let in after it is released; errno stays the caller's.
 */
#include "preload/signal_lock.h"

#include <errno.h>

struct lp_signal_lock_before lp_signal_lock(pthread_mutex_t *mutex)
{
	struct lp_signal_lock_before before;
	sigset_t all;
	sigfillset(&all);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before.cancellation);
	pthread_sigmask(SIG_SETMASK, &all, &before.signals);
	pthread_mutex_lock(mutex);
	return before;
}

void lp_unlock(pthread_mutex_t *mutex, const struct lp_signal_lock_before *before)
{
	int error = errno;
	pthread_mutex_unlock(mutex);
	pthread_sigmask(SIG_SETMASK, &before->signals, NULL);
	pthread_setcancelstate(before->cancellation, NULL);
	errno = error;
}
