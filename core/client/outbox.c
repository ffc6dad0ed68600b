/*
 * One block that grows by doubling. What is sent leaves from the front, and the rest moves down: mostly nothing is left.
 */
#include "client/outbox.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(LP_FRAME_MAX <= UINT16_MAX, "a frame's length fits before it");

int lp_outbox_init(struct lp_outbox *outbox, size_t room)
{
	*outbox = (struct lp_outbox){.bytes = malloc(room), .capacity = room};
	return outbox->bytes ? 0 : -ENOMEM;
}

void lp_outbox_deinit(struct lp_outbox *outbox)
{
	free(outbox->bytes);
}

static int make_room(struct lp_outbox *outbox, size_t needed)
{
	if (needed > LP_OUTBOX_MAX)
		return -ENOBUFS;
	if (needed <= outbox->capacity)
		return 0;
	char *grown = realloc(outbox->bytes, needed * 2);
	if (!grown)
		return -ENOMEM;
	outbox->bytes = grown;
	outbox->capacity = needed * 2;
	return 0;
}

int lp_outbox_put(struct lp_outbox *outbox, const struct lp_frame *frame)
{
	char head[LP_FRAME_HEAD_MAX];
	size_t head_length = lp_frame_write(frame, head);
	uint16_t length = (uint16_t)(head_length + frame->value.length);
	size_t needed = outbox->length + sizeof(length) + length;
	int status = head_length ? make_room(outbox, needed) : -EINVAL;
	if (status)
		return status;
	char *at = outbox->bytes + outbox->length;
	memcpy(at, &length, sizeof(length));
	memcpy(at + sizeof(length), head, head_length);
	if (frame->value.length)
		memcpy(at + sizeof(length) + head_length, frame->value.bytes, frame->value.length);
	outbox->length = needed;
	return 0;
}

struct lp_slice lp_outbox_next(const struct lp_outbox *outbox, size_t *at)
{
	uint16_t length;
	if (*at == outbox->length)
		return (struct lp_slice){0};
	const char *frame = outbox->bytes + *at + sizeof(length);
	memcpy(&length, outbox->bytes + *at, sizeof(length));
	*at += sizeof(length) + length;
	return (struct lp_slice){frame, length};
}

void lp_outbox_consume(struct lp_outbox *outbox, size_t end)
{
	outbox->length -= end;
	if (end && outbox->length)
		memmove(outbox->bytes, outbox->bytes + end, outbox->length);
}
