/*
 * This is no parser of HTTP: limpet and the server each have one. It only finds where a request ends, and in any doubt
 * says opaque, which costs nothing but the wish to route each request by itself.
 */
#include "preload/request.h"

#include <string.h>
#include <strings.h>

static bool has_prefix(const char *line, const char *end, const char *name)
{
	size_t length = strlen(name);
	return (size_t)(end - line) >= length && strncasecmp(line, name, length) == 0;
}

/* "METHOD target HTTP/1.1": the target, or absent. */
static struct lp_slice read_target(const char *line, const char *end)
{
	const char *at = line;
	while (at < end && *at >= 'A' && *at <= 'Z')
		at++;
	if (at == line || at == end || *at != ' ')
		return (struct lp_slice){0};
	const char *target = ++at;
	while (at<end && * at> ' ')
		at++;
	if (at == target || end - at != 9 || memcmp(at, " HTTP/1.1", 9) != 0)
		return (struct lp_slice){0};
	return (struct lp_slice){target, (size_t)(at - target)};
}

/* The first `sid` of the query, as limpet takes it: undecoded, and an empty one is none. */
static struct lp_slice find_sid(struct lp_slice target)
{
	const char *end = target.bytes + target.length;
	const char *at = memchr(target.bytes, '?', target.length);
	while (at && at < end) {
		at++;
		const char *next = memchr(at, '&', (size_t)(end - at));
		const char *stop = next ? next : end;
		if (stop - at > 4 && memcmp(at, "sid=", 4) == 0)
			return (struct lp_slice){at + 4, (size_t)(stop - at - 4)};
		at = next;
	}
	return (struct lp_slice){0};
}

static bool read_length(const char *at, const char *end, uint64_t *length)
{
	uint64_t value = 0;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	const char *start = at;
	for (; at < end && *at >= '0' && *at <= '9' && at - start < 15; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	*length = value;
	return at > start && at == end;
}

/* Read the header lines; returns false in any doubt about where the body ends. */
static bool read_headers(const char *at, const char *end, uint64_t *body)
{
	bool sized = false;
	*body = 0;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		if (!newline || newline == at || newline[-1] != '\r')
			return false;
		const char *stop = newline - 1;
		const char *colon = memchr(at, ':', (size_t)(stop - at));
		if (!colon || colon == at || colon[-1] == ' ' || colon[-1] == '\t' || *at == ' ' || *at == '\t' ||
		    has_prefix(at, stop, "transfer-encoding:") || has_prefix(at, stop, "upgrade:"))
			return false;
		if (has_prefix(at, stop, "content-length:")) {
			if (sized || !read_length(at + 15, stop, body))
				return false;
			sized = true;
		}
		at = newline + 1;
	}
	return true;
}

bool lp_request_read(struct lp_request *request, const char *bytes, size_t length)
{
	const char *end = memmem(bytes, length, "\r\n\r\n", 4);
	const char *first = memchr(bytes, '\n', length);
	*request = (struct lp_request){.opaque = true};
	if (!end && length < LP_REQUEST_HEAD_MAX && length && bytes[0] >= 'A' && bytes[0] <= 'Z')
		return false;
	if (!end || !first || first == bytes || first[-1] != '\r')
		return true;
	struct lp_slice target = read_target(bytes, first - 1);
	uint64_t body;
	if (!target.bytes || !read_headers(first + 1, end + 2, &body))
		return true;
	request->opaque = false;
	request->length = (uint64_t)(end + 4 - bytes) + body;
	request->sid = find_sid(target);
	return true;
}
