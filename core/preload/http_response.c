/*
 * Lines are read where they lie, if they came in one piece; else their beginning is collected. A header that came in pieces
 * and is too long to be kept is none that says how long the body is, unless its beginning says otherwise.
 */
#include "preload/http_response.h"

#include <string.h>

/* "HTTP/1.1 200" */
#define STATUS_LENGTH 12

static enum lp_http_response_event lose_track(struct lp_http_response *response)
{
	response->phase = LP_HTTP_RESPONSE_LOST;
	return LP_HTTP_RESPONSE_LOSE;
}

/* All but `begun` and what is kept. */
static void begin_head(struct lp_http_response *response)
{
	response->phase = LP_HTTP_RESPONSE_LINE;
	response->has_status = false;
	response->cut = false;
	response->kept = 0;
	response->framing = (struct lp_framing){0};
	response->chunked = (struct lp_http_chunked){0};
}

/* After the last byte of a response. */
static enum lp_http_response_event end_response(struct lp_http_response *response)
{
	response->begun = false;
	begin_head(response);
	return LP_HTTP_RESPONSE_END;
}

/* Lines */

/* As much of a line that came in pieces as there is room for. */
static void keep_line(struct lp_http_response *response, const char *bytes, size_t length)
{
	size_t room = sizeof(response->text) - response->kept;
	size_t count = length < room ? length : room;
	memcpy(response->text + response->kept, bytes, count);
	response->kept = (uint16_t)(response->kept + count);
	response->cut |= count < length;
}

/* Take a line off the front, without its newline. Returns whether it is complete. */
static bool take_line(struct lp_http_response *response, struct lp_slice *bytes, struct lp_slice *line)
{
	const char *newline = memchr(bytes->bytes, '\n', bytes->length);
	size_t length = newline ? (size_t)(newline - bytes->bytes) : bytes->length;
	bool whole = newline && !response->kept;
	*line = (struct lp_slice){bytes->bytes, length};
	if (!whole)
		keep_line(response, bytes->bytes, length);
	if (newline && !whole)
		*line = (struct lp_slice){response->text, response->kept};
	bytes->bytes += length + !!newline;
	bytes->length -= length + !!newline;
	return newline;
}

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* "HTTP/1.1 200 OK", where the reason may be anything or missing. */
static bool read_status(struct lp_http_response *response, struct lp_slice line)
{
	const char *at = line.bytes;
	if (line.length < STATUS_LENGTH || memcmp(at, "HTTP/1.", 7) != 0 || (at[7] != '0' && at[7] != '1') ||
	    at[8] != ' ' || at[9] < '1' || at[9] > '9' || !is_digit(at[10]) || !is_digit(at[11]) ||
	    (line.length > STATUS_LENGTH && at[STATUS_LENGTH] != ' '))
		return false;
	for (size_t i = STATUS_LENGTH; i < line.length; i++)
		if (!lp_http_is_text(at[i]))
			return false;
	response->status = (uint16_t)((at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0'));
	response->has_status = true;
	return true;
}

static enum lp_http_response_event end_head(struct lp_http_response *response)
{
	if (response->status == 101) {
		response->phase = LP_HTTP_RESPONSE_LOST;
		return LP_HTTP_RESPONSE_SWITCH;
	}
	if (response->status >= 200)
		return LP_HTTP_RESPONSE_HEAD;
	begin_head(response);
	return LP_HTTP_RESPONSE_MORE;
}

/* A header whose end is lost does no harm, if it is not one that counts; what its name is, was kept. */
static void take_cut_header(struct lp_framing *framing, struct lp_slice line)
{
	const char *colon = memchr(line.bytes, ':', line.length);
	struct lp_slice name = {line.bytes, colon ? (size_t)(colon - line.bytes) : 0};
	framing->doubtful |=
		!colon || lp_http_is_name(name, "Content-Length") || lp_http_is_name(name, "Transfer-Encoding");
}

/* Returns MORE where there is nothing to tell. */
static enum lp_http_response_event read_line(struct lp_http_response *response, struct lp_slice line,
					     struct lp_slice *header)
{
	struct lp_slice value;
	bool cut = response->cut;
	bool ends = line.length && line.bytes[line.length - 1] == '\r';
	response->kept = 0;
	response->cut = false;
	if (!ends && !cut)
		return lose_track(response);
	line.length -= ends;
	if (!response->has_status)
		return read_status(response, line) ? LP_HTTP_RESPONSE_MORE : lose_track(response);
	if (!line.length)
		return end_head(response);
	if (cut) {
		take_cut_header(&response->framing, line);
		return LP_HTTP_RESPONSE_MORE;
	}
	lp_framing_take(&response->framing, line, &value);
	*header = line;
	return LP_HTTP_RESPONSE_HEADER;
}

/* What cannot become a status line need not be waited for. */
static bool may_be_status(const struct lp_http_response *response)
{
	static const char begin[] = "HTTP/1.";
	size_t length = sizeof(begin) - 1;
	return memcmp(response->text, begin, response->kept < length ? response->kept : length) == 0;
}

/* Bodies */

enum lp_http_response_event lp_http_response_begin_body(struct lp_http_response *response, bool to_head)
{
	const struct lp_framing *framing = &response->framing;
	response->left = framing->sized ? framing->length : 0;
	if (to_head || response->status == 204 || response->status == 304)
		return end_response(response);
	if (framing->doubtful)
		return lose_track(response);
	if (framing->chunked)
		response->phase = LP_HTTP_RESPONSE_CHUNKED;
	else if (!framing->sized)
		response->phase = LP_HTTP_RESPONSE_CLOSED;
	else if (response->left)
		response->phase = LP_HTTP_RESPONSE_SIZED;
	else
		return end_response(response);
	return LP_HTTP_RESPONSE_MORE;
}

static void take_off(struct lp_slice *bytes, size_t count)
{
	bytes->bytes += count;
	bytes->length -= count;
}

static enum lp_http_response_event read_sized(struct lp_http_response *response, struct lp_slice *bytes,
					      struct lp_slice *slice)
{
	if (!response->left)
		return end_response(response);
	size_t count = response->left < bytes->length ? (size_t)response->left : bytes->length;
	if (!count)
		return LP_HTTP_RESPONSE_MORE;
	*slice = (struct lp_slice){bytes->bytes, count};
	response->left -= count;
	take_off(bytes, count);
	return LP_HTTP_RESPONSE_BODY;
}

static enum lp_http_response_event read_chunked(struct lp_http_response *response, struct lp_slice *bytes,
						struct lp_slice *slice)
{
	while (bytes->length) {
		size_t used;
		size_t data;
		const char *at = bytes->bytes;
		enum lp_http_chunked_status status =
			lp_http_chunked_step(&response->chunked, at, bytes->length, &used, &data);
		take_off(bytes, used);
		if (status == LP_HTTP_CHUNKED_DONE)
			return end_response(response);
		if (status == LP_HTTP_CHUNKED_BROKEN)
			return lose_track(response);
		if (data) {
			*slice = (struct lp_slice){at, data};
			return LP_HTTP_RESPONSE_BODY;
		}
	}
	return LP_HTTP_RESPONSE_MORE;
}

static enum lp_http_response_event read_closed(struct lp_slice *bytes, struct lp_slice *slice)
{
	if (!bytes->length)
		return LP_HTTP_RESPONSE_MORE;
	*slice = *bytes;
	take_off(bytes, bytes->length);
	return LP_HTTP_RESPONSE_BODY;
}

enum lp_http_response_event lp_http_response_next(struct lp_http_response *response, struct lp_slice *bytes,
						  struct lp_slice *slice)
{
	switch ((enum lp_http_response_phase)response->phase) {
	case LP_HTTP_RESPONSE_LOST:
		take_off(bytes, bytes->length);
		return LP_HTTP_RESPONSE_MORE;
	case LP_HTTP_RESPONSE_SIZED:
		return read_sized(response, bytes, slice);
	case LP_HTTP_RESPONSE_CHUNKED:
		return read_chunked(response, bytes, slice);
	case LP_HTTP_RESPONSE_CLOSED:
		return read_closed(bytes, slice);
	case LP_HTTP_RESPONSE_LINE:
		break;
	}
	while (bytes->length) {
		struct lp_slice line;
		response->begun = true;
		if (!take_line(response, bytes, &line))
			return response->has_status || may_be_status(response) ? LP_HTTP_RESPONSE_MORE
									       : lose_track(response);
		enum lp_http_response_event event = read_line(response, line, slice);
		if (event != LP_HTTP_RESPONSE_MORE)
			return event;
	}
	return LP_HTTP_RESPONSE_MORE;
}

enum lp_http_response_event lp_http_response_skip(struct lp_http_response *response, uint64_t count)
{
	uint64_t data = lp_http_chunked_data_left(&response->chunked);
	switch ((enum lp_http_response_phase)response->phase) {
	case LP_HTTP_RESPONSE_SIZED:
		if (count > response->left)
			return lose_track(response);
		response->left -= count;
		return response->left ? LP_HTTP_RESPONSE_MORE : end_response(response);
	case LP_HTTP_RESPONSE_CHUNKED:
		if (count > data)
			return lose_track(response);
		lp_http_chunked_skip(&response->chunked, count);
		return LP_HTTP_RESPONSE_MORE;
	case LP_HTTP_RESPONSE_CLOSED:
	case LP_HTTP_RESPONSE_LOST:
		return LP_HTTP_RESPONSE_MORE;
	case LP_HTTP_RESPONSE_LINE:
		break;
	}
	return lose_track(response);
}

bool lp_http_response_rests(const struct lp_http_response *response)
{
	return response->phase == LP_HTTP_RESPONSE_LINE && !response->begun;
}
