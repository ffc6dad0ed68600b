/*
 * Heads as clients send them, whole and cut anywhere; heads that Node refuses.
 */
#include "head_fixture.h"

#define POLL                                                                                                           \
	"GET /socket.io/?EIO=4&transport=polling&sid=lv_VI97HAXpY6yYWAAAC HTTP/1.1\r\n"                                \
	"Host: chat.example.org:3000\r\nAccept: */*\r\nCookie: theme=dark; io=\"abc\"\r\n\r\n"
#define POST "POST /socket.io/?EIO=4&sid=x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
#define WEBSOCKET                                                                                                      \
	"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"         \
	"Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define CONNECT "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"
#define OLD "GET / HTTP/1.0\r\n\r\n"
#define LATE "\r\n\r\nGET / HTTP/1.1\r\nEmpty:\r\n\r\n"

static const char *const valid_heads[] = {POLL, POST, CHUNKED, WEBSOCKET, CONNECT, OLD, LATE};
static const size_t valid_head_count = sizeof(valid_heads) / sizeof(valid_heads[0]);

#define assert_refused(fixture, text) assert_int_equal(parse_bytes(fixture, text, sizeof(text) - 1), LP_ENOTHTTP)

static void every_field_of_a_head_is_found(void **state)
{
	struct fixture *fixture = *state;
	struct lp_head *head = fixture->head;

	assert_int_equal(parse(fixture, POLL), sizeof(POLL) - 1);
	assert_slice(head->method, "GET");
	assert_slice(head->target, "/socket.io/?EIO=4&transport=polling&sid=lv_VI97HAXpY6yYWAAAC");
	assert_slice(head->path, "/socket.io/");
	assert_slice(head->query, "EIO=4&transport=polling&sid=lv_VI97HAXpY6yYWAAAC");
	const struct lp_header *headers;
	assert_int_equal(lp_head_headers(head, &headers), 3);
	assert_slice(headers[0].name, "Host");
	assert_slice(headers[0].value, "chat.example.org:3000");
	assert_slice(headers[1].name, "Accept");
	assert_slice(headers[1].value, "*/*");
	assert_slice(headers[2].name, "Cookie");
	assert_slice(headers[2].value, "theme=dark; io=\"abc\"");
}

static void a_split_head_asks_for_more(void **state)
{
	for (size_t i = 0; i < valid_head_count; i++) {
		size_t length = strlen(valid_heads[i]);

		for (size_t seen = 0; seen < length; seen++)
			assert_int_equal(parse_bytes(*state, valid_heads[i], seen), LP_AGAIN);
		assert_int_equal(parse_bytes(*state, valid_heads[i], length), length);
	}
}

static void a_head_ends_before_what_follows_it(void **state)
{
	static const char *const followers[] = {
		"hello", "5\r\nhello\r\n0\r\n\r\n", "\r\n", "\x81\x05hello", "GET /", "\n bad\r\r", POST};
	char text[1024];

	for (size_t i = 0; i < valid_head_count; i++) {
		for (size_t j = 0; j < sizeof(followers) / sizeof(followers[0]); j++) {
			snprintf(text, sizeof(text), "%s%s", valid_heads[i], followers[j]);
			assert_int_equal(parse(*state, text), strlen(valid_heads[i]));
		}
	}
}

static void a_head_of_the_largest_size_fits(void **state)
{
	static const char line[] = "GET / HTTP/1.1\r\n";
	struct fixture *fixture = *state;
	char text[MAX_HEAD_BYTES + 1];
	size_t length = 0;

	length = (size_t)sprintf(text, "%s", line);
	while (length + 4 + 2 <= MAX_HEAD_BYTES)
		length += (size_t)sprintf(text + length, "a:\r\n");
	length += (size_t)sprintf(text + length, "\r\n");
	assert_int_equal(parse(fixture, text), length);
	const struct lp_header *headers;
	int count = lp_head_headers(fixture->head, &headers);
	assert_int_equal(count, (length - 2 - (sizeof(line) - 1)) / 4);
	assert_slice(headers[count - 1].value, "");
}

static void more_headers_than_fit_are_refused(void **state)
{
	char text[2 * MAX_HEAD_BYTES];
	size_t length = (size_t)sprintf(text, "GET / HTTP/1.1\r\n");

	while (length + 7 < sizeof(text))
		length += (size_t)sprintf(text + length, "a:\r\n");
	sprintf(text + length, "\r\n");
	assert_int_equal(parse(*state, text), LP_ENOTHTTP);
}

static void a_head_is_made_once_and_used_again(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(parse(fixture, POLL), sizeof(POLL) - 1);
	assert_int_equal(parse(fixture, OLD), sizeof(OLD) - 1);
	assert_int_equal(lp_head_headers(fixture->head, NULL), 0);
	assert_null(fixture->head->query.bytes);
	assert_slice(fixture->head->target, "/");
}

static void an_http2_preface_is_not_http1(void **state)
{
	assert_refused(*state, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	assert_refused(*state, "PRI * HTTP/2");
	assert_refused(*state, "PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n");
}

static void other_protocols_are_refused_at_their_first_bytes(void **state)
{
	assert_refused(*state, "\x16");
	assert_refused(*state, "SSH-");
	assert_refused(*state, "\0");
	assert_refused(*state, "HTTP/1.1 200 OK\r\n\r\n");
	assert_refused(*state, "GET / RTSP/1.0");
	assert_refused(*state, "SOURCE / ICE/1.0");
	assert_refused(*state, "get / HTTP/1.1");
}

static void only_versions_1_0_and_1_1_are_taken(void **state)
{
	assert_refused(*state, "GET /\r\n\r\n");
	assert_refused(*state, "GET / HTTP/0.9\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.2\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.10\r\n\r\n");
	assert_refused(*state, "GET / HTTP/2.0\r\n\r\n");
	assert_refused(*state, "GET / http/1.1\r\n\r\n");
}

static void a_nul_is_refused(void **state)
{
	assert_refused(*state, "GET /\0 HTTP/1.1\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\nA\0: b\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\nA: b\0\r\n\r\n");
}

static void a_cr_or_lf_alone_is_refused(void **state)
{
	assert_refused(*state, "GET / HTTP/1.1\nA: b\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\nA: b\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\nA: b\r\n\n");
	assert_refused(*state, "GET / HTTP/1.1\n\n");
	assert_refused(*state, "GET / HTTP/1.1\rA: b\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\nA:\r\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\nA: b\r\n\rC: d\r\n\r\n");
}

static void a_folded_header_is_refused(void **state)
{
	assert_refused(*state, "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\nA:\r\n b\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\n A: b\r\n\r\n");
	/* As soon as it is seen, not only at the head's end. */
	assert_refused(*state, "GET / HTTP/1.1\r\nA: b\r\n ");
}

static void a_header_name_that_is_no_token_is_refused(void **state)
{
	assert_refused(*state, "GET / HTTP/1.1\r\nA : b\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\nA b: c\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\n: b\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\nA\r\n\r\n");
	assert_refused(*state, "GET / HTTP/1.1\r\nA\xc3\xa9: b\r\n\r\n");
	get_with(*state, "!#$%&'*+-.^_`|~09AZaz: b\r\n");
}

static void a_target_of_other_than_visible_ascii_is_refused(void **state)
{
	assert_refused(*state, "GET /\t HTTP/1.1\r\n\r\n");
	assert_refused(*state, "GET /\f HTTP/1.1\r\n\r\n");
	assert_refused(*state, "GET /\x7f HTTP/1.1\r\n\r\n");
	assert_refused(*state, "GET /?\xc3\xa9 HTTP/1.1\r\n\r\n");
	assert_refused(*state, "GET /a b HTTP/1.1\r\n\r\n");
}

static void a_body_whose_length_is_in_doubt_is_refused(void **state)
{
	assert_refused(*state, "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_refused(*state, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n");
	assert_refused(*state, "POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n");
	assert_refused(*state, "POST / HTTP/1.1\r\nContent-Length: +4\r\n\r\n");
	assert_refused(*state, "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n");
	assert_refused(*state, "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n");
	assert_refused(*state, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n");
}

static void once_refused_more_bytes_do_not_help(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nA: b\r\n c\r\nD: e\r\n\r\n";
	int before = LP_AGAIN;

	for (size_t seen = 0; seen < sizeof(text); seen++) {
		int now = parse_bytes(*state, text, seen);

		assert_true(now == before || (before == LP_AGAIN && now == LP_ENOTHTTP));
		before = now;
	}
	assert_int_equal(before, LP_ENOTHTTP);
}

/* Most decisions ask for no header, so a wrong one is not looked for: its worker refuses it. */
static void a_wrong_header_is_found_when_headers_are_asked_for(void **state)
{
	static const char text[] = "GET /?sid=x HTTP/1.1\r\nHost: a\r\nA b: c\r\nCookie: io=x\r\n\r\n";
	struct lp_head *head = ((struct fixture *)*state)->head;

	assert_int_equal(lp_head_parse(head, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_query(head, "sid", "x");
	for (int i = 0; i < 2; i++) {
		assert_null(lp_head_header(head, LP_SLICE("Host"), NULL));
		assert_null(lp_head_header_last(head, LP_SLICE("Host"), NULL));
		assert_null(lp_head_cookie(head, LP_SLICE("io")).bytes);
		assert_int_equal(lp_head_headers(head, NULL), LP_ENOTHTTP);
	}
}

static void a_value_is_without_the_blanks_around_it(void **state)
{
	struct lp_head *head = get_with(*state, "A: \t b  c\t \r\nConnection:  close \r\nD:\r\nE: \t\r\n");
	const struct lp_header *headers;

	assert_int_equal(lp_head_headers(head, &headers), 4);
	assert_slice(headers[0].value, "b  c");
	assert_slice(headers[1].value, "close");
	assert_slice(headers[2].value, "");
	assert_slice(headers[3].value, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_HEAD(every_field_of_a_head_is_found),
		WITH_HEAD(a_split_head_asks_for_more),
		WITH_HEAD(a_head_ends_before_what_follows_it),
		WITH_HEAD(a_head_of_the_largest_size_fits),
		WITH_HEAD(more_headers_than_fit_are_refused),
		WITH_HEAD(a_head_is_made_once_and_used_again),
		WITH_HEAD(an_http2_preface_is_not_http1),
		WITH_HEAD(other_protocols_are_refused_at_their_first_bytes),
		WITH_HEAD(only_versions_1_0_and_1_1_are_taken),
		WITH_HEAD(a_nul_is_refused),
		WITH_HEAD(a_cr_or_lf_alone_is_refused),
		WITH_HEAD(a_folded_header_is_refused),
		WITH_HEAD(a_header_name_that_is_no_token_is_refused),
		WITH_HEAD(a_target_of_other_than_visible_ascii_is_refused),
		WITH_HEAD(a_body_whose_length_is_in_doubt_is_refused),
		WITH_HEAD(once_refused_more_bytes_do_not_help),
		WITH_HEAD(a_wrong_header_is_found_when_headers_are_asked_for),
		WITH_HEAD(a_value_is_without_the_blanks_around_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
