/**
 * A place: where connections for one binding of this process come to. Its set, which the descriptors of its listeners
 * name, is an epoll instance, readable when something may have come; in its queue is what was found while a connection
 * for another place was looked for.
 *
 *     set    CLOSED --open--> OPEN --close--> CLOSED
 *     queue  empty: only the channel is in the set; not empty: the bell, too, which is always readable
 */
#ifndef LP_PRELOAD_ACCEPT_QUEUE_H
#define LP_PRELOAD_ACCEPT_QUEUE_H

#include <stdbool.h>

/** Connections in a queue, at most. */
#define LP_ACCEPT_QUEUE_ROOM 64

struct lp_accept_queue {
	int set; /**< -1: CLOSED. */
	unsigned first;
	unsigned count;
	int queue[LP_ACCEPT_QUEUE_ROOM]; /**< A ring of descriptors. */
};

/** Begin CLOSED, with an empty queue. @param place The caller's memory. */
void lp_accept_queue_init(struct lp_accept_queue *place);

/** Make its set. @param place CLOSED. @return 0, or negative errno. */
int lp_accept_queue_open(struct lp_accept_queue *place);

/** Close its set. @param place OPEN or CLOSED, with an empty queue. */
void lp_accept_queue_close(struct lp_accept_queue *place);

/**
 * Let the set be readable whenever a descriptor is, for as long as that is open.
 *
 * @param place    OPEN.
 * @param channel  Borrowed.
 *
 * @return 0, or negative errno.
 */
int lp_accept_queue_watch(struct lp_accept_queue *place, int channel);

/**
 * Queue a connection.
 *
 * @param place  OPEN.
 * @param fd     Taken, if there is room.
 * @param bell   Always readable.
 *
 * @return Whether there was room.
 */
bool lp_accept_queue_put(struct lp_accept_queue *place, int fd, int bell);

/** Take the oldest connection out. @param place Any. @param bell Of lp_accept_queue_put. @return The caller's; or -EAGAIN. */
int lp_accept_queue_take(struct lp_accept_queue *place, int bell);

#endif
