/*
 * One pass over the pieces of a value (v8value.h), each of which is written where it is found; a comma goes by what was
 * written last. Strings lose nothing, halves of surrogate pairs included: JSON has escapes for those.
 *
 * Limits: an object that came before is not looked for, and becomes null. Elements that an array does not have cost a few bytes
 * of JSON each, so they are bounded. So are numbers that are not integers: the shortest digits that tell one
 * are found by trying, and half a million of them, which are a few MiB, would hold everybody up.
 */
#include "broker/v8json.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/v8value.h"
#include "broker/v8writer.h"

/* The most elements of arrays that are mostly empty: in JSON each element is written. */
#define SPARSE_MAX 65536

/* The most numbers that are not integers; further ones become null. */
#define FRACTIONS_MAX 8192

static void put_escape(struct lp_v8_writer *writer, unsigned unit)
{
	char escape[8];
	lp_v8_put(writer, escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", unit));
}

/* One character, of any size. */
static void put_point(struct lp_v8_writer *writer, unsigned point)
{
	if (point < 0x20 || (point >= 0xd800 && point < 0xe000)) {
		put_escape(writer, point);
	} else if (point < 0x80) {
		if (point == '"' || point == '\\')
			lp_v8_put_byte(writer, '\\');
		lp_v8_put_byte(writer, (int)point);
	} else {
		unsigned more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
		lp_v8_put_byte(writer, (int)((0xf00u >> (more + 1) & 0xff) | point >> 6 * more));
		while (more--)
			lp_v8_put_byte(writer, (int)(0x80 | (point >> 6 * more & 0x3f)));
	}
}

static unsigned unit_at(struct lp_slice text, size_t at)
{
	return (unsigned char)text.bytes[at] | (unsigned)(unsigned char)text.bytes[at + 1] << 8;
}

static void put_utf16(struct lp_v8_writer *writer, struct lp_slice text)
{
	for (size_t at = 0; at < text.length; at += 2) {
		unsigned unit = unit_at(text, at);
		unsigned low = at + 2 < text.length ? unit_at(text, at + 2) : 0;
		if (unit >= 0xd800 && unit < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
			unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
			at += 2;
		}
		put_point(writer, unit);
	}
}

static bool is_plain(unsigned char byte)
{
	return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* One byte a character, or UTF-8, whose long characters go on as they are. */
static void put_bytes(struct lp_v8_writer *writer, struct lp_slice text, bool utf8)
{
	for (size_t at = 0; at < text.length;) {
		size_t start = at;
		while (at < text.length &&
		       (is_plain((unsigned char)text.bytes[at]) || (utf8 && (unsigned char)text.bytes[at] >= 0x80)))
			at++;
		lp_v8_put(writer, text.bytes + start, at - start);
		if (at < text.length)
			put_point(writer, (unsigned char)text.bytes[at++]);
	}
}

/* With as few digits as tell it, as JavaScript does: numbers may be names. */
static bool is_integer(double number)
{
	return fabs(number) < 1e15 && number == rint(number); /* Most are; the rest would do as well, slowly. */
}

static void put_number(struct lp_v8_writer *writer, double number)
{
	char text[32] = "null";
	if (number == 0)
		number = 0; /* Of either sign. */
	if (is_integer(number)) {
		snprintf(text, sizeof(text), "%ld", (long)number);
		lp_v8_put(writer, text, strlen(text));
		return;
	}
	for (int digits = 15; isfinite(number) && digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	lp_v8_put(writer, text, strlen(text));
}

static void put_scalar(struct lp_v8_writer *writer, const struct lp_v8_token *token)
{
	switch (token->kind) {
	case LP_V8_LATIN1:
	case LP_V8_UTF8:
	case LP_V8_UTF16:
		lp_v8_put_byte(writer, '"');
		if (token->kind == LP_V8_UTF16)
			put_utf16(writer, token->text);
		else
			put_bytes(writer, token->text, token->kind == LP_V8_UTF8);
		lp_v8_put_byte(writer, '"');
		return;
	case LP_V8_NUMBER:
		put_number(writer, token->number);
		return;
	case LP_V8_TRUE:
		lp_v8_put(writer, "true", 4);
		return;
	case LP_V8_FALSE:
		lp_v8_put(writer, "false", 5);
		return;
	default:
		lp_v8_put(writer, "null", 4);
	}
}

static void put_key(struct lp_v8_writer *writer, const struct lp_v8_token *token)
{
	bool quotes = token->kind == LP_V8_NUMBER;
	if (quotes)
		lp_v8_put_byte(writer, '"');
	put_scalar(writer, token);
	lp_v8_put(writer, "\":", quotes ? 2 : 0);
	lp_v8_put(writer, ":", quotes ? 0 : 1);
}

/* A comma, unless something has just been opened. */
static void put_comma(struct lp_v8_writer *writer, size_t start)
{
	if (writer->status || writer->out->length == start)
		return;
	char last = writer->out->bytes[writer->out->length - 1];
	if (last != '{' && last != '[' && last != ':')
		lp_v8_put_byte(writer, ',');
}

/** A value on its way to JSON. */
struct converter {
	struct lp_v8 v8;
	struct lp_v8_writer writer;
	size_t start;     /* Of the text in the buffer. */
	size_t member;    /* Where the last member began, for one that is left out. */
	size_t sparse;    /* Elements of arrays with few, so far. */
	size_t fractions; /* Numbers that are no integers, so far. */
	bool no_element;  /* What comes next belongs to no index of the array it is in. */
	bool *lossy;
	uint32_t next[LP_V8_DEPTH_MAX]; /* Index of arrays with few elements, by their depth. */
};

/* Pass over what began with the token, all of it. */
static int pass_rest(struct converter *converter)
{
	struct lp_v8_token token;
	unsigned depth = converter->v8.depth - 1;
	int status = 1;
	while (status == 1 && converter->v8.depth > depth)
		status = lp_v8_next(&converter->v8, &token);
	return status;
}

static int convert_opened(struct converter *converter, const struct lp_v8_token *token)
{
	unsigned top = converter->v8.depth - 1;
	uint32_t length = converter->v8.levels[top].declared;
	bool few = token->tag == 'a' && length <= SPARSE_MAX - converter->sparse;
	converter->sparse += few ? length : 0;
	converter->next[top] = 0;
	if (token->tag == 'o' || token->tag == 'A' || few) {
		lp_v8_put_byte(&converter->writer, token->tag == 'o' ? '{' : '[');
		return 1;
	}
	*converter->lossy = true;
	lp_v8_put(&converter->writer, "null", 4);
	return pass_rest(converter);
}

/* An array's elements up to an index are missing. */
static void fill_array(struct converter *converter, unsigned top, double index)
{
	for (; converter->next[top] < index; converter->next[top]++) {
		put_comma(&converter->writer, converter->start);
		lp_v8_put(&converter->writer, "null", 4);
	}
}

/* The index of an element in an array that has few; other keys, and what they stand for, are not JSON's. */
static void convert_index(struct converter *converter, const struct lp_v8_level *level, const struct lp_v8_token *token)
{
	unsigned top = converter->v8.depth - 1;
	double index = token->number;
	converter->no_element = token->kind != LP_V8_NUMBER || index != rint(index) || index < converter->next[top] ||
				index >= level->declared;
	if (converter->no_element)
		return;
	fill_array(converter, top, index);
	converter->next[top]++;
}

/* Whether a piece is of an array, but none of its elements. JSON has an array's elements only. */
static bool is_no_element(struct converter *converter, const struct lp_v8_level *level)
{
	bool none = level->tag == 'A' ? level->values > level->declared : level->tag == 'a' && converter->no_element;
	converter->no_element = false;
	return none;
}

/* A number that there are too many of becomes null. */
static void bound_number(struct converter *converter, struct lp_v8_token *token)
{
	if (token->kind != LP_V8_NUMBER || is_integer(token->number) || converter->fractions++ < FRACTIONS_MAX)
		return;
	*converter->lossy = true;
	token->number = (double)NAN;
}

/* A piece of the value; level is what it is in. */
static int convert_token(struct converter *converter, const struct lp_v8_level *level, const struct lp_v8_token *token)
{
	struct lp_v8_writer *writer = &converter->writer;
	if (token->kind == LP_V8_CLOSE) {
		if (token->tag == 'a')
			/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what closes has a level. */
			fill_array(converter, converter->v8.depth, level->declared);
		lp_v8_put_byte(writer, token->tag == 'o' ? '}' : ']');
		return 1;
	}
	if (level && level->tag == 'a' && level->values % 2 == 1) {
		convert_index(converter, level, token);
		return token->kind == LP_V8_OPEN ? pass_rest(converter) : 1;
	}
	if (level && is_no_element(converter, level))
		return token->kind == LP_V8_OPEN ? pass_rest(converter) : 1;
	bool key = level && level->tag == 'o' && level->values % 2 == 1;
	if (key)
		converter->member = writer->out->length;
	put_comma(writer, converter->start);
	if (key) {
		put_key(writer, token);
		return 1;
	}
	if (token->kind == LP_V8_OPEN)
		return convert_opened(converter, token);
	if (token->kind == LP_V8_UNDEFINED && level && level->tag == 'o') {
		writer->out->length = converter->member;
		return 1;
	}
	if (token->kind == LP_V8_OTHER)
		*converter->lossy = true;
	put_scalar(writer, token);
	return 1;
}

int lp_v8_to_json(struct lp_slice value, struct lp_buffer *out, bool *lossy)
{
	struct converter converter;
	struct lp_v8_token token;
	int status;
	converter.writer = (struct lp_v8_writer){.out = out};
	converter.start = out->length;
	converter.lossy = lossy;
	converter.sparse = 0;
	converter.fractions = 0;
	converter.no_element = false;
	lp_v8_open_value(&converter.v8, value);
	for (;;) {
		const struct lp_v8_level *level =
			converter.v8.depth ? &converter.v8.levels[converter.v8.depth - 1] : NULL;
		status = lp_v8_next(&converter.v8, &token);
		if (status == 1) {
			bound_number(&converter, &token);
			status = convert_token(&converter, level, &token);
		}
		if (status != 1 || converter.writer.status)
			return status < 0 ? status : converter.writer.status;
	}
}
