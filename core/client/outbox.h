/**
 * Frames that wait to be sent, in order.
 */
#ifndef LP_CLIENT_OUTBOX_H
#define LP_CLIENT_OUTBOX_H

#include <stddef.h>

#include "base/slice.h"
#include "wire/frame.h"

/** Bytes of frames that may wait. */
#define LP_OUTBOX_MAX (1u << 20)

/** The owner's memory. */
struct lp_outbox {
	char *bytes; /**< Frames, each after its length. */
	size_t length;
	size_t capacity;
};

/** Make an empty one, with room. @param outbox Filled; end it with lp_outbox_deinit. @param room Bytes, 1 or more.
 * @return 0, or -ENOMEM. */
int lp_outbox_init(struct lp_outbox *outbox, size_t room);

/** Free it. @param outbox Made, or all zero. */
void lp_outbox_deinit(struct lp_outbox *outbox);

/**
 * Put a frame after those that wait.
 *
 * @param outbox  Made.
 * @param frame   Copied.
 *
 * @return 0, or negative with nothing changed: -EINVAL (not within frame.h's ranges), -ENOBUFS or -ENOMEM.
 */
int lp_outbox_put(struct lp_outbox *outbox, const struct lp_frame *frame);

/** A frame that waits: the first with at 0, the next with what the last one left in at. @param outbox Made.
 * @param at Changed. @return It, valid until the outbox changes; absent after the last. */
struct lp_slice lp_outbox_next(const struct lp_outbox *outbox, size_t *at);

/** Frames have been sent. @param outbox Made. @param end Where the last of them ends, as lp_outbox_next said it. */
void lp_outbox_consume(struct lp_outbox *outbox, size_t end);

#endif
