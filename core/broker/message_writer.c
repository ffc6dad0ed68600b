/*
 * What goes from worker to worker never comes here. Node's messages are put together as JSON, and turned into V8's values
 * as a whole, where the value that was kept goes in as it is; a native worker's are frames.
 */
#include "broker/message_writer.h"

#include <stdint.h>
#include <string.h>

#include "broker/v8frame.h"
#include "wire/frame.h"

/* Room that is kept between messages. */
#define KEPT_BYTES (64u << 10)

struct lp_slice lp_message_writer_encode(const struct lp_message_writer *writer, struct lp_slice line,
					 struct lp_buffer *room)
{
	size_t start = room->length;
	if (writer->language != LP_LANGUAGE_V8)
		return line;
	if (lp_v8_frame(line, room))
		return (struct lp_slice){0};
	return (struct lp_slice){room->bytes + start, room->length - start};
}

static void append_bytes(struct lp_message_writer *writer, struct lp_slice bytes)
{
	if (!writer->cut && lp_buffer_append(&writer->text, bytes.bytes, bytes.length) == 0)
		return;
	if (!writer->cut)
		lp_log_limited(writer->log, LP_LOG_ERROR, LP_LOG_TOPIC_WORKER, NULL,
			       "no memory for a message of %zu bytes to a worker; it was dropped",
			       writer->text.length + bytes.length);
	writer->cut = true;
}

/* A member, when there is a value; `before` has its name and what goes before it. */
static void append_member(struct lp_message_writer *writer, struct lp_slice before, struct lp_slice value)
{
	if (!value.bytes)
		return;
	append_bytes(writer, before);
	append_bytes(writer, value);
}

/* The end of a message: a value that was kept, in the workers' language, or none. */
static struct lp_slice finish_message(struct lp_message_writer *writer, struct lp_slice name, struct lp_slice value)
{
	bool in_v8 = writer->language == LP_LANGUAGE_V8;
	if (value.length && !in_v8) {
		append_bytes(writer, LP_SLICE(",\""));
		append_bytes(writer, name);
		append_bytes(writer, LP_SLICE("\":"));
		append_bytes(writer, value);
	}
	append_bytes(writer, LP_SLICE("}\n"));
	struct lp_slice message = {writer->text.bytes, writer->text.length};
	if (writer->cut)
		return (struct lp_slice){0};
	if (!in_v8)
		return message;
	if (lp_v8_frame_with(message, name, value, &writer->framed) == 0)
		return (struct lp_slice){writer->framed.bytes, writer->framed.length};
	lp_log_limited(writer->log, LP_LOG_ERROR, LP_LOG_TOPIC_WORKER, NULL,
		       "a message of %zu bytes between workers cannot be translated; it was dropped",
		       message.length + value.length);
	return (struct lp_slice){0};
}

static struct lp_slice write_frame(struct lp_message_writer *writer, const struct lp_frame *frame)
{
	char head[LP_FRAME_HEAD_MAX];
	size_t length = lp_frame_write(frame, head);
	append_bytes(writer, (struct lp_slice){head, length});
	append_bytes(writer, frame->value);
	return length && !writer->cut ? (struct lp_slice){writer->text.bytes, writer->text.length}
				      : (struct lp_slice){0};
}

static uint64_t read_number(struct lp_slice digits)
{
	uint64_t number = 0;
	for (size_t i = 0; i < digits.length; i++)
		number = number * 10 + (uint64_t)(digits.bytes[i] - '0');
	return number;
}

struct lp_slice lp_message_writer_reply(struct lp_message_writer *writer, struct lp_slice id, struct lp_slice value,
					const char *error)
{
	struct lp_slice why = {error, error ? strlen(error) : 0};
	if (writer->language == LP_LANGUAGE_FRAMES)
		return write_frame(writer, &(struct lp_frame){.kind = error ? LP_FRAME_REFUSED : LP_FRAME_VALUE,
							      .number = read_number(id),
							      .value = error ? why : value});
	append_bytes(writer, LP_SLICE("{\"type\":\"DSM_REPLY\""));
	append_member(writer, LP_SLICE(",\"requestId\":"), id);
	if (error) {
		append_member(writer, LP_SLICE(",\"err\":\""), why);
		append_bytes(writer, LP_SLICE("\""));
	}
	return finish_message(writer, LP_SLICE("json"), value);
}

struct lp_slice lp_message_writer_publication(struct lp_message_writer *writer, struct lp_slice name,
					      struct lp_slice topic, struct lp_slice value)
{
	if (writer->language == LP_LANGUAGE_FRAMES)
		return write_frame(writer, &(struct lp_frame){.kind = LP_FRAME_PUBLISH, .key = topic, .value = value});
	append_bytes(writer, LP_SLICE("{\"type\":\"publish\""));
	append_member(writer, LP_SLICE(",\"name\":"), name);
	append_member(writer, LP_SLICE(",\"topic\":\""), topic);
	append_bytes(writer, LP_SLICE("\""));
	return finish_message(writer, LP_SLICE("msg"), value);
}

struct lp_slice lp_message_writer_push(struct lp_message_writer *writer, struct lp_slice queue, struct lp_slice value)
{
	if (writer->language == LP_LANGUAGE_FRAMES)
		return write_frame(writer, &(struct lp_frame){.kind = LP_FRAME_PUSH, .key = queue, .value = value});
	append_bytes(writer, LP_SLICE("{\"type\":\"push\""));
	append_member(writer, LP_SLICE(",\"name\":"), queue);
	return finish_message(writer, LP_SLICE("msg"), value);
}

bool lp_message_writer_send(const struct lp_message_writer *writer, unsigned worker, struct lp_slice message)
{
	return message.bytes && writer->send(writer->owner, worker, message);
}

static void clear_room(struct lp_buffer *room)
{
	if (room->capacity > KEPT_BYTES)
		lp_buffer_clear(room);
	room->length = 0;
}

void lp_message_writer_clear(struct lp_message_writer *writer)
{
	clear_room(&writer->text);
	clear_room(&writer->framed);
	writer->cut = false;
}

void lp_message_writer_deinit(struct lp_message_writer *writer)
{
	lp_buffer_clear(&writer->text);
	lp_buffer_clear(&writer->framed);
}
