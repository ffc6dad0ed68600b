/*
 * Letters are put together as JSON, and turned into V8's values as a whole. What goes from worker to worker never comes here.
 */
#include "worker/post.h"

#include "worker/v8frame.h"

struct lp_slice lp_post_letter(const struct lp_post *post, struct lp_slice line, struct lp_buffer *room)
{
	size_t start = room->length;
	if (!post->advanced)
		return line;
	if (lp_v8_frame(line, room))
		return (struct lp_slice){0};
	return (struct lp_slice){room->bytes + start, room->length - start};
}
