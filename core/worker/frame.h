/**
 * The native dialect's frames: short lines of text, one a SOCK_SEQPACKET message. include/limpet/worker.h documents the
 * protocol for the authors of workers; this is the code that both ends share. Nothing but the C library is used here.
 *
 *     to a worker     "connection NUMBER" with one descriptor    "drain"
 *     from a worker   "ready"    "ack NUMBER [OPEN]"    "nack NUMBER"    "session KEY"    "forget KEY"
 *
 * The preload dialect speaks them too, and these besides:
 *
 *     to a worker     "each NUMBER": which later requests of a connection to give back (enum lp_frame_each)
 *     from a worker   "bounce" with a descriptor: a connection, between two requests
 */
#ifndef LP_WORKER_FRAME_H
#define LP_WORKER_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/** The longest frame, either way: a word, a blank and the longest session key. */
#define LP_FRAME_MAX 1280

/** The longest frame without a key. */
#define LP_FRAME_SHORT_MAX 64

/** Bytes of the longest session key. */
#define LP_FRAME_KEY_MAX 1024

enum lp_frame_kind {
	LP_FRAME_CONNECTION, /**< number: counts the channel's connections from 1. A descriptor comes with it. */
	LP_FRAME_DRAIN,      /**< Take no more, finish what is open, end. */
	LP_FRAME_READY,      /**< The worker takes connections from now on. */
	LP_FRAME_ACK,        /**< All connections up to number have arrived; open: how many are open now, or -1.
			      * 0 is a number here: none has arrived yet. */
	LP_FRAME_NACK,       /**< Connection number came without its descriptor. */
	LP_FRAME_SESSION,    /**< key belongs to this worker. */
	LP_FRAME_FORGET,     /**< key belongs to it no longer. */
	LP_FRAME_EACH,       /**< number: enum lp_frame_each. */
	LP_FRAME_BOUNCE,     /**< A descriptor comes with it: decide anew which worker this connection goes to. */
};

/** Which requests behind the first of a connection are decided by themselves. */
enum lp_frame_each {
	LP_EACH_NONE,    /**< None: the connection stays where it is. */
	LP_EACH_SESSION, /**< Those of a session that the worker does not know as its own. */
	LP_EACH_REQUEST, /**< Those, and all that name no session. */
};

/** A frame. What its kind does not carry is 0, -1 or absent. */
struct lp_frame {
	enum lp_frame_kind kind;
	uint64_t number;
	int64_t open;
	struct lp_slice key; /**< 1 – LP_FRAME_KEY_MAX bytes, no blank or control character. */
};

/**
 * Read a frame. Every frame has one spelling: what was read here, lp_frame_write gives back byte for byte.
 *
 * @param frame   Filled on success only. Its key points into bytes.
 * @param bytes   One whole message.
 * @param length  Its length.
 *
 * @return 0, or -EINVAL: an unknown word, a number that is none, too much or too little behind it.
 */
int lp_frame_parse(struct lp_frame *frame, const char *bytes, size_t length);

/**
 * Write a frame.
 *
 * @param frame  Borrowed; within the ranges above.
 * @param out    Room for it: LP_FRAME_MAX bytes, or LP_FRAME_SHORT_MAX for one without a key. No NUL is added.
 *
 * @return Its length; 0 for a key that does not fit the ranges.
 */
size_t lp_frame_write(const struct lp_frame *frame, char *out);

#endif
