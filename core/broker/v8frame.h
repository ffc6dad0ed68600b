/**
 * Frames: messages as Node workers with `serialization: 'advanced'` send and read them. Each is a length, V8's version and a
 * value (v8value.h).
 */
#ifndef LP_BROKER_V8FRAME_H
#define LP_BROKER_V8FRAME_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/slice.h"

/** Bytes of a frame before its value. */
#define LP_V8_FRAME_HEAD 4

/** How long a frame is, its head included. @param head LP_V8_FRAME_HEAD bytes. @return What they say. */
size_t lp_v8_frame_length(const char *head);

/**
 * Write a message as a Node worker reads it: the length in four bytes, V8's version, and the value.
 *
 * @param json  One value, with blanks around it or none.
 * @param out   The frame is added to it.
 *
 * @return 0; or -EINVAL: it is not JSON, or too long; -ENOMEM; with part of it added.
 */
int lp_v8_frame(struct lp_slice json, struct lp_buffer *out);

/**
 * The same, with a member more that is V8's already.
 *
 * @param json   One object.
 * @param name   The member's: ASCII, shorter than 128 bytes.
 * @param value  As a message keeps it (LP_MESSAGE_MSG); absent or empty: no such member.
 * @param out    The frame is added to it.
 *
 * @return As lp_v8_frame.
 */
int lp_v8_frame_with(struct lp_slice json, struct lp_slice name, struct lp_slice value, struct lp_buffer *out);

#endif
