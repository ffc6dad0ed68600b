/*
 * What a program that ended has said last.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include "worker/last_output.h"

static void add(struct lp_last_output *words, const char *text)
{
	lp_last_output_add(words, text, strlen(text));
}

static void assert_chosen(const char *said, const char *expected)
{
	struct lp_last_output words = {.length = 0};
	char text[256] = "?";
	add(&words, said);
	assert_int_equal(lp_last_output_choose(&words, text, sizeof(text)), expected[0] != '\0');
	assert_string_equal(text, expected);
}

static void it_is_the_last_line_that_is_not_empty(void **state)
{
	(void)state;
	assert_chosen("", "");
	assert_chosen("\n \n\t\r\n", "");
	assert_chosen("one", "one");
	assert_chosen("one\ntwo\n", "two");
	assert_chosen("one\r\n  two \r\n\n \n", "two");
	assert_chosen("Error: first\ngiving up\n", "giving up");
	assert_chosen("Traceback (most recent call last):\n  File \"a.py\", line 1\nModuleNotFoundError: No module\n",
		      "ModuleNotFoundError: No module");
}

static void behind_an_exception_of_nodes_it_is_the_exception(void **state)
{
	(void)state;
	assert_chosen(
		"node:internal/modules/cjs/loader:1210\n  throw err;\n  ^\n\n"
		"Error: Cannot find module 'express'\nRequire stack:\n- /app/server.js\n"
		"    at Module._load (node:internal:1038:27) {\n  code: 'MODULE_NOT_FOUND',\n}\n\nNode.js v20.20.2\n",
		"Error: Cannot find module 'express'");
	assert_chosen("Error [ERR_X]: no\n    at Error: x\n\nNode.js v24.0.0\n", "Error [ERR_X]: no");
	assert_chosen("nothing of the kind\n\nNode.js v24.0.0\n", "Node.js v24.0.0");
}

static void only_the_end_is_kept(void **state)
{
	(void)state;
	struct lp_last_output words = {.length = 0};
	char many[3 * LP_LAST_OUTPUT_MAX];
	char text[16];
	memset(many, 'x', sizeof(many));
	add(&words, "begin\n");
	lp_last_output_add(&words, many, sizeof(many));
	assert_int_equal(words.length, LP_LAST_OUTPUT_MAX);
	add(&words, "\nthe end");
	assert_int_equal(words.length, LP_LAST_OUTPUT_MAX);
	assert_true(lp_last_output_choose(&words, text, sizeof(text)));
	assert_string_equal(text, "the end");
	for (int i = 0; i < LP_LAST_OUTPUT_MAX; i++)
		add(&words, "ab\n");
	assert_true(lp_last_output_choose(&words, text, sizeof(text)));
	assert_string_equal(text, "ab");
}

static void a_long_line_is_cut(void **state)
{
	(void)state;
	struct lp_last_output words = {.length = 0};
	char text[5];
	add(&words, "0123456789");
	assert_true(lp_last_output_choose(&words, text, sizeof(text)));
	assert_string_equal(text, "0123");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_the_last_line_that_is_not_empty),
		cmocka_unit_test(behind_an_exception_of_nodes_it_is_the_exception),
		cmocka_unit_test(only_the_end_is_kept),
		cmocka_unit_test(a_long_line_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
