/*
 * Errors: what ends up in the sentence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"

static void an_error_holds_code_and_sentence(void **state)
{
	struct lp_error error = {0};

	(void)state;
	assert_int_equal(lp_error_set(&error, LP_EUSAGE, "%s: \"%s\"", "--workers", "x"), LP_EUSAGE);
	assert_int_equal(error.code, LP_EUSAGE);
	assert_string_equal(error.text, "--workers: \"x\"");
}

static void without_an_error_the_code_is_returned(void **state)
{
	(void)state;
	assert_int_equal(lp_error_set(NULL, -EINVAL, "%d", 1), -EINVAL);
}

static void an_error_wraps_itself(void **state)
{
	struct lp_error error;

	(void)state;
	lp_error_set(&error, -EINVAL, "line 12");
	lp_error_set(&error, LP_EPOLICY, "policy %s: %s", "a.lua", error.text);
	assert_string_equal(error.text, "policy a.lua: line 12");
}

static void a_sentence_is_one_line(void **state)
{
	struct lp_error error;

	(void)state;
	lp_error_set(&error, LP_EPOLICY, "near 'x\r\ny'\n");
	assert_string_equal(error.text, "near 'x  y' ");
}

static void a_long_sentence_is_cut_at_the_size(void **state)
{
	struct lp_error error;
	char longer[sizeof(error.text) + 100];

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	lp_error_set(&error, LP_EPOLICY, "%s", longer);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
}

static void every_code_has_words(void **state)
{
	(void)state;
	for (int code = LP_EPOLICY; code <= LP_AGAIN; code++)
		assert_null(strstr(lp_error_words(code), "nknown"));
	assert_string_equal(lp_error_words(UV_EADDRINUSE), "address already in use");
	assert_string_equal(lp_error_words(0), "no error");
	assert_non_null(strstr(lp_error_words(-9999), "-9999"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_holds_code_and_sentence),
		cmocka_unit_test(without_an_error_the_code_is_returned),
		cmocka_unit_test(an_error_wraps_itself),
		cmocka_unit_test(a_sentence_is_one_line),
		cmocka_unit_test(a_long_sentence_is_cut_at_the_size),
		cmocka_unit_test(every_code_has_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
