/**
 * The native dialect's frames: a line of text, one a SOCK_SEQPACKET message, and in some a newline and any bytes after
 * it. include/limpet/worker.h documents the protocol for the authors of workers; this is the code that both ends share.
 * Nothing but the C library is used here.
 *
 *     to a worker     "connection NUMBER" with one descriptor    "drain"
 *     from a worker   "ready"    "ack NUMBER [OPEN]"    "nack NUMBER"    "session KEY"    "forget KEY"
 *                     "bounce" with a descriptor: a connection, between two requests
 *
 * The workers' broker (broker.h), in the native dialect only:
 *
 *     to a worker     "value NUMBER[\nVALUE]"    "refused NUMBER\nWHY"    "publish TOPIC\nVALUE"    "push QUEUE\nVALUE"
 *     from a worker   the same "publish" and "push"    "subscribe TOPIC"    "unsubscribe TOPIC"    "pull QUEUE"    "stop QUEUE"
 *                     "get NUMBER COLLECTION KEY"    so "acquire" and "release"
 *                     "set NUMBER COLLECTION KEY[\nVALUE]"    so "set-release"
 *                     "expire NUMBER COLLECTION SECONDS"
 *
 * In the preload dialect only:
 *
 *     to a worker     "each NUMBER": which later requests of a connection to give back (enum lp_frame_each)
 *     from a worker   "listen NUMBER": it listens at that one of limpet's addresses, counted from 0    "unlisten NUMBER"
 *     from a worker   "sigterm NUMBER": whether the program handles SIGTERM (1) or a drain has to come first (0);
 *                     said with "ready", and again when it is told to drain
 *     from a worker   "parents-channel": it is Node's, and has a channel from its parent, not from limpet
 *
 * A word that one side does not know is passed over, so that limpet and its workers can be of different versions.
 */
#ifndef LP_WIRE_FRAME_H
#define LP_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/** The longest frame, either way. */
#define LP_FRAME_MAX 65535

/** Bytes of the longest value. */
#define LP_FRAME_VALUE_MAX 61440

/** The longest frame without its value: a word, a number and two keys. */
#define LP_FRAME_HEAD_MAX 2176

/** The longest frame without a value and keys. */
#define LP_FRAME_SHORT_MAX 64

/** Bytes of the longest key or name. */
#define LP_FRAME_KEY_MAX 1024

_Static_assert(LP_FRAME_HEAD_MAX + LP_FRAME_VALUE_MAX <= LP_FRAME_MAX, "a value fits after every head");

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
	LP_FRAME_LISTEN,     /**< number: of limpet's addresses, from 0; the worker listens there. */
	LP_FRAME_UNLISTEN,   /**< It does so no longer. */
	LP_FRAME_SIGTERM,    /**< number: 1 if the worker's program handles SIGTERM, else 0. */
	LP_FRAME_PARENTS,    /**< It is Node's, and has a channel of Node's from its parent, not from limpet. */

	LP_FRAME_GET,     /**< Of the store: number is the request's, 0 when no reply is wanted; name the collection. */
	LP_FRAME_SET,     /**< Without a value: delete. */
	LP_FRAME_ACQUIRE, /**< The key is locked when the reply comes. */
	LP_FRAME_RELEASE, /**< */
	LP_FRAME_SET_RELEASE, /**< Without a value: delete. */
	LP_FRAME_EXPIRE,      /**< seconds: how long keys of the collection live unused; 0: for ever. */
	LP_FRAME_SUBSCRIBE,   /**< key: a topic. */
	LP_FRAME_UNSUBSCRIBE,
	LP_FRAME_PUBLISH, /**< Either way. */
	LP_FRAME_PULL,    /**< key: a queue. */
	LP_FRAME_STOP,    /**< Pull no more. */
	LP_FRAME_PUSH,    /**< Either way. */
	LP_FRAME_VALUE,   /**< The reply to a request: done; with the value, if one was asked for and is there. */
	LP_FRAME_REFUSED, /**< The other reply: not done; value says why. */
};

/** Which requests after the first of a connection are decided by themselves. */
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
	uint32_t seconds;
	struct lp_slice name;  /**< A collection. 1 – LP_FRAME_KEY_MAX bytes, no blank or control character. */
	struct lp_slice key;   /**< A session's, or in the collection; or a topic's or queue's name. The same bounds. */
	struct lp_slice value; /**< Up to LP_FRAME_VALUE_MAX bytes, any. */
};

/**
 * Read a frame. Every frame has one spelling: what was read here, lp_frame_write gives back byte for byte.
 *
 * @param frame   Filled on success only. Its slices point into bytes.
 * @param bytes   One whole message.
 * @param length  Its length.
 *
 * @return 0; -EOPNOTSUPP: a word (small letters and hyphens) that is not known here: pass it over; or -EINVAL: no word, or
 *         a known one with too much or too little after it, or an invalid number.
 */
int lp_frame_parse(struct lp_frame *frame, const char *bytes, size_t length);

/**
 * Write a frame without its value: the value is to be sent after what is written here.
 *
 * @param frame  Borrowed; within the ranges above.
 * @param out    Room for it: LP_FRAME_HEAD_MAX bytes, or LP_FRAME_SHORT_MAX for one without a key. No NUL is added.
 *
 * @return The length of what was written; 0 when a key, a name or the value does not fit the ranges, or its kind needs
 *         a value and has none.
 */
size_t lp_frame_write(const struct lp_frame *frame, char *out);

#endif
