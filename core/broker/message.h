/**
 * A message: one message of a Node worker, looked at once. It is kept as it came; limpet looks at some of its
 * members, as JSON. Of a line of JSON those are as they are written (base/json.h); of a frame of V8's (v8value.h) they are
 * written anew, except for what nobody looks into: the values that limpet keeps for workers, "json" and "msg", stay V8's.
 */
#ifndef LP_BROKER_MESSAGE_H
#define LP_BROKER_MESSAGE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/json.h"
#include "base/slice.h"

/** The members that somebody goes by. */
enum lp_message_field {
	LP_MESSAGE_CMD,           /**< "cmd": Node's own messages. */
	LP_MESSAGE_TYPE,          /**< "type": what it is, in every package's own way. */
	LP_MESSAGE_DATA,          /**< "data": a session, or what the adapter says. */
	LP_MESSAGE_SOURCE,        /**< "source": "_sio_adapter" of @socket.io/cluster-adapter. */
	LP_MESSAGE_ENGINE_SOURCE, /**< "_source": "_eio" of @socket.io/cluster-engine. */
	LP_MESSAGE_UID,           /**< "uid": the adapter that speaks, from 0.3 on. */
	LP_MESSAGE_REQUESTER,     /**< "requesterUid": the one that is answered. */
	LP_MESSAGE_NSP,           /**< "nsp": its namespace. */
	LP_MESSAGE_SENDER,        /**< "senderId": the engine that speaks. */
	LP_MESSAGE_RECIPIENT,     /**< "recipientId": the one that is spoken to. */
	LP_MESSAGE_NAME,          /**< "name": of a strong-mq queue. */
	LP_MESSAGE_TOPIC,         /**< "topic". */
	LP_MESSAGE_MSG,           /**< "msg": kept as it is. */
	LP_MESSAGE_METHOD,        /**< "method": of strong-store-cluster, as the next five. */
	LP_MESSAGE_COLLECTION,    /**< "collection". */
	LP_MESSAGE_KEY,           /**< "key". */
	LP_MESSAGE_JSON,          /**< "json": kept as it is. */
	LP_MESSAGE_CONFIG,        /**< "config". */
	LP_MESSAGE_REQUEST,       /**< "requestId". */
	LP_MESSAGE_FIELDS
};

struct lp_message {
	struct lp_slice bytes;                     /**< As it came, its newline or its frame included. */
	struct lp_slice fields[LP_MESSAGE_FIELDS]; /**< Values as they are written; absent when it has none. */
	/** A bit for each field that is not all of the value: JSON has no word for a Buffer, say, and null is in its place; or
	 * it is V8's and names an object of another part of the message. */
	uint32_t lossy;
};

/**
 * Look at a message.
 *
 * @param message  Filled; points into bytes. Without any field when the message is JSON, but no object.
 * @param bytes   One line, its newline included.
 *
 * @return 0, or -EINVAL: it is not JSON.
 */
int lp_message_read(struct lp_message *message, struct lp_slice bytes);

/**
 * Look at a message of V8's. An adapter's or engine's `data`, which nobody goes by and which is most of the message, is left
 * out; answers before 0.3 keep it. A member that is undefined does not exist, as in JSON.
 *
 * @param message  Filled. Without any field when the message is no object.
 * @param frame   One frame, its length included.
 * @param room    Emptied; the fields point into it.
 *
 * @return 0; -EINVAL: it is no value; -ENOTSUP: one with unknown parts; -ENOMEM.
 */
int lp_message_read_v8(struct lp_message *message, struct lp_slice frame, struct lp_buffer *room);

/**
 * All of a message of V8's as JSON.
 *
 * @param frame  As of lp_message_read_v8, which has answered 0.
 * @param room   Emptied; the text is put into it.
 *
 * @return The text; absent: there is no memory.
 */
struct lp_slice lp_message_json(struct lp_slice frame, struct lp_buffer *room);

#endif
