/*
 * What stands in front of the C library has no owner to be handed to, so the state of the process is one static object,
 * here and nowhere else.
 *
 * A forked child has its parent's channel until it shows interest in a listener by itself. A child that never does (a
 * server that forks for each connection) reports the sessions it opens there, and they are the parent's.
 */
#include "preload/self.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "preload/channel.h"
#include "preload/descriptors.h"
#include "preload/learn.h"
#include "preload/real.h"

/* Pauses between two tries to reach limpet again. */
#define FIRST_PAUSE_MS 20
#define LONGEST_PAUSE_MS 500

static struct {
	pthread_mutex_t lock;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct lp_learn learn;
	struct lp_preload_channel channel;
	int set;            /* -1 while this process is unregistered. */
	uint8_t generation; /* Of the set; never 0 while there is one. */
	bool inherited;     /* Channel and set are the parent's. */
	bool searching;     /* A thread tries to reach limpet. */
} us = {.lock = PTHREAD_MUTEX_INITIALIZER, .channel = {.fd = -1}, .set = -1};

static void before_fork(void)
{
	pthread_mutex_lock(&us.lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&us.lock);
}

static void in_child(void)
{
	us.inherited = us.set >= 0;
	us.searching = false;
	pthread_mutex_unlock(&us.lock);
}

void lp_self_begin(const char *path, const char *learn)
{
	snprintf(us.path, sizeof(us.path), "%s", path);
	lp_learn_init(&us.learn, learn);
	pthread_atfork(before_fork, in_parent, in_child);
}

static bool connect_channel(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	if (lp_preload_channel_open(&us.channel, us.path))
		return false;
	if (lp_real()->epoll_ctl(us.set, EPOLL_CTL_ADD, us.channel.fd, &event) == 0)
		return true;
	lp_preload_channel_close(&us.channel);
	return false;
}

static void *search(void *unused)
{
	long pause_ms = FIRST_PAUSE_MS;
	for (;;) {
		struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};
		nanosleep(&pause, NULL);
		if (pause_ms < LONGEST_PAUSE_MS)
			pause_ms *= 2;
		pthread_mutex_lock(&us.lock);
		if (us.set < 0 || us.channel.fd >= 0 || connect_channel()) {
			us.searching = false;
			pthread_mutex_unlock(&us.lock);
			return unused;
		}
		pthread_mutex_unlock(&us.lock);
	}
}

/* Begin to look for limpet, in a thread that no signal of the program's ever reaches. */
static void search_for_limpet(void)
{
	sigset_t all;
	sigset_t before;
	pthread_t thread;
	pthread_attr_t detached;
	if (us.searching)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	us.searching = pthread_create(&thread, &detached, search, NULL) == 0;
	pthread_attr_destroy(&detached);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Close what is ours of channel and set; the parent's go on in the parent. */
static void let_go(void)
{
	lp_preload_channel_close(&us.channel);
	if (us.set >= 0)
		lp_real()->close(us.set);
	us.set = -1;
	us.inherited = false;
}

static int register_us(void)
{
	if (us.inherited) {
		let_go();
		lp_known_clear(&us.channel.known);
	}
	if (us.set >= 0)
		return 0;
	int set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0)
		return -errno;
	us.set = lp_descriptor_lift(set);
	if (++us.generation == 0)
		us.generation = 1;
	if (!connect_channel())
		search_for_limpet();
	return 0;
}

/* Make a listener's descriptor name our set. */
static int take_over(int fd)
{
	int status = lp_descriptor_name(fd, us.set);
	if (!status)
		lp_descriptors[fd].set = us.generation;
	return status;
}

int lp_self_interest(int fd)
{
	pthread_mutex_lock(&us.lock);
	int status = us.inherited || us.set < 0 ? register_us() : 0;
	if (!status && lp_descriptors[fd].set != us.generation)
		status = take_over(fd);
	pthread_mutex_unlock(&us.lock);
	return status;
}

void lp_self_leave(void)
{
	pthread_mutex_lock(&us.lock);
	if (!us.inherited)
		let_go();
	pthread_mutex_unlock(&us.lock);
}

int lp_self_take(int flags)
{
	int fd = -EAGAIN;
	pthread_mutex_lock(&us.lock);
	if (us.channel.fd >= 0)
		fd = lp_preload_channel_take(&us.channel, flags);
	if (fd == -EPIPE) {
		lp_preload_channel_close(&us.channel);
		search_for_limpet();
		fd = -EAGAIN;
	}
	pthread_mutex_unlock(&us.lock);
	return fd;
}

enum lp_frame_each lp_self_each(void)
{
	return (enum lp_frame_each)us.channel.each;
}

static void on_session(void *owner, struct lp_slice key)
{
	(void)owner;
	pthread_mutex_lock(&us.lock);
	lp_preload_channel_session(&us.channel, key);
	pthread_mutex_unlock(&us.lock);
}

bool lp_self_learn(struct lp_slice bytes, bool head)
{
	return lp_learn_scan(&us.learn, bytes, head, on_session, NULL);
}

bool lp_self_knows(struct lp_slice key)
{
	pthread_mutex_lock(&us.lock);
	bool known = lp_known_has(&us.channel.known, key);
	pthread_mutex_unlock(&us.lock);
	return known;
}

int lp_self_bounce(int fd)
{
	pthread_mutex_lock(&us.lock);
	int status = lp_preload_channel_bounce(&us.channel, fd);
	pthread_mutex_unlock(&us.lock);
	return status;
}
