/*
 * llhttp reads, its callbacks note where things lie, and what it lets pass that Node refuses is refused here.
 *
 * Which llhttp is linked depends on the system. Debian 12's 8.1 is lenient where Node's own (20 and later) is not: it
 * takes a bare LF, folded headers, a blank in a header's name, tabs and bytes past ASCII in a target. A balancer that
 * sees another head than its worker could be talked into routing by a header the worker never sees, so the three
 * checks below (`is_token`, `is_plain`, `lines_are_strict`) hold whichever is linked. Leading empty lines are passed
 * over, as Node does.
 *
 * llhttp is stopped after the request line, and goes on from a copy of itself there when headers are asked for. A policy
 * may be killed while it reads them, at any instruction; so nothing but the copy is believed before `count` says that
 * all are there.
 *
 * Limits: methods are those that the linked llhttp knows (8.1 has no QUERY). A head is parsed from its start at each
 * look, for what was peeked may have moved: cheap, as most heads arrive whole.
 */
#include "route/head.h"

#include <llhttp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

/* What a callback returns to stop llhttp for good. */
enum { REFUSE = -1 };

/* The shortest header, "a:" and its line end. */
enum { SHORTEST_HEADER = 4 };

/* `count` of headers that have not been asked for yet. */
enum { UNREAD = LP_AGAIN };

struct lp_header_lines {
	llhttp_t parser;       /* As it was after the request line. */
	struct lp_slice bytes; /* From there up to the head's end. */
	int count;             /* Headers, UNREAD or LP_ENOTHTTP. */
	int reading;           /* Headers that have been read while not all are. */
	int capacity;
	struct lp_header all[];
};

struct lp_head *lp_head_new(size_t max_head_bytes)
{
	size_t capacity = max_head_bytes / SHORTEST_HEADER + 1;
	struct lp_head *head = calloc(1, sizeof(*head));

	if (!head)
		return NULL;
	head->lines = calloc(1, sizeof(*head->lines) + capacity * sizeof(head->lines->all[0]));
	if (!head->lines) {
		free(head);
		return NULL;
	}
	head->lines->capacity = (int)capacity;
	return head;
}

void lp_head_free(struct lp_head *head)
{
	if (!head)
		return;
	free(head->lines);
	free(head);
}

/* RFC 9110's tchar: the bytes of a header's name. */
static bool is_token(const char *bytes, size_t length)
{
	static const bool token[256] = {
		['!'] = true,         ['#' ... '\''] = true, ['*'] = true,         ['+'] = true, ['-'] = true,
		['.'] = true,         ['0' ... '9'] = true,  ['A' ... 'Z'] = true, ['^'] = true, ['_'] = true,
		['`' ... 'z'] = true, ['|'] = true,          ['~'] = true,
	};

	for (size_t i = 0; i < length; i++)
		if (!token[(unsigned char)bytes[i]])
			return false;
	return true;
}

/* Visible ASCII: the bytes of a target. */
static bool is_plain(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i] <= ' ' || bytes[i] > '~')
			return false;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct lp_slice lp_head_trim(struct lp_slice slice)
{
	while (slice.length > 0 && is_blank(slice.bytes[0])) {
		slice.bytes++;
		slice.length--;
	}
	while (slice.length > 0 && is_blank(slice.bytes[slice.length - 1]))
		slice.length--;
	return slice;
}

/* llhttp may hand over one field in several pieces. */
static void extend_slice(struct lp_slice *slice, const char *at, size_t length)
{
	if (!slice->bytes)
		slice->bytes = at;
	slice->length = (size_t)(at - slice->bytes) + length;
}

/* The header being read: the one after those that are counted. There is always room for it. */
static struct lp_header *open_header(llhttp_t *parser)
{
	struct lp_header_lines *lines = ((struct lp_head *)parser->data)->lines;

	return &lines->all[lines->reading];
}

static int on_method(llhttp_t *parser, const char *at, size_t length)
{
	struct lp_head *head = parser->data;

	extend_slice(&head->method, at, length);
	return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t length)
{
	struct lp_head *head = parser->data;

	extend_slice(&head->target, at, length);
	return is_plain(at, length) ? 0 : REFUSE;
}

/* llhttp speaks RTSP and ICE as well, and lets versions pass that Node's HTTP does not have. */
static int on_version(llhttp_t *parser, const char *at, size_t length)
{
	(void)parser;
	if (length == 0)
		return 0;
	return at[0] == '1' && memcmp(at - 5, "HTTP/", 5) == 0 ? 0 : REFUSE;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t length)
{
	extend_slice(&open_header(parser)->name, at, length);
	return is_token(at, length) ? 0 : REFUSE;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t length)
{
	extend_slice(&open_header(parser)->value, at, length);
	return 0;
}

static int on_header_value_complete(llhttp_t *parser)
{
	struct lp_header_lines *lines = ((struct lp_head *)parser->data)->lines;
	struct lp_header *header = open_header(parser);

	if (header->name.length == 0)
		return REFUSE;
	if (!header->value.bytes)
		header->value.bytes = header->name.bytes + header->name.length;
	header->value = lp_head_trim(header->value);
	if (++lines->reading == lines->capacity)
		return REFUSE;
	*open_header(parser) = (struct lp_header){0};
	return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_method = on_method,
	.on_url = on_url,
	.on_version = on_version,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_header_value_complete = on_header_value_complete,
	.on_headers_complete = on_headers_complete,
};

/*
 * The length of a head, from its first line up to the empty one after the last; LP_AGAIN; or LP_ENOTHTTP: CR and LF do not
 * stand together everywhere, a line continues the one before (obsolete folding), or there is a NUL.
 */
static int measure_head(const char *bytes, const char *end)
{
	const char *line = bytes;

	while (line < end && !is_blank(*line)) {
		const char *cr = memchr(line, '\r', (size_t)(end - line));
		const char *line_end = cr ? cr : end;

		if (memchr(line, '\n', (size_t)(line_end - line)))
			return LP_ENOTHTTP;
		if (end - line_end < 2)
			return LP_AGAIN;
		if (line_end[1] != '\n')
			return LP_ENOTHTTP;
		if (line_end == line)
			return memchr(bytes, '\0', (size_t)(line - bytes)) ? LP_ENOTHTTP : (int)(line + 2 - bytes);
		line = line_end + 2;
	}
	return line == end ? LP_AGAIN : LP_ENOTHTTP;
}

/* "http://host/path?query", which proxies and hostile clients send, has the path of "/path?query". */
static const char *path_begin(struct lp_slice target)
{
	const char *end = target.bytes + target.length;
	const char *at;

	if (target.bytes[0] == '/')
		return target.bytes;
	at = memmem(target.bytes, target.length, "://", 3);
	if (!at)
		return target.bytes; /* "*", or CONNECT's "host:port". */
	for (at += 3; at < end && *at != '/' && *at != '?' && *at != '#'; at++)
		;
	return at;
}

static void split_target(struct lp_head *head)
{
	const char *begin = path_begin(head->target);
	const char *end = head->target.bytes + head->target.length;
	const char *fragment = memchr(begin, '#', (size_t)(end - begin));
	const char *mark;

	if (fragment)
		end = fragment;
	mark = memchr(begin, '?', (size_t)(end - begin));
	if (mark)
		head->query = (struct lp_slice){mark + 1, (size_t)(end - mark - 1)};
	head->path = (struct lp_slice){begin, (size_t)((mark ? mark : end) - begin)};
	if (head->path.length == 0)
		head->path = LP_SLICE("/");
}

static const char *skip_empty_lines(const char *at, const char *end)
{
	while (at < end && (*at == '\r' || *at == '\n'))
		at++;
	return at;
}

int lp_head_parse(struct lp_head *head, const char *bytes, size_t length)
{
	struct lp_header_lines *lines = head->lines;
	const char *end = bytes + length;
	const char *line = skip_empty_lines(bytes, end);
	const char *line_end = memchr(line, '\n', (size_t)(end - line));
	size_t line_length = (size_t)((line_end ? line_end + 1 : end) - bytes);
	int status;

	*head = (struct lp_head){.lines = lines};
	lines->count = LP_ENOTHTTP;
	llhttp_init(&lines->parser, HTTP_REQUEST, &settings);
	lines->parser.data = head;
	if (llhttp_execute(&lines->parser, bytes, line_length) != HPE_OK)
		return LP_ENOTHTTP;
	/* "GET /" without a version is HTTP/0.9, which on_version never saw. */
	if (line_end && llhttp_get_http_major(&lines->parser) != 1)
		return LP_ENOTHTTP;
	status = measure_head(line, end);
	if (status < 0)
		return status;
	lines->bytes = (struct lp_slice){line_end + 1, (size_t)(line + status - line_end - 1)};
	lines->count = UNREAD;
	split_target(head);
	return (int)(line + status - bytes);
}

/* After them llhttp has paused; only past that does it judge whether a transfer coding leaves the body a length. */
static int read_headers(struct lp_header_lines *lines)
{
	llhttp_t parser = lines->parser;
	const char *end = lines->bytes.bytes + lines->bytes.length;

	lines->reading = 0;
	lines->all[0] = (struct lp_header){0};
	if (llhttp_execute(&parser, lines->bytes.bytes, lines->bytes.length) != HPE_PAUSED ||
	    llhttp_get_error_pos(&parser) != end)
		return LP_ENOTHTTP;
	llhttp_resume(&parser);
	if (llhttp_execute(&parser, end, 0) == HPE_INVALID_TRANSFER_ENCODING)
		return LP_ENOTHTTP;
	return lines->reading;
}

int lp_head_headers(const struct lp_head *head, const struct lp_header **headers)
{
	struct lp_header_lines *lines = head->lines;

	if (lines->count == UNREAD)
		lines->count = read_headers(lines);
	if (headers)
		*headers = lines->all;
	return lines->count;
}

static bool is_named(const struct lp_header *header, struct lp_slice name)
{
	return header->name.length == name.length && strncasecmp(header->name.bytes, name.bytes, name.length) == 0;
}

const struct lp_header *lp_head_header(const struct lp_head *head, struct lp_slice name, const struct lp_header *after)
{
	const struct lp_header *headers;
	int count = lp_head_headers(head, &headers);

	for (const struct lp_header *header = after ? after + 1 : headers; header < headers + count; header++)
		if (is_named(header, name))
			return header;
	return NULL;
}

const struct lp_header *lp_head_header_last(const struct lp_head *head, struct lp_slice name,
					    const struct lp_header *before)
{
	const struct lp_header *headers;
	int count = lp_head_headers(head, &headers);
	const struct lp_header *header = before ? before : headers + (count > 0 ? count : 0);

	while (header-- > headers)
		if (is_named(header, name))
			return header;
	return NULL;
}

/* Cut text at the first separator: what is before it, and in rest what is after it (absent: nothing was). */
static struct lp_slice cut_at_separator(struct lp_slice text, char separator, struct lp_slice *rest)
{
	const char *at = text.length ? memchr(text.bytes, separator, text.length) : NULL;

	*rest = (struct lp_slice){0};
	if (at) {
		*rest = (struct lp_slice){at + 1, (size_t)(text.bytes + text.length - at - 1)};
		text.length = (size_t)(at - text.bytes);
	}
	return text;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Take one decoded byte off the front of text, which begins with '+' or '%'. */
static char take_encoded(struct lp_slice *text)
{
	const char *bytes = text->bytes;
	size_t taken = 1;
	char c = bytes[0];

	if (c == '+') {
		c = ' ';
	} else if (text->length >= 3 && hex_value(bytes[1]) >= 0 && hex_value(bytes[2]) >= 0) {
		c = (char)(hex_value(bytes[1]) << 4 | hex_value(bytes[2]));
		taken = 3;
	}
	text->bytes += taken;
	text->length -= taken;
	return c;
}

/* Take one decoded byte off the front of text, which is not empty. */
static inline char take_decoded(struct lp_slice *text)
{
	if (*text->bytes == '+' || *text->bytes == '%')
		return take_encoded(text);
	text->length--;
	return *text->bytes++;
}

/* The value of a pair whose name decodes to that, still encoded; absent when it has another name. */
static struct lp_slice value_of(struct lp_slice pair, struct lp_slice name)
{
	for (size_t i = 0; i < name.length; i++)
		if (pair.length == 0 || *pair.bytes == '=' || take_decoded(&pair) != name.bytes[i])
			return (struct lp_slice){0};
	if (pair.length == 0)
		return pair;
	return *pair.bytes == '=' ? (struct lp_slice){pair.bytes + 1, pair.length - 1} : (struct lp_slice){0};
}

static bool is_undecoded(struct lp_slice text)
{
	return !memchr(text.bytes, '%', text.length) && !memchr(text.bytes, '+', text.length);
}

static int decode_percent(struct lp_slice encoded, char *out, size_t size)
{
	size_t length = 0;

	/* As sids are. */
	if (encoded.length > 0 && encoded.length <= size && is_undecoded(encoded)) {
		memcpy(out, encoded.bytes, encoded.length);
		return (int)encoded.length;
	}
	while (encoded.length > 0) {
		if (length == size)
			return -1;
		out[length++] = take_decoded(&encoded);
	}
	return (int)length;
}

/* Whether a pair, of at least a byte, can have that name: most have another, and their first byte says so. */
static inline bool may_be(const char *pair, struct lp_slice name)
{
	return name.length == 0 || *pair == *name.bytes || *pair == '%' || *pair == '+';
}

int lp_head_query(const struct lp_head *head, struct lp_slice name, char *out, size_t size)
{
	const char *at = head->query.bytes;
	size_t left = head->query.length;

	while (left > 0) {
		const char *end = memchr(at, '&', left);
		size_t length = end ? (size_t)(end - at) : left;

		if (length > 0 && may_be(at, name)) {
			struct lp_slice value = value_of((struct lp_slice){at, length}, name);

			if (value.bytes)
				return decode_percent(value, out, size);
		}
		if (!end)
			break;
		at = end + 1;
		left -= length + 1;
	}
	return -1;
}

static struct lp_slice unquote_value(struct lp_slice value)
{
	if (value.length >= 2 && value.bytes[0] == '"' && value.bytes[value.length - 1] == '"')
		return (struct lp_slice){value.bytes + 1, value.length - 2};
	return value;
}

struct lp_slice lp_head_cookie(const struct lp_head *head, struct lp_slice name)
{
	const struct lp_header *header = NULL;

	while ((header = lp_head_header(head, LP_SLICE("cookie"), header))) {
		struct lp_slice rest = header->value;

		while (rest.bytes) {
			struct lp_slice value;
			struct lp_slice key =
				lp_head_trim(cut_at_separator(cut_at_separator(rest, ';', &rest), '=', &value));

			if (value.bytes && key.length == name.length && memcmp(key.bytes, name.bytes, name.length) == 0)
				return unquote_value(lp_head_trim(value));
		}
	}
	return (struct lp_slice){0};
}
