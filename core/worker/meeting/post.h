/**
 * The post: how letters reach workers, and how limpet's own are written so that they can be read.
 */
#ifndef LP_WORKER_POST_H
#define LP_WORKER_POST_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/slice.h"
#include "worker/dialect.h"

struct lp_post {
	unsigned workers; /**< Their ids are 1 to this. */
	enum lp_language language;
	struct lp_log *log;
	/** Send bytes to a worker: false when it is not there, or has no room. */
	bool (*send)(void *owner, unsigned worker, struct lp_slice bytes);
	void *owner;
	struct lp_buffer text;   /**< The letter being written; the post's own. */
	struct lp_buffer framed; /**< The same, for workers that read V8's values; the post's own. */
	bool cut;                /**< A part of the letter found no memory; the post's own. */
};

/**
 * A letter of limpet's own as Node workers read it.
 *
 * @param post  Borrowed.
 * @param line  One line of JSON, its newline included.
 * @param room  The letter may be written there, behind what is in it.
 *
 * @return The letter, valid as long as both line and room; absent: there is no memory, or it is not JSON.
 */
struct lp_slice lp_post_letter(const struct lp_post *post, struct lp_slice line, struct lp_buffer *room);

/* The rest writes a letter of the meeting place. Names and values are as that language's workers write them: JSON, or plain
 * bytes in frames; to V8's workers names are JSON, and values as letters keep them (letter.h). Absent ones are left out. Each
 * returns the letter, valid until lp_post_clear, or absent: it cannot be
 * written, which is logged. */

/** The store's reply. @param post Borrowed. @param id Whose. @param value Or absent. @param error NULL, or why not. @return The letter. */
struct lp_slice lp_post_reply(struct lp_post *post, struct lp_slice id, struct lp_slice value, const char *error);

/** What was published. @param post Borrowed. @param name In frames absent. @param topic Without quotes. @param value Any. @return The letter. */
struct lp_slice lp_post_publication(struct lp_post *post, struct lp_slice name, struct lp_slice topic,
				    struct lp_slice value);

/** What was pushed. @param post Borrowed. @param queue Its name. @param value Any. @return The letter. */
struct lp_slice lp_post_push(struct lp_post *post, struct lp_slice queue, struct lp_slice value);

/** Send a letter. @param post Borrowed. @param worker Its id. @param letter Absent is fine. @return Whether it will arrive. */
bool lp_post_send(const struct lp_post *post, unsigned worker, struct lp_slice letter);

/** Forget the letter that was written, and what room is too much to keep. @param post Borrowed. */
void lp_post_clear(struct lp_post *post);

/** Free the room. @param post Borrowed. */
void lp_post_deinit(struct lp_post *post);

#endif
