/*
 * Where a request ends, and when that cannot be told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "guarded.h"
#include "preload/http_framing.h"
#include "preload/http_request.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct guarded guarded;

static enum lp_http_request_progress read_bytes(struct lp_http_request *request, const char *bytes, size_t length)
{
	return lp_http_request_read(request, guarded_put(&guarded, bytes, length), length);
}

static void read_whole(struct lp_http_request *request, const char *text)
{
	if (read_bytes(request, text, strlen(text)) != LP_HTTP_REQUEST_WHOLE)
		fail_msg("\"%s\" is not whole", text);
}

static void a_request_s_length_is_head_and_body(void **state)
{
	static const struct {
		const char *head;
		uint64_t body;
	} cases[] = {
		{"GET / HTTP/1.1\r\n\r\n", 0},
		{"GET / HTTP/1.1\r\nHost: limpet\r\n\r\n", 0},
		{"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 0},
		{"POST / HTTP/1.1\r\nHost: a\r\ncontent-length:17\r\nA: b\r\n\r\n", 17},
		{"POST / HTTP/1.1\r\nContent-Length:  999999999999999\r\n\r\n", 999999999999999},
		{"HEAD / HTTP/1.1\r\nX-Content-Length: 5\r\n\r\n", 0},
		{"POST / HTTP/1.0\r\nContent-Length: 5 \r\n\r\n", 5},
		{"M-SEARCH * HTTP/1.1\r\n\r\n", 0},
		{"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 0},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct lp_http_request request;
		read_whole(&request, cases[i].head);
		assert_int_equal(request.end, LP_END_SIZED);
		assert_int_equal(request.head, strlen(cases[i].head));
		assert_int_equal(request.body, cases[i].body);
	}
}

static void what_lies_behind_the_head_changes_nothing(void **state)
{
	static const char bytes[] = "POST /a?sid=x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n";
	struct lp_http_request request;
	(void)state;
	read_whole(&request, bytes);
	assert_int_equal(request.end, LP_END_SIZED);
	assert_int_equal(request.head + request.body, strstr(bytes, "abc") + 3 - bytes);
}

static void every_beginning_of_a_head_asks_for_more(void **state)
{
	static const char head[] = "POST /a?sid=x HTTP/1.1\r\nHost: limpet\r\nContent-Length: 3\r\n\r\n";
	size_t line = (size_t)(strchr(head, '\n') - head) + 1;
	struct lp_http_request request;
	(void)state;
	for (size_t length = 1; length < sizeof(head) - 1; length++)
		assert_int_equal(read_bytes(&request, head, length),
				 length < line ? LP_HTTP_REQUEST_IN_LINE : LP_HTTP_REQUEST_IN_HEAD);
	assert_int_equal(read_bytes(&request, head, sizeof(head) - 1), LP_HTTP_REQUEST_WHOLE);
}

static void chunks_and_methods_are_told(void **state)
{
	struct lp_http_request request;
	(void)state;
	read_whole(&request, "POST / HTTP/1.1\r\ntransfer-encoding:\tChunked \r\n\r\n5\r\n");
	assert_int_equal(request.end, LP_END_CHUNKED);
	assert_int_equal(request.body, 0);
	assert_false(request.is_head);
	read_whole(&request, "HEAD / HTTP/1.1\r\n\r\n");
	assert_true(request.is_head);
	read_whole(&request, "HEADS / HTTP/1.1\r\n\r\n");
	assert_false(request.is_head);
}

static void what_is_no_request_never_ends(void **state)
{
	static const char *const cases[] = {
		"\x16\x03\x01",
		"\r\nGET / HTTP/1.1\r\n\r\n",
		"\r",
		" ",
		"get / HTTP/1.1\r\n\r\n",
		"GET / HTTP/0.9\r\n\r\n",
		"GET / HTTP/1.2\r\n\r\n",
		"GET / HTTP/1.10\r\n\r\n",
		"GET / HTTP/2",
		"GET  / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1 \r\n\r\n",
		"GET / XTTP",
		"GET /\r\n\r\n",
		"GET \r\n",
		"GET\r\n",
		"EHLO example.org\r\n",
		"A_METHOD_THAT_IS_LONGER_THAN_ALL_OTHERS",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\r\n\r\n",
		"GET /\r HTTP/1.1\r\n\r\n",
		"CONNECT example.org:443 HTTP/1.1\r\n",
		"PRI / HTTP/1.1\r\n\r\n",
		"CONNECT example.org:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct lp_http_request request;
		read_whole(&request, cases[i]);
		if (request.end != LP_END_NEVER)
			fail_msg("\"%s\" was followed", cases[i]);
	}
}

static void an_end_that_can_be_seen_in_two_places_is_unknown(void **state)
{
	static const char *const cases[] = {
		"Host: a\nX: b\r\n",
		"Host: a\r\n folded\r\n",
		"Host: a\rb\r\n",
		"Host: a\r\r\n",
		"\rHost: a\r\n",
		"Host\r: a\r\n",
		"Host\r\n",
		": a\r\n",
		"A B: c\r\n",
		"A:\x01\r\n",
		"A:\x7f\r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
		"Transfer-Encoding: chunked, chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: \"chunked\"\r\n",
		"Transfer-Encoding:\r\n",
		"Transfer-Encoding: identity\r\n",
		"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
		"Content-Length: 3\r\nContent-Length: 3\r\n",
		"Content-Length: 3, 3\r\n",
		"Content-Length: -3\r\n",
		"Content-Length: +3\r\n",
		"Content-Length: 0x3\r\n",
		"Content-Length:\r\n",
		"Content-Length: 1000000000000000\r\n",
		"Content-Length: 3 3\r\n",
		"Content-Length : 3\r\n",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char head[256] = "POST /?EIO=4&sid=a HTTP/1.1\r\n";
		struct lp_http_request request;
		read_whole(&request, strcat(strcat(head, cases[i]), "\r\n"));
		if (request.end != LP_END_UNKNOWN)
			fail_msg("\"%s\" was followed", cases[i]);
		assert_int_equal(request.sid.length, 1);
	}
}

static void bytes_of_names_and_values_are_those_of_the_standard(void **state)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		bool alphanumeric =
			(byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
		bool token = alphanumeric || (byte && strchr(others, byte));
		assert_int_equal(lp_http_is_token((char)byte), token);
		assert_int_equal(lp_http_is_text((char)byte), byte == '\t' || (byte >= ' ' && byte != 127));
	}
}

static void version_1_0_has_no_chunks(void **state)
{
	struct lp_http_request request;
	(void)state;
	read_whole(&request, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_int_equal(request.end, LP_END_UNKNOWN);
}

static void a_nul_in_a_header_is_doubtful(void **state)
{
	static const char head[] = "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n";
	struct lp_http_request request;
	(void)state;
	assert_int_equal(read_bytes(&request, head, sizeof(head) - 1), LP_HTTP_REQUEST_WHOLE);
	assert_int_equal(request.end, LP_END_UNKNOWN);
}

static void a_head_without_end_is_unknown_at_its_bound(void **state)
{
	char *head = malloc(LP_HTTP_REQUEST_HEAD_MAX);
	struct lp_http_request request;
	(void)state;
	memset(head, 'a', LP_HTTP_REQUEST_HEAD_MAX);
	memcpy(head, "GET /", 5);
	assert_int_equal(read_bytes(&request, head, LP_HTTP_REQUEST_HEAD_MAX - 1), LP_HTTP_REQUEST_IN_LINE);
	assert_int_equal(read_bytes(&request, head, LP_HTTP_REQUEST_HEAD_MAX), LP_HTTP_REQUEST_WHOLE);
	assert_int_equal(request.end, LP_END_NEVER);

	memcpy(head, "GET /?EIO=4 HTTP/1.1\r\n", 22);
	assert_int_equal(read_bytes(&request, head, LP_HTTP_REQUEST_HEAD_MAX - 1), LP_HTTP_REQUEST_IN_HEAD);
	assert_int_equal(read_bytes(&request, head, LP_HTTP_REQUEST_HEAD_MAX), LP_HTTP_REQUEST_WHOLE);
	assert_int_equal(request.end, LP_END_UNKNOWN);
	assert_true(request.opens_session);
	assert_null(request.headers.bytes);
	free(head);
}

static void a_sid_is_a_session_where_the_query_is_engine_io_s(void **state)
{
	static const struct {
		const char *target;
		const char *sid;
		bool opens;
	} cases[] = {
		{"/socket.io/?EIO=4&transport=polling&sid=lv_VI97", "lv_VI97", false},
		{"/?sid=a&EIO=3", "a", false},
		{"/?transport=polling&sid=a&sid=b", "a", false},
		{"/?sid=%61&EIO=4", "%61", false},
		{"/?sid=&EIO=4", NULL, true},
		{"/?EIO=4", NULL, true},
		{"/?EIO=", NULL, true},
		{"/?EIO=4&xsid=a", NULL, true},
		{"/?EIO=4&SID=a", NULL, true},
		{"/?EIO=4&sid", NULL, true},
		{"/?transport=polling", NULL, false},
		{"/forum?sid=abcdef0123", NULL, false},
		{"/?xEIO=4&sid=a", NULL, false},
		{"/EIO=4&sid=a", NULL, false},
		{"/?", NULL, false},
		{"/?&&&", NULL, false},
		{"*", NULL, false},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char head[128] = "GET ";
		struct lp_http_request request;
		read_whole(&request, strcat(strcat(head, cases[i].target), " HTTP/1.1\r\n\r\n"));
		assert_int_equal(request.opens_session, cases[i].opens);
		assert_int_equal(request.sid.length, cases[i].sid ? strlen(cases[i].sid) : 0);
		if (cases[i].sid)
			assert_memory_equal(request.sid.bytes, cases[i].sid, request.sid.length);
		else
			assert_null(request.sid.bytes);
	}
}

static void headers_are_those_between_the_first_line_and_the_empty_one(void **state)
{
	struct lp_http_request request;
	(void)state;
	read_whole(&request, "GET /?a=b HTTP/1.1\r\nA: b\r\nC: d\r\n\r\nE: f\r\n");
	assert_int_equal(request.headers.length, 12);
	assert_memory_equal(request.headers.bytes, "A: b\r\nC: d\r\n", 12);
	assert_int_equal(request.query.length, 3);
	assert_memory_equal(request.query.bytes, "a=b", 3);
	read_whole(&request, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(request.headers.length, 0);
	assert_null(request.query.bytes);
}

static int set_up(void **state)
{
	(void)state;
	return guarded_init(&guarded, LP_HTTP_REQUEST_HEAD_MAX);
}

static int tear_down(void **state)
{
	(void)state;
	guarded_deinit(&guarded);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_s_length_is_head_and_body),
		cmocka_unit_test(what_lies_behind_the_head_changes_nothing),
		cmocka_unit_test(every_beginning_of_a_head_asks_for_more),
		cmocka_unit_test(chunks_and_methods_are_told),
		cmocka_unit_test(what_is_no_request_never_ends),
		cmocka_unit_test(an_end_that_can_be_seen_in_two_places_is_unknown),
		cmocka_unit_test(bytes_of_names_and_values_are_those_of_the_standard),
		cmocka_unit_test(version_1_0_has_no_chunks),
		cmocka_unit_test(a_nul_in_a_header_is_doubtful),
		cmocka_unit_test(a_head_without_end_is_unknown_at_its_bound),
		cmocka_unit_test(a_sid_is_a_session_where_the_query_is_engine_io_s),
		cmocka_unit_test(headers_are_those_between_the_first_line_and_the_empty_one),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
