/*
 * One byte at a time, except for the data, which is skipped.
 */
#include "preload/http_chunked.h"

#include <stdbool.h>

#include "preload/http_framing.h"

/* Digits of a size: more would not fit, and no body is that long. */
#define DIGITS_MAX 15

enum state {
	AT_SIZE,
	IN_SIZE,
	IN_EXTENSION,
	AT_SIZE_NEWLINE,
	IN_DATA,
	AT_DATA_RETURN,
	AT_DATA_NEWLINE,
	AT_TRAILER,
	IN_TRAILER_NAME,
	IN_TRAILER_VALUE,
	AT_TRAILER_NEWLINE,
	AT_LAST_NEWLINE,
	/* Of a step, never kept. */
	ENDED,
	BROKEN,
};

static int hex_value(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

static enum state read_size(struct lp_http_chunked *chunked, char byte)
{
	int value = hex_value(byte);
	if (value >= 0 && chunked->digits < DIGITS_MAX) {
		chunked->left = chunked->left * 16 + (uint64_t)value;
		chunked->digits++;
		return IN_SIZE;
	}
	if (value >= 0 || !chunked->digits)
		return BROKEN;
	if (byte == '\r')
		return AT_SIZE_NEWLINE;
	return byte == ';' ? IN_EXTENSION : BROKEN;
}

static enum state end_size(struct lp_http_chunked *chunked, char byte)
{
	chunked->digits = 0;
	if (byte != '\n')
		return BROKEN;
	return chunked->left ? IN_DATA : AT_TRAILER;
}

static enum state begin_trailer(char byte)
{
	if (byte == '\r')
		return AT_LAST_NEWLINE;
	return lp_http_is_token(byte) ? IN_TRAILER_NAME : BROKEN;
}

/* The state behind a byte that is not data. */
static enum state next_state(struct lp_http_chunked *chunked, char byte)
{
	switch ((enum state)chunked->state) {
	case AT_SIZE:
	case IN_SIZE:
		return read_size(chunked, byte);
	case IN_EXTENSION:
		if (byte == '\r')
			return AT_SIZE_NEWLINE;
		return lp_http_is_text(byte) ? IN_EXTENSION : BROKEN;
	case AT_SIZE_NEWLINE:
		return end_size(chunked, byte);
	case AT_DATA_RETURN:
		return byte == '\r' ? AT_DATA_NEWLINE : BROKEN;
	case AT_DATA_NEWLINE:
		return byte == '\n' ? AT_SIZE : BROKEN;
	case AT_TRAILER:
		return begin_trailer(byte);
	case IN_TRAILER_NAME:
		if (byte == ':')
			return IN_TRAILER_VALUE;
		return lp_http_is_token(byte) ? IN_TRAILER_NAME : BROKEN;
	case IN_TRAILER_VALUE:
		if (byte == '\r')
			return AT_TRAILER_NEWLINE;
		return lp_http_is_text(byte) ? IN_TRAILER_VALUE : BROKEN;
	case AT_TRAILER_NEWLINE:
		return byte == '\n' ? AT_TRAILER : BROKEN;
	case AT_LAST_NEWLINE:
		return byte == '\n' ? ENDED : BROKEN;
	case IN_DATA:
	case ENDED:
	case BROKEN:
		break;
	}
	return BROKEN;
}

uint64_t lp_http_chunked_data_left(const struct lp_http_chunked *chunked)
{
	return chunked->state == IN_DATA ? chunked->left : 0;
}

void lp_http_chunked_skip(struct lp_http_chunked *chunked, uint64_t count)
{
	chunked->left -= count;
	if (!chunked->left)
		chunked->state = AT_DATA_RETURN;
}

enum lp_http_chunked_status lp_http_chunked_step(struct lp_http_chunked *chunked, const char *bytes, size_t length,
						 size_t *used, size_t *data)
{
	*data = 0;
	if (chunked->state == IN_DATA) {
		*used = *data = chunked->left < length ? (size_t)chunked->left : length;
		lp_http_chunked_skip(chunked, *used);
		return LP_HTTP_CHUNKED_MORE;
	}
	for (*used = 0; *used < length && chunked->state != IN_DATA;) {
		enum state next = next_state(chunked, bytes[(*used)++]);
		if (next == ENDED || next == BROKEN)
			return next == ENDED ? LP_HTTP_CHUNKED_DONE : LP_HTTP_CHUNKED_BROKEN;
		chunked->state = (uint8_t)next;
	}
	return LP_HTTP_CHUNKED_MORE;
}

enum lp_http_chunked_status lp_http_chunked_follow(struct lp_http_chunked *chunked, const char *bytes, size_t length,
						   size_t *used)
{
	enum lp_http_chunked_status status = LP_HTTP_CHUNKED_MORE;
	*used = 0;
	while (*used < length && status == LP_HTTP_CHUNKED_MORE) {
		size_t step_used;
		size_t data;
		status = lp_http_chunked_step(chunked, bytes + *used, length - *used, &step_used, &data);
		*used += step_used;
	}
	return status;
}
