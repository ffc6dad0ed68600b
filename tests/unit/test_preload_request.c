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
#include "preload/request.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct guarded guarded;

static bool read_bytes(struct lp_request *request, const char *bytes, size_t length)
{
	return lp_request_read(request, guarded_put(&guarded, bytes, length), length);
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
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct lp_request request;
		assert_true(read_bytes(&request, cases[i].head, strlen(cases[i].head)));
		assert_false(request.opaque);
		assert_int_equal(request.length, strlen(cases[i].head) + cases[i].body);
	}
}

static void what_lies_behind_the_head_changes_nothing(void **state)
{
	static const char bytes[] = "POST /a?sid=x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n";
	struct lp_request request;
	(void)state;
	assert_true(read_bytes(&request, bytes, sizeof(bytes) - 1));
	assert_false(request.opaque);
	assert_int_equal(request.length, strstr(bytes, "abc") + 3 - bytes);
}

static void every_beginning_of_a_head_asks_for_more(void **state)
{
	static const char head[] = "POST /a?sid=x HTTP/1.1\r\nHost: limpet\r\nContent-Length: 3\r\n\r\n";
	struct lp_request request;
	(void)state;
	for (size_t length = 1; length < sizeof(head) - 1; length++)
		assert_false(read_bytes(&request, head, length));
	assert_true(read_bytes(&request, head, sizeof(head) - 1));
}

static void what_cannot_be_followed_is_opaque(void **state)
{
	static const char *const cases[] = {
		"\x16\x03\x01",
		"get / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"GET  / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1 \r\n\r\n",
		"GET /\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
		"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 1000000000000000\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length : 3\r\n\r\n",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct lp_request request;
		if (!read_bytes(&request, cases[i], strlen(cases[i])) || !request.opaque)
			fail_msg("\"%s\" was followed", cases[i]);
	}
}

static void a_head_without_end_is_opaque_at_its_bound(void **state)
{
	char *head = malloc(LP_REQUEST_HEAD_MAX);
	struct lp_request request;
	(void)state;
	memset(head, 'a', LP_REQUEST_HEAD_MAX);
	memcpy(head, "GET /", 5);
	assert_false(read_bytes(&request, head, LP_REQUEST_HEAD_MAX - 1));
	assert_true(read_bytes(&request, head, LP_REQUEST_HEAD_MAX));
	assert_true(request.opaque);
	free(head);
}

static void the_first_sid_of_the_query_counts(void **state)
{
	static const struct {
		const char *target;
		const char *sid;
	} cases[] = {
		{"/socket.io/?EIO=4&transport=polling&sid=lv_VI97", "lv_VI97"},
		{"/?sid=a", "a"},
		{"/?sid=a&sid=b", "a"},
		{"/?sid=a&x=y", "a"},
		{"/?sid=%61", "%61"},
		{"/?sid=", NULL},
		{"/?xsid=a", NULL},
		{"/?SID=a", NULL},
		{"/?sid", NULL},
		{"/sid=a", NULL},
		{"/?", NULL},
		{"/?&&&", NULL},
		{"*", NULL},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char head[128] = "GET ";
		struct lp_request request;
		strcat(strcat(head, cases[i].target), " HTTP/1.1\r\n\r\n");
		assert_true(read_bytes(&request, head, strlen(head)));
		assert_false(request.opaque);
		assert_int_equal(request.sid.length, cases[i].sid ? strlen(cases[i].sid) : 0);
		if (cases[i].sid)
			assert_memory_equal(request.sid.bytes, cases[i].sid, request.sid.length);
		else
			assert_null(request.sid.bytes);
	}
}

static int set_up(void **state)
{
	(void)state;
	return guarded_init(&guarded, LP_REQUEST_HEAD_MAX);
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
		cmocka_unit_test(what_cannot_be_followed_is_opaque),
		cmocka_unit_test(a_head_without_end_is_opaque_at_its_bound),
		cmocka_unit_test(the_first_sid_of_the_query_counts),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
