/*
 * What a response tells of sessions, and that the scan does not read past the piece it was given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "guarded.h"
#include "preload/learn.h"

#define PIECE_MAX 8192

static struct guarded guarded;

/* The keys found, each with a blank behind it. */
struct found {
	char text[4096];
	size_t length;
};

static void on_found(void *owner, struct lp_slice key)
{
	struct found *found = owner;
	assert_in_range(key.length, 1, 1024);
	memcpy(found->text + found->length, key.bytes, key.length);
	found->length += key.length;
	found->text[found->length++] = ' ';
}

static const char *scan(const char *rules, const char *bytes)
{
	static struct found found;
	struct lp_learn learn;
	memset(&found, 0, sizeof(found));
	lp_learn_init(&learn, rules);
	size_t length = strlen(bytes);
	lp_learn_scan(&learn, (struct lp_slice){guarded_put(&guarded, bytes, length), length}, true, on_found, &found);
	return found.text;
}

static void an_open_packet_names_its_session(void **state)
{
	(void)state;
	assert_string_equal(scan(NULL, "HTTP/1.1 200 OK\r\n\r\n0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[]}"),
			    "lv_VI97HAXpY6yYWAAAC ");
	assert_string_equal(scan(NULL, "97:0{\"sid\":\"a-B\",\"upgrades\":[]}2:40"), "a-B ");
	assert_string_equal(scan(NULL, "\x81\x60"
				       "0{\"sid\":\"x\",\"upgrades\":[]}"),
			    "x ");
	assert_string_equal(scan(NULL, "0{\"sid\":\"one\"}\x1e"
				       "0{\"sid\":\"two\"}"),
			    "one two ");
}

static void the_id_of_a_namespace_is_no_session(void **state)
{
	(void)state;
	assert_string_equal(scan(NULL, "40{\"sid\":\"wZX3oN0bSVIhsaknAAAI\"}"), "");
}

static void what_is_nearly_an_open_packet_is_none(void **state)
{
	(void)state;
	assert_string_equal(scan(NULL, ""), "");
	assert_string_equal(scan(NULL, "0{\"sid\":\""), "");
	assert_string_equal(scan(NULL, "0{\"sid\":\"\"}"), "");
	assert_string_equal(scan(NULL, "0{\"sid\":\"cut off at the end of the piece"), "");
	assert_string_equal(scan(NULL, "0{\"sid\":\"whole-but-for-its-quote"), "");
	assert_string_equal(scan(NULL, "0{\"sid\":\"two words\"}"), "");
	assert_string_equal(scan(NULL, "{\"sid\":\"of-an-application\"}"), "");
}

static void a_key_has_1024_bytes_at_most(void **state)
{
	char bytes[1100] = "0{\"sid\":\"";
	(void)state;
	memset(bytes + 9, 'k', 1025);
	strcpy(bytes + 9 + 1024, "\"}");
	assert_int_equal(strlen(scan(NULL, bytes)), 1025);
	strcpy(bytes + 9 + 1024, "k\"}");
	assert_string_equal(scan(NULL, bytes), "");
}

static void a_named_cookie_is_a_session(void **state)
{
	(void)state;
	const char *rule = "cookie:JSESSIONID";
	assert_string_equal(scan(rule, "HTTP/1.1 200 OK\r\nSet-Cookie: JSESSIONID=0A.node1; Path=/\r\n\r\n"),
			    "0A.node1 ");
	assert_string_equal(scan(rule, "HTTP/1.1 200 OK\r\nset-cookie:JSESSIONID=end\r\n\r\n"), "end ");
	assert_string_equal(scan(rule, "Set-Cookie: a=1\r\nSet-Cookie: JSESSIONID=second\r\n"), "second ");
	assert_string_equal(scan(rule, "Set-Cookie: JSESSIONID=; Max-Age=0\r\n"), "");
	assert_string_equal(scan(rule, "Set-Cookie: jsessionid=another; Path=/\r\n"), "");
	assert_string_equal(scan(rule, "Set-Cookie: JSESSIONIDS=another; Path=/\r\n"), "");
	assert_string_equal(scan(rule, "Cookie: JSESSIONID=request\r\n"), "");
	assert_string_equal(scan(rule, "Set-Cookie: JSESSIONID=cut-off"), "");
	assert_string_equal(scan(NULL, "Set-Cookie: JSESSIONID=unasked; Path=/\r\n"), "");
}

static void so_is_a_named_header(void **state)
{
	(void)state;
	const char *rules = "cookie:id,header:X-Session";
	assert_string_equal(scan(rules, "HTTP/1.1 200 OK\r\nX-SESSION: a;b\r\n\r\n"), "a;b ");
	assert_string_equal(scan(rules, "X-Session-Id: another\r\n"), "");
	assert_string_equal(scan(rules, "Set-Cookie: id=1;\r\nX-Session: 2\r\n0{\"sid\":\"3\"}"), "3 1 2 ");
}

static void a_header_s_words_in_the_body_are_none(void **state)
{
	(void)state;
	assert_string_equal(scan("header:X-Session", "HTTP/1.1 200 OK\r\n\r\nX-Session: written by a visitor\r\n"), "");
	assert_string_equal(scan("cookie:id", "HTTP/1.1 200 OK\r\n\r\nSet-Cookie: id=visitor;\r\n"), "");
}

static void a_head_may_come_in_pieces(void **state)
{
	static const struct {
		const char *piece;
		bool more;
	} pieces[] = {{"HTTP/1.0 200 OK\r\n", true},
		      {"X-Session: a\r\n", true},
		      {"\r\n", false},
		      {"X-Session: b\r\n", false}};
	struct found found = {.length = 0};
	struct lp_learn learn;
	bool head = true;
	(void)state;
	lp_learn_init(&learn, "header:X-Session");
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct lp_slice piece = {pieces[i].piece, strlen(pieces[i].piece)};
		head = lp_learn_scan(&learn, piece, head, on_found, &found);
		assert_int_equal(head, pieces[i].more);
	}
	assert_string_equal(found.text, "a ");
}

static void rules_that_are_none_are_passed_over(void **state)
{
	struct lp_learn learn;
	char text[256] = "cookie:a,header:,nonsense,,header:b,cookie:";
	(void)state;
	memset(text + strlen(text), 'n', LP_LEARN_NAME_MAX + 1);
	lp_learn_init(&learn, text);
	assert_int_equal(learn.count, 2);
	assert_true(learn.rules[0].is_cookie);
	assert_string_equal(learn.rules[0].name, "a");
	assert_false(learn.rules[1].is_cookie);
	assert_string_equal(learn.rules[1].name, "b");
	lp_learn_init(&learn, "cookie:1,cookie:2,cookie:3,cookie:4,cookie:5,cookie:6,cookie:7,cookie:8,cookie:9");
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
		cmocka_unit_test(the_id_of_a_namespace_is_no_session),
		cmocka_unit_test(what_is_nearly_an_open_packet_is_none),
		cmocka_unit_test(a_key_has_1024_bytes_at_most),
		cmocka_unit_test(a_named_cookie_is_a_session),
		cmocka_unit_test(so_is_a_named_header),
		cmocka_unit_test(a_header_s_words_in_the_body_are_none),
		cmocka_unit_test(a_head_may_come_in_pieces),
		cmocka_unit_test(rules_that_are_none_are_passed_over),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
