/*
 * What stands in front of the C library has no owner to be handed to, so the state of the process is one static object,
 * here and nowhere else.
 *
 * A forked child has its parent's channel until it shows interest in a listener by itself. A child that never does (a
 * server that forks for each connection) reports the sessions it opens there, and they are the parent's.
 */
#include "preload/registration.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "preload/accept_queue.h"
#include "preload/bindings.h"
#include "preload/channel.h"
#include "preload/descriptors.h"
#include "preload/libc.h"
#include "preload/session_learner.h"
#include "preload/signal_lock.h"

/* Pauses between two tries to reach limpet again. */
#define FIRST_PAUSE_MS 20
#define LONGEST_PAUSE_MS 500

static struct {
	pthread_mutex_t lock;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	pid_t pid;
	struct lp_session_learner learn;
	struct lp_preload_channel channel;
	struct lp_accept_queue places[LP_BINDINGS_MAX];
	_Atomic uint64_t takers;    /* The mask of places that are OPEN; 0 while this process is unregistered. */
	int bell;                   /* Always readable; there when there have been two. */
	_Atomic uint8_t generation; /* Of the registration; never 0 while there is one. */
	atomic_bool inherited;      /* Channel and sets are the parent's. */
	bool searching;             /* A thread tries to reach limpet. */
	struct lp_signal_lock_before before_fork;
} us = {.lock = PTHREAD_MUTEX_INITIALIZER, .channel = {.fd = -1}, .bell = -1};

static void for_each_place(void (*action)(struct lp_accept_queue *place))
{
	for (unsigned i = 0; i < LP_BINDINGS_MAX; i++)
		if (us.takers >> i & 1)
			action(&us.places[i]);
}

static struct lp_signal_lock_before lock_registration(void)
{
	return lp_signal_lock(&us.lock);
}

static void unlock_registration(struct lp_signal_lock_before before)
{
	lp_unlock(&us.lock, &before);
}

static void before_fork(void)
{
	struct lp_signal_lock_before before = lock_registration();
	us.before_fork = before;
}

static void in_parent(void)
{
	unlock_registration(us.before_fork);
}

/* What waits in the parent is the parent's: its client sees the end when the parent closes. */
static void empty_queue(struct lp_accept_queue *place)
{
	while (place->count)
		lp_libc()->close(place->queue[(place->first + --place->count) % LP_ACCEPT_QUEUE_ROOM]);
}

static void in_child(void)
{
	us.pid = getpid();
	us.inherited = us.takers != 0;
	for_each_place(empty_queue);
	us.searching = false;
	unlock_registration(us.before_fork);
}

void lp_registration_begin(const char *path, const char *learn)
{
	snprintf(us.path, sizeof(us.path), "%s", path);
	us.pid = getpid();
	lp_session_learner_init(&us.learn, learn);
	for (unsigned i = 0; i < LP_BINDINGS_MAX; i++)
		lp_accept_queue_init(&us.places[i]);
	pthread_atfork(before_fork, in_parent, in_child);
}

static bool connect_channel(void)
{
	int status = lp_preload_channel_open(&us.channel, us.path);
	for (unsigned i = 0; i < LP_BINDINGS_MAX && !status; i++)
		if (us.takers >> i & 1)
			status = lp_accept_queue_watch(&us.places[i], us.channel.fd);
	if (status)
		lp_preload_channel_close(&us.channel);
	return !status;
}

static void *reconnect_later(void *unused)
{
	long pause_ms = FIRST_PAUSE_MS;
	for (;;) {
		struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};
		nanosleep(&pause, NULL);
		if (pause_ms < LONGEST_PAUSE_MS)
			pause_ms *= 2;
		struct lp_signal_lock_before before = lock_registration();
		if (!us.takers || us.channel.fd >= 0 || connect_channel()) {
			us.searching = false;
			unlock_registration(before);
			return unused;
		}
		unlock_registration(before);
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
	us.searching = pthread_create(&thread, &detached, reconnect_later, NULL) == 0;
	pthread_attr_destroy(&detached);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* limpet sends what comes to an address to those that listen there. */
static void say_where(void)
{
	uint32_t listens = 0;
	for (unsigned i = 0; i < LP_BINDINGS_MAX; i++)
		if (us.takers >> i & 1)
			listens |= UINT32_C(1) << lp_bindings_get(i)->which;
	lp_preload_channel_listen(&us.channel, listens);
}

/* Close what is ours of channel and sets; the parent's go on in the parent. */
static void let_go(void)
{
	lp_preload_channel_close(&us.channel);
	for_each_place(lp_accept_queue_close);
	us.takers = 0;
	say_where();
	if (us.bell >= 0)
		lp_libc()->close(us.bell);
	us.bell = -1;
	us.inherited = false;
}

static int make_bell(void)
{
	int bell = eventfd(1, EFD_CLOEXEC);
	if (bell < 0)
		return -errno;
	us.bell = lp_descriptor_lift(bell);
	return 0;
}

/* Take connections at a binding, too. */
static int open_place(unsigned binding)
{
	struct lp_accept_queue *place = &us.places[binding];
	int status = us.takers && us.bell < 0 ? make_bell() : 0;
	if (!status)
		status = lp_accept_queue_open(place);
	if (!status && us.channel.fd >= 0)
		status = lp_accept_queue_watch(place, us.channel.fd);
	if (status)
		lp_accept_queue_close(place);
	else
		us.takers |= UINT64_C(1) << binding;
	say_where();
	return status;
}

static int register_us(unsigned binding)
{
	int status = open_place(binding);
	if (status)
		return status;
	if (++us.generation == 0)
		us.generation = 1;
	if (!connect_channel())
		search_for_limpet();
	return 0;
}

/* Make a listener's descriptor name its place's set. */
static int take_over(int fd, unsigned binding)
{
	int status = lp_descriptor_name(fd, us.places[binding].set);
	if (!status)
		lp_descriptors[fd].set = us.generation;
	return status;
}

/* A signal handler, or another thread, may have closed it since it was looked at. */
static bool is_listener(int fd)
{
	return lp_descriptor_kind(fd) == LP_LISTENER;
}

/* Whether there is nothing to do. Takes no lock, as every accept(2) asks this. */
static bool is_registered(int fd)
{
	return !us.inherited && us.takers >> lp_descriptors[fd].binding & 1 && lp_descriptors[fd].set == us.generation;
}

int lp_registration_interest(int fd)
{
	if (is_registered(fd))
		return 0;
	struct lp_signal_lock_before before = lock_registration();
	unsigned binding = lp_descriptors[fd].binding;
	int status = is_listener(fd) ? 0 : -EBADF;
	if (!status && us.inherited) {
		let_go();
		lp_learnt_sessions_clear(&us.channel.known);
	}
	if (!status && !us.takers)
		status = register_us(binding);
	else if (!status && !(us.takers >> binding & 1))
		status = open_place(binding);
	if (!status && lp_descriptors[fd].set != us.generation)
		status = take_over(fd, binding);
	unlock_registration(before);
	return status;
}

static void give_queue_back(struct lp_accept_queue *place)
{
	int fd;
	while ((fd = lp_accept_queue_take(place, us.bell)) >= 0) {
		lp_preload_channel_bounce(&us.channel, fd);
		lp_libc()->close(fd);
	}
}

void lp_registration_leave(unsigned binding, bool last)
{
	struct lp_signal_lock_before before = lock_registration();
	if (!us.inherited && us.takers >> binding & 1) {
		give_queue_back(&us.places[binding]);
		lp_accept_queue_close(&us.places[binding]);
		us.takers &= ~(UINT64_C(1) << binding);
		if (!last)
			say_where();
	}
	if (!us.inherited && last)
		let_go();
	unlock_registration(before);
}

bool lp_registration_shares(void)
{
	uint64_t takers = us.takers;
	return (takers & (takers - 1)) != 0;
}

/* The next connection for a place out of the channel; those for others are queued there. */
static int take_or_queue_connection(unsigned binding, int flags)
{
	for (;;) {
		int fd = lp_preload_channel_take(&us.channel, flags);
		if (fd < 0)
			return fd;
		int whose = lp_bindings_choose(fd, binding, us.takers);
		bool kept =
			whose == (int)binding || (whose >= 0 && lp_accept_queue_put(&us.places[whose], fd, us.bell));
		lp_preload_channel_answer(&us.channel, kept);
		if (whose == (int)binding)
			return fd;
		if (!kept)
			lp_libc()->close(fd);
	}
}

static int take_connection(unsigned binding, int flags)
{
	int fd = us.channel.fd < 0 ? -EAGAIN : take_or_queue_connection(binding, flags);
	if (fd != -EPIPE)
		return fd;
	lp_preload_channel_close(&us.channel);
	search_for_limpet();
	return -EAGAIN;
}

bool lp_registration_has(int fd)
{
	struct lp_signal_lock_before before = lock_registration();
	unsigned binding = lp_descriptors[fd].binding;
	struct lp_accept_queue *place = &us.places[binding];
	int found = place->count || !is_listener(fd) ? -EAGAIN : take_connection(binding, SOCK_CLOEXEC);
	if (found >= 0 && !lp_accept_queue_put(place, found, us.bell)) {
		lp_preload_channel_bounce(&us.channel, found);
		lp_libc()->close(found);
	}
	bool has = is_listener(fd) && place->count;
	unlock_registration(before);
	return has;
}

int lp_registration_take(int fd, int flags)
{
	struct lp_signal_lock_before before = lock_registration();
	unsigned binding = lp_descriptors[fd].binding;
	int taken = is_listener(fd) ? lp_accept_queue_take(&us.places[binding], us.bell) : -EBADF;
	if (taken >= 0)
		taken = lp_descriptor_lower(taken, flags);
	else if (taken == -EAGAIN)
		taken = take_connection(binding, flags);
	unlock_registration(before);
	return taken;
}

bool lp_registration_is_channel(int fd)
{
	return fd >= 0 && fd == us.channel.fd;
}

bool lp_registration_is_here(void)
{
	return getpid() == us.pid;
}

enum lp_frame_each lp_registration_each(void)
{
	return (enum lp_frame_each)us.channel.each;
}

void lp_registration_session(struct lp_slice key)
{
	struct lp_signal_lock_before before = lock_registration();
	lp_preload_channel_session(&us.channel, key);
	unlock_registration(before);
}

const struct lp_session_learner *lp_registration_rules(void)
{
	return &us.learn;
}

bool lp_registration_knows(struct lp_slice key)
{
	struct lp_signal_lock_before before = lock_registration();
	bool known = lp_learnt_sessions_has(&us.channel.known, key);
	unlock_registration(before);
	return known;
}

int lp_registration_bounce(int fd)
{
	struct lp_signal_lock_before before = lock_registration();
	int status = us.channel.drained ? -ENOTCONN : lp_preload_channel_bounce(&us.channel, fd);
	unlock_registration(before);
	return status;
}
