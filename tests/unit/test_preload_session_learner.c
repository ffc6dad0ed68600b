/*
 * What a response tells of sessions, and that no byte behind it is looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "guarded.h"
#include "preload/session_learner.h"

#define PIECE_MAX 8192

static struct guarded guarded;

static struct lp_slice guard(const char *text)
{
	return (struct lp_slice){guarded_put(&guarded, text, strlen(text)), strlen(text)};
}

/* The key in the beginning of a body; "more" or "none". */
static const char *open_bytes(const char *bytes, size_t length)
{
	static char text[2048];
	struct lp_slice key;
	switch (lp_session_learner_open((struct lp_slice){guarded_put(&guarded, bytes, length), length}, &key)) {
	case LP_OPEN_NONE:
		return "none";
	case LP_OPEN_MORE:
		return "more";
	case LP_OPEN_KEY:
		break;
	}
	assert_in_range(key.length, 1, 1024);
	memcpy(text, key.bytes, key.length);
	text[key.length] = '\0';
	return text;
}

static const char *open_text(const char *text)
{
	return open_bytes(text, strlen(text));
}

/* Each form of an open packet with "lv_VI97-A" in it, as far as the quote behind that. */
static const struct {
	const char *bytes;
	size_t length;
} forms[] = {
#define FORM(text)                                                                                                     \
	{                                                                                                              \
		text, sizeof(text) - 1                                                                                 \
	}
	FORM("0{\"sid\":\"lv_VI97-A\""),
	FORM("97:0{\"sid\":\"lv_VI97-A\""),
	FORM("\x00\x09\x07\xff"
	     "0{\"sid\":\"lv_VI97-A\""),
	FORM("___eio[0](\"0{\\\"sid\\\":\\\"lv_VI97-A\\"),
	FORM("___eio[17](\"97:0{\\\"sid\\\":\\\"lv_VI97-A\\"),
	FORM("___eio[](\"0{\\\"sid\\\":\\\"lv_VI97-A\\"),
#undef FORM
};

static void an_open_packet_names_its_session(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
		assert_string_equal(open_bytes(forms[i].bytes, forms[i].length), "lv_VI97-A");
	assert_string_equal(open_text("0{\"sid\":\"one\"}\x1e"
				      "0{\"sid\":\"two\"}"),
			    "one");
}

static void every_beginning_of_one_asks_for_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
		for (size_t length = 1; length < forms[i].length; length++)
			assert_string_equal(open_bytes(forms[i].bytes, length), "more");
}

static void what_does_not_begin_as_one_is_none(void **state)
{
	static const char *const cases[] = {
		"40{\"sid\":\"wZX3oN0bSVIhsaknAAAI\"}",
		"0{\"sid\":\"\"}",
		"0{\"sid\":\"two words\"}",
		"{\"sid\":\"of-an-application\"}",
		" 0{\"sid\":\"x\"}",
		"you said 0{\"sid\":\"x\"}",
		"00{\"sid\":\"x\"}",
		"97;0{\"sid\":\"x\"}",
		"0{\\\"sid\\\":\\\"x\\\"",
		"___eio[0](\"0{\"sid\":\"x\"",
		"___eio[x](\"0{\\\"sid\\\":\\\"x\\\"",
		"___eio(0)",
		"<html>",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(open_text(cases[i]), "none");
}

static void a_key_has_1024_bytes_at_most(void **state)
{
	char bytes[1100] = "0{\"sid\":\"";
	(void)state;
	memset(bytes + 9, 'k', 1025);
	strcpy(bytes + 9 + 1024, "\"}");
	assert_int_equal(strlen(open_text(bytes)), 1024);
	strcpy(bytes + 9 + 1024, "k\"}");
	assert_string_equal(open_text(bytes), "none");
}

/* What a header tells, of the answer to a request. */
static const char *learn_from(const char *rules, const char *head, const char *line)
{
	static char text[1100];
	struct lp_session_learner learn;
	struct lp_http_request request;
	struct lp_carried carried;
	lp_session_learner_init(&learn, rules);
	assert_int_equal(lp_http_request_read(&request, head, strlen(head)), LP_HTTP_REQUEST_WHOLE);
	lp_session_learner_carried(&learn, &request, &carried);
	struct lp_slice key = lp_session_learner_header(&learn, guard(line), &carried);
	assert_true(key.length <= 1024);
	if (key.length)
		memcpy(text, key.bytes, key.length);
	text[key.length] = '\0';
	return text;
}

static const char *learn_alone(const char *rules, const char *line)
{
	return learn_from(rules, "GET / HTTP/1.1\r\n\r\n", line);
}

static void a_named_cookie_is_a_session(void **state)
{
	(void)state;
	const char *rule = "cookie:JSESSIONID";
	assert_string_equal(learn_alone(rule, "Set-Cookie: JSESSIONID=0A.node1; Path=/"), "0A.node1");
	assert_string_equal(learn_alone(rule, "set-cookie:JSESSIONID=end"), "end");
	assert_string_equal(learn_alone(rule, "Set-Cookie: JSESSIONID=; Max-Age=0"), "");
	assert_string_equal(learn_alone(rule, "Set-Cookie: jsessionid=another; Path=/"), "");
	assert_string_equal(learn_alone(rule, "Set-Cookie: JSESSIONIDS=another; Path=/"), "");
	assert_string_equal(learn_alone(rule, "Set-Cookie: JSESSIONID"), "");
	assert_string_equal(learn_alone(rule, "Set-Cookie:"), "");
	assert_string_equal(learn_alone(rule, "Set"), "");
	assert_string_equal(learn_alone(rule, "Cookie: JSESSIONID=request"), "");
	assert_string_equal(learn_alone(NULL, "Set-Cookie: JSESSIONID=unasked; Path=/"), "");
}

static void so_is_a_named_header(void **state)
{
	(void)state;
	const char *rules = "cookie:id,header:X-Session";
	assert_string_equal(learn_alone(rules, "X-SESSION: a;b"), "a;b");
	assert_string_equal(learn_alone(rules, "X-Session-Id: another"), "");
	assert_string_equal(learn_alone(rules, "X-Session:"), "");
	assert_string_equal(learn_alone(rules, "Set-Cookie: id=1;"), "1");
}

static void a_long_value_is_none(void **state)
{
	char line[1100] = "X-Session: ";
	(void)state;
	memset(line + 11, 'k', 1025);
	assert_string_equal(learn_alone("header:X-Session", line), "");
	line[11 + 1024] = '\0';
	assert_int_equal(strlen(learn_alone("header:X-Session", line)), 1024);
}

static void what_a_request_carries_is_not_learnt(void **state)
{
	(void)state;
	const char *rules = "cookie:id,header:X-Session";
	static const char *const carriers[] = {
		"GET / HTTP/1.1\r\nCookie: id=mine\r\n\r\n",
		"GET / HTTP/1.1\r\ncookie: a=b;id=mine; c=d\r\n\r\n",
		"GET / HTTP/1.1\r\nCookie: id=other\r\nCookie: id=mine\r\n\r\n",
		"GET / HTTP/1.1\r\nX-Session: mine\r\n\r\n",
		"GET / HTTP/1.1\r\nID: mine\r\n\r\n",
		"GET /?id=mine HTTP/1.1\r\n\r\n",
		"GET /?X-Session=mine HTTP/1.1\r\n\r\n",
	};
	for (size_t i = 0; i < sizeof(carriers) / sizeof(*carriers); i++) {
		assert_string_equal(learn_from(rules, carriers[i], "Set-Cookie: id=mine; Path=/"), "");
		assert_string_equal(learn_from(rules, carriers[i], "X-Session: mine"), "");
		assert_string_equal(learn_from(rules, carriers[i], "X-Session: new"), "new");
	}
	assert_string_equal(
		learn_from(rules, "GET / HTTP/1.1\r\nCookie: ids=mine; xid=mine\r\n\r\n", "X-Session: mine"), "mine");
}

static void nothing_is_learnt_where_too_much_is_carried(void **state)
{
	char head[512] = "GET / HTTP/1.1\r\nCookie: ";
	(void)state;
	for (int i = 0; i < LP_CARRIED_MAX; i++)
		strcat(head, "id=x;");
	char more[600];
	strcpy(more, head);
	strcat(head, "\r\n\r\n");
	strcat(more, "id=y\r\n\r\n");
	assert_string_equal(learn_from("cookie:id", head, "Set-Cookie: id=new"), "new");
	assert_string_equal(learn_from("cookie:id", more, "Set-Cookie: id=new"), "");
}

static void nothing_is_learnt_from_an_answer_to_a_head_that_is_too_long(void **state)
{
	static char head[LP_HTTP_REQUEST_HEAD_MAX + 1] = "GET / HTTP/1.1\r\nA: ";
	(void)state;
	memset(head + strlen(head), 'x', LP_HTTP_REQUEST_HEAD_MAX - strlen(head));
	assert_string_equal(learn_from("cookie:id", head, "Set-Cookie: id=new"), "");
}

static void rules_that_are_none_are_passed_over(void **state)
{
	struct lp_session_learner learn;
	char text[256] = "cookie:a,header:,nonsense,,header:b,cookie:";
	(void)state;
	memset(text + strlen(text), 'n', LP_LEARN_NAME_MAX + 1);
	lp_session_learner_init(&learn, text);
	assert_int_equal(learn.count, 2);
	assert_true(learn.rules[0].is_cookie);
	assert_string_equal(learn.rules[0].name, "a");
	assert_false(learn.rules[1].is_cookie);
	assert_string_equal(learn.rules[1].name, "b");
	lp_session_learner_init(&learn, "header:a=b,cookie:c=,header:=d");
	assert_int_equal(learn.count, 2);
	assert_string_equal(learn.rules[0].name, "a");
	assert_string_equal(learn.rules[0].carried, "b");
	assert_string_equal(learn.rules[1].carried, "");
	lp_session_learner_init(&learn,
				"cookie:1,cookie:2,cookie:3,cookie:4,cookie:5,cookie:6,cookie:7,cookie:8,cookie:9");
	assert_int_equal(learn.count, LP_LEARN_MAX);
}

static int set_up(void **state)
{
	(void)state;
	return guarded_init(&guarded, PIECE_MAX);
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
		cmocka_unit_test(an_open_packet_names_its_session),
		cmocka_unit_test(every_beginning_of_one_asks_for_more),
		cmocka_unit_test(what_does_not_begin_as_one_is_none),
		cmocka_unit_test(a_key_has_1024_bytes_at_most),
		cmocka_unit_test(a_named_cookie_is_a_session),
		cmocka_unit_test(so_is_a_named_header),
		cmocka_unit_test(a_long_value_is_none),
		cmocka_unit_test(what_a_request_carries_is_not_learnt),
		cmocka_unit_test(nothing_is_learnt_where_too_much_is_carried),
		cmocka_unit_test(nothing_is_learnt_from_an_answer_to_a_head_that_is_too_long),
		cmocka_unit_test(rules_that_are_none_are_passed_over),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
