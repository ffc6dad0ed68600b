/*
 * What goes from worker to worker never comes here. Node's letters are put together as JSON, and turned into V8's values
 * as a whole, where the value that was kept goes in as it is; a native worker's are frames.
 */
#include "worker/meeting/post.h"

#include <stdint.h>
#include <string.h>

#include "worker/frame.h"
#include "worker/meeting/v8frame.h"

/* Room that is kept between letters. */
#define KEPT_BYTES (64u << 10)

struct lp_slice lp_post_letter(const struct lp_post *post, struct lp_slice line, struct lp_buffer *room)
{
	size_t start = room->length;
	if (post->language != LP_LANGUAGE_V8)
		return line;
	if (lp_v8_frame(line, room))
		return (struct lp_slice){0};
	return (struct lp_slice){room->bytes + start, room->length - start};
}

static void put(struct lp_post *post, struct lp_slice bytes)
{
	if (!post->cut && lp_buffer_append(&post->text, bytes.bytes, bytes.length) == 0)
		return;
	if (!post->cut)
		lp_log_limited(post->log, LP_LOG_ERROR, LP_LOG_TOPIC_WORKER, NULL,
			       "no memory for a message of %zu bytes to a worker; it was dropped",
			       post->text.length + bytes.length);
	post->cut = true;
}

/* A member, when there is a value; `before` has its name and what goes before it. */
static void put_member(struct lp_post *post, struct lp_slice before, struct lp_slice value)
{
	if (!value.bytes)
		return;
	put(post, before);
	put(post, value);
}

/* The end of a letter: a value that was kept, in the workers' language, or none. */
static struct lp_slice finish_letter(struct lp_post *post, struct lp_slice name, struct lp_slice value)
{
	bool in_v8 = post->language == LP_LANGUAGE_V8;
	if (value.length && !in_v8) {
		put(post, LP_SLICE(",\""));
		put(post, name);
		put(post, LP_SLICE("\":"));
		put(post, value);
	}
	put(post, LP_SLICE("}\n"));
	struct lp_slice letter = {post->text.bytes, post->text.length};
	if (post->cut)
		return (struct lp_slice){0};
	if (!in_v8)
		return letter;
	if (lp_v8_frame_with(letter, name, value, &post->framed) == 0)
		return (struct lp_slice){post->framed.bytes, post->framed.length};
	lp_log_limited(post->log, LP_LOG_ERROR, LP_LOG_TOPIC_WORKER, NULL,
		       "a message of %zu bytes between workers cannot be translated; it was dropped",
		       letter.length + value.length);
	return (struct lp_slice){0};
}

static struct lp_slice write_frame(struct lp_post *post, const struct lp_frame *frame)
{
	char head[LP_FRAME_HEAD_MAX];
	size_t length = lp_frame_write(frame, head);
	put(post, (struct lp_slice){head, length});
	put(post, frame->value);
	return length && !post->cut ? (struct lp_slice){post->text.bytes, post->text.length} : (struct lp_slice){0};
}

static uint64_t read_number(struct lp_slice digits)
{
	uint64_t number = 0;
	for (size_t i = 0; i < digits.length; i++)
		number = number * 10 + (uint64_t)(digits.bytes[i] - '0');
	return number;
}

struct lp_slice lp_post_reply(struct lp_post *post, struct lp_slice id, struct lp_slice value, const char *error)
{
	struct lp_slice why = {error, error ? strlen(error) : 0};
	if (post->language == LP_LANGUAGE_FRAMES)
		return write_frame(post, &(struct lp_frame){.kind = error ? LP_FRAME_REFUSED : LP_FRAME_VALUE,
							    .number = read_number(id),
							    .value = error ? why : value});
	put(post, LP_SLICE("{\"type\":\"DSM_REPLY\""));
	put_member(post, LP_SLICE(",\"requestId\":"), id);
	if (error) {
		put_member(post, LP_SLICE(",\"err\":\""), why);
		put(post, LP_SLICE("\""));
	}
	return finish_letter(post, LP_SLICE("json"), value);
}

struct lp_slice lp_post_publication(struct lp_post *post, struct lp_slice name, struct lp_slice topic,
				    struct lp_slice value)
{
	if (post->language == LP_LANGUAGE_FRAMES)
		return write_frame(post, &(struct lp_frame){.kind = LP_FRAME_PUBLISH, .key = topic, .value = value});
	put(post, LP_SLICE("{\"type\":\"publish\""));
	put_member(post, LP_SLICE(",\"name\":"), name);
	put_member(post, LP_SLICE(",\"topic\":\""), topic);
	put(post, LP_SLICE("\""));
	return finish_letter(post, LP_SLICE("msg"), value);
}

struct lp_slice lp_post_push(struct lp_post *post, struct lp_slice queue, struct lp_slice value)
{
	if (post->language == LP_LANGUAGE_FRAMES)
		return write_frame(post, &(struct lp_frame){.kind = LP_FRAME_PUSH, .key = queue, .value = value});
	put(post, LP_SLICE("{\"type\":\"push\""));
	put_member(post, LP_SLICE(",\"name\":"), queue);
	return finish_letter(post, LP_SLICE("msg"), value);
}

bool lp_post_send(const struct lp_post *post, unsigned worker, struct lp_slice letter)
{
	return letter.bytes && post->send(post->owner, worker, letter);
}

static void clear_room(struct lp_buffer *room)
{
	if (room->capacity > KEPT_BYTES)
		lp_buffer_clear(room);
	room->length = 0;
}

void lp_post_clear(struct lp_post *post)
{
	clear_room(&post->text);
	clear_room(&post->framed);
	post->cut = false;
}

void lp_post_deinit(struct lp_post *post)
{
	lp_buffer_clear(&post->text);
	lp_buffer_clear(&post->framed);
}
