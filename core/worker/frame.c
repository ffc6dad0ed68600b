/*
 * Frames, read and written by hand: the words stand in one table, beside what follows each. A hand-over writes one
 * frame and reads one, so neither goes through stdio, whose locale and format scanning cost more than the whole frame.
 *
 * The reader takes exactly what the writer makes: no second blank, no leading zero, no newline. A peer that is nearly
 * right is told so (the channel logs its bytes) instead of being half understood.
 */
#include "worker/frame.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/** What follows a frame's word, each part behind one blank. */
enum shape {
	NOTHING,
	NUMBER,
	STATE, /**< A number, and maybe another. */
	KEY,
};

static const struct {
	struct lp_slice word;
	enum shape shape;
	uint64_t least; /**< The smallest number that makes sense. */
} kinds[] = {
	[LP_FRAME_CONNECTION] = {{"connection", 10}, NUMBER, 1},
	[LP_FRAME_DRAIN] = {{"drain", 5}, NOTHING, 0},
	[LP_FRAME_READY] = {{"ready", 5}, NOTHING, 0},
	[LP_FRAME_ACK] = {{"ack", 3}, STATE, 0},
	[LP_FRAME_NACK] = {{"nack", 4}, NUMBER, 1},
	[LP_FRAME_SESSION] = {{"session", 7}, KEY, 0},
	[LP_FRAME_FORGET] = {{"forget", 6}, KEY, 0},
	[LP_FRAME_EACH] = {{"each", 4}, NUMBER, 0},
	[LP_FRAME_BOUNCE] = {{"bounce", 6}, NOTHING, 0},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/** What is left to read. */
struct cursor {
	const char *at;
	const char *end;
};

static bool take_blank(struct cursor *cursor)
{
	if (cursor->at == cursor->end || *cursor->at != ' ')
		return false;
	cursor->at++;
	return true;
}

static bool take_number(struct cursor *cursor, uint64_t most, uint64_t *number)
{
	const char *start = cursor->at;
	uint64_t value = 0;
	while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
		unsigned digit = (unsigned)(*cursor->at - '0');
		if (value > (most - digit) / 10)
			return false;
		value = value * 10 + digit;
		cursor->at++;
	}
	*number = value;
	return cursor->at > start && (*start != '0' || cursor->at == start + 1);
}

static bool is_key(struct lp_slice key)
{
	if (!key.bytes || key.length == 0 || key.length > LP_FRAME_KEY_MAX)
		return false;
	for (size_t i = 0; i < key.length; i++) {
		unsigned char byte = (unsigned char)key.bytes[i];
		if (byte <= ' ' || byte == 127)
			return false;
	}
	return true;
}

static int find_kind(struct lp_slice word)
{
	for (size_t kind = 0; kind < KINDS; kind++) {
		if (word.length == kinds[kind].word.length &&
		    memcmp(word.bytes, kinds[kind].word.bytes, word.length) == 0)
			return (int)kind;
	}
	return -EINVAL;
}

/** Read what follows the word, to the end. */
static bool take_rest(struct cursor *cursor, struct lp_frame *frame)
{
	enum shape shape = kinds[frame->kind].shape;
	if (shape == KEY && take_blank(cursor)) {
		frame->key = (struct lp_slice){cursor->at, (size_t)(cursor->end - cursor->at)};
		return is_key(frame->key);
	}
	if (shape == NUMBER || shape == STATE) {
		if (!take_blank(cursor) || !take_number(cursor, UINT64_MAX, &frame->number))
			return false;
		if (frame->number < kinds[frame->kind].least)
			return false;
	}
	if (shape == STATE && take_blank(cursor)) {
		uint64_t open;
		if (!take_number(cursor, INT64_MAX, &open))
			return false;
		frame->open = (int64_t)open;
	}
	return shape != KEY && cursor->at == cursor->end;
}

int lp_frame_parse(struct lp_frame *frame, const char *bytes, size_t length)
{
	const char *blank = length ? memchr(bytes, ' ', length) : NULL;
	int kind = find_kind((struct lp_slice){bytes, blank ? (size_t)(blank - bytes) : length});
	if (kind < 0)
		return kind;
	struct lp_frame read = {.kind = (enum lp_frame_kind)kind, .open = -1};
	struct cursor cursor = {.at = bytes + kinds[kind].word.length, .end = bytes + length};
	if (!take_rest(&cursor, &read))
		return -EINVAL;
	*frame = read;
	return 0;
}

static char *put(char *out, struct lp_slice bytes)
{
	memcpy(out, bytes.bytes, bytes.length);
	return out + bytes.length;
}

static char *put_number(char *out, uint64_t number)
{
	char digits[20];
	size_t first = sizeof(digits);
	do {
		digits[--first] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	*out++ = ' ';
	return put(out, (struct lp_slice){digits + first, sizeof(digits) - first});
}

size_t lp_frame_write(const struct lp_frame *frame, char *out)
{
	enum shape shape = kinds[frame->kind].shape;
	char *at = put(out, kinds[frame->kind].word);
	if (shape == NUMBER || shape == STATE)
		at = put_number(at, frame->number);
	if (shape == STATE && frame->open >= 0)
		at = put_number(at, (uint64_t)frame->open);
	if (shape == KEY) {
		if (!is_key(frame->key))
			return 0;
		*at++ = ' ';
		at = put(at, frame->key);
	}
	return (size_t)(at - out);
}
