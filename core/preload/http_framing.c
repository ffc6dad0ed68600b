/*
 * Whatever is not as RFC 9112 writes it is doubtful: a bare CR, a folded line, a blank before the colon, two lengths, a
 * length beside an encoding, an encoding other than chunked.
 */
#include "preload/http_framing.h"

/* Digits of a length: more would not fit, and no body is that long. */
#define DIGITS_MAX 15

#define BOTH (LP_HTTP_TOKEN | LP_HTTP_TEXT)
#define TEXT LP_HTTP_TEXT

/* Every byte of every head is looked up here. */
const uint8_t lp_http_bytes[256] = {
	['\t'] = TEXT,        [' '] = TEXT,         ['!'] = BOTH,         ['"'] = TEXT,         ['#' ... '\''] = BOTH,
	['(' ... ')'] = TEXT, ['*' ... '+'] = BOTH, [','] = TEXT,         ['-' ... '.'] = BOTH, ['/'] = TEXT,
	['0' ... '9'] = BOTH, [':' ... '@'] = TEXT, ['A' ... 'Z'] = BOTH, ['[' ... ']'] = TEXT, ['^' ... 'z'] = BOTH,
	['{'] = TEXT,         ['|'] = BOTH,         ['}'] = TEXT,         ['~'] = BOTH,         [128 ... 255] = TEXT,
};

static bool read_length(struct lp_slice text, uint64_t *length)
{
	*length = 0;
	for (size_t i = 0; i < text.length; i++) {
		if (text.bytes[i] < '0' || text.bytes[i] > '9')
			return false;
		*length = *length * 10 + (uint64_t)(text.bytes[i] - '0');
	}
	return text.length > 0 && text.length <= DIGITS_MAX;
}

static struct lp_slice trim_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (struct lp_slice){at, (size_t)(end - at)};
}

/* "Name: value" into both; false when it is no sound header. */
static bool split_header(struct lp_slice line, struct lp_slice *name, struct lp_slice *value)
{
	const char *end = line.bytes + line.length;
	const char *at = line.bytes;
	while (at < end && lp_http_is_token(*at))
		at++;
	if (at == line.bytes || at == end || *at != ':')
		return false;
	*name = (struct lp_slice){line.bytes, (size_t)(at - line.bytes)};
	for (const char *byte = at; byte < end; byte++)
		if (!lp_http_is_text(*byte))
			return false;
	*value = trim_blanks(at + 1, end);
	return true;
}

struct lp_slice lp_framing_take(struct lp_framing *framing, struct lp_slice line, struct lp_slice *value)
{
	struct lp_slice name;
	if (!split_header(line, &name, value)) {
		framing->doubtful = true;
		*value = (struct lp_slice){0};
		return *value;
	}
	if (lp_http_is_name(name, "Content-Length")) {
		framing->doubtful |= framing->sized || framing->chunked || !read_length(*value, &framing->length);
		framing->sized = true;
	} else if (lp_http_is_name(name, "Transfer-Encoding")) {
		framing->doubtful |= framing->sized || framing->chunked || !lp_http_is_name(*value, "chunked");
		framing->chunked = true;
	}
	return name;
}
