/*
 * Requests and responses of one connection: where each ends, which are answered, and what is learnt.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guarded.h"
#include "preload/http_exchange.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BYTES_MAX 4096
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define GET "GET / HTTP/1.1\r\n\r\n"
#define ASK "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n\r\n"
#define OPEN "0{\"sid\":\"lv_VI97\",\"upgrades\":[]}"

static struct guarded guarded;
static struct lp_http_exchange exchange;
static struct lp_session_learner learn;
static char learnt[256];

static void on_key(struct lp_slice key)
{
	strncat(learnt, key.bytes, key.length);
	strcat(learnt, " ");
}

static void begin(void)
{
	lp_http_exchange_begin(&exchange, true);
	lp_session_learner_init(&learn, "cookie:id");
	learnt[0] = '\0';
}

/* Read what has come as a program does that wants `room` bytes at a time. Returns how much was read as one request. */
static size_t read_some(const char *text, size_t length, size_t room)
{
	const char *start = text;
	do {
		uint64_t allowed = length;
		if (lp_http_exchange_phase(&exchange) == LP_HTTP_EXCHANGE_HEAD) {
			struct lp_http_request request;
			assert_int_equal(lp_http_request_read(&request, text, length), LP_HTTP_REQUEST_WHOLE);
			lp_http_exchange_take_request(&exchange, &request, length, &learn);
		}
		if (exchange.in.phase == LP_HTTP_EXCHANGE_CHUNKED)
			allowed = lp_http_exchange_chunks(&exchange, guarded_put(&guarded, text, length), length);
		if (exchange.in.phase == LP_HTTP_EXCHANGE_BODY)
			allowed = exchange.in.left;
		assert_true(allowed > 0);
		size_t got = allowed < length ? (size_t)allowed : length;
		if (got > room)
			got = room;
		struct iovec pieces[2] = {{(void *)text, got / 2}, {(void *)(text + got / 2), got - got / 2}};
		lp_http_exchange_has_read(&exchange, pieces, 2, got);
		text += got;
		length -= got;
	} while (length && exchange.in.phase != LP_HTTP_EXCHANGE_HEAD);
	return (size_t)(text - start);
}

static void reads(const char *text)
{
	assert_int_equal(read_some(text, strlen(text), SIZE_MAX), strlen(text));
}

/* Write some bytes, of which the kernel takes so many. */
static void writes_bytes(const char *bytes, size_t length, ssize_t result)
{
	char *put = guarded_put(&guarded, bytes, length);
	struct iovec pieces[2] = {{put, length / 3}, {put + length / 3, length - length / 3}};
	struct lp_http_exchange_write write;
	lp_http_exchange_writes(&exchange, pieces, 2, &write, &learn, on_key);
	lp_http_exchange_has_written(&exchange, pieces, 2, &write, &learn, result);
}

static void writes(const char *text)
{
	writes_bytes(text, strlen(text), (ssize_t)strlen(text));
}

/* One byte after the other, each of which is at first not taken. */
static void writes_slowly(const char *text)
{
	for (; *text; text++) {
		writes_bytes(text, strlen(text), -1);
		writes_bytes(text, strlen(text), 1);
	}
}

static void a_request_is_answered_with_its_response_s_last_byte(void **state)
{
	static const char *const answers[] = {
		OK,
		"HTTP/1.0 404 Not Found\r\ncontent-length:0\r\n\r\n",
		"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nabcde\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n" OK,
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" OK,
	};
	(void)state;
	for (size_t i = 0; i < COUNT(answers); i++) {
		size_t length = strlen(answers[i]);
		begin();
		assert_true(lp_http_exchange_is_answered(&exchange));
		reads(GET);
		for (size_t at = 0; at < length; at++) {
			assert_false(lp_http_exchange_is_answered(&exchange));
			writes_bytes(answers[i] + at, length - at, 1);
		}
		assert_true(lp_http_exchange_is_answered(&exchange));
		reads(GET);
		assert_false(lp_http_exchange_is_answered(&exchange));
		writes(answers[i]);
		assert_true(lp_http_exchange_is_answered(&exchange));
	}
}

static void each_of_several_requests_needs_its_response(void **state)
{
	(void)state;
	begin();
	reads(GET);
	reads("HEAD / HTTP/1.1\r\n\r\n");
	reads(GET);
	writes(OK);
	assert_false(lp_http_exchange_is_answered(&exchange));
	writes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	assert_false(lp_http_exchange_is_answered(&exchange));
	writes(OK);
	assert_true(lp_http_exchange_is_answered(&exchange));
	reads(GET);
	reads(GET);
	writes(OK OK);
	assert_true(lp_http_exchange_is_answered(&exchange));
}

static void an_answer_to_nothing_ends_the_matching(void **state)
{
	static const char *const cases[] = {OK, "HTTP/1.1 408 Request Timeout\r\n\r\n", "220 mail\r\n", "x"};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		begin();
		writes(cases[i]);
		assert_false(lp_http_exchange_is_answered(&exchange));
		reads(GET);
		writes(OK);
		assert_false(lp_http_exchange_is_answered(&exchange));
	}
}

static void a_response_without_a_known_end_is_never_complete(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
		"HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		"hello",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(answers); i++)
		for (int slowly = 0; slowly < 2; slowly++) {
			begin();
			reads(GET);
			(slowly ? writes_slowly : writes)(answers[i]);
			assert_false(lp_http_exchange_is_answered(&exchange));
			reads(GET);
			writes(OK OK);
			assert_false(lp_http_exchange_is_answered(&exchange));
		}
}

static void a_response_to_head_has_no_body_whatever_it_says(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(answers); i++) {
		begin();
		reads("HEAD / HTTP/1.1\r\n\r\n");
		writes(answers[i]);
		assert_true(lp_http_exchange_is_answered(&exchange));
	}
}

static void long_headers_in_pieces_are_passed_over_unless_they_count(void **state)
{
	char head[1200] = "HTTP/1.1 200 OK\r\nA: ";
	(void)state;
	memset(head + strlen(head), 'x', 600);
	strcat(head, "\r\nContent-Length: 2\r\n\r\nok");
	begin();
	reads(GET);
	writes_slowly(head);
	assert_true(lp_http_exchange_is_answered(&exchange));

	strcpy(head, "HTTP/1.1 200 OK\r\nContent-Length:");
	memset(head + strlen(head), ' ', 600);
	strcat(head, "2\r\n\r\nok");
	begin();
	reads(GET);
	writes_slowly(head);
	assert_false(lp_http_exchange_is_answered(&exchange));
}

static void bytes_that_nobody_saw_count_where_they_are_a_body_s(void **state)
{
	(void)state;
	begin();
	reads(GET);
	writes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab");
	lp_http_exchange_has_sent(&exchange, 7);
	assert_false(lp_http_exchange_is_answered(&exchange));
	lp_http_exchange_has_sent(&exchange, 1);
	assert_true(lp_http_exchange_is_answered(&exchange));

	reads(GET);
	writes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n");
	lp_http_exchange_has_sent(&exchange, 5);
	writes("\r\n0\r\n\r\n");
	assert_true(lp_http_exchange_is_answered(&exchange));

	reads(GET);
	writes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n");
	lp_http_exchange_has_sent(&exchange, 6);
	writes("\r\n0\r\n\r\n");
	assert_false(lp_http_exchange_is_answered(&exchange));
	lp_http_exchange_has_sent(&exchange, 6);

	begin();
	reads(GET);
	lp_http_exchange_has_sent(&exchange, 1);
	assert_false(lp_http_exchange_is_answered(&exchange));

	begin();
	reads(GET);
	writes("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
	lp_http_exchange_has_sent(&exchange, 2);
	assert_false(lp_http_exchange_is_answered(&exchange));

	begin();
	reads(GET);
	writes("HTTP/1.1 200 OK\r\n\r\n");
	lp_http_exchange_has_sent(&exchange, 2);
	assert_false(lp_http_exchange_is_answered(&exchange));
}

static void a_switch_of_protocols_is_opaque_before_its_bytes_leave(void **state)
{
	static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02ok";
	struct iovec piece = {(void *)answer, sizeof(answer) - 1};
	struct lp_http_exchange_write write;
	(void)state;
	begin();
	reads("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_HEAD);
	lp_http_exchange_writes(&exchange, &piece, 1, &write, &learn, on_key);
	assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_OPAQUE);
	lp_http_exchange_has_written(&exchange, &piece, 1, &write, &learn, sizeof(answer) - 1);
	assert_false(lp_http_exchange_is_answered(&exchange));
	writes(OK);
	lp_http_exchange_has_sent(&exchange, 5);
}

static void an_upgrade_that_is_refused_changes_nothing(void **state)
{
	(void)state;
	begin();
	reads("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
	writes(OK);
	assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_HEAD);
	assert_true(lp_http_exchange_is_answered(&exchange));
}

static void connect_and_what_is_no_http_are_opaque(void **state)
{
	static const char *const cases[] = {"CONNECT a:1 HTTP/1.1\r\n\r\n", "\x16\x03\x01"};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		begin();
		reads(cases[i]);
		assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_OPAQUE);
		writes(OK);
		assert_false(exchange.out.answers.count);
	}
}

static void too_many_requests_ahead_of_their_responses_are_opaque(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < LP_HTTP_EXCHANGE_AHEAD; i++) {
		reads(GET);
		assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_HEAD);
	}
	for (int i = 0; i < LP_HTTP_EXCHANGE_AHEAD - 1; i++)
		writes(OK);
	assert_false(lp_http_exchange_is_answered(&exchange));
	writes(OK);
	assert_true(lp_http_exchange_is_answered(&exchange));
	for (int i = 0; i < LP_HTTP_EXCHANGE_AHEAD + 1; i++)
		reads(GET);
	assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_OPAQUE);
}

static const char chunked[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
			      "5\r\nabcde\r\nA;x=\"y\";z\r\n0123456789\r\n000\r\nA: b\r\nC:\r\n\r\n";

static void a_body_in_chunks_ends_behind_its_trailers(void **state)
{
	(void)state;
	for (size_t room = 1; room < sizeof(chunked) + 5; room++) {
		char both[256];
		strcat(strcpy(both, chunked), GET);
		begin();
		assert_int_equal(read_some(both, strlen(both), room), strlen(chunked));
		assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_HEAD);
		assert_int_equal(exchange.in.requests, 1);
	}
}

static void a_body_in_chunks_may_come_in_pieces(void **state)
{
	size_t length = strlen(chunked);
	size_t head = (size_t)(strstr(chunked, "\r\n\r\n") + 4 - chunked);
	(void)state;
	for (size_t cut = head; cut < length; cut++) {
		begin();
		assert_int_equal(read_some(chunked, cut, SIZE_MAX), cut);
		assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_CHUNKED);
		assert_int_equal(read_some(chunked + cut, length - cut, SIZE_MAX), length - cut);
		assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_HEAD);
	}
}

static void data_of_a_chunk_may_be_read_before_it_has_come(void **state)
{
	static const char text[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nabc";
	struct lp_http_request request;
	(void)state;
	begin();
	assert_int_equal(lp_http_request_read(&request, text, sizeof(text) - 1), LP_HTTP_REQUEST_WHOLE);
	lp_http_exchange_take_request(&exchange, &request, sizeof(text) - 1, &learn);
	assert_int_equal(lp_http_exchange_chunks(&exchange, text, sizeof(text) - 1), sizeof(text) - 1 + 0x100 - 3);
	assert_int_equal(lp_http_exchange_chunks(&exchange, text, 10), request.head);
}

static void broken_chunks_are_lost(void **state)
{
	static const char *const bodies[] = {
		"x\r\n",
		"\r\n",
		";\r\n",
		"5\nabcde\r\n",
		"5\r\nabcdef\r\n",
		"5\r\nabcde\n",
		"5 \r\n",
		"5;\x01\r\n",
		"5\r\r\n",
		"0\r\n\r\r\n",
		"0\r\n A: b\r\n\r\n",
		"0\r\nA\r\n\r\n",
		"-5\r\n",
		"0x5\r\n",
		"0\r\nA: b\n\r\n",
		"0\r\nA: \x01\r\n",
		"1000000000000000\r\n",
		"0\r\nA: b\rc\r\n",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		char text[256] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
		strcat(text, bodies[i]);
		for (size_t room = 1; room < 128; room += 63) {
			begin();
			read_some(text, strlen(text), room);
			assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_LOST);
			writes(OK);
			assert_true(lp_http_exchange_is_answered(&exchange));
		}
		begin();
		for (const char *at = text; *at; at++) { /* What was read without a look ahead. */
			struct lp_http_request request;
			if (exchange.in.phase == LP_HTTP_EXCHANGE_HEAD) {
				lp_http_request_read(&request, at, strlen(at));
				lp_http_exchange_take_request(&exchange, &request, strlen(at), &learn);
			}
			lp_http_exchange_has_read(&exchange, &(struct iovec){(void *)at, 1}, 1, 1);
		}
		assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_LOST);
	}
}

static void behind_an_unknown_end_heads_are_taken_and_stay_lost(void **state)
{
	struct lp_http_request request;
	(void)state;
	begin();
	reads("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n");
	assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_LOST);
	assert_false(lp_http_exchange_is_answered(&exchange));
	writes(OK);
	assert_true(lp_http_exchange_is_answered(&exchange));
	assert_int_equal(lp_http_request_read(&request, ASK, strlen(ASK)), LP_HTTP_REQUEST_WHOLE);
	lp_http_exchange_take_request(&exchange, &request, strlen(ASK), &learn);
	assert_int_equal(lp_http_exchange_phase(&exchange), LP_HTTP_EXCHANGE_LOST);
	assert_false(lp_http_exchange_is_answered(&exchange));
	writes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n" OPEN);
	assert_string_equal(learnt, "lv_VI97 ");
}

static void more_is_told_of_what_was_seen_to_wait(void **state)
{
	struct lp_http_request request;
	static const struct {
		const char *text;
		bool more;
	} cases[] = {
		{GET, false},
		{GET "G", true},
		{"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n", true},
		{"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", false},
		{"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcd", true},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].text);
		begin();
		assert_int_equal(lp_http_request_read(&request, cases[i].text, length), LP_HTTP_REQUEST_WHOLE);
		lp_http_exchange_take_request(&exchange, &request, length, &learn);
		assert_int_equal(exchange.in.more, cases[i].more);
	}
}

/* Learning */

static void a_session_is_learnt_before_its_bytes_leave(void **state)
{
	static const char *const heads[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n",
		"HTTP/1.0 200 OK\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++) {
		char answer[256];
		strcat(strcpy(answer, heads[i]), OPEN);
		begin();
		reads(ASK);
		writes_bytes(answer, strlen(answer), -1);
		assert_string_equal(learnt, "lv_VI97 ");

		begin();
		reads(ASK);
		writes(heads[i]);
		writes(OPEN);
		assert_string_equal(learnt, "lv_VI97 ");

		begin();
		reads(ASK);
		for (const char *at = answer; *at; at++) {
			writes_bytes(at, 1, 1);
			assert_int_equal(learnt[0] != '\0', at - answer >= (ptrdiff_t)(strlen(heads[i]) + 16));
		}
		assert_string_equal(learnt, "lv_VI97 ");
	}
}

static void one_session_is_learnt_where_a_body_begins(void **state)
{
	(void)state;
	begin();
	reads(ASK);
	writes("HTTP/1.1 200 OK\r\nX: " OPEN "\r\nContent-Length: 100\r\n\r\nx" OPEN OPEN);
	assert_string_equal(learnt, "");
	begin();
	reads(ASK);
	writes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" OPEN "0{\"sid\":\"other\"}");
	writes("0{\"sid\":\"third\"}");
	assert_string_equal(learnt, "lv_VI97 ");
}

static void no_session_is_learnt_but_in_answer_to_a_request_for_one(void **state)
{
	static const char *const requests[] = {
		GET,
		"GET /echo?0{\"sid\":\"x\"} HTTP/1.1\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\n\r\n",
		"HEAD /socket.io/?EIO=4 HTTP/1.1\r\n\r\n",
		"POST /?EIO=4&sid=1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
		"\x16\x03\x01",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(requests); i++) {
		begin();
		reads(requests[i]);
		writes("HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n" OPEN);
		assert_string_equal(learnt, "");
	}
	begin();
	writes("HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n" OPEN);
	assert_string_equal(learnt, "");
}

static void among_requests_sent_ahead_the_right_one_is_learnt_from(void **state)
{
	(void)state;
	begin();
	reads(GET);
	reads(ASK);
	writes("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n0{\"sid\":\"echo\"}");
	assert_string_equal(learnt, "");
	writes("HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n" OPEN);
	assert_string_equal(learnt, "lv_VI97 ");
}

static void a_body_that_never_becomes_an_open_packet_is_given_up(void **state)
{
	char body[600] = "0{\"sid\":\"";
	(void)state;
	memset(body + strlen(body), 'k', 400);
	strcat(body, "\"");
	begin();
	reads(ASK);
	writes("HTTP/1.1 200 OK\r\n\r\n");
	writes_slowly(body);
	writes("\"}");
	assert_string_equal(learnt, "");
	begin();
	reads(ASK);
	writes("HTTP/1.1 200 OK\r\n\r\n");
	writes("<");
	writes(OPEN);
	assert_string_equal(learnt, "");
}

static void a_header_that_rules_name_is_learnt_unless_it_was_carried(void **state)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nSet-Cookie: id=mine; Path=/\r\nContent-Length: 0\r\n\r\n";
	(void)state;
	begin();
	reads(GET);
	writes(answer);
	assert_string_equal(learnt, "mine ");
	reads("GET / HTTP/1.1\r\nCookie: id=mine\r\n\r\n");
	writes(answer);
	assert_string_equal(learnt, "mine ");
	reads("GET / HTTP/1.1\r\nCookie: id=old\r\n\r\n");
	for (const char *at = answer; *at; at++)
		writes_bytes(at, 1, 1);
	assert_string_equal(learnt, "mine mine ");
}

static void nothing_is_learnt_by_rules_from_requests_sent_ahead(void **state)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nSet-Cookie: id=mine; Path=/\r\nContent-Length: 0\r\n\r\n";
	(void)state;
	begin();
	reads("GET / HTTP/1.1\r\nCookie: id=mine\r\n\r\n");
	reads(GET);
	writes(answer);
	assert_string_equal(learnt, "");
	writes(answer);
	assert_string_equal(learnt, "mine ");
}

static void words_of_a_header_in_a_body_are_not_learnt(void **state)
{
	(void)state;
	begin();
	reads(GET);
	writes("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nSet-Cookie: id=visitor; Path=/\r\n\r\n");
	assert_string_equal(learnt, "");
}

/* Two threads */

static void *finish(void *unused)
{
	while (!exchange.out.finishing)
		;
	for (volatile int i = 0; i < 1000; i++)
		;
	struct lp_http_exchange_write *write = unused;
	lp_http_exchange_has_written(&exchange, &(struct iovec){(void *)OK, strlen(OK)}, 1, write, &learn,
				     (ssize_t)strlen(OK));
	return NULL;
}

static void a_write_that_is_about_to_have_answered_is_waited_for(void **state)
{
	struct lp_http_exchange_write write;
	pthread_t thread;
	(void)state;
	begin();
	reads(GET);
	pthread_create(&thread, NULL, finish, &write);
	lp_http_exchange_writes(&exchange, &(struct iovec){(void *)OK, strlen(OK)}, 1, &write, &learn, on_key);
	lp_http_exchange_is_answered(&exchange);
	pthread_join(thread, NULL);
	assert_true(lp_http_exchange_is_answered(&exchange));
	assert_false(exchange.out.finishing);
}

static void a_write_that_fails_is_not_waited_for_long(void **state)
{
	struct lp_http_exchange_write write;
	(void)state;
	begin();
	reads(GET);
	lp_http_exchange_writes(&exchange, &(struct iovec){(void *)OK, strlen(OK)}, 1, &write, &learn, on_key);
	assert_false(lp_http_exchange_is_answered(&exchange));
	lp_http_exchange_has_written(&exchange, NULL, 0, &write, &learn, -1);
	assert_false(exchange.out.finishing);
	assert_false(lp_http_exchange_is_answered(&exchange));
}

static void readers_and_writers_share_no_cache_line(void **state)
{
	(void)state;
	assert_true(offsetof(struct lp_http_exchange, out) % LP_HTTP_EXCHANGE_LINE == 0);
	assert_true(offsetof(struct lp_http_exchange, out) >= sizeof(struct lp_http_exchange_in));
	assert_true(sizeof(struct lp_http_exchange) % LP_HTTP_EXCHANGE_LINE == 0);
}

static int set_up(void **state)
{
	(void)state;
	return guarded_init(&guarded, BYTES_MAX);
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
		cmocka_unit_test(a_request_is_answered_with_its_response_s_last_byte),
		cmocka_unit_test(each_of_several_requests_needs_its_response),
		cmocka_unit_test(an_answer_to_nothing_ends_the_matching),
		cmocka_unit_test(a_response_without_a_known_end_is_never_complete),
		cmocka_unit_test(a_response_to_head_has_no_body_whatever_it_says),
		cmocka_unit_test(long_headers_in_pieces_are_passed_over_unless_they_count),
		cmocka_unit_test(bytes_that_nobody_saw_count_where_they_are_a_body_s),
		cmocka_unit_test(a_switch_of_protocols_is_opaque_before_its_bytes_leave),
		cmocka_unit_test(an_upgrade_that_is_refused_changes_nothing),
		cmocka_unit_test(connect_and_what_is_no_http_are_opaque),
		cmocka_unit_test(too_many_requests_ahead_of_their_responses_are_opaque),
		cmocka_unit_test(a_body_in_chunks_ends_behind_its_trailers),
		cmocka_unit_test(a_body_in_chunks_may_come_in_pieces),
		cmocka_unit_test(data_of_a_chunk_may_be_read_before_it_has_come),
		cmocka_unit_test(broken_chunks_are_lost),
		cmocka_unit_test(behind_an_unknown_end_heads_are_taken_and_stay_lost),
		cmocka_unit_test(more_is_told_of_what_was_seen_to_wait),
		cmocka_unit_test(a_session_is_learnt_before_its_bytes_leave),
		cmocka_unit_test(one_session_is_learnt_where_a_body_begins),
		cmocka_unit_test(no_session_is_learnt_but_in_answer_to_a_request_for_one),
		cmocka_unit_test(among_requests_sent_ahead_the_right_one_is_learnt_from),
		cmocka_unit_test(a_body_that_never_becomes_an_open_packet_is_given_up),
		cmocka_unit_test(a_header_that_rules_name_is_learnt_unless_it_was_carried),
		cmocka_unit_test(nothing_is_learnt_by_rules_from_requests_sent_ahead),
		cmocka_unit_test(words_of_a_header_in_a_body_are_not_learnt),
		cmocka_unit_test(a_write_that_is_about_to_have_answered_is_waited_for),
		cmocka_unit_test(a_write_that_fails_is_not_waited_for_long),
		cmocka_unit_test(readers_and_writers_share_no_cache_line),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
