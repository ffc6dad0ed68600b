/*
 * Heads as clients send them, whole and cut anywhere; heads that Node refuses; what is found in a head.
 *
 * Every input is parsed right before a guard page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "assert_slice.h"
#include "base/error.h"
#include "guarded.h"
#include "route/head.h"

enum { MAX_HEAD_BYTES = 16384 };

struct fixture {
	struct lp_head *head;
	struct guarded guarded;
};

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

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = fixture;
	if (!fixture)
		return -1;
	fixture->head = lp_head_new(MAX_HEAD_BYTES);
	return fixture->head ? guarded_init(&fixture->guarded, 2 * MAX_HEAD_BYTES) : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	lp_head_free(fixture->head);
	guarded_deinit(&fixture->guarded);
	free(fixture);
	return 0;
}

static int parse_bytes(struct fixture *fixture, const char *bytes, size_t length)
{
	return lp_head_parse(fixture->head, guarded_put(&fixture->guarded, bytes, length), length);
}

static int parse(struct fixture *fixture, const char *text)
{
	return parse_bytes(fixture, text, strlen(text));
}

/* Parse a GET of a target. */
static struct lp_head *get(struct fixture *fixture, const char *target)
{
	char text[512];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
	assert_int_equal(parse(fixture, text), strlen(text));
	return fixture->head;
}

/* Parse a GET with header lines, each with its line end. */
static struct lp_head *get_with(struct fixture *fixture, const char *lines)
{
	char text[512];

	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", lines);
	assert_int_equal(parse(fixture, text), strlen(text));
	return fixture->head;
}

static struct lp_slice slice(const char *text)
{
	return (struct lp_slice){text, strlen(text)};
}

#define assert_query(head, name, expected) assert_query_at(head, name, expected, __FILE__, __LINE__)
static void assert_query_at(const struct lp_head *head, const char *name, const char *expected, const char *file,
			    int line)
{
	char value[256];
	int length = lp_head_query(head, slice(name), value, sizeof(value));

	if (length < 0)
		_fail(file, line);
	assert_slice_at((struct lp_slice){value, (size_t)length}, expected, file, line);
}

#define assert_no_query(head, name) assert_int_equal(lp_head_query(head, slice(name), (char[64]){0}, 64), -1)

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
	assert_int_equal(head->header_count, 3);
	assert_slice(head->headers[0].name, "Host");
	assert_slice(head->headers[0].value, "chat.example.org:3000");
	assert_slice(head->headers[1].name, "Accept");
	assert_slice(head->headers[1].value, "*/*");
	assert_slice(head->headers[2].name, "Cookie");
	assert_slice(head->headers[2].value, "theme=dark; io=\"abc\"");
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
	assert_int_equal(fixture->head->header_count, (length - 2 - (sizeof(line) - 1)) / 4);
	assert_slice(fixture->head->headers[fixture->head->header_count - 1].value, "");
}

static void more_headers_than_fit_are_refused(void **state)
{
	char text[2 * MAX_HEAD_BYTES];
	size_t length = (size_t)sprintf(text, "GET / HTTP/1.1\r\n");

	while (length + 5 < sizeof(text))
		length += (size_t)sprintf(text + length, "a:\r\n");
	assert_int_equal(parse(*state, text), LP_ENOTHTTP);
}

static void a_head_is_made_once_and_used_again(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(parse(fixture, POLL), sizeof(POLL) - 1);
	assert_int_equal(parse(fixture, OLD), sizeof(OLD) - 1);
	assert_int_equal(fixture->head->header_count, 0);
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

static void a_value_is_without_the_blanks_around_it(void **state)
{
	struct lp_head *head = get_with(*state, "A: \t b  c\t \r\nConnection:  close \r\nD:\r\nE: \t\r\n");

	assert_slice(head->headers[0].value, "b  c");
	assert_slice(head->headers[1].value, "close");
	assert_slice(head->headers[2].value, "");
	assert_slice(head->headers[3].value, "");
}

static void a_target_is_split_at_its_marks(void **state)
{
	static const struct {
		const char *target, *path, *query;
	} cases[] = {
		{"/", "/", NULL},
		{"/p?", "/p", ""},
		{"/p?a=b?c", "/p", "a=b?c"},
		{"/p?a#b", "/p", "a"},
		{"/p#b?a", "/p", NULL},
		{"//p?a", "//p", "a"},
		{"/p?u=http://h/q?z", "/p", "u=http://h/q?z"},
		{"http://h/p?sid=x", "/p", "sid=x"},
		{"http://h:80?sid=x", "/", "sid=x"},
		{"http://h/#f", "/", NULL},
		{"ws://h", "/", NULL},
		{"*", "*", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lp_head *head = get(*state, cases[i].target);

		assert_slice(head->target, cases[i].target);
		assert_slice(head->path, cases[i].path);
		if (cases[i].query)
			assert_slice(head->query, cases[i].query);
		else
			assert_null(head->query.bytes);
	}
}

static void a_connect_has_its_authority_as_path(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(parse(fixture, CONNECT), sizeof(CONNECT) - 1);
	assert_slice(fixture->head->path, "a:443");
}

static void repeated_headers_are_found_in_order(void **state)
{
	struct lp_head *head = get_with(*state, "X-A: 1\r\nB: 2\r\nx-a: 3\r\nX-AB: 4\r\nX-A: 5\r\n");
	const struct lp_header *header = lp_head_header(head, LP_SLICE("x-A"), NULL);

	assert_slice(header->value, "1");
	header = lp_head_header(head, LP_SLICE("x-A"), header);
	assert_slice(header->value, "3");
	header = lp_head_header(head, LP_SLICE("x-A"), header);
	assert_slice(header->value, "5");
	assert_null(lp_head_header(head, LP_SLICE("x-A"), header));
	assert_null(lp_head_header(head, LP_SLICE("X"), NULL));
}

static void repeated_headers_are_found_from_the_last(void **state)
{
	struct lp_head *head = get_with(*state, "X-A: 1\r\nB: 2\r\nx-a: 3\r\nX-AB: 4\r\n");
	const struct lp_header *header = lp_head_header_last(head, LP_SLICE("x-A"), NULL);

	assert_slice(header->value, "3");
	header = lp_head_header_last(head, LP_SLICE("x-A"), header);
	assert_slice(header->value, "1");
	assert_null(lp_head_header_last(head, LP_SLICE("x-A"), header));
	assert_null(lp_head_header_last(head, LP_SLICE("X"), NULL));
}

static void a_query_parameter_is_decoded(void **state)
{
	struct lp_head *head = get(*state, "/?a=b%20c+d%2Be&f=%c3%A9%00&g=1=2&h");
	char value[8];

	assert_query(head, "a", "b c d+e");
	assert_int_equal(lp_head_query(head, LP_SLICE("f"), value, sizeof(value)), 3);
	assert_memory_equal(value, "\xc3\xa9\0", 3);
	assert_query(head, "g", "1=2");
	assert_query(head, "h", "");
	assert_no_query(head, "A");
	assert_no_query(head, "");
	assert_no_query(get(*state, "/"), "a");
	assert_no_query(get(*state, "/?"), "");
}

static void a_malformed_escape_stays_as_it_is(void **state)
{
	struct lp_head *head = get(*state, "/?a=%zz%4&b=%&%zz=c");

	assert_query(head, "a", "%zz%4");
	assert_query(head, "b", "%");
	assert_query(head, "%zz", "c");
}

static void a_query_value_that_does_not_fit_is_not_cut(void **state)
{
	struct lp_head *head = get(*state, "/?a=12345&b=%31%32");
	char value[6] = "_____";

	assert_int_equal(lp_head_query(head, LP_SLICE("a"), value, 4), -1);
	assert_int_equal(value[4], '_');
	assert_int_equal(lp_head_query(head, LP_SLICE("a"), value, 5), 5);
	assert_int_equal(lp_head_query(head, LP_SLICE("b"), value, 2), 2);
	assert_int_equal(lp_head_query(head, LP_SLICE("a"), NULL, 0), -1);
}

static void the_first_of_duplicate_sids_counts(void **state)
{
	assert_query(get(*state, "/?sid=first&sid=second"), "sid", "first");
	assert_query(get(*state, "/?x=sid&&sid=first&sid=second"), "sid", "first");
	assert_query(get(*state, "/?sid=&sid=second"), "sid", "");
}

static void an_encoded_sid_is_the_same_sid(void **state)
{
	assert_query(get(*state, "/?sid=%61b%63"), "sid", "abc");
	assert_query(get(*state, "/?%73id=abc&sid=second"), "sid", "abc");
}

static void a_sid_elsewhere_than_in_the_query_is_none(void **state)
{
	struct fixture *fixture = *state;

	assert_no_query(get(fixture, "/sid=abc"), "sid");
	assert_no_query(get(fixture, "/sid=abc?xsid=abc"), "sid");
	assert_no_query(get(fixture, "/?SID=abc"), "sid");
	assert_no_query(get(fixture, "/?a#sid=abc"), "sid");
	assert_no_query(get(fixture, "http://h/sid=abc"), "sid");
	assert_no_query(get_with(fixture, "Cookie: sid=abc\r\nReferer: http://a/?sid=abc\r\nsid: abc\r\n"), "sid");
	assert_true(parse(fixture, "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\nsid=abc") > 0);
	assert_no_query(fixture->head, "sid");
}

static void cookies_are_found_by_their_exact_names(void **state)
{
	struct lp_head *head = get_with(
		*state,
		"Cookie: io=abc; IO=def;x=1=2 ;  spaced = y ; bare; empty=; q=\"r s\"; odd=\"; late; late=z\r\n");

	assert_slice(lp_head_cookie(head, LP_SLICE("io")), "abc");
	assert_slice(lp_head_cookie(head, LP_SLICE("IO")), "def");
	assert_slice(lp_head_cookie(head, LP_SLICE("x")), "1=2");
	assert_slice(lp_head_cookie(head, LP_SLICE("spaced")), "y");
	assert_slice(lp_head_cookie(head, LP_SLICE("empty")), "");
	assert_slice(lp_head_cookie(head, LP_SLICE("q")), "r s");
	assert_slice(lp_head_cookie(head, LP_SLICE("odd")), "\"");
	assert_slice(lp_head_cookie(head, LP_SLICE("late")), "z");
	assert_null(lp_head_cookie(head, LP_SLICE("bare")).bytes);
	assert_null(lp_head_cookie(head, LP_SLICE("i")).bytes);
}

static void cookies_of_several_headers_are_one_list(void **state)
{
	struct lp_head *head = get_with(*state, "cookie: a=1\r\nHost: b=2\r\nCookie: a=3; c=4\r\n");

	assert_slice(lp_head_cookie(head, LP_SLICE("a")), "1");
	assert_slice(lp_head_cookie(head, LP_SLICE("c")), "4");
	assert_null(lp_head_cookie(head, LP_SLICE("b")).bytes);
	assert_null(lp_head_cookie(get(*state, "/"), LP_SLICE("a")).bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_field_of_a_head_is_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_split_head_asks_for_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_head_ends_before_what_follows_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_head_of_the_largest_size_fits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(more_headers_than_fit_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_head_is_made_once_and_used_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_http2_preface_is_not_http1, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_protocols_are_refused_at_their_first_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_versions_1_0_and_1_1_are_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_nul_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_cr_or_lf_alone_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_folded_header_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_header_name_that_is_no_token_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_target_of_other_than_visible_ascii_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_body_whose_length_is_in_doubt_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(once_refused_more_bytes_do_not_help, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_value_is_without_the_blanks_around_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_target_is_split_at_its_marks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_connect_has_its_authority_as_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(repeated_headers_are_found_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(repeated_headers_are_found_from_the_last, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_query_parameter_is_decoded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_malformed_escape_stays_as_it_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_query_value_that_does_not_fit_is_not_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_first_of_duplicate_sids_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_encoded_sid_is_the_same_sid, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_sid_elsewhere_than_in_the_query_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cookies_are_found_by_their_exact_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cookies_of_several_headers_are_one_list, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}
