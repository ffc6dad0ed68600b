/*
 * A string of plain ASCII goes as it is; any other becomes UTF-16, which every V8 reads, and which has room for halves of
 * surrogate pairs. What is no UTF-8 becomes U+FFFD.
 *
 * V8 has an array's length before its elements. It is not known there when JSON is read from its beginning, so five bytes
 * are left for it, as many as a varint may have.
 *
 * A value of V8's goes in as the first member: its numbers of objects count the message, and nothing else, before it. It
 * begins at an even place, as it did where it comes from.
 *
 * The version that is written is Node 12's; all since read it, and what newer ones have put into values.
 */
#include "broker/v8frame.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "broker/v8writer.h"

/* Characters of a number; JavaScript writes no longer one. */
#define NUMBER_MAX 64

static void put_varint(struct lp_v8_writer *writer, uint32_t number)
{
	for (; number >= 0x80; number >>= 7)
		lp_v8_put_byte(writer, (int)(0x80 | (number & 0x7f)));
	lp_v8_put_byte(writer, (int)number);
}

static void put_unit(struct lp_v8_writer *writer, unsigned unit)
{
	lp_v8_put_byte(writer, (int)(unit & 0xff));
	lp_v8_put_byte(writer, (int)(unit >> 8));
}

/* A character of UTF-8 at *at, which moves past it; anything else becomes U+FFFD. */
static unsigned take_point(const char **at, const char *end)
{
	unsigned first = (unsigned char)*(*at)++;
	if (first < 0x80)
		return first;
	unsigned more = first >= 0xf0 && first < 0xf8 ? 3 : first >= 0xe0 && first < 0xf0 ? 2 : 1;
	unsigned point = first & (0x3fu >> more);
	if (first < 0xc2 || first >= 0xf5)
		return 0xfffd;
	for (unsigned i = 0; i < more; i++) {
		if (*at == end || ((unsigned char)**at & 0xc0) != 0x80)
			return 0xfffd;
		point = point << 6 | ((unsigned char)*(*at)++ & 0x3f);
	}
	bool wrong = point < (more == 1 ? 0x80u : more == 2 ? 0x800u : 0x10000u) || point > 0x10ffff;
	return wrong || (point >= 0xd800 && point < 0xe000) ? 0xfffd : point;
}

/* After a backslash. */
static unsigned take_escape(const char **at)
{
	static const char messages[] = "bfnrt", means[] = "\b\f\n\r\t";
	char message = *(*at)++;
	const char *found = strchr(messages, message);
	if (message != 'u')
		return (unsigned char)(found ? means[found - messages] : message);
	char digits[5] = {0};
	memcpy(digits, *at, 4);
	*at += 4;
	return (unsigned)strtoul(digits, NULL, 16);
}

/* The units of a JSON string's inside, written or only counted. */
static uint32_t put_units(struct lp_v8_writer *writer, const char *at, const char *end, bool write)
{
	uint32_t units = 0;
	while (at < end) {
		bool escaped = *at == '\\';
		if (escaped)
			at++;
		unsigned point = escaped ? take_escape(&at) : take_point(&at, end);
		bool pair = point > 0xffff;
		units += pair ? 2 : 1;
		if (!write)
			continue;
		if (pair)
			put_unit(writer, 0xd800 + ((point - 0x10000) >> 10));
		put_unit(writer, pair ? 0xdc00 + ((point - 0x10000) & 0x3ff) : point);
	}
	return units;
}

static unsigned varint_length(uint32_t number)
{
	unsigned length = 1;
	while (number >>= 7)
		length++;
	return length;
}

/* From the first quote to just past the last. */
static const char *put_string(struct lp_v8_writer *writer, const char *at, size_t body)
{
	const char *start = ++at;
	bool plain = true;
	for (; *at != '"'; at++) {
		plain = plain && *at != '\\' && (unsigned char)*at < 0x80;
		if (*at == '\\')
			at++;
	}
	if (plain) {
		lp_v8_put_byte(writer, '"');
		put_varint(writer, (uint32_t)(at - start));
		lp_v8_put(writer, start, (size_t)(at - start));
		return at + 1;
	}
	uint32_t bytes = 2 * put_units(writer, start, at, false);
	if ((writer->out->length - body + 1 + varint_length(bytes)) % 2)
		lp_v8_put_byte(writer, 0);
	lp_v8_put_byte(writer, 'c');
	put_varint(writer, bytes);
	put_units(writer, start, at, true);
	return at + 1;
}

static const char *put_json_number(struct lp_v8_writer *writer, const char *at, const char *end)
{
	char text[NUMBER_MAX] = {0};
	size_t length = 0;
	while (at + length < end && length < NUMBER_MAX - 1 && strchr("0123456789+-.eE", at[length]))
		length++;
	memcpy(text, at, length);
	if (length == NUMBER_MAX - 1)
		writer->status = -EINVAL;
	double number = strtod(text, NULL);
	if (number == rint(number) && fabs(number) <= INT32_MAX && !(number == 0 && signbit(number))) {
		int32_t whole = (int32_t)number;
		lp_v8_put_byte(writer, 'I');
		put_varint(writer, (uint32_t)whole << 1 ^ (whole < 0 ? UINT32_MAX : 0));
	} else {
		lp_v8_put_byte(writer, 'N');
		uint64_t bits;
		memcpy(&bits, &number, sizeof(bits));
		for (unsigned i = 0; i < sizeof(bits); i++)
			lp_v8_put_byte(writer, (int)(bits >> 8 * i & 0xff));
	}
	return at + length;
}

/** A JSON array or object that is open. */
struct bracket {
	size_t length_at; /* Where an array's length belongs; 0: an object. */
	uint32_t values;
};

static void open_bracket(struct lp_v8_writer *writer, struct bracket *bracket, bool array)
{
	lp_v8_put_byte(writer, array ? 'A' : 'o');
	*bracket = (struct bracket){.length_at = array ? writer->out->length : 0};
	lp_v8_put(writer, "\x80\x80\x80\x80", array ? 5 : 0);
}

static void close_bracket(struct lp_v8_writer *writer, const struct bracket *bracket)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Branch): right JSON closes what it has opened. */
	if (!bracket->length_at) {
		lp_v8_put_byte(writer, '{');
		put_varint(writer, bracket->values / 2);
		return;
	}
	lp_v8_put(writer, "$", 2);
	put_varint(writer, bracket->values);
	for (unsigned i = 0; !writer->status && i < 5; i++)
		writer->out->bytes[bracket->length_at + i] =
			(char)((bracket->values >> 7 * i & 0x7f) | (i < 4 ? 0x80 : 0));
}

size_t lp_v8_frame_length(const char *head)
{
	size_t length = 0;
	for (unsigned i = 0; i < LP_V8_FRAME_HEAD; i++)
		length = length << 8 | (unsigned char)head[i];
	return length + LP_V8_FRAME_HEAD;
}

/** A value of V8's, and its name. */
struct member {
	struct lp_slice name;
	struct lp_slice value;
};

/* After the outermost bracket. */
static void put_member(struct lp_v8_writer *writer, struct bracket *bracket, const struct member *member, size_t body)
{
	if (!member->value.length)
		return;
	lp_v8_put_byte(writer, '"');
	lp_v8_put_byte(writer, (int)member->name.length);
	lp_v8_put(writer, member->name.bytes, member->name.length);
	lp_v8_put(writer, "", (writer->out->length - body) % 2);
	lp_v8_put(writer, member->value.bytes, member->value.length);
	bracket->values += 2;
}

/* JSON that was found to be right. */
static void put_value(struct lp_v8_writer *writer, struct lp_slice json, const struct member *member)
{
	struct bracket brackets[LP_JSON_DEPTH_MAX];
	unsigned depth = 0;
	size_t body = writer->out->length - 2;
	const char *end = json.bytes + json.length;
	for (const char *at = json.bytes; at < end && !writer->status;) {
		if (strchr(" \t\r\n,:", *at)) {
			at++;
			continue;
		}
		if (*at == '}' || *at == ']') {
			close_bracket(writer, &brackets[--depth]);
			at++;
			continue;
		}
		if (depth)
			brackets[depth - 1].values++; /* NOLINT(clang-analyzer-core.uninitialized.Assign): opened. */
		if (*at == '{' || *at == '[') {
			open_bracket(writer, &brackets[depth++], *at++ == '[');
			if (depth == 1)
				put_member(writer, &brackets[0], member, body);
		} else if (*at == '"') {
			at = put_string(writer, at, body);
		} else if (*at == 't' || *at == 'f' || *at == 'n') {
			lp_v8_put_byte(writer, *at == 't' ? 'T' : *at == 'f' ? 'F' : '0');
			at += *at == 'f' ? 5 : 4;
		} else {
			at = put_json_number(writer, at, end);
		}
	}
}

int lp_v8_frame(struct lp_slice json, struct lp_buffer *out)
{
	return lp_v8_frame_with(json, (struct lp_slice){0}, (struct lp_slice){0}, out);
}

int lp_v8_frame_with(struct lp_slice json, struct lp_slice name, struct lp_slice value, struct lp_buffer *out)
{
	struct lp_v8_writer writer = {.out = out};
	const struct member member = {name, value};
	size_t start = out->length;
	if (json.length > INT32_MAX / 8 || lp_json_check(json))
		return -EINVAL;
	lp_v8_put(&writer, "\0\0\0\0\xff\r", LP_V8_FRAME_HEAD + 2);
	if (!writer.status)
		put_value(&writer, json, &member);
	if (writer.status)
		return writer.status;
	size_t length = out->length - start - LP_V8_FRAME_HEAD;
	for (unsigned i = 0; i < LP_V8_FRAME_HEAD; i++)
		out->bytes[start + i] = (char)(length >> 8 * (LP_V8_FRAME_HEAD - 1 - i));
	return 0;
}
