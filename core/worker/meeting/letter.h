/**
 * A letter: one message of a Node worker, looked at once. It is kept as it came; what limpet goes by are some of its
 * members, as JSON. Of a line of JSON those are as they are written (base/json.h); of a frame of V8's (v8value.h) they are
 * written anew, except for what nobody looks into: the values that limpet keeps for workers, "json" and "msg", stay V8's.
 */
#ifndef LP_WORKER_LETTER_H
#define LP_WORKER_LETTER_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/json.h"
#include "base/slice.h"

/** The members that somebody goes by. */
enum lp_letter_field {
	LP_LETTER_CMD,           /**< "cmd": Node's own messages. */
	LP_LETTER_TYPE,          /**< "type": what it is, in every package's own way. */
	LP_LETTER_DATA,          /**< "data": a session, or what the adapter says. */
	LP_LETTER_SOURCE,        /**< "source": "_sio_adapter" of @socket.io/cluster-adapter. */
	LP_LETTER_ENGINE_SOURCE, /**< "_source": "_eio" of @socket.io/cluster-engine. */
	LP_LETTER_UID,           /**< "uid": the adapter that speaks, from 0.3 on. */
	LP_LETTER_REQUESTER,     /**< "requesterUid": the one that is answered. */
	LP_LETTER_NSP,           /**< "nsp": its namespace. */
	LP_LETTER_SENDER,        /**< "senderId": the engine that speaks. */
	LP_LETTER_RECIPIENT,     /**< "recipientId": the one that is spoken to. */
	LP_LETTER_NAME,          /**< "name": of a strong-mq queue. */
	LP_LETTER_TOPIC,         /**< "topic". */
	LP_LETTER_MSG,           /**< "msg": kept as it is. */
	LP_LETTER_METHOD,        /**< "method": of strong-store-cluster; so the next five. */
	LP_LETTER_COLLECTION,    /**< "collection". */
	LP_LETTER_KEY,           /**< "key". */
	LP_LETTER_JSON,          /**< "json": kept as it is. */
	LP_LETTER_CONFIG,        /**< "config". */
	LP_LETTER_REQUEST,       /**< "requestId". */
	LP_LETTER_FIELDS
};

struct lp_letter {
	struct lp_slice bytes;                    /**< As it came, its newline or its frame included. */
	struct lp_slice fields[LP_LETTER_FIELDS]; /**< Values as they are written; absent when it has none. */
	/** A bit for each field that is not all of the value: JSON has no word for a Buffer, say, and null is in its place; or
	 * it is V8's and names an object of another part of the message. */
	uint32_t lossy;
};

/**
 * Look at a message.
 *
 * @param letter  Filled; points into bytes. Without any field when the message is JSON, but no object.
 * @param bytes   One line, its newline included.
 *
 * @return 0, or -EINVAL: it is not JSON.
 */
int lp_letter_read(struct lp_letter *letter, struct lp_slice bytes);

/**
 * Look at a message of V8's. An adapter's or engine's `data`, which nobody goes by and which is most of the message, is left
 * out; answers before 0.3 keep it. A member that is undefined is none, as in JSON.
 *
 * @param letter  Filled. Without any field when the message is no object.
 * @param frame   One frame, its length included.
 * @param room    Emptied; the fields point into it.
 *
 * @return 0; -EINVAL: it is no value; -ENOTSUP: one with unknown parts; -ENOMEM.
 */
int lp_letter_read_v8(struct lp_letter *letter, struct lp_slice frame, struct lp_buffer *room);

/**
 * All of a message of V8's as JSON.
 *
 * @param frame  As of lp_letter_read_v8, which has answered 0.
 * @param room   Emptied; the text is put into it.
 *
 * @return The text; absent: there is no memory.
 */
struct lp_slice lp_letter_json(struct lp_slice frame, struct lp_buffer *room);

#endif
