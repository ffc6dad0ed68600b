/*
 * Python, Ruby, Java and shells end with the line that says what is wrong. Node prints the stack behind it, its fields, and
 * last "Node.js v20.20.2".
 */
#include "worker/last_output.h"

#include <string.h>

#include "base/slice.h"

void lp_last_output_add(struct lp_last_output *words, const char *bytes, size_t length)
{
	if (length > LP_LAST_OUTPUT_MAX) {
		bytes += length - LP_LAST_OUTPUT_MAX;
		length = LP_LAST_OUTPUT_MAX;
	}
	size_t kept = words->length + length > LP_LAST_OUTPUT_MAX ? LP_LAST_OUTPUT_MAX - length : words->length;
	memmove(words->bytes, words->bytes + words->length - kept, kept);
	memcpy(words->bytes + kept, bytes, length);
	words->length = kept + length;
}

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n' || byte == '\0';
}

/* The line before `end`, without the blanks behind it; no length when there is none. */
static struct lp_slice line_before(const struct lp_last_output *words, size_t end)
{
	while (end > 0 && is_blank(words->bytes[end - 1]))
		end--;
	size_t begin = end;
	while (begin > 0 && words->bytes[begin - 1] != '\n')
		begin--;
	return (struct lp_slice){words->bytes + begin, end - begin};
}

static bool begins_with(struct lp_slice line, const char *text)
{
	return line.length >= strlen(text) && memcmp(line.bytes, text, strlen(text)) == 0;
}

/* "TypeError: x is no function", "[ERR_X]: …": not a line of the stack behind it. */
static bool is_exception(struct lp_slice line)
{
	const char *colon = line.length && !is_blank(line.bytes[0]) ? memchr(line.bytes, ':', line.length) : NULL;
	size_t length = colon ? (size_t)(colon - line.bytes) : 0;
	return length && (memmem(line.bytes, length, "Error", 5) || memmem(line.bytes, length, "Exception", 9));
}

static struct lp_slice find_exception(const struct lp_last_output *words, struct lp_slice line)
{
	struct lp_slice last = line;
	while (line.length && !is_exception(line))
		line = line_before(words, (size_t)(line.bytes - words->bytes));
	return line.length ? line : last;
}

bool lp_last_output_choose(const struct lp_last_output *words, char *text, size_t size)
{
	struct lp_slice line = line_before(words, words->length);
	if (begins_with(line, "Node.js v"))
		line = find_exception(words, line);
	while (line.length && is_blank(line.bytes[0])) {
		line.bytes++;
		line.length--;
	}
	size_t length = line.length < size ? line.length : size - 1;
	memcpy(text, line.bytes, length);
	text[length] = '\0';
	return length > 0;
}
