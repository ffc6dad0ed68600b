/*
 * Requests that a server reads and responses that it writes on one connection, in pieces and ahead of each other, as the
 * preloaded library follows them, against llhttp in both directions. An input is requests, a line of "--", and responses.
 *
 *   - Where the library says that a request begins, llhttp has just ended one; and no read that it allows goes across an end.
 *   - It counts no response that llhttp does not count, each matched with its request.
 *   - A connection is answered only where llhttp has ended both the last request's response and nothing has begun since.
 *
 * What the library has given up (LOST, OPAQUE) and what llhttp refuses is not compared any more. Every read ends at a page that
 * nobody may touch.
 */
#include <llhttp.h>
#include <stdbool.h>

#include "../unit/guarded.h"
#include "fuzz.h"
#include "preload/http_exchange.h"

enum { INPUT_MAX = 1 << 16, MESSAGES_MAX = INPUT_MAX / 8 };

/* One direction, as llhttp sees it. */
struct reference {
	llhttp_t parser;
	llhttp_settings_t settings;
	size_t ends[MESSAGES_MAX]; /* Where complete messages end. */
	bool heads[MESSAGES_MAX];  /* Requests: whether the method is HEAD. */
	unsigned count;
	bool open;       /* Inside a message. */
	bool given_up;   /* It refuses, or the protocol changes. */
	bool is_interim; /* Responses: the present one is a 1xx. */
	const struct reference *requests;
	const char *bytes;
	size_t fed;
};

static struct guarded guarded;
static struct reference requests;
static struct reference responses;
static struct lp_http_exchange exchange;
static struct lp_session_learner learn;

static int on_begin(llhttp_t *parser)
{
	((struct reference *)parser->data)->open = true;
	return 0;
}

static int on_request_head(llhttp_t *parser)
{
	struct reference *reference = parser->data;

	if (parser->method == HTTP_CONNECT)
		reference->given_up = true;
	else
		parser->upgrade = 0; /* As Node does, where nobody listens for upgrades. */
	reference->heads[reference->count] = parser->method == HTTP_HEAD;
	return 0;
}

static int on_response_head(llhttp_t *parser)
{
	struct reference *reference = parser->data;

	reference->is_interim = parser->status_code < 200;
	if (parser->status_code == 101 || parser->status_code < 100)
		reference->given_up = true;
	parser->upgrade = 0;
	if (reference->is_interim)
		return 1;
	if (reference->count >= reference->requests->count + reference->requests->open)
		reference->given_up = true; /* It answers nothing. */
	/* llhttp leaves these to its callers. */
	return reference->requests->heads[reference->count] || parser->status_code == 204 || parser->status_code == 304;
}

static int on_complete(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED; /* So that its place is known. */
}

static void refer(struct reference *reference, llhttp_type_t type, const struct reference *asked)
{
	memset(reference, 0, sizeof(*reference));
	llhttp_settings_init(&reference->settings);
	reference->settings.on_message_begin = on_begin;
	reference->settings.on_headers_complete = type == HTTP_REQUEST ? on_request_head : on_response_head;
	reference->settings.on_message_complete = on_complete;
	llhttp_init(&reference->parser, type, &reference->settings);
	reference->parser.data = reference;
	reference->requests = asked;
}

static void feed(struct reference *reference, const char *bytes, size_t length)
{
	const char *end = bytes + length;

	while (bytes < end && !reference->given_up) {
		llhttp_errno_t error = llhttp_execute(&reference->parser, bytes, (size_t)(end - bytes));

		if (error == HPE_OK) {
			reference->fed += (size_t)(end - bytes);
			return;
		}
		if (error != HPE_PAUSED) {
			reference->given_up = true;
			return;
		}
		const char *at = llhttp_get_error_pos(&reference->parser);
		bool goes_on = llhttp_should_keep_alive(&reference->parser);
		reference->fed += (size_t)(at - bytes);
		bytes = at;
		llhttp_resume(&reference->parser);
		if (!reference->is_interim)
			reference->ends[reference->count++] = reference->fed;
		if (reference->count == MESSAGES_MAX || !goes_on)
			reference->given_up = true; /* It passes over what follows. */
		reference->is_interim = false;
		reference->open = false;
	}
}

static bool is_followed(void)
{
	enum lp_http_exchange_phase phase = lp_http_exchange_phase(&exchange);

	return phase != LP_HTTP_EXCHANGE_OPAQUE && phase != LP_HTTP_EXCHANGE_LOST;
}

/* Read once, as connection_traffic.c lets a program. Returns how many bytes were read; 0: it waits for more. */
static size_t read_once(const char *bytes, size_t length, size_t room)
{
	const char *peeked = guarded_put(&guarded, bytes, length);
	uint64_t allowed = room;

	if (lp_http_exchange_phase(&exchange) == LP_HTTP_EXCHANGE_HEAD) {
		struct lp_http_request request;
		size_t most = length < LP_HTTP_REQUEST_HEAD_MAX ? length : LP_HTTP_REQUEST_HEAD_MAX;

		if (lp_http_request_read(&request, guarded_put(&guarded, bytes, most), most) != LP_HTTP_REQUEST_WHOLE)
			return 0;
		lp_http_exchange_take_request(&exchange, &request, most, &learn);
		peeked = guarded_put(&guarded, bytes, length);
	}
	if (exchange.in.phase == LP_HTTP_EXCHANGE_BODY)
		allowed = exchange.in.left;
	if (exchange.in.phase == LP_HTTP_EXCHANGE_CHUNKED)
		allowed = lp_http_exchange_chunks(&exchange, peeked, length);
	if (exchange.in.phase == LP_HTTP_EXCHANGE_LOST)
		allowed = room;
	FUZZ_CHECK(allowed > 0);
	size_t got = allowed < room ? (size_t)allowed : room;
	if (got > length)
		got = length;
	char *read = guarded_put(&guarded, bytes, got);
	lp_http_exchange_has_read(&exchange, &(struct iovec){read, got}, 1, got);
	return got;
}

static void check_read(unsigned ended_before, bool followed_before)
{
	if (requests.given_up || !followed_before || !is_followed())
		return;
	if (lp_http_exchange_phase(&exchange) == LP_HTTP_EXCHANGE_HEAD) {
		FUZZ_CHECK(requests.count == ended_before + 1);
		FUZZ_CHECK(!requests.open && requests.ends[requests.count - 1] == requests.fed);
	} else {
		FUZZ_CHECK(requests.count == ended_before);
	}
}

static void write_once(const char *bytes, size_t length, ssize_t result)
{
	char *written = guarded_put(&guarded, bytes, length);
	struct iovec pieces[2] = {{written, length / 2}, {written + length / 2, length - length / 2}};
	struct lp_http_exchange_write write;

	lp_http_exchange_writes(&exchange, pieces, 2, &write, &learn, NULL);
	lp_http_exchange_has_written(&exchange, pieces, 2, &write, &learn, result);
}

static void check_written(void)
{
	if (responses.given_up || requests.given_up || exchange.out.answers.lost || !is_followed())
		return;
	FUZZ_CHECK(exchange.out.answers.count <= responses.count);
	bool all = requests.count + requests.open == responses.count && !responses.open;
	if (lp_http_exchange_is_answered(&exchange))
		FUZZ_CHECK(all);
}

static void run(struct lp_slice in, struct lp_slice out, struct fuzz_random *random)
{
	size_t arrived = 0;
	size_t read = 0;
	size_t written = 0;

	while (arrived < in.length || written < out.length) {
		if (arrived < in.length && fuzz_random_below(random, 2)) {
			arrived += fuzz_piece(random, in.length - arrived);
			for (size_t got = 1; got && read < arrived; read += got) {
				unsigned ended = requests.count;
				bool followed = is_followed();
				size_t room = 1 + fuzz_random_below(random, 64) * fuzz_random_below(random, 64);
				got = read_once(in.bytes + read, arrived - read, room);
				feed(&requests, in.bytes + read, got);
				if (got)
					check_read(ended, followed);
			}
		}
		if (written < out.length && (arrived == in.length || fuzz_random_below(random, 2))) {
			size_t length = fuzz_piece(random, out.length - written);
			size_t taken = fuzz_random_below(random, 3) ? length : fuzz_random_below(random, length + 1);
			write_once(out.bytes + written, length, taken ? (ssize_t)taken : -1);
			feed(&responses, out.bytes + written, taken);
			written += taken;
			check_written();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static bool begun;
	static const char line[] = "--\n";
	struct fuzz_random random = fuzz_random_from(bytes, length);

	if (!begun) {
		FUZZ_CHECK(guarded_init(&guarded, INPUT_MAX) == 0);
		lp_session_learner_init(&learn, "cookie:id,header:X-Session");
		begun = true;
	}
	if (length > INPUT_MAX)
		return 0;
	const char *text = (const char *)bytes;
	const char *cut = memmem(bytes, length, line, sizeof(line) - 1);
	size_t first = cut ? (size_t)(cut - text) : length;
	size_t second = cut ? first + sizeof(line) - 1 : length;
	refer(&requests, HTTP_REQUEST, NULL);
	refer(&responses, HTTP_RESPONSE, &requests);
	lp_http_exchange_begin(&exchange, true);
	run((struct lp_slice){text, first}, (struct lp_slice){text + second, length - second}, &random);
	return 0;
}
