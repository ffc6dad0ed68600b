/**
 * The writer: how messages reach workers, and how limpet's own are written so that they can be read.
 */
#ifndef LP_BROKER_MESSAGE_WRITER_H
#define LP_BROKER_MESSAGE_WRITER_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/slice.h"
#include "wire/language.h"

struct lp_message_writer {
	unsigned workers; /**< Their ids are 1 to this. */
	enum lp_language language;
	struct lp_log *log;
	/** Send bytes to a worker: false when it is not there, or has no room. */
	bool (*send)(void *owner, unsigned worker, struct lp_slice bytes);
	void *owner;
	struct lp_buffer text;   /**< The message being written; the writer's own. */
	struct lp_buffer framed; /**< The same, for workers that read V8's values; the writer's own. */
	bool cut;                /**< A part of the message found no memory; the writer's own. */
};

/**
 * A message of limpet's own as Node workers read it.
 *
 * @param writer  Borrowed.
 * @param line  One line of JSON, its newline included.
 * @param room  The message may be written there, behind what is in it.
 *
 * @return The message, valid as long as both line and room; absent: there is no memory, or it is not JSON.
 */
struct lp_slice lp_message_writer_encode(const struct lp_message_writer *writer, struct lp_slice line,
					 struct lp_buffer *room);

/* The rest writes a message of the broker. Names and values are as that language's workers write them: JSON, or plain
 * bytes in frames; to V8's workers names are JSON, and values as messages keep them (message.h). Absent ones are left out. Each
 * returns the message, valid until lp_message_writer_clear, or absent: it cannot be
 * written, which is logged. */

/** The store's reply. @param writer Borrowed. @param id Whose. @param value Or absent. @param error NULL, or why not. @return The message. */
struct lp_slice lp_message_writer_reply(struct lp_message_writer *writer, struct lp_slice id, struct lp_slice value,
					const char *error);

/** What was published. @param writer Borrowed. @param name In frames absent. @param topic Without quotes. @param value Any. @return The message. */
struct lp_slice lp_message_writer_publication(struct lp_message_writer *writer, struct lp_slice name,
					      struct lp_slice topic, struct lp_slice value);

/** What was pushed. @param writer Borrowed. @param queue Its name. @param value Any. @return The message. */
struct lp_slice lp_message_writer_push(struct lp_message_writer *writer, struct lp_slice queue, struct lp_slice value);

/** Send a message. @param writer Borrowed. @param worker Its id. @param message Absent is fine. @return Whether it will arrive. */
bool lp_message_writer_send(const struct lp_message_writer *writer, unsigned worker, struct lp_slice message);

/** Forget the message that was written, and what room is too much to keep. @param writer Borrowed. */
void lp_message_writer_clear(struct lp_message_writer *writer);

/** Free the room. @param writer Borrowed. */
void lp_message_writer_deinit(struct lp_message_writer *writer);

#endif
