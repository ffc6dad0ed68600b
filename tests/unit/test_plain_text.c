#include "base/plain_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_plain(const char *text, size_t columns, const char *expected, size_t shown)
{
	char out[64];
	assert_int_equal(lp_plain_text(out, sizeof(out), text, columns), shown);
	assert_string_equal(out, expected);
}

static void plain_text_stays(void **state)
{
	(void)state;
	assert_plain("", 0, "", 0);
	assert_plain("GET /a?b=c", 0, "GET /a?b=c", 10);
	assert_plain("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9a", 0,
		     "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9a", 8);
}

static void what_a_terminal_would_obey_is_a_question_mark(void **state)
{
	(void)state;
	assert_plain("a\x1b[2Jb", 0, "a?[2Jb", 6);
	assert_plain("a\r\n\tb\x7f", 0, "a???b?", 6);
	assert_plain("\xc2\x9b"
		     "1m",
		     0, "?1m", 3);
	assert_plain("a\xe2\x80\xae"
		     "b",
		     0, "a?b", 3);
	assert_plain("a\xe2\x81\xa6"
		     "b",
		     0, "a?b", 3);
}

static void what_is_no_utf8_is_a_question_mark_a_byte(void **state)
{
	(void)state;
	assert_plain("\xff\xfe", 0, "??", 2);
	assert_plain("\xc3", 0, "?", 1);
	assert_plain("\xc0\xaf", 0, "??", 2);
	assert_plain("\xed\xa0\x80", 0, "???", 3);
	assert_plain("\xf4\x90\x80\x80", 0, "????", 4);
	assert_plain("\xe2\x82", 0, "??", 2);
}

static void long_text_is_cut_with_a_mark(void **state)
{
	(void)state;
	assert_plain("abcdef", 6, "abcdef", 6);
	assert_plain("abcdefg", 6, "abcde\xe2\x80\xa6", 6);
	assert_plain("abc\xc3\xbc\xc3\x9f", 4, "abc\xe2\x80\xa6", 4);
}

static void a_small_room_cuts_between_characters(void **state)
{
	char out[5];
	(void)state;
	assert_int_equal(lp_plain_text(out, sizeof(out), "ab\xe2\x82\xac", 0), 2);
	assert_string_equal(out, "ab");
	assert_int_equal(lp_plain_text(out, sizeof(out), "abcdefg", 6), 4);
	assert_true(strlen(out) < sizeof(out));
}

static void printing_pads_to_either_side(void **state)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	(void)state;
	lp_plain_print(out, "\xc3\xbc", 3);
	lp_plain_print(out, "|", -3);
	lp_plain_print(out, "abcdef", 0);
	fclose(out);
	assert_string_equal(text, "\xc3\xbc    |abcdef");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text_stays),
		cmocka_unit_test(what_a_terminal_would_obey_is_a_question_mark),
		cmocka_unit_test(what_is_no_utf8_is_a_question_mark_a_byte),
		cmocka_unit_test(long_text_is_cut_with_a_mark),
		cmocka_unit_test(a_small_room_cuts_between_characters),
		cmocka_unit_test(printing_pads_to_either_side),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
