/**
 * For the two that write between JSON and V8's values: bytes are added one after another, and whether all could be is asked at
 * the end.
 */
#ifndef LP_BROKER_V8WRITER_H
#define LP_BROKER_V8WRITER_H

#include "base/buffer.h"

/** What is being written, and the first failure to. */
struct lp_v8_writer {
	struct lp_buffer *out;
	int status; /**< 0, or negative errno: nothing is added any more. */
};

/** Add bytes. @param writer Borrowed. @param bytes Copied. @param length How many. */
static inline void lp_v8_put(struct lp_v8_writer *writer, const void *bytes, size_t length)
{
	if (!writer->status)
		writer->status = lp_buffer_append(writer->out, bytes, length);
}

/** Add a byte. @param writer Borrowed. @param byte 0 – 255. */
static inline void lp_v8_put_byte(struct lp_v8_writer *writer, int byte)
{
	char character = (char)byte;
	lp_v8_put(writer, &character, 1);
}

#endif
