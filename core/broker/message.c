/*
 * Of the members that have a name of ours, the last of each counts, as it does for JSON.parse. A member is found by its
 * name's length first: few names share one.
 *
 * A value of V8's is passed over twice: once to find the members, and those that are ours again, to write them as JSON.
 *
 * Objects in a value of V8's may be named by number, which counts those before it in the message. A value that is kept gets
 * into messages where one is before it, the message itself, so it has to be alike where it comes from.
 */
#include "broker/message.h"

#include <errno.h>
#include <string.h>

#include "broker/v8frame.h"
#include "broker/v8json.h"
#include "broker/v8value.h"

static const struct lp_slice names[LP_MESSAGE_FIELDS] = {
	[LP_MESSAGE_CMD] = {"cmd", 3},
	[LP_MESSAGE_TYPE] = {"type", 4},
	[LP_MESSAGE_DATA] = {"data", 4},
	[LP_MESSAGE_SOURCE] = {"source", 6},
	[LP_MESSAGE_ENGINE_SOURCE] = {"_source", 7},
	[LP_MESSAGE_UID] = {"uid", 3},
	[LP_MESSAGE_REQUESTER] = {"requesterUid", 12},
	[LP_MESSAGE_NSP] = {"nsp", 3},
	[LP_MESSAGE_SENDER] = {"senderId", 8},
	[LP_MESSAGE_RECIPIENT] = {"recipientId", 11},
	[LP_MESSAGE_NAME] = {"name", 4},
	[LP_MESSAGE_TOPIC] = {"topic", 5},
	[LP_MESSAGE_MSG] = {"msg", 3},
	[LP_MESSAGE_METHOD] = {"method", 6},
	[LP_MESSAGE_COLLECTION] = {"collection", 10},
	[LP_MESSAGE_KEY] = {"key", 3},
	[LP_MESSAGE_JSON] = {"json", 4},
	[LP_MESSAGE_CONFIG] = {"config", 6},
	[LP_MESSAGE_REQUEST] = {"requestId", 9},
};

_Static_assert(LP_MESSAGE_FIELDS <= 32, "each field has a bit in `lossy`");

/* The longest of these names. */
#define LONGEST_NAME 12

/* Which field has this name, or LP_MESSAGE_FIELDS. */
static size_t find_field(struct lp_slice name)
{
	size_t i = 0;
	while (i < LP_MESSAGE_FIELDS &&
	       (names[i].length != name.length || memcmp(names[i].bytes, name.bytes, name.length) != 0))
		i++;
	return i;
}

int lp_message_read(struct lp_message *message, struct lp_slice bytes)
{
	struct lp_json json;
	struct lp_slice name, value;
	int status;
	*message = (struct lp_message){.bytes = bytes};
	if (lp_json_open(&json, bytes))
		return lp_json_check(bytes);
	while ((status = lp_json_next(&json, &name, &value)) == 1) {
		size_t field = find_field(name);
		if (field < LP_MESSAGE_FIELDS)
			message->fields[field] = value;
	}
	return status;
}

/* V8's */

static struct lp_slice message_of(struct lp_slice frame)
{
	return (struct lp_slice){frame.bytes + LP_V8_FRAME_HEAD, frame.length - LP_V8_FRAME_HEAD};
}

/* A name of V8's as ours are: in bytes. Names of ours are ASCII, in whatever way they are written. */
static struct lp_slice name_of(const struct lp_v8_token *key, char room[LONGEST_NAME])
{
	size_t length = key->text.length / 2;
	if (key->kind == LP_V8_NUMBER || (key->kind == LP_V8_UTF16 && length > LONGEST_NAME))
		return LP_SLICE("");
	if (key->kind != LP_V8_UTF16)
		return key->text;
	for (size_t i = 0; i < length; i++)
		room[i] = (char)(key->text.bytes[2 * i + 1] ? 0 : key->text.bytes[2 * i]);
	return (struct lp_slice){room, length};
}

/** A member as V8 has written it. */
struct member {
	struct lp_slice value;
	bool bound; /* It names objects by numbers that it would have nowhere else. */
};

/* The member after its name. A member that is undefined does not exist, as in JSON. */
static int take_member(struct lp_v8 *v8, struct member *member)
{
	uint32_t before = v8->objects;
	v8->lowest = UINT32_MAX;
	int status = lp_v8_skip(v8, &member->value);
	member->bound = v8->lowest != UINT32_MAX && (before != 1 || v8->lowest < before);
	if (status == 1 && member->value.length == 1 && *member->value.bytes == '_')
		member->value = (struct lp_slice){0};
	return status;
}

/* The members that have a name of ours. */
static int find_members(struct lp_v8 *v8, struct member *members)
{
	struct lp_v8_token key;
	char room[LONGEST_NAME];
	int status = lp_v8_next(v8, &key);
	bool object = status == 1 && key.kind == LP_V8_OPEN && key.tag == 'o';
	while (status == 1) {
		struct member member;
		status = lp_v8_next(v8, &key);
		if (status != 1 || !object || v8->depth != 1 || key.kind == LP_V8_CLOSE)
			continue;
		status = take_member(v8, &member);
		size_t field = status == 1 ? find_field(name_of(&key, room)) : LP_MESSAGE_FIELDS;
		if (field < LP_MESSAGE_FIELDS)
			members[field] = member;
	}
	return status;
}

/*
 * What engines and adapters say to each other is most of their messages, and nobody goes by it. But the answers of adapters
 * before 0.3, of types 9 and 11, contain their addressee.
 */
static bool needs_data(const struct member *members)
{
	struct lp_slice type = members[LP_MESSAGE_TYPE].value;
	if (!members[LP_MESSAGE_SOURCE].value.bytes && !members[LP_MESSAGE_ENGINE_SOURCE].value.bytes)
		return true;
	return !members[LP_MESSAGE_UID].value.bytes && type.length == 2 &&
	       (memcmp(type.bytes, "I\x12", 2) == 0 || memcmp(type.bytes, "I\x16", 2) == 0);
}

/* A value to be kept. UTF-16 in it is aligned, so it begins at an even place here, too. */
static int copy_value(struct lp_slice value, const char *message, struct lp_buffer *room)
{
	int status = (value.bytes - message) % 2 ? lp_buffer_append(room, "", 1) : 0;
	return status ? status : lp_buffer_append(room, value.bytes, value.length);
}

/* Where each text begins is known only when all are written: the memory may move. */
static int convert_members(struct lp_message *message, const struct member *members, struct lp_buffer *room)
{
	size_t starts[LP_MESSAGE_FIELDS + 1];
	const char *value = message->bytes.bytes + LP_V8_FRAME_HEAD;
	for (size_t i = 0; i < LP_MESSAGE_FIELDS; i++) {
		bool kept = i == LP_MESSAGE_JSON || i == LP_MESSAGE_MSG;
		bool lossy = kept && members[i].bound;
		int status = 0;
		starts[i] = room->length;
		if (members[i].value.bytes)
			status = kept ? copy_value(members[i].value, value, room)
				      : lp_v8_to_json(members[i].value, room, &lossy);
		if (status)
			return status;
		message->lossy |= (uint32_t)lossy << i;
	}
	starts[LP_MESSAGE_FIELDS] = room->length;
	for (size_t i = 0; i < LP_MESSAGE_FIELDS; i++)
		if (members[i].value.bytes)
			message->fields[i] = (struct lp_slice){room->bytes + starts[i], starts[i + 1] - starts[i]};
	return 0;
}

int lp_message_read_v8(struct lp_message *message, struct lp_slice frame, struct lp_buffer *room)
{
	struct lp_v8 v8;
	struct member members[LP_MESSAGE_FIELDS] = {0};
	*message = (struct lp_message){.bytes = frame};
	lp_buffer_consume(room, room->length);
	int status = lp_v8_open(&v8, message_of(frame));
	if (!status)
		status = find_members(&v8, members);
	if (status)
		return status;
	if (!needs_data(members))
		members[LP_MESSAGE_DATA] = (struct member){0};
	return convert_members(message, members, room);
}

struct lp_slice lp_message_json(struct lp_slice frame, struct lp_buffer *room)
{
	struct lp_slice message = message_of(frame);
	struct lp_slice value = {message.bytes + 2, message.length - 2};
	bool lossy;
	lp_buffer_consume(room, room->length);
	if (lp_v8_to_json(value, room, &lossy))
		return (struct lp_slice){0};
	return (struct lp_slice){room->bytes, room->length};
}
