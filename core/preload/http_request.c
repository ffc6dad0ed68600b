/*
 * This is no parser of HTTP: limpet and the server each have one. It only finds where a request ends; where they could
 * disagree about that, the end is unknown.
 */
#include "preload/http_request.h"

#include <string.h>

#include "preload/http_framing.h"

/* The longest method there is, and some. */
#define METHOD_MAX 32

struct line {
	struct lp_slice method;
	struct lp_slice target;
	bool sound; /* So far. */
};

static bool is_method_byte(char byte)
{
	return (byte >= 'A' && byte <= 'Z') || byte == '-' || byte == '_';
}

/* "METHOD target HTTP/1.1" without its end, or as much of it as has come. */
static struct line read_line(const char *at, const char *end)
{
	static const char version[] = " HTTP/1.";
	struct line line = {.method.bytes = at};
	while (at < end && is_method_byte(*at) && line.method.length < METHOD_MAX) {
		line.method.length++;
		at++;
	}
	line.sound = line.method.length && (at == end || *at == ' ');
	if (at == end || !line.sound)
		return line;
	line.target.bytes = ++at;
	while (at<end && * at> ' ' && *at != 127)
		at++;
	line.target.length = (size_t)(at - line.target.bytes);
	size_t left = (size_t)(end - at);
	size_t text = sizeof(version) - 1;
	line.sound = (line.target.length || !left) && left <= text + 1 &&
		     memcmp(at, version, left < text ? left : text) == 0 &&
		     (left <= text || at[text] == '0' || at[text] == '1');
	return line;
}

static bool is_whole(const struct line *line, const char *end)
{
	return line->sound && line->target.length && line->target.bytes + line->target.length + 9 == end;
}

/* Behind CONNECT comes a tunnel; behind PRI, HTTP/2. */
static bool changes_protocol(struct lp_slice method)
{
	return (method.length == 7 && memcmp(method.bytes, "CONNECT", 7) == 0) ||
	       (method.length == 3 && memcmp(method.bytes, "PRI", 3) == 0);
}

struct lp_slice lp_http_request_parameter(struct lp_slice query, const char *name)
{
	size_t length = strlen(name);
	const char *at = query.bytes;
	const char *end = at ? at + query.length : NULL;
	while (at) {
		const char *next = memchr(at, '&', (size_t)(end - at));
		const char *stop = next ? next : end;
		if ((size_t)(stop - at) > length && memcmp(at, name, length) == 0 && at[length] == '=')
			return (struct lp_slice){at + length + 1, (size_t)(stop - at) - length - 1};
		at = next ? next + 1 : NULL;
	}
	return (struct lp_slice){0};
}

/* A query with `sid` is Engine.IO's where it names its version or transport; other programs have parameters of that name. */
static void read_query(struct lp_http_request *request, struct lp_slice target)
{
	const char *mark = memchr(target.bytes, '?', target.length);
	if (!mark)
		return;
	request->query = (struct lp_slice){mark + 1, (size_t)(target.bytes + target.length - mark - 1)};
	bool has_version = lp_http_request_parameter(request->query, "EIO").bytes;
	struct lp_slice sid = lp_http_request_parameter(request->query, "sid");
	if (sid.length && (has_version || lp_http_request_parameter(request->query, "transport").bytes))
		request->sid = sid;
	request->opens_session = has_version && !sid.length;
}

static struct lp_framing read_headers(struct lp_slice headers, bool is_http_1_0)
{
	struct lp_framing framing = {0};
	const char *end = headers.bytes + headers.length;
	for (const char *at = headers.bytes; at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		struct lp_slice value;
		if (newline == at || newline[-1] != '\r') {
			framing.doubtful = true;
			return framing;
		}
		lp_framing_take(&framing, (struct lp_slice){at, (size_t)(newline - 1 - at)}, &value);
		at = newline + 1;
	}
	framing.doubtful |= framing.chunked && is_http_1_0;
	return framing;
}

static void read_end(struct lp_http_request *request, const struct line *line)
{
	struct lp_framing framing = read_headers(request->headers, line->target.bytes[line->target.length + 8] == '0');
	request->body = framing.length;
	request->end = framing.doubtful ? LP_END_UNKNOWN : framing.chunked ? LP_END_CHUNKED : LP_END_SIZED;
}

enum lp_http_request_progress lp_http_request_read(struct lp_http_request *request, const char *bytes, size_t length)
{
	const char *newline = memchr(bytes, '\n', length);
	const char *stop = newline ? newline : bytes + length;
	if (stop > bytes && stop[-1] == '\r')
		stop--;
	struct line line = read_line(bytes, stop);
	bool full = length >= LP_HTTP_REQUEST_HEAD_MAX;
	*request = (struct lp_http_request){.end = LP_END_NEVER, .head = length};
	if (!newline && line.sound && !full)
		return LP_HTTP_REQUEST_IN_LINE;
	if (!newline || !is_whole(&line, stop) || newline == stop)
		return LP_HTTP_REQUEST_WHOLE;
	if (changes_protocol(line.method))
		return LP_HTTP_REQUEST_WHOLE;
	const char *end = memmem(stop, length - (size_t)(stop - bytes), "\r\n\r\n", 4);
	if (!end && !full)
		return LP_HTTP_REQUEST_IN_HEAD;
	request->end = LP_END_UNKNOWN;
	request->is_head = line.method.length == 4 && memcmp(line.method.bytes, "HEAD", 4) == 0;
	read_query(request, line.target);
	if (!end)
		return LP_HTTP_REQUEST_WHOLE;
	request->head = (size_t)(end + 4 - bytes);
	request->headers = (struct lp_slice){newline + 1, (size_t)(end + 2 - newline - 1)};
	read_end(request, &line);
	return LP_HTTP_REQUEST_WHOLE;
}
