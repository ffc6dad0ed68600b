/*
 * Whether the bell is in the set follows the queue, so nothing has to be rung or silenced: a waiter sees a connection
 * that waits, whichever thread has put it there, for as long as it does.
 */
#include "preload/accept_queue.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "preload/descriptors.h"
#include "preload/libc.h"

void lp_accept_queue_init(struct lp_accept_queue *place)
{
	memset(place, 0, sizeof(*place));
	place->set = -1;
}

int lp_accept_queue_open(struct lp_accept_queue *place)
{
	int set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0)
		return -errno;
	place->set = lp_descriptor_lift(set);
	return 0;
}

void lp_accept_queue_close(struct lp_accept_queue *place)
{
	if (place->set >= 0)
		lp_libc()->close(place->set);
	place->set = -1;
}

int lp_accept_queue_watch(struct lp_accept_queue *place, int channel)
{
	struct epoll_event event = {.events = EPOLLIN};
	return lp_libc()->epoll_ctl(place->set, EPOLL_CTL_ADD, channel, &event) ? -errno : 0;
}

bool lp_accept_queue_put(struct lp_accept_queue *place, int fd, int bell)
{
	if (place->count == LP_ACCEPT_QUEUE_ROOM || (place->count == 0 && lp_accept_queue_watch(place, bell)))
		return false;
	place->queue[(place->first + place->count) % LP_ACCEPT_QUEUE_ROOM] = lp_descriptor_lift(fd);
	place->count++;
	return true;
}

int lp_accept_queue_take(struct lp_accept_queue *place, int bell)
{
	if (place->count == 0)
		return -EAGAIN;
	int fd = place->queue[place->first];
	place->first = (place->first + 1) % LP_ACCEPT_QUEUE_ROOM;
	if (--place->count == 0)
		lp_libc()->epoll_ctl(place->set, EPOLL_CTL_DEL, bell, NULL);
	return fd;
}
