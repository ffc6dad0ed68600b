/*
 * A value is passed over by its grammar, without recursion: which brackets are open is kept one bit each. Most bytes of
 * most messages are inside strings, so those go eight at a time until one of the eight means something.
 *
 * Limits: bytes from 128 up are taken as they are; whether they are UTF-8 is the reader's to see (Node replaces what is
 * not). Names compare without being decoded unless they have an escape.
 */
#include "base/json.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#define EACH(byte) (UINT64_MAX / 255 * (byte))

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
		at++;
	return at;
}

/* A bit for each of eight bytes that is below n; the first that is found is right, those after it may not be. */
static uint64_t mark_bytes_below(uint64_t bytes, unsigned n)
{
	return (bytes - EACH(n)) & ~bytes & EACH(128);
}

/* How many of eight bytes mean nothing inside a string, up to the first that does. */
static unsigned count_plain(const char *at)
{
	uint64_t bytes;
	memcpy(&bytes, at, sizeof(bytes));
	bytes = le64toh(bytes);
	uint64_t special = mark_bytes_below(bytes, 0x20) | mark_bytes_below(bytes ^ EACH('"'), 1) |
			   mark_bytes_below(bytes ^ EACH('\\'), 1);
	return special ? (unsigned)__builtin_ctzll(special) / 8 : sizeof(bytes);
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit |= 0x20;
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The four digits after "\u", or -1. */
static long read_unit(const char *at, const char *end)
{
	long unit = 0;
	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(at[i]);
		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

/* Where a string ends, its quotes included; NULL if it does not end, or is no string. */
static const char *skip_string(const char *at, const char *end)
{
	if (at == end || *at++ != '"')
		return NULL;
	for (;;) {
		unsigned plain = 8;
		while (plain == 8 && end - at >= 8) {
			plain = count_plain(at);
			at += plain;
		}
		while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
			at++;
		if (at == end || (unsigned char)*at < 0x20)
			return NULL;
		if (*at++ == '"')
			return at;
		if (at == end || (*at == 'u' ? read_unit(at + 1, end) < 0 : !strchr("\"\\/bfnrt", *at)) || !*at)
			return NULL;
		at += *at == 'u' ? 5 : 1;
	}
}

static const char *skip_digits(const char *at, const char *end)
{
	const char *start = at;
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at > start ? at : NULL;
}

static const char *skip_number(const char *at, const char *end)
{
	if (at < end && *at == '-')
		at++;
	const char *first = at;
	at = skip_digits(at, end);
	if (!at || (*first == '0' && at > first + 1))
		return NULL;
	if (at < end && *at == '.')
		at = skip_digits(at + 1, end);
	if (at && at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		at = skip_digits(at, end);
	}
	return at;
}

static const char *skip_word(const char *at, const char *end, struct lp_slice word)
{
	return (size_t)(end - at) >= word.length && memcmp(at, word.bytes, word.length) == 0 ? at + word.length : NULL;
}

static const char *skip_scalar(const char *at, const char *end)
{
	if (at == end)
		return NULL;
	switch (*at) {
	case '"':
		return skip_string(at, end);
	case 't':
		return skip_word(at, end, LP_SLICE("true"));
	case 'f':
		return skip_word(at, end, LP_SLICE("false"));
	case 'n':
		return skip_word(at, end, LP_SLICE("null"));
	default:
		return skip_number(at, end);
	}
}

/* A name and its colon, up to the value. */
static const char *skip_name(const char *at, const char *end)
{
	at = skip_string(skip_blanks(at, end), end);
	at = at ? skip_blanks(at, end) : NULL;
	return at && at < end && *at == ':' ? skip_blanks(at + 1, end) : NULL;
}

/** The brackets that are open. */
struct nest {
	uint64_t objects[LP_JSON_DEPTH_MAX / 64];
	unsigned depth;
};

static bool in_object(const struct nest *nest)
{
	unsigned top = nest->depth - 1;
	return nest->objects[top / 64] >> top % 64 & 1;
}

static bool open_bracket(struct nest *nest, bool object)
{
	unsigned top = nest->depth;
	if (top == LP_JSON_DEPTH_MAX)
		return false;
	nest->depth++;
	nest->objects[top / 64] &= ~(1ull << top % 64);
	nest->objects[top / 64] |= (uint64_t)object << top % 64;
	return true;
}

/* After a value: close what it was the last of, up to where the next value begins. *done: the outermost has ended. */
static const char *close_brackets(struct nest *nest, const char *at, const char *end, bool *done)
{
	for (;;) {
		*done = nest->depth == 0;
		if (*done)
			return at;
		bool object = in_object(nest);
		at = skip_blanks(at, end);
		if (at == end)
			return NULL;
		if (*at == ',')
			return object ? skip_name(at + 1, end) : skip_blanks(at + 1, end);
		if (*at++ != (object ? '}' : ']'))
			return NULL;
		nest->depth--;
	}
}

/* Where a value ends that begins here; NULL if it is no value. */
static const char *skip_value(const char *at, const char *end)
{
	struct nest nest = {0};
	bool done = false;
	while (at && !done) {
		if (at < end && (*at == '{' || *at == '[')) {
			bool object = *at == '{';
			if (!open_bracket(&nest, object))
				return NULL;
			at = skip_blanks(at + 1, end);
			if (at == end)
				return NULL;
			if (*at != (object ? '}' : ']')) {
				at = object ? skip_name(at, end) : at;
				continue;
			}
		} else {
			at = skip_scalar(at, end);
			if (!at)
				return NULL;
		}
		at = close_brackets(&nest, at, end, &done);
	}
	return at;
}

/* Reading */

int lp_json_open(struct lp_json *json, struct lp_slice bytes)
{
	json->end = bytes.bytes + bytes.length;
	json->at = bytes.length ? skip_blanks(bytes.bytes, json->end) : json->end;
	json->begun = false;
	if (!bytes.length || json->at == json->end || *json->at != '{')
		return -EINVAL;
	json->at++;
	return 0;
}

static int take_member(struct lp_json *json, struct lp_slice *name, struct lp_slice *value)
{
	const char *start = skip_blanks(json->at, json->end);
	const char *name_end = skip_string(start, json->end);
	const char *from = name_end ? skip_blanks(name_end, json->end) : NULL;
	if (!from || from == json->end || *from != ':')
		return -EINVAL;
	from = skip_blanks(from + 1, json->end);
	const char *to = skip_value(from, json->end);
	if (!to)
		return -EINVAL;
	*name = (struct lp_slice){start + 1, (size_t)(name_end - start) - 2};
	*value = (struct lp_slice){from, (size_t)(to - from)};
	json->at = to;
	if (memchr(name->bytes, '\\', name->length)) {
		struct lp_slice written = {start, (size_t)(name_end - start)};
		long length = lp_json_text(written, json->name, sizeof(json->name));
		if (length >= 0)
			*name = (struct lp_slice){json->name, (size_t)length};
	}
	return 1;
}

int lp_json_next(struct lp_json *json, struct lp_slice *name, struct lp_slice *value)
{
	const char *at = skip_blanks(json->at, json->end);
	if (at < json->end && *at == '}')
		return skip_blanks(at + 1, json->end) == json->end ? 0 : -EINVAL;
	if (json->begun) {
		if (at == json->end || *at != ',')
			return -EINVAL;
		json->at = at + 1;
	}
	json->begun = true;
	return take_member(json, name, value);
}

int lp_json_check(struct lp_slice bytes)
{
	const char *end = bytes.bytes + bytes.length;
	const char *at = skip_value(skip_blanks(bytes.bytes, end), end);
	return at && skip_blanks(at, end) == end ? 0 : -EINVAL;
}

struct lp_slice lp_json_member(struct lp_slice object, const char *wanted)
{
	struct lp_json json;
	struct lp_slice name, value, found = {0};
	size_t length = strlen(wanted);
	if (!object.bytes || lp_json_open(&json, object))
		return found;
	while (lp_json_next(&json, &name, &value) == 1)
		if (name.length == length && memcmp(name.bytes, wanted, length) == 0)
			found = value;
	return found;
}

/* Strings */

/* The code point of an escape, or of two that make a pair; at is after the backslash and moves after it all. */
static unsigned long read_escape(const char **at, const char *end)
{
	static const char letters[] = "bfnrt", means[] = "\b\f\n\r\t";
	const char *letter = strchr(letters, **at);
	if (**at != 'u')
		return (unsigned char)(letter ? means[letter - letters] : **at);
	unsigned long unit = (unsigned long)read_unit(*at + 1, end);
	*at += 4;
	if (unit < 0xd800 || unit > 0xdfff)
		return unit;
	long low = unit < 0xdc00 && end - *at > 6 && (*at)[1] == '\\' && (*at)[2] == 'u' ? read_unit(*at + 3, end) : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	*at += 6;
	return 0x10000 + ((unit - 0xd800) << 10) + (unsigned long)(low - 0xdc00);
}

static size_t write_utf8(unsigned long point, char *out)
{
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	for (size_t i = length - 1; i > 0; i--, point >>= 6)
		out[i] = (char)(0x80 | (point & 0x3f));
	out[0] = (char)(0xf00 >> length | point);
	return length;
}

long lp_json_text(struct lp_slice value, char *out, size_t size)
{
	if (value.length < 2 || value.bytes[0] != '"')
		return -EINVAL;
	const char *end = value.bytes + value.length - 1;
	size_t length = 0;
	for (const char *at = value.bytes + 1; at < end; at++) {
		char point[4] = {*at};
		size_t point_length = 1;
		if (*at == '\\') {
			at++;
			point_length = write_utf8(read_escape(&at, end), point);
		}
		if (point_length > size - length)
			return -ENOBUFS;
		memcpy(out + length, point, point_length);
		length += point_length;
	}
	return (long)length;
}

bool lp_json_is(struct lp_slice value, struct lp_slice text)
{
	return value.length == text.length + 2 && value.bytes[0] == '"' &&
	       memcmp(value.bytes + 1, text.bytes, text.length) == 0;
}

bool lp_json_same(struct lp_slice one, struct lp_slice other)
{
	return one.bytes && other.bytes && one.length == other.length &&
	       memcmp(one.bytes, other.bytes, one.length) == 0;
}

long lp_json_number(struct lp_slice value)
{
	long number = 0;
	if (value.length == 0 || value.length > 9)
		return -1;
	for (size_t i = 0; i < value.length; i++) {
		if (value.bytes[i] < '0' || value.bytes[i] > '9')
			return -1;
		number = number * 10 + (value.bytes[i] - '0');
	}
	return number;
}
