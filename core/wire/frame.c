/*
 * Frames, read and written by hand: the words stand in one table, beside what follows each. A hand-over writes one
 * frame and reads one, so neither goes through stdio, whose locale and format scanning cost more than the whole frame.
 *
 * The reader takes exactly what the writer makes: no second blank, no leading zero, no newline. A peer that is nearly
 * right is told so (the channel logs its bytes) instead of being half understood.
 */
#include "wire/frame.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/** What follows a frame's word, in this order: each part after one blank, the value after a newline. */
enum part {
	NUMBER = 1,
	OPEN = 2, /**< If it is known. */
	NAME = 4,
	KEY = 8,
	SECONDS = 16,
	VALUE = 32,
	MAYBE_VALUE = 64,
};

static const struct {
	struct lp_slice word;
	unsigned parts; /**< Of enum part. */
	uint64_t least; /**< The smallest number that makes sense. */
} kinds[] = {
	[LP_FRAME_CONNECTION] = {{"connection", 10}, NUMBER, 1},
	[LP_FRAME_DRAIN] = {{"drain", 5}, 0, 0},
	[LP_FRAME_READY] = {{"ready", 5}, 0, 0},
	[LP_FRAME_ACK] = {{"ack", 3}, NUMBER | OPEN, 0},
	[LP_FRAME_NACK] = {{"nack", 4}, NUMBER, 1},
	[LP_FRAME_SESSION] = {{"session", 7}, KEY, 0},
	[LP_FRAME_FORGET] = {{"forget", 6}, KEY, 0},
	[LP_FRAME_EACH] = {{"each", 4}, NUMBER, 0},
	[LP_FRAME_BOUNCE] = {{"bounce", 6}, 0, 0},
	[LP_FRAME_LISTEN] = {{"listen", 6}, NUMBER, 0},
	[LP_FRAME_UNLISTEN] = {{"unlisten", 8}, NUMBER, 0},
	[LP_FRAME_SIGTERM] = {{"sigterm", 7}, NUMBER, 0},
	[LP_FRAME_PARENTS] = {{"parents-channel", 15}, 0, 0},
	[LP_FRAME_GET] = {{"get", 3}, NUMBER | NAME | KEY, 1},
	[LP_FRAME_SET] = {{"set", 3}, NUMBER | NAME | KEY | MAYBE_VALUE, 0},
	[LP_FRAME_ACQUIRE] = {{"acquire", 7}, NUMBER | NAME | KEY, 1},
	[LP_FRAME_RELEASE] = {{"release", 7}, NUMBER | NAME | KEY, 0},
	[LP_FRAME_SET_RELEASE] = {{"set-release", 11}, NUMBER | NAME | KEY | MAYBE_VALUE, 0},
	[LP_FRAME_EXPIRE] = {{"expire", 6}, NUMBER | NAME | SECONDS, 0},
	[LP_FRAME_SUBSCRIBE] = {{"subscribe", 9}, KEY, 0},
	[LP_FRAME_UNSUBSCRIBE] = {{"unsubscribe", 11}, KEY, 0},
	[LP_FRAME_PUBLISH] = {{"publish", 7}, KEY | VALUE, 0},
	[LP_FRAME_PULL] = {{"pull", 4}, KEY, 0},
	[LP_FRAME_STOP] = {{"stop", 4}, KEY, 0},
	[LP_FRAME_PUSH] = {{"push", 4}, KEY | VALUE, 0},
	[LP_FRAME_VALUE] = {{"value", 5}, NUMBER | MAYBE_VALUE, 1},
	[LP_FRAME_REFUSED] = {{"refused", 7}, NUMBER | VALUE, 1},
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

static bool is_key_byte(char byte)
{
	return (unsigned char)byte > ' ' && byte != 127;
}

static bool is_key(struct lp_slice key)
{
	if (!key.bytes || key.length == 0 || key.length > LP_FRAME_KEY_MAX)
		return false;
	for (size_t i = 0; i < key.length; i++)
		if (!is_key_byte(key.bytes[i]))
			return false;
	return true;
}

static bool take_key(struct cursor *cursor, struct lp_slice *key)
{
	const char *start = cursor->at;
	while (cursor->at < cursor->end && is_key_byte(*cursor->at))
		cursor->at++;
	*key = (struct lp_slice){start, (size_t)(cursor->at - start)};
	return key->length && key->length <= LP_FRAME_KEY_MAX;
}

/** The longest word that a later version may have. */
#define WORD_MAX 32

static bool is_word(struct lp_slice word)
{
	if (word.length == 0 || word.length > WORD_MAX)
		return false;
	for (size_t i = 0; i < word.length; i++)
		if ((word.bytes[i] < 'a' || word.bytes[i] > 'z') && word.bytes[i] != '-')
			return false;
	return true;
}

static int find_kind(struct lp_slice word)
{
	for (size_t kind = 0; kind < KINDS; kind++) {
		if (word.length == kinds[kind].word.length &&
		    memcmp(word.bytes, kinds[kind].word.bytes, word.length) == 0)
			return (int)kind;
	}
	return is_word(word) ? -EOPNOTSUPP : -EINVAL;
}

/** Read what follows the word, to the end. */
static bool take_rest(struct cursor *cursor, struct lp_frame *frame)
{
	unsigned parts = kinds[frame->kind].parts;
	uint64_t number;
	if (parts & NUMBER && !(take_blank(cursor) && take_number(cursor, UINT64_MAX, &frame->number) &&
				frame->number >= kinds[frame->kind].least))
		return false;
	if (parts & OPEN && take_blank(cursor)) {
		if (!take_number(cursor, INT64_MAX, &number))
			return false;
		frame->open = (int64_t)number;
	}
	if (parts & NAME && !(take_blank(cursor) && take_key(cursor, &frame->name)))
		return false;
	if (parts & KEY && !(take_blank(cursor) && take_key(cursor, &frame->key)))
		return false;
	if (parts & SECONDS) {
		if (!take_blank(cursor) || !take_number(cursor, UINT32_MAX, &number))
			return false;
		frame->seconds = (uint32_t)number;
	}
	size_t left = (size_t)(cursor->end - cursor->at);
	if (left == 0)
		return !(parts & VALUE);
	frame->value = (struct lp_slice){cursor->at + 1, left - 1};
	return parts & (VALUE | MAYBE_VALUE) && *cursor->at == '\n' && left - 1 <= LP_FRAME_VALUE_MAX;
}

int lp_frame_parse(struct lp_frame *frame, const char *bytes, size_t length)
{
	size_t word = 0;
	while (word < length && bytes[word] != ' ' && bytes[word] != '\n')
		word++;
	int kind = find_kind((struct lp_slice){bytes, word});
	if (kind < 0)
		return kind;
	struct lp_frame read = {.kind = (enum lp_frame_kind)kind, .open = -1};
	struct cursor cursor = {.at = bytes + kinds[kind].word.length, .end = bytes + length};
	if (!take_rest(&cursor, &read))
		return -EINVAL;
	*frame = read;
	return 0;
}

static char *write_bytes(char *out, struct lp_slice bytes)
{
	memcpy(out, bytes.bytes, bytes.length);
	return out + bytes.length;
}

static char *write_number(char *out, uint64_t number)
{
	char digits[20];
	size_t first = sizeof(digits);
	do {
		digits[--first] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	*out++ = ' ';
	return write_bytes(out, (struct lp_slice){digits + first, sizeof(digits) - first});
}

static char *write_key(char *out, struct lp_slice key)
{
	*out++ = ' ';
	return write_bytes(out, key);
}

size_t lp_frame_write(const struct lp_frame *frame, char *out)
{
	unsigned parts = kinds[frame->kind].parts;
	if ((parts & NAME && !is_key(frame->name)) || (parts & KEY && !is_key(frame->key)) ||
	    (parts & VALUE && !frame->value.bytes) || frame->value.length > LP_FRAME_VALUE_MAX)
		return 0;
	char *at = write_bytes(out, kinds[frame->kind].word);
	if (parts & NUMBER)
		at = write_number(at, frame->number);
	if (parts & OPEN && frame->open >= 0)
		at = write_number(at, (uint64_t)frame->open);
	if (parts & NAME)
		at = write_key(at, frame->name);
	if (parts & KEY)
		at = write_key(at, frame->key);
	if (parts & SECONDS)
		at = write_number(at, frame->seconds);
	if (parts & (VALUE | MAYBE_VALUE) && frame->value.bytes)
		*at++ = '\n';
	return (size_t)(at - out);
}
