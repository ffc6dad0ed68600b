/*
 * A ring of descriptors between the loop's thread, which puts them in, and one thread that closes them, as many at a time
 * as there are.
 *
 *     state of the thread    goes on to
 *     none                   running, with the first descriptor that needs it
 *     running                waiting, when the ring is empty; ended, when the closer was freed and the ring is empty
 *     waiting                running, with the next descriptor; ended, when the closer is freed
 *
 * The thread must not wait for the option's time either: whoever made it wait for an hour would have filled the ring by then.
 * A process or thread that ends closes without lingering, whatever the option says, and only that does. So for each batch there
 * is a second thread, the holder, with a descriptor table of its own. It holds on to the batch while the first closes the
 * loop's copies; then it ends, and with it the last ones.
 *
 * The thread is detached, since nobody may wait for it. Whoever leaves last, the owner or the thread, frees the memory.
 *
 * l_linger 0 is another option under the same name: the close sends a reset, and waits for nothing. The worker wants
 * that, and it is left alone.
 */
#include "connection/closer.h"

#include <limits.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)64 << 10)

struct lp_closer {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* There are descriptors, or it was freed. */
	pthread_cond_t room;    /* There is room in the ring again. */
	int waiting[LP_CLOSER_MAX];
	unsigned count;
	bool has_thread;
	bool freed; /* By its owner. */
};

/* What is closed in one go. */
struct batch {
	int all[LP_CLOSER_MAX];
	unsigned count;
	sem_t held;   /* By the holder. */
	sem_t closed; /* In the table that the others share. */
};

struct lp_closer *lp_closer_new(void)
{
	struct lp_closer *closer = calloc(1, sizeof(*closer));
	pthread_condattr_t monotonic;
	if (!closer)
		return NULL;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&closer->lock, NULL);
	pthread_cond_init(&closer->changed, NULL);
	pthread_cond_init(&closer->room, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return closer;
}

static void free_closer(struct lp_closer *closer)
{
	pthread_cond_destroy(&closer->room);
	pthread_cond_destroy(&closer->changed);
	pthread_mutex_destroy(&closer->lock);
	free(closer);
}

/* Signals are for the loop's thread. Returns whether there is a thread now. */
static bool start_thread(pthread_t *thread, void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int status = pthread_create(thread, &attributes, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return status == 0;
}

/* The holder */

static int compare(const void *one, const void *other)
{
	int a = *(const int *)one;
	int b = *(const int *)other;
	return (a > b) - (a < b);
}

static void close_between(unsigned first, unsigned last)
{
	if (first <= last)
		syscall(SYS_close_range, first, last, 0); /* Where that is missing, they are held for a moment, too. */
}

/* A table that has the batch and nothing else, so that no other end is put off. */
static void hold_only(struct batch *batch)
{
	unsigned next = 0;
	if (unshare(CLONE_FILES))
		return;
	qsort(batch->all, batch->count, sizeof(*batch->all), compare);
	for (unsigned i = 0; i < batch->count; i++) {
		unsigned fd = (unsigned)batch->all[i];
		if (fd)
			close_between(next, fd - 1);
		next = fd + 1;
	}
	close_between(next, UINT_MAX);
}

static void *run_holder(void *argument)
{
	struct batch *batch = argument;
	hold_only(batch);
	sem_post(&batch->held);
	sem_wait(&batch->closed);
	return NULL;
}

/* Without a holder the thread waits for what lingers. */
static void close_batch(struct batch *batch)
{
	pthread_t holder;
	sem_init(&batch->held, 0, 0);
	sem_init(&batch->closed, 0, 0);
	bool is_held = start_thread(&holder, run_holder, batch);
	if (is_held)
		sem_wait(&batch->held);
	for (unsigned i = 0; i < batch->count; i++)
		close(batch->all[i]);
	sem_post(&batch->closed);
	if (is_held)
		pthread_join(holder, NULL);
	sem_destroy(&batch->held);
	sem_destroy(&batch->closed);
}

/* The thread */

/* Returns whether there are descriptors to close; if not, there will be none any more. */
static bool await_batch(struct lp_closer *closer, struct batch *batch)
{
	pthread_mutex_lock(&closer->lock);
	while (closer->count == 0 && !closer->freed)
		pthread_cond_wait(&closer->changed, &closer->lock);
	batch->count = closer->count;
	memcpy(batch->all, closer->waiting, closer->count * sizeof(*closer->waiting));
	closer->count = 0;
	pthread_cond_signal(&closer->room);
	pthread_mutex_unlock(&closer->lock);
	return batch->count > 0;
}

static void *run_thread(void *argument)
{
	struct lp_closer *closer = argument;
	struct batch batch;
	while (await_batch(closer, &batch))
		close_batch(&batch);
	free_closer(closer); /* It was freed. */
	return NULL;
}

static bool start_closing(struct lp_closer *closer)
{
	pthread_t thread;
	if (!start_thread(&thread, run_thread, closer))
		return false;
	pthread_detach(thread);
	return true;
}

/* The thread empties the ring all the time. */
static void await_room(struct lp_closer *closer)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LP_CLOSER_ROOM_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	while (closer->count == LP_CLOSER_MAX && pthread_cond_timedwait(&closer->room, &closer->lock, &until) == 0)
		continue;
}

/* Returns whether the thread has the descriptor now. */
static bool give_to_thread(struct lp_closer *closer, int fd)
{
	pthread_mutex_lock(&closer->lock);
	if (!closer->has_thread)
		closer->has_thread = start_closing(closer);
	if (closer->has_thread)
		await_room(closer);
	bool takes = closer->has_thread && closer->count < LP_CLOSER_MAX;
	if (takes) {
		closer->waiting[closer->count++] = fd;
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

static int option_of(int fd, int option)
{
	int value = -1;
	socklen_t length = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, option, &value, &length) ? -1 : value;
}

/* Whether something may be in it that somebody has sent, and descriptors with that. */
static bool may_hold_descriptors(int fd)
{
	int waiting;
	if (option_of(fd, SO_DOMAIN) != AF_UNIX)
		return false;
	bool is_stream = option_of(fd, SO_TYPE) == SOCK_STREAM; /* Else a message may have no bytes. */
	return !is_stream || ioctl(fd, SIOCINQ, &waiting) || waiting > 0;
}

void lp_closer_close(struct lp_closer *closer, int fd)
{
	struct linger linger = {0};
	socklen_t length = sizeof(linger);
	getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length);
	bool lingers = linger.l_onoff && linger.l_linger > 0;
	if ((lingers || may_hold_descriptors(fd)) && give_to_thread(closer, fd))
		return;
	if (lingers) {
		linger.l_onoff = 0;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	close(fd);
}
