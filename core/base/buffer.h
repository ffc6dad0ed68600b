/**
 * Bytes that wait: appended at the end, taken from the front. One allocation that grows by doubling and is given back
 * when the buffer empties, except for what is reserved.
 */
#ifndef LP_BASE_BUFFER_H
#define LP_BASE_BUFFER_H

#include <stddef.h>

/** The owner's memory; all zero is an empty buffer. */
struct lp_buffer {
	char *bytes;
	size_t length;
	size_t capacity;
	size_t reserved;
};

/**
 * Reserve room for this number of bytes in all, until lp_buffer_clear: appending up to it does not fail.
 *
 * @param buffer  Borrowed.
 * @param length  How many.
 *
 * @return 0, or -ENOMEM with nothing changed.
 */
int lp_buffer_reserve(struct lp_buffer *buffer, size_t length);

/**
 * Add bytes at the end.
 *
 * @param buffer  Borrowed.
 * @param bytes   Copied.
 * @param length  How many.
 *
 * @return 0, or -ENOMEM with nothing changed.
 */
int lp_buffer_append(struct lp_buffer *buffer, const char *bytes, size_t length);

/** Take bytes from the front. @param buffer Borrowed. @param length At most buffer->length. */
void lp_buffer_consume(struct lp_buffer *buffer, size_t length);

/** Forget all bytes and free the memory, reserved or not. @param buffer Usable again, empty. */
void lp_buffer_clear(struct lp_buffer *buffer);

#endif
