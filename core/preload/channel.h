/**
 * This process's channel to limpet: one connection to its registration socket, over which it says that it takes
 * connections, is given them, and reports. The frames are wire/frame.h's.
 *
 * No call waits but where it says so. The caller sees to it that one thread at a time is in here (listening.h's lock).
 */
#ifndef LP_PRELOAD_CHANNEL_H
#define LP_PRELOAD_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "preload/learnt_sessions.h"

struct lp_preload_channel {
	int fd;           /**< -1 while there is none. */
	uint64_t arrived; /**< The number of the last connection. */
	bool ack_due;     /**< It did not fit into the socket. */
	bool drained;     /**< limpet sends no more. */
	int each;         /**< enum lp_frame_each, as limpet last said. */
	uint32_t listens; /**< A bit for each of limpet's addresses at which this process takes connections. */
	struct lp_learnt_sessions known;
};

/**
 * Connect, which registers this process, and say what sessions live here, and where it listens.
 *
 * @param channel  Without a descriptor.
 * @param path     Of the registration socket.
 *
 * @return 0 with channel->fd set, or negative errno: limpet is not there (yet).
 */
int lp_preload_channel_open(struct lp_preload_channel *channel, const char *path);

/** Close; what limpet sent and was not taken goes elsewhere. @param channel With a descriptor or without. */
void lp_preload_channel_close(struct lp_preload_channel *channel);

/**
 * Take the next connection. Say with lp_preload_channel_answer, before anything else, whether it is kept.
 *
 * @param channel  With a descriptor.
 * @param flags    SOCK_CLOEXEC and SOCK_NONBLOCK, as accept4(2) takes them.
 *
 * @return Its descriptor, the caller's; or negative errno: -EAGAIN none now, also when one got lost on the way for want
 *         of a free descriptor (limpet gives it to another), -EPIPE limpet is gone.
 */
int lp_preload_channel_take(struct lp_preload_channel *channel, int flags);

/** Answer for the connection that was taken. @param channel Its. @param kept false: limpet gives it to another. */
void lp_preload_channel_answer(struct lp_preload_channel *channel, bool kept);

/**
 * Say at which of limpet's addresses this process takes connections: those that arrive elsewhere are other processes'.
 *
 * @param channel  With a descriptor or without: then it is said when there is one.
 * @param listens  A bit for each.
 */
void lp_preload_channel_listen(struct lp_preload_channel *channel, uint32_t listens);

/**
 * Report a session, unless it is known already. Waits up to 50 ms for room, so that limpet hears of it before the
 * client can.
 *
 * @param channel  With a descriptor or without: then it is said when there is one.
 * @param key      1 – 1024 bytes without blanks and control characters.
 */
void lp_preload_channel_session(struct lp_preload_channel *channel, struct lp_slice key);

/**
 * Give a connection back. Waits up to 50 ms for room.
 *
 * @param channel  With a descriptor or without.
 * @param fd       Borrowed.
 *
 * @return 0: limpet has a descriptor of it now; or negative errno with nothing sent.
 */
int lp_preload_channel_bounce(struct lp_preload_channel *channel, int fd);

#endif
