/*
 * Waiting for a listener is showing interest in it: the process registers then. epoll_ctl also tells which instance
 * watches a connection, for when the connection is given back.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "limpet/export.h"
#include "preload/descriptors.h"
#include "preload/real.h"
#include "preload/self.h"

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
		lp_self_interest(fd);
		shared = *event; /* An epoll instance, which the listener is, cannot be watched exclusively. */
		shared.events &= ~(uint32_t)EPOLLEXCLUSIVE;
		event = &shared;
	}
	int status = lp_real()->epoll_ctl(epoll, verb, fd, event);
	if (status == 0 && kind == LP_CONNECTION)
		note_watch(epoll, verb, fd, event);
	return status;
}

static void show_interest(const struct pollfd *fds, nfds_t count)
{
	for (nfds_t i = 0; i < count; i++)
		if (fds[i].fd >= 0 && lp_descriptor_kind(fds[i].fd) == LP_LISTENER)
			lp_self_interest(fds[i].fd);
}

LIMPET_EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	show_interest(fds, count);
	return lp_real()->poll(fds, count, timeout_ms);
}

LIMPET_EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	show_interest(fds, count);
	return lp_real()->ppoll(fds, count, timeout, mask);
}

static void show_interest_in_set(int count, const fd_set *readable)
{
	int end = lp_descriptors_end();
	for (int fd = 0; readable && fd < count && fd < end; fd++)
		if (lp_descriptor_kind(fd) == LP_LISTENER && FD_ISSET(fd, readable))
			lp_self_interest(fd);
}

LIMPET_EXPORT int select(int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict except,
			 struct timeval *restrict timeout)
{
	show_interest_in_set(count, readable);
	return lp_real()->select(count, readable, writable, except, timeout);
}

LIMPET_EXPORT int pselect(int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict except,
			  const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
	show_interest_in_set(count, readable);
	return lp_real()->pselect(count, readable, writable, except, timeout, mask);
}
