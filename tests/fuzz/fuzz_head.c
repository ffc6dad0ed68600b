/*
 * A request head, peeked at as it grows, against llhttp fed the whole input, and against the grammar written out.
 *
 *   - No longer prefix changes an answer that was final.
 *   - What is accepted, llhttp accepts: the same method, target and headers, up to the same byte.
 *   - What is accepted has the form of RFC 9112 but for two liberties of Node's, and what has it and llhttp accepts is accepted.
 *   - Look-ups find what a plain walk finds.
 *
 * Every prefix ends at a page that nobody may touch, and so does the room for a look-up's result.
 */
#include <llhttp.h>
#include <stdbool.h>
#include <strings.h>

#include "../unit/guarded.h"
#include "base/error.h"
#include "fuzz.h"
#include "route/head.h"

enum { INPUT_MAX = 8192, HEADERS_MAX = INPUT_MAX / 4 };

/* What llhttp told, by itself. */
struct reference {
	struct lp_head told;
	struct lp_header headers[HEADERS_MAX];
	size_t header_count;
	bool complete;
	bool bad_coding;
	size_t length;
};

static void extend(struct lp_slice *slice, const char *at, size_t length)
{
	if (!slice->bytes)
		slice->bytes = at;
	slice->length = (size_t)(at + length - slice->bytes);
}

static int on_method(llhttp_t *parser, const char *at, size_t length)
{
	extend(&((struct reference *)parser->data)->told.method, at, length);
	return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t length)
{
	extend(&((struct reference *)parser->data)->told.target, at, length);
	return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t length)
{
	struct reference *reference = parser->data;

	extend(&reference->headers[reference->header_count].name, at, length);
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
	struct reference *reference = parser->data;

	extend(&reference->headers[reference->header_count].value, at, length);
	return 0;
}

static int on_value_complete(llhttp_t *parser)
{
	struct reference *reference = parser->data;

	reference->header_count++;
	return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
	((struct reference *)parser->data)->complete = true;
	return HPE_PAUSED;
}

static void refer(struct reference *reference, const char *bytes, size_t length)
{
	llhttp_settings_t settings;
	llhttp_t parser;

	*reference = (struct reference){0};
	llhttp_settings_init(&settings);
	settings.on_method = on_method;
	settings.on_url = on_url;
	settings.on_header_field = on_field;
	settings.on_header_value = on_value;
	settings.on_header_value_complete = on_value_complete;
	settings.on_headers_complete = on_headers_complete;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = reference;
	llhttp_execute(&parser, bytes, length);
	if (!reference->complete)
		return;
	reference->length = (size_t)(llhttp_get_error_pos(&parser) - bytes);
	llhttp_resume(&parser);
	reference->bad_coding = llhttp_execute(&parser, bytes + reference->length, 0) == HPE_INVALID_TRANSFER_ENCODING;
}

static bool is_token_byte(char c)
{
	return c && (strchr("!#$%&'*+-.^_`|~", c) || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		     (c >= 'A' && c <= 'Z'));
}

static size_t count_while(const char *at, const char *end, bool (*holds)(char))
{
	const char *start = at;

	while (at < end && holds(*at))
		at++;
	return (size_t)(at - start);
}

static bool is_visible(char c)
{
	return c > ' ' && c <= '~';
}

static bool is_line_end(char c)
{
	return c == '\r' || c == '\n';
}

static bool is_value_byte(char c)
{
	return c == '\t' || (c >= ' ' && c <= '~') || (unsigned char)c >= 0x80;
}

/* Take text off the front, if it stands there. */
static bool take(const char **at, const char *end, const char *text)
{
	size_t length = strlen(text);

	if ((size_t)(end - *at) < length || memcmp(*at, text, length) != 0)
		return false;
	*at += length;
	return true;
}

static bool take_blanks(const char **at, const char *end)
{
	const char *start = *at;

	while (take(at, end, " "))
		;
	return *at > start;
}

/* The form of a whole head, to the message. Of method, version and values llhttp says more. */
static bool has_the_form(const char *at, const char *end)
{
	size_t length;

	/* Node passes over line ends in front, whole ones or not, and over more blanks than one. */
	at += count_while(at, end, is_line_end);
	at += length = count_while(at, end, is_token_byte);
	if (length == 0 || !take_blanks(&at, end))
		return false;
	at += length = count_while(at, end, is_visible);
	if (length == 0 || !take_blanks(&at, end) || !take(&at, end, "HTTP/1.") ||
	    (!take(&at, end, "0") && !take(&at, end, "1")) || !take(&at, end, "\r\n"))
		return false;
	while (!take(&at, end, "\r\n")) {
		at += length = count_while(at, end, is_token_byte);
		if (length == 0 || !take(&at, end, ":"))
			return false;
		at += count_while(at, end, is_value_byte);
		if (!take(&at, end, "\r\n"))
			return false;
	}
	return at == end;
}

static struct lp_slice value_of(const struct lp_header *header)
{
	return header->value.bytes ? lp_head_trim(header->value) : LP_SLICE("");
}

static void compare(const struct lp_head *head, int status, const struct reference *reference, const char *bytes)
{
	bool right = reference->complete && !reference->bad_coding && has_the_form(bytes, bytes + reference->length);

	FUZZ_CHECK(right == (status > 0));
	if (status < 0) {
		FUZZ_CHECK(status != LP_AGAIN || !reference->complete);
		return;
	}
	FUZZ_CHECK((size_t)status == reference->length);
	FUZZ_CHECK(fuzz_same(head->method, reference->told.method));
	FUZZ_CHECK(fuzz_same(head->target, reference->told.target));
	const struct lp_header *headers;
	FUZZ_CHECK(lp_head_headers(head, &headers) == (int)reference->header_count);
	for (size_t i = 0; i < reference->header_count; i++) {
		FUZZ_CHECK(fuzz_same(headers[i].name, reference->headers[i].name));
		FUZZ_CHECK(fuzz_same(headers[i].value, value_of(&reference->headers[i])));
	}
}

static bool lies_in(struct lp_slice slice, const char *bytes, size_t length)
{
	return slice.bytes >= bytes && slice.bytes + slice.length <= bytes + length;
}

/* Path and query are parts of the target, in this order. */
static void check_target(const struct lp_head *head)
{
	const char *end = head->target.bytes + head->target.length;

	FUZZ_CHECK(head->path.length > 0);
	FUZZ_CHECK(!memchr(head->path.bytes, '?', head->path.length));
	FUZZ_CHECK(!memchr(head->path.bytes, '#', head->path.length));
	if (!lies_in(head->path, head->target.bytes, head->target.length))
		FUZZ_CHECK(fuzz_same(head->path, LP_SLICE("/")));
	else if (head->query.bytes)
		FUZZ_CHECK(head->query.bytes == head->path.bytes + head->path.length + 1);
	if (head->query.bytes) {
		const char *behind = head->query.bytes + head->query.length;

		FUZZ_CHECK(lies_in(head->query, head->target.bytes, head->target.length));
		FUZZ_CHECK(head->query.bytes[-1] == '?' && (behind == end || *behind == '#'));
	}
}

/* Both walks over a name's headers find the same ones. */
static void check_headers(const struct lp_head *head)
{
	const struct lp_header *headers;
	int count = lp_head_headers(head, &headers);

	for (int i = 0; i < count && i < 16; i++) {
		struct lp_slice name = headers[i].name;
		const struct lp_header *found = NULL;
		const struct lp_header *last = NULL;
		size_t forwards = 0;
		size_t backwards = 0;

		while ((found = lp_head_header(head, name, found))) {
			FUZZ_CHECK(found->name.length == name.length &&
				   strncasecmp(found->name.bytes, name.bytes, name.length) == 0);
			last = found;
			forwards++;
		}
		FUZZ_CHECK(last == lp_head_header_last(head, name, NULL));
		while ((found = lp_head_header_last(head, name, found)))
			backwards++;
		FUZZ_CHECK(forwards > 0 && forwards == backwards);
	}
}

static int hex(char c)
{
	const char *digits = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) % 16 : -1;
}

static struct lp_slice decode(struct lp_slice text, char *out)
{
	size_t length = 0;

	for (size_t i = 0; i < text.length; i++) {
		const char *at = text.bytes + i;

		if (*at == '%' && i + 2 < text.length && hex(at[1]) >= 0 && hex(at[2]) >= 0) {
			out[length++] = (char)(hex(at[1]) * 16 + hex(at[2]));
			i += 2;
		} else {
			out[length++] = (char)(*at == '+' ? ' ' : *at);
		}
	}
	return (struct lp_slice){out, length};
}

/* The name and the value of the query's pair that begins at *at, decoded; *at moves behind it. */
static void next_pair(struct lp_slice query, size_t *at, struct lp_slice *name, struct lp_slice *value, char *room)
{
	size_t end = *at;
	size_t equals;

	while (end < query.length && query.bytes[end] != '&')
		end++;
	for (equals = *at; equals < end && query.bytes[equals] != '='; equals++)
		;
	*name = decode((struct lp_slice){query.bytes + *at, equals - *at}, room);
	*value = decode((struct lp_slice){query.bytes + equals + 1, equals < end ? end - equals - 1 : 0},
			room + name->length);
	*at = end + 1;
}

/* Each parameter is found as the first of its name, in exactly as much room as it takes. */
static void check_query(const struct lp_head *head, struct guarded *out)
{
	static char room[INPUT_MAX];
	static char other_room[INPUT_MAX];
	struct lp_slice name, value, first_name, first_value;
	size_t at = 0;

	for (int pairs = 0; head->query.bytes && at < head->query.length && pairs < 16; pairs++) {
		size_t first = 0;
		bool empty = head->query.bytes[at] == '&';

		next_pair(head->query, &at, &name, &value, room);
		if (empty)
			continue;
		do {
			empty = head->query.bytes[first] == '&';
			next_pair(head->query, &first, &first_name, &first_value, other_room);
		} while (empty || !fuzz_same(name, first_name));
		char *to = out->map + out->size - first_value.length;
		int length = lp_head_query(head, name, to, first_value.length);

		FUZZ_CHECK(length >= 0 && fuzz_same((struct lp_slice){to, (size_t)length}, first_value));
		if (length > 0)
			FUZZ_CHECK(lp_head_query(head, name, to + 1, (size_t)length - 1) == -1);
	}
}

/* Every cookie named in a header is found, and stands behind its name. */
static void check_cookies(const struct lp_head *head, const char *bytes, size_t length)
{
	const struct lp_header *header = lp_head_header(head, LP_SLICE("Cookie"), NULL);
	const char *equals =
		header && header->value.length ? memchr(header->value.bytes, '=', header->value.length) : NULL;
	struct lp_slice name, found;

	found = lp_head_cookie(head, LP_SLICE("io"));
	FUZZ_CHECK(!found.bytes || lies_in(found, bytes, length));
	if (!equals || memchr(header->value.bytes, ';', (size_t)(equals - header->value.bytes)))
		return;
	name = lp_head_trim((struct lp_slice){header->value.bytes, (size_t)(equals - header->value.bytes)});
	found = lp_head_cookie(head, name);
	FUZZ_CHECK(found.bytes && lies_in(found, equals + 1, (size_t)(bytes + length - equals - 1)));
	FUZZ_CHECK(found.length == 0 || !memchr(found.bytes, ';', found.length));
}

/* Parse the first bytes of an input, right before the page that faults. */
static int parse(struct lp_head *head, struct guarded *guarded, const uint8_t *bytes, size_t length)
{
	return lp_head_parse(head, guarded_put(guarded, bytes, length), length);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct guarded peeked, out;
	static struct lp_head *head;
	static struct reference reference;
	struct fuzz_random random = fuzz_random_from(bytes, length);
	int before = LP_AGAIN;
	int status;

	if (!head) {
		head = lp_head_new(INPUT_MAX);
		FUZZ_CHECK(head && guarded_init(&peeked, INPUT_MAX) == 0 && guarded_init(&out, INPUT_MAX) == 0);
	}
	if (length == 0 || length > INPUT_MAX)
		return 0;
	for (size_t seen = 0; seen < length; before = status) {
		seen += fuzz_piece(&random, length - seen);
		status = parse(head, &peeked, bytes, seen);
		FUZZ_CHECK(status == LP_AGAIN || status == LP_ENOTHTTP || (status > 0 && (size_t)status <= seen));
		FUZZ_CHECK(before == LP_AGAIN || status == before);
	}
	if (before > 0)
		FUZZ_CHECK(parse(head, &peeked, bytes, (size_t)before - 1) == LP_AGAIN);

	const char *at = guarded_put(&peeked, bytes, length);

	status = lp_head_parse(head, at, length);
	if (status > 0 && lp_head_headers(head, NULL) < 0)
		status = LP_ENOTHTTP;
	refer(&reference, at, length);
	compare(head, status, &reference, at);
	if (status > 0) {
		check_target(head);
		check_headers(head);
		check_query(head, &out);
		check_cookies(head, at, (size_t)status);
	}
	return 0;
}
