/*
 * A value is a tag of one byte and what belongs to it:
 *
 *     _ 0 T F                    undefined, null, true, false
 *     I U N Z                    numbers: zigzag, unsigned, double; a BigInt's sign and length, digits
 *     " c S                      strings of Latin-1, UTF-16, UTF-8: their bytes are counted
 *     o … {n                     an object: keys and values, n pairs
 *     A len … $n len             an array: its elements, then n pairs of other properties ('-': a missing element)
 *     a len … @n len             an array of which most elements are not: pairs
 *     ; … :n   ' … ,n            a map and a set: n keys and values
 *     r … .                      an error: messages for its kind, and for what the value after the message is
 *     ^ D R y x n z s            an object that came before, Date, RegExp, objects of Boolean, Number, BigInt, String
 *     B ~                        an ArrayBuffer (that can grow)
 *     \\ 0 type length bytes     how Node writes Buffers and typed arrays
 *     \\ 1 object                and its other objects
 *
 * Numbers of things are varints: seven bits a byte, the lowest first. Zero bytes may be before any tag: V8 aligns UTF-16.
 *
 * There is no recursion: what is open is kept in levels. Values that cannot be sent between processes, such as shared
 * memory, have no tags here, nor have V8's own views of ArrayBuffers, which Node does not use.
 *
 * "^" names an object by its number. That is one that has begun, but no error and no object of Node's before its end:
 * V8 makes those last.
 */
#include "broker/v8value.h"

#include <errno.h>
#include <string.h>

/* The first version that counts as this format: Node 12's. */
#define OLDEST_VERSION 13

/* Kinds of Buffers and typed arrays, the newest being Float16Array. */
#define VIEW_TYPES 14

/* The objects of a message before one of its values, when nobody knows how many. */
#define MANY_OBJECTS (1u << 31)

int lp_v8_open(struct lp_v8 *v8, struct lp_slice bytes)
{
	if (bytes.length < 2 || bytes.bytes[0] != '\xff' || bytes.bytes[1] < OLDEST_VERSION)
		return -EINVAL;
	lp_v8_open_value(v8, (struct lp_slice){bytes.bytes + 2, bytes.length - 2});
	v8->objects = 0;
	return 0;
}

void lp_v8_open_value(struct lp_v8 *v8, struct lp_slice value)
{
	v8->at = value.bytes;
	v8->end = value.bytes + value.length;
	v8->depth = 0;
	v8->done = false;
	v8->objects = MANY_OBJECTS;
	v8->lowest = UINT32_MAX;
}

static bool take_varint(struct lp_v8 *v8, uint32_t *number)
{
	uint64_t taken = 0;
	for (unsigned shift = 0; shift < 35 && v8->at < v8->end; shift += 7) {
		unsigned char byte = (unsigned char)*v8->at++;
		taken |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*number = (uint32_t)taken;
			return taken <= UINT32_MAX;
		}
	}
	return false;
}

static bool take_bytes(struct lp_v8 *v8, size_t length, struct lp_slice *bytes)
{
	if (length > (size_t)(v8->end - v8->at))
		return false;
	*bytes = (struct lp_slice){v8->at, length};
	v8->at += length;
	return true;
}

static bool take_counted(struct lp_v8 *v8, struct lp_slice *bytes)
{
	uint32_t length;
	return take_varint(v8, &length) && take_bytes(v8, length, bytes);
}

static bool take_double(struct lp_v8 *v8, double *number)
{
	struct lp_slice bytes;
	uint64_t bits = 0;
	if (!take_bytes(v8, sizeof(bits), &bytes))
		return false;
	for (unsigned i = 0; i < sizeof(bits); i++)
		bits |= (uint64_t)(unsigned char)bytes.bytes[i] << 8 * i;
	memcpy(number, &bits, sizeof(bits));
	return true;
}

static void skip_padding(struct lp_v8 *v8)
{
	while (v8->at < v8->end && *v8->at == '\0')
		v8->at++;
}

/* The next tag; -1: there is none. */
static int take_tag(struct lp_v8 *v8)
{
	skip_padding(v8);
	return v8->at < v8->end ? (unsigned char)*v8->at++ : -1;
}

static bool take_string(struct lp_v8 *v8, int tag, struct lp_v8_token *token)
{
	token->kind = tag == '"' ? LP_V8_LATIN1 : tag == 'c' ? LP_V8_UTF16 : LP_V8_UTF8;
	return (tag == '"' || tag == 'c' || tag == 'S') && take_counted(v8, &token->text) &&
	       (tag != 'c' || token->text.length % 2 == 0);
}

static bool take_big(struct lp_v8 *v8)
{
	uint32_t field;
	struct lp_slice digits;
	return take_varint(v8, &field) && field != 1 && take_bytes(v8, field >> 1, &digits);
}

/* The level that an object has opened, among those open now; NULL when it has ended. Their numbers ascend. */
static const struct lp_v8_level *find_level(const struct lp_v8 *v8, uint32_t object)
{
	unsigned low = 0, high = v8->depth;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (v8->levels[middle].object < object)
			low = middle + 1;
		else
			high = middle;
	}
	return low < v8->depth ? &v8->levels[low] : NULL;
}

static bool take_reference(struct lp_v8 *v8)
{
	uint32_t object;
	if (!take_varint(v8, &object) || object >= v8->objects)
		return false;
	if (object < v8->lowest)
		v8->lowest = object;
	const struct lp_v8_level *level = find_level(v8, object);
	bool open = level && (level->object == object || (level->wrapped && level->object - 1 == object));
	return !open || (level->object == object && level->tag != 'r');
}

/* An ArrayBuffer that can grow: how long it is, and how long it may be. */
static bool take_growing(struct lp_v8 *v8)
{
	uint32_t length, most;
	struct lp_slice bytes;
	return take_varint(v8, &length) && take_varint(v8, &most) && length <= most && take_bytes(v8, length, &bytes);
}

static bool take_regexp(struct lp_v8 *v8)
{
	struct lp_v8_token pattern;
	uint32_t flags;
	return take_string(v8, take_tag(v8), &pattern) && take_varint(v8, &flags);
}

/* After the tag of what JSON has no word for. Returns 1, or -EINVAL, or -ENOTSUP. */
static int take_other(struct lp_v8 *v8, int tag)
{
	struct lp_v8_token token;
	struct lp_slice bytes;
	bool taken;
	if (tag == '^')
		return take_reference(v8) ? 1 : -EINVAL;
	v8->objects += tag != 'Z';
	switch (tag) {
	case 'x':
	case 'y':
		return 1;
	case 'D':
	case 'n':
		taken = take_double(v8, &token.number);
		break;
	case 'Z':
	case 'z':
		taken = take_big(v8);
		break;
	case 's':
		taken = take_string(v8, take_tag(v8), &token);
		break;
	case 'R':
		taken = take_regexp(v8);
		break;
	case 'B':
		taken = take_counted(v8, &bytes);
		break;
	case '~':
		taken = take_growing(v8);
		break;
	default:
		return -ENOTSUP;
	}
	return taken ? 1 : -EINVAL;
}

/* Node's own objects. *tag becomes that of the object which follows, or stays when it was all. */
static int take_host_object(struct lp_v8 *v8, int *tag)
{
	uint32_t how, type;
	struct lp_slice bytes;
	v8->objects++;
	if (!take_varint(v8, &how))
		return -EINVAL;
	if (how == 0)
		return take_varint(v8, &type) && type < VIEW_TYPES && take_counted(v8, &bytes) ? 1 : -EINVAL;
	if (how != 1)
		return -ENOTSUP;
	*tag = take_tag(v8);
	return *tag == 'o' ? 1 : -EINVAL;
}

static int open_level(struct lp_v8 *v8, int tag, struct lp_v8_token *token)
{
	uint32_t declared = 0;
	if (v8->depth == LP_V8_DEPTH_MAX || ((tag == 'A' || tag == 'a') && !take_varint(v8, &declared)))
		return -EINVAL;
	v8->levels[v8->depth++] = (struct lp_v8_level){
		.tag = (char)tag, .declared = declared, .object = v8->objects++, .wrapped = token->kind == LP_V8_OTHER};
	token->kind = LP_V8_OPEN;
	return 1;
}

static int close_level(struct lp_v8 *v8, struct lp_v8_token *token)
{
	const struct lp_v8_level *level = &v8->levels[--v8->depth];
	bool array = level->tag == 'A' || level->tag == 'a';
	uint32_t count = 0, length = 0;
	*token = (struct lp_v8_token){.kind = LP_V8_CLOSE, .tag = level->tag};
	v8->done = v8->depth == 0;
	if (level->tag == 'r')
		return 1;
	if (!take_varint(v8, &count) || (array && (!take_varint(v8, &length) || length != level->declared)))
		return -EINVAL;
	uint64_t expected = level->tag == 'o' || array ? 2 * (uint64_t)count : count;
	if (level->tag == 'A')
		expected += length;
	bool pairs = level->tag != ';' || count % 2 == 0;
	return level->values == expected && pairs ? 1 : -EINVAL;
}

/* 0: an error has its own way to end. */
static int closing_tag(char tag)
{
	switch (tag) {
	case 'o':
		return '{';
	case 'A':
		return '$';
	case 'a':
		return '@';
	case ';':
		return ':';
	case '\'':
		return ',';
	default:
		return 0;
	}
}

static bool take_integer(struct lp_v8 *v8, int tag, struct lp_v8_token *token)
{
	uint32_t number;
	if (!take_varint(v8, &number))
		return false;
	token->number = tag == 'U' ? (double)number : (double)(int32_t)(number >> 1 ^ -(number & 1));
	return true;
}

/* A value that is no object. */
static int take_plain(struct lp_v8 *v8, int tag, struct lp_v8_token *token)
{
	switch (tag) {
	case '_':
		token->kind = LP_V8_UNDEFINED;
		return 1;
	case '0':
		token->kind = LP_V8_NULL;
		return 1;
	case 'T':
		token->kind = LP_V8_TRUE;
		return 1;
	case 'F':
		token->kind = LP_V8_FALSE;
		return 1;
	case '"':
	case 'c':
	case 'S':
		return take_string(v8, tag, token) ? 1 : -EINVAL;
	case 'N':
		token->kind = LP_V8_NUMBER;
		return take_double(v8, &token->number) ? 1 : -EINVAL;
	case 'I':
	case 'U':
		token->kind = LP_V8_NUMBER;
		return take_integer(v8, tag, token) ? 1 : -EINVAL;
	default:
		token->kind = LP_V8_OTHER;
		return take_other(v8, tag);
	}
}

static int take_value(struct lp_v8 *v8, int tag, struct lp_v8_token *token)
{
	if (tag == '\\') {
		int status = take_host_object(v8, &tag);
		token->kind = LP_V8_OTHER;
		if (status < 0 || tag == '\\')
			return status;
	}
	token->tag = (char)tag;
	switch (tag) {
	case -1:
		return -EINVAL;
	case 'o':
	case 'A':
	case 'a':
	case ';':
	case '\'':
	case 'r':
		return open_level(v8, tag, token);
	default:
		return take_plain(v8, tag, token);
	}
}

/* An error's messages up to its next value. Returns 1 when that comes, and whether it is a text; 0 at the error's end. */
static int take_error_letters(struct lp_v8 *v8, bool *text)
{
	for (;;) {
		int message = v8->at < v8->end ? *v8->at++ : -1; /* Nothing is aligned here. */
		*text = message == 'm' || message == 's';
		if (message == '.')
			return 0;
		if (*text || message == 'c')
			return 1;
		if (message <= 0 || !strchr("ERFSTU", message))
			return message < 0 ? -EINVAL : -ENOTSUP;
	}
}

/* Whether what was begun last in a level is a key. */
static bool is_key(const struct lp_v8_level *level)
{
	if (level->tag == 'A')
		return level->values > level->declared && (level->values - level->declared) % 2 == 1;
	return (level->tag == 'o' || level->tag == 'a') && level->values % 2 == 1;
}

/* Whether a value may be where it is; text: where an error has one. */
static bool fits_in_level(const struct lp_v8_level *level, const struct lp_v8_token *token, bool text)
{
	bool is_text = token->kind >= LP_V8_LATIN1 && token->kind <= LP_V8_UTF8;
	if (text)
		return is_text;
	return is_text || token->kind == LP_V8_NUMBER || !is_key(level);
}

int lp_v8_next(struct lp_v8 *v8, struct lp_v8_token *token)
{
	struct lp_v8_level *level = v8->depth ? &v8->levels[v8->depth - 1] : NULL;
	bool text = false;
	if (v8->done)
		return v8->at == v8->end ? 0 : -EINVAL;
	if (level && level->tag == 'r') {
		int status = take_error_letters(v8, &text);
		if (status <= 0)
			return status ? status : close_level(v8, token);
	}
	int tag = take_tag(v8);
	if (level && tag == closing_tag(level->tag))
		return close_level(v8, token);
	if (level)
		level->values++;
	*token = (struct lp_v8_token){.kind = LP_V8_NULL, .tag = '-'};
	if (tag == '-' && level && level->tag == 'A' && level->values <= level->declared)
		return 1;
	int status = take_value(v8, tag, token);
	if (status == 1 && level && !fits_in_level(level, token, text))
		return -EINVAL;
	v8->done = status == 1 && v8->depth == 0;
	return status;
}

int lp_v8_skip(struct lp_v8 *v8, struct lp_slice *value)
{
	struct lp_v8_token token;
	skip_padding(v8);
	const char *start = v8->at;
	unsigned depth = v8->depth;
	int status = lp_v8_next(v8, &token);
	if (status == 0 || (status == 1 && token.kind == LP_V8_CLOSE))
		return -EINVAL;
	while (status == 1 && v8->depth > depth)
		status = lp_v8_next(v8, &token);
	*value = (struct lp_slice){start, (size_t)(v8->at - start)};
	return status;
}
