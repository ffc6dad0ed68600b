/*
 * Taking from the front moves the rest down: what waits is mostly nothing or one short message, and the alternative, a
 * ring, would cost every reader its contiguous view.
 */
#include "base/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST 512

static int resize_buffer(struct lp_buffer *buffer, size_t capacity)
{
	char *resized = realloc(buffer->bytes, capacity);
	if (!resized)
		return -ENOMEM;
	buffer->bytes = resized;
	buffer->capacity = capacity;
	return 0;
}

int lp_buffer_reserve(struct lp_buffer *buffer, size_t length)
{
	if (length > buffer->capacity && resize_buffer(buffer, length))
		return -ENOMEM;
	buffer->reserved = length;
	return 0;
}

int lp_buffer_append(struct lp_buffer *buffer, const char *bytes, size_t length)
{
	if (length > buffer->capacity - buffer->length) {
		size_t capacity = buffer->capacity ? buffer->capacity : SMALLEST;
		while (capacity - buffer->length < length)
			capacity *= 2;
		if (resize_buffer(buffer, capacity))
			return -ENOMEM;
	}
	if (length)
		memcpy(buffer->bytes + buffer->length, bytes, length);
	buffer->length += length;
	return 0;
}

void lp_buffer_consume(struct lp_buffer *buffer, size_t length)
{
	buffer->length -= length;
	if (buffer->length)
		memmove(buffer->bytes, buffer->bytes + length, buffer->length);
	else if (!buffer->reserved)
		lp_buffer_clear(buffer);
	else if (buffer->capacity > buffer->reserved)
		(void)resize_buffer(buffer, buffer->reserved); /* It stays as it is, if need be. */
}

void lp_buffer_clear(struct lp_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct lp_buffer){0};
}
