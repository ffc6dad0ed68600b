/*
 * Of the members that have a name of ours, the last of each counts, as it does for JSON.parse. A member is found by its
 * name's length first: few names share one.
 *
 * A value of V8's is passed over twice: once to find the members, and those that are ours again, to write them as JSON.
 */
#include "worker/letter.h"

#include <errno.h>
#include <string.h>

#include "worker/v8frame.h"
#include "worker/v8json.h"
#include "worker/v8value.h"

static const struct lp_slice names[LP_LETTER_FIELDS] = {
	[LP_LETTER_CMD] = {"cmd", 3},
	[LP_LETTER_TYPE] = {"type", 4},
	[LP_LETTER_DATA] = {"data", 4},
	[LP_LETTER_SOURCE] = {"source", 6},
	[LP_LETTER_ENGINE_SOURCE] = {"_source", 7},
	[LP_LETTER_UID] = {"uid", 3},
	[LP_LETTER_REQUESTER] = {"requesterUid", 12},
	[LP_LETTER_NSP] = {"nsp", 3},
	[LP_LETTER_SENDER] = {"senderId", 8},
	[LP_LETTER_RECIPIENT] = {"recipientId", 11},
	[LP_LETTER_NAME] = {"name", 4},
	[LP_LETTER_TOPIC] = {"topic", 5},
	[LP_LETTER_MSG] = {"msg", 3},
	[LP_LETTER_METHOD] = {"method", 6},
	[LP_LETTER_COLLECTION] = {"collection", 10},
	[LP_LETTER_KEY] = {"key", 3},
	[LP_LETTER_JSON] = {"json", 4},
	[LP_LETTER_CONFIG] = {"config", 6},
	[LP_LETTER_REQUEST] = {"requestId", 9},
};

_Static_assert(LP_LETTER_FIELDS <= 32, "each field has a bit in `lossy`");

/* The longest of these names. */
#define LONGEST_NAME 12

static void keep(struct lp_slice *fields, struct lp_slice name, struct lp_slice value)
{
	for (size_t i = 0; i < LP_LETTER_FIELDS; i++) {
		if (names[i].length == name.length && memcmp(names[i].bytes, name.bytes, name.length) == 0) {
			fields[i] = value;
			return;
		}
	}
}

int lp_letter_read(struct lp_letter *letter, struct lp_slice bytes)
{
	struct lp_json json;
	struct lp_slice name, value;
	int status;
	*letter = (struct lp_letter){.bytes = bytes};
	if (lp_json_open(&json, bytes))
		return lp_json_check(bytes);
	while ((status = lp_json_next(&json, &name, &value)) == 1)
		keep(letter->fields, name, value);
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
		return (struct lp_slice){0};
	if (key->kind != LP_V8_UTF16)
		return key->text;
	for (size_t i = 0; i < length; i++)
		room[i] = (char)(key->text.bytes[2 * i + 1] ? 0 : key->text.bytes[2 * i]);
	return (struct lp_slice){room, length};
}

/* The values of members that have a name of ours, as V8 has written them. One that is undefined is none, as in JSON. */
static int find_values(struct lp_v8 *v8, struct lp_slice *values)
{
	struct lp_v8_token key;
	char room[LONGEST_NAME];
	int status = lp_v8_next(v8, &key);
	bool object = status == 1 && key.kind == LP_V8_OPEN && key.tag == 'o';
	while (status == 1) {
		struct lp_slice value;
		status = lp_v8_next(v8, &key);
		if (status != 1 || !object || v8->depth != 1 || key.kind == LP_V8_CLOSE)
			continue;
		status = lp_v8_pass(v8, &value);
		bool none = status == 1 && value.bytes[value.length - 1] == '_' && value.length == 1;
		if (status == 1)
			keep(values, name_of(&key, room), none ? (struct lp_slice){0} : value);
	}
	return status;
}

/*
 * What engines and adapters say to each other is most of their messages, and nobody goes by it. But the answers of adapters
 * before 0.3, of types 9 and 11, have in it whom they are for.
 */
static bool needs_data(const struct lp_slice *values)
{
	struct lp_slice type = values[LP_LETTER_TYPE];
	if (!values[LP_LETTER_SOURCE].bytes && !values[LP_LETTER_ENGINE_SOURCE].bytes)
		return true;
	return !values[LP_LETTER_UID].bytes && type.length == 2 &&
	       (memcmp(type.bytes, "I\x12", 2) == 0 || memcmp(type.bytes, "I\x16", 2) == 0);
}

/* Where each text begins is known only when all are written: the memory may move. */
static int convert_values(struct lp_letter *letter, const struct lp_slice *values, struct lp_buffer *room)
{
	size_t starts[LP_LETTER_FIELDS + 1];
	for (size_t i = 0; i < LP_LETTER_FIELDS; i++) {
		bool lossy = false;
		starts[i] = room->length;
		int status = values[i].bytes ? lp_v8_to_json(values[i], room, &lossy) : 0;
		if (status)
			return status;
		letter->lossy |= (uint32_t)lossy << i;
	}
	starts[LP_LETTER_FIELDS] = room->length;
	for (size_t i = 0; i < LP_LETTER_FIELDS; i++)
		if (values[i].bytes)
			letter->fields[i] = (struct lp_slice){room->bytes + starts[i], starts[i + 1] - starts[i]};
	return 0;
}

int lp_letter_read_v8(struct lp_letter *letter, struct lp_slice frame, struct lp_buffer *room)
{
	struct lp_v8 v8;
	struct lp_slice values[LP_LETTER_FIELDS] = {0};
	*letter = (struct lp_letter){.bytes = frame};
	lp_buffer_consume(room, room->length);
	int status = lp_v8_open(&v8, message_of(frame));
	if (!status)
		status = find_values(&v8, values);
	if (status)
		return status;
	if (!needs_data(values))
		values[LP_LETTER_DATA] = (struct lp_slice){0};
	return convert_values(letter, values, room);
}

struct lp_slice lp_letter_json(struct lp_slice frame, struct lp_buffer *room)
{
	struct lp_slice message = message_of(frame);
	struct lp_slice value = {message.bytes + 2, message.length - 2};
	bool lossy;
	lp_buffer_consume(room, room->length);
	if (lp_v8_to_json(value, room, &lossy))
		return (struct lp_slice){0};
	return (struct lp_slice){room->bytes, room->length};
}
