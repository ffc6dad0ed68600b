/**
 * From V8's values to JSON: what limpet itself understands is JSON, whatever the workers speak.
 */
#ifndef LP_BROKER_V8JSON_H
#define LP_BROKER_V8JSON_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/slice.h"

/**
 * Write a value as JSON.stringify would, except that Buffers, dates and whatever else JSON has no form for become null.
 *
 * @param value  One value, without V8's version before it.
 * @param out    The text is added to it.
 * @param lossy  Set to true when something became null in that way; else left.
 *
 * @return 0; or -EINVAL, -ENOTSUP (lp_v8_next), -ENOMEM, with part of it added.
 */
int lp_v8_to_json(struct lp_slice value, struct lp_buffer *out, bool *lossy);

#endif
