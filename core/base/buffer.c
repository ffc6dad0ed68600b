/*
 * Taking from the front moves the rest down: what waits is mostly nothing or one short message, and the alternative, a
 * ring, would cost every reader its contiguous view.
 */
#include "base/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST 512

int lp_buffer_append(struct lp_buffer *buffer, const char *bytes, size_t length)
{
	if (length > buffer->capacity - buffer->length) {
		size_t capacity = buffer->capacity ? buffer->capacity : SMALLEST;
		while (capacity - buffer->length < length)
			capacity *= 2;
		char *grown = realloc(buffer->bytes, capacity);
		if (!grown)
			return -ENOMEM;
		buffer->bytes = grown;
		buffer->capacity = capacity;
	}
	if (length)
		memcpy(buffer->bytes + buffer->length, bytes, length);
	buffer->length += length;
	return 0;
}

void lp_buffer_consume(struct lp_buffer *buffer, size_t length)
{
	if (length == buffer->length) {
		lp_buffer_clear(buffer);
		return;
	}
	memmove(buffer->bytes, buffer->bytes + length, buffer->length - length);
	buffer->length -= length;
}

void lp_buffer_clear(struct lp_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct lp_buffer){0};
}
