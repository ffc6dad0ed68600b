/**
 * What of a channel outlives the balancer: how far it has counted, what has come and is not dealt with, the dialect's state.
 *
 *     who                              owns
 *     lasting memory (keeper/lasting.h) struct lp_channel_lasting, one for each channel that the keeper holds
 *     the channel                       all else: what waits to be written is lost with its balancer
 *
 * In and out, nothing is cut in two. What is read goes into lasting memory, and the kernel itself writes there how much came, in
 * the system call that takes it (recvmmsg). What is written ends where a message does, and is short enough for the kernel
 * to take all or nothing. A message may be dealt with twice, if its balancer died while it did.
 *
 * Two things do not last, and end the channel, and so the worker, of a balancer that dies at that moment: a message of more than
 * LP_CHANNEL_WHOLE_MAX bytes to a worker that is half sent, and the beginning of an advanced Node worker's message that is longer
 * than LP_CHANNEL_LASTING_IN. Of other Node workers such a message is lost.
 */
#ifndef LP_WORKER_CHANNEL_LASTING_H
#define LP_WORKER_CHANNEL_LASTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/slice.h"
#include "wire/scm_rights.h"
#include "worker/channel.h"

/** Bytes that may wait for the rest of their message. */
#define LP_CHANNEL_LASTING_IN ((size_t)2 * LP_CHANNEL_READ_SIZE)

/** Bytes of a stream that the kernel takes whole or not at all. */
#define LP_CHANNEL_WHOLE_MAX ((size_t)32 << 10)

/** Bytes of a dialect's state, at most. */
#define LP_CHANNEL_STATE_MAX 8192

/** In lasting memory; zeroed, or as an earlier balancer has left it. */
struct lp_channel_lasting {
	uint64_t sent;  /**< As the channel's, or one more: it is written before a connection is sent. */
	uint64_t place; /**< Where what came, and is not dealt with, begins in `in`, and, 32 bits up, where it ends. */
	unsigned came;  /**< Bytes behind its end that the kernel has put there. */
	bool ready;     /**< As the channel's; the same for the next. */
	bool drained;
	bool spilled;   /**< A message is too long for `in`, and its beginning elsewhere. */
	bool half_sent; /**< So is one to the worker. */
	struct mmsghdr journal;
	char in[LP_CHANNEL_LASTING_IN];
	_Alignas(max_align_t) char state[LP_CHANNEL_STATE_MAX]; /**< The dialect's. */
};

/**
 * Let a channel outlive the balancer.
 *
 * @param channel  Open, of the balancer, just made.
 * @param lasting  Borrowed until it is closed; zeroed then. Zeroed for a new channel; else what an earlier balancer has left
 *                 there is the channel's state, and what had come is dealt with at the loop's next turn.
 *
 * @return 0; or -EPIPE: it cannot go on; close it.
 */
int lp_channel_outlive(struct lp_channel *channel, struct lp_channel_lasting *lasting);

/** Forget it all: the channel closes. @param channel Open. */
void lp_channel_lasting_end(struct lp_channel *channel);

/* Between the channel's files. */

/** Receive into lasting memory. @param channel One that outlives. @param fds As lp_scm_rights_receive_all. @param count So, too.
 * @return So, too. */
ssize_t lp_channel_lasting_receive(struct lp_channel *channel, int fds[LP_SCM_RIGHTS_MAX], size_t *count);

/** How many bytes have come, for an earlier balancer, that are not dealt with. @param channel One that outlives. */
size_t lp_channel_lasting_left(const struct lp_channel *channel);

/** Takes bytes of a stream that have no room in lasting memory. Returns 0 or more, or negative errno. */
typedef long (*lp_channel_take_cb)(struct lp_channel *channel, const char *bytes, size_t length);

/** Deal with what was received there. @param channel One that outlives. @param got As it was received. @param take For bytes that
 * have no room. @return 0 or more, or negative errno. */
long lp_channel_lasting_take(struct lp_channel *channel, size_t got, lp_channel_take_cb take);

/** How much is to be written at once of bytes that wait. @param channel One that outlives, of SOCK_STREAM. @param waiting 1 byte
 * or more. @return Its beginning. */
struct lp_slice lp_channel_lasting_next(struct lp_channel *channel, struct lp_slice waiting);

/** They were written, or a part of them. @param channel One that outlives, of SOCK_STREAM. @param sent How many. */
void lp_channel_lasting_sent(struct lp_channel *channel, size_t sent);

#endif
