/*
 * Waiting for a listener is showing interest in it: the process registers then. epoll_ctl also tells which instance
 * watches a connection, for when the connection is given back.
 *
 * Where several listeners are woken by the same channel, poll and select wait on for those of them that nothing has come
 * for: a program may accept with a blocking call then, and would hang. epoll is not looked at: there it is accept that
 * says, without waiting, that the connection is gone (listening.c).
 */
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>

#include "limpet/export.h"
#include "preload/descriptors.h"
#include "preload/libc.h"
#include "preload/registration.h"

#define NANOSECONDS 1000000000L

static void note_watch(int epoll, int verb, int fd, const struct epoll_event *event)
{
	struct lp_descriptor *connection = &lp_descriptors[fd];
	connection->epoll = verb == EPOLL_CTL_DEL ? -1 : epoll;
	if (event && verb != EPOLL_CTL_DEL)
		connection->watch = *event;
}

LIMPET_EXPORT int epoll_ctl(int epoll, int verb, int fd, struct epoll_event *event)
{
	enum lp_descriptor_kind kind = lp_descriptor_kind(fd);
	struct epoll_event shared;
	if (kind == LP_LISTENER && verb != EPOLL_CTL_DEL && event) {
		lp_registration_interest(fd);
		shared = *event; /* An epoll instance, which the listener is, cannot be watched exclusively. */
		shared.events &= ~(uint32_t)EPOLLEXCLUSIVE;
		event = &shared;
	}
	int status = lp_libc()->epoll_ctl(epoll, verb, fd, event);
	if (status == 0 && kind == LP_CONNECTION)
		note_watch(epoll, verb, fd, event);
	else if (status == 0 && kind == LP_LISTENER)
		lp_descriptors[fd].watched = verb != EPOLL_CTL_DEL;
	return status;
}

/* Whether poll's and select's answers are to be looked at: for listeners, where several share what wakes them. */
static bool show_interest(struct pollfd *fds, nfds_t count)
{
	bool any = false;
	for (nfds_t i = 0; i < count; i++)
		if (fds[i].fd >= 0 && lp_descriptor_kind(fds[i].fd) == LP_LISTENER) {
			lp_registration_interest(fds[i].fd);
			any = true;
		}
	return any && lp_registration_shares();
}

static bool show_interest_in_set(int count, const fd_set *readable)
{
	bool any = false;
	int end = lp_descriptors_end();
	for (int fd = 0; readable && fd < count && fd < end; fd++)
		if (lp_descriptor_kind(fd) == LP_LISTENER && FD_ISSET(fd, readable)) {
			lp_registration_interest(fd);
			any = true;
		}
	return any && count <= FD_SETSIZE && lp_registration_shares();
}

/* Time */

static struct timespec read_clock(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time;
}

static struct timespec deadline_of(const struct timespec *timeout)
{
	struct timespec end = read_clock();
	end.tv_sec += timeout->tv_sec;
	end.tv_nsec += timeout->tv_nsec;
	if (end.tv_nsec >= NANOSECONDS) {
		end.tv_nsec -= NANOSECONDS;
		end.tv_sec++;
	}
	return end;
}

/* What is left until then; zero when it is over. */
static struct timespec left_until(const struct timespec *end)
{
	struct timespec at = read_clock();
	struct timespec left = {.tv_sec = end->tv_sec - at.tv_sec, .tv_nsec = end->tv_nsec - at.tv_nsec};
	if (left.tv_nsec < 0) {
		left.tv_nsec += NANOSECONDS;
		left.tv_sec--;
	}
	if (left.tv_sec < 0)
		left = (struct timespec){0};
	return left;
}

/* poll */

/* Take back what is said of listeners that nothing has come for. Returns how many descriptors are ready. */
static int drop_false(struct pollfd *fds, nfds_t count, int ready)
{
	for (nfds_t i = 0; i < count && ready > 0; i++)
		if (fds[i].fd >= 0 && fds[i].revents && lp_descriptor_kind(fds[i].fd) == LP_LISTENER &&
		    !lp_registration_has(fds[i].fd)) {
			fds[i].revents = 0;
			ready--;
		}
	return ready;
}

static int poll_truly(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec end = timeout ? deadline_of(timeout) : (struct timespec){0};
	struct timespec left = timeout ? *timeout : (struct timespec){0};
	for (;;) {
		int ready = lp_libc()->ppoll(fds, count, timeout ? &left : NULL, mask);
		if (ready <= 0 || (ready = drop_false(fds, count, ready)))
			return ready;
		if (timeout)
			left = left_until(&end);
	}
}

LIMPET_EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
	if (!show_interest(fds, count))
		return lp_libc()->poll(fds, count, timeout_ms);
	return poll_truly(fds, count, timeout_ms < 0 ? NULL : &timeout, NULL);
}

LIMPET_EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	if (!show_interest(fds, count))
		return lp_libc()->ppoll(fds, count, timeout, mask);
	return poll_truly(fds, count, timeout, mask);
}

/* select */

/* As much of a set as a program that counts so far has. */
static void copy_set(fd_set *to, const fd_set *from, int count)
{
	size_t size = (size_t)(count + NFDBITS - 1) / NFDBITS * sizeof(fd_mask);
	if (to && from)
		memcpy(to, from, size);
}

static int drop_false_in_set(int count, fd_set *readable, int ready)
{
	for (int fd = 0; fd < count && ready > 0; fd++)
		if (FD_ISSET(fd, readable) && lp_descriptor_kind(fd) == LP_LISTENER && !lp_registration_has(fd)) {
			FD_CLR(fd, readable);
			ready--;
		}
	return ready;
}

/* The time that is left goes into *left, unless that is NULL. */
static int select_truly(int count, fd_set *sets[3], struct timespec *left, const sigset_t *mask)
{
	struct timespec end = left ? deadline_of(left) : (struct timespec){0};
	fd_set asked[3];
	for (int i = 0; i < 3; i++)
		copy_set(&asked[i], sets[i], count);
	for (;;) {
		int ready = lp_libc()->pselect(count, sets[0], sets[1], sets[2], left, mask);
		bool waited = ready == 0;
		if (ready > 0)
			ready = drop_false_in_set(count, sets[0], ready);
		if (left)
			*left = left_until(&end);
		if (ready || waited)
			return ready;
		for (int i = 0; i < 3; i++)
			copy_set(sets[i], &asked[i], count);
	}
}

LIMPET_EXPORT int select(int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict except,
			 struct timeval *restrict timeout)
{
	struct timespec left;
	if (!show_interest_in_set(count, readable))
		return lp_libc()->select(count, readable, writable, except, timeout);
	if (!timeout)
		return select_truly(count, (fd_set *[]){readable, writable, except}, NULL, NULL);
	TIMEVAL_TO_TIMESPEC(timeout, &left);
	int ready = select_truly(count, (fd_set *[]){readable, writable, except}, &left, NULL);
	TIMESPEC_TO_TIMEVAL(timeout, &left);
	return ready;
}

LIMPET_EXPORT int pselect(int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict except,
			  const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
	struct timespec left = timeout ? *timeout : (struct timespec){0};
	if (!show_interest_in_set(count, readable))
		return lp_libc()->pselect(count, readable, writable, except, timeout, mask);
	return select_truly(count, (fd_set *[]){readable, writable, except}, timeout ? &left : NULL, mask);
}
