/**
 * The post: how letters reach workers, and how limpet's own are written so that they can be read.
 */
#ifndef LP_WORKER_POST_H
#define LP_WORKER_POST_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/slice.h"

struct lp_post {
	unsigned workers; /**< Their ids are 1 to this. */
	bool advanced;    /**< They read V8's values, not JSON. */
	/** Send bytes to a worker: false when it is not there, or has no room. */
	bool (*send)(void *owner, unsigned worker, struct lp_slice bytes);
	void *owner;
};

/**
 * A letter of limpet's own as the workers read it.
 *
 * @param post  Borrowed.
 * @param line  One line of JSON, its newline included.
 * @param room  The letter may be written there, behind what is in it.
 *
 * @return The letter, valid as long as both line and room; absent: there is no memory, or it is not JSON.
 */
struct lp_slice lp_post_letter(const struct lp_post *post, struct lp_slice line, struct lp_buffer *room);

#endif
