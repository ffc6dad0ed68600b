/*
 * A ring of descriptors between the loop's thread, which puts them in, and one thread that closes them in turn.
 *
 *     state of the thread    goes on to
 *     none                   running, with the first descriptor that needs it
 *     running                waiting, when the ring is empty; ended, when the closer was freed and the ring is empty
 *     waiting                running, with the next descriptor; ended, when the closer is freed
 *
 * The thread is detached, since nobody may wait for it: a close can take as long as a worker wishes. Whoever leaves last,
 * the owner or the thread, frees the memory.
 *
 * l_linger 0 is another option under the same name: the close sends a reset, and waits for nothing. The worker wants
 * that, and it is left alone.
 */
#include "connection/closer.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)64 << 10)

struct lp_closer {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int waiting[LP_CLOSER_MAX];
	unsigned first;
	unsigned count;
	bool has_thread;
	bool freed; /* By its owner. */
};

struct lp_closer *lp_closer_new(void)
{
	struct lp_closer *closer = calloc(1, sizeof(*closer));
	if (!closer)
		return NULL;
	pthread_mutex_init(&closer->lock, NULL);
	pthread_cond_init(&closer->changed, NULL);
	return closer;
}

static void free_closer(struct lp_closer *closer)
{
	pthread_cond_destroy(&closer->changed);
	pthread_mutex_destroy(&closer->lock);
	free(closer);
}

/* The next descriptor to close, or -1 when there will be none any more. */
static int await_descriptor(struct lp_closer *closer)
{
	int fd = -1;
	pthread_mutex_lock(&closer->lock);
	while (closer->count == 0 && !closer->freed)
		pthread_cond_wait(&closer->changed, &closer->lock);
	if (closer->count) {
		fd = closer->waiting[closer->first];
		closer->first = (closer->first + 1) % LP_CLOSER_MAX;
		closer->count--;
	}
	pthread_mutex_unlock(&closer->lock);
	return fd;
}

static void *run_thread(void *argument)
{
	struct lp_closer *closer = argument;
	int fd;
	while ((fd = await_descriptor(closer)) >= 0)
		close(fd);
	free_closer(closer); /* It was freed. */
	return NULL;
}

/* Signals are for the loop's thread. */
static bool start_thread(struct lp_closer *closer)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all;
	sigset_t before;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int status = pthread_create(&thread, &attributes, run_thread, closer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return status == 0;
}

/* Returns whether the thread has the descriptor now. */
static bool give_to_thread(struct lp_closer *closer, int fd)
{
	pthread_mutex_lock(&closer->lock);
	if (!closer->has_thread)
		closer->has_thread = start_thread(closer);
	bool takes = closer->has_thread && closer->count < LP_CLOSER_MAX;
	if (takes) {
		closer->waiting[(closer->first + closer->count) % LP_CLOSER_MAX] = fd;
		closer->count++;
		pthread_cond_signal(&closer->changed);
	}
	pthread_mutex_unlock(&closer->lock);
	return takes;
}

void lp_closer_free(struct lp_closer *closer)
{
	if (!closer)
		return;
	pthread_mutex_lock(&closer->lock);
	bool has_thread = closer->has_thread;
	closer->freed = true;
	pthread_cond_signal(&closer->changed);
	pthread_mutex_unlock(&closer->lock);
	if (!has_thread)
		free_closer(closer);
}

void lp_closer_close(struct lp_closer *closer, int fd)
{
	struct linger linger = {0};
	socklen_t length = sizeof(linger);
	getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length);
	if (linger.l_onoff && linger.l_linger > 0) {
		if (give_to_thread(closer, fd))
			return;
		linger.l_onoff = 0;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	close(fd);
}
