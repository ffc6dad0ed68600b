/*
 * "Did you mean …?"
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/did_you_mean.h"

static const char *nearest(const char *text)
{
	static const char *const names[] = {"header",
					    "query",
					    "hash",
					    "on_connect",
					    "on_request",
					    "connections",
					    "a_name_of_more_than_thirty_one_letters"};
	struct lp_did_you_mean best = {0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		lp_did_you_mean_consider(&best, text, names[i]);
	return best.name;
}

static void wrong_missing_surplus_and_swapped_letters_are_near(void **state)
{
	(void)state;
	assert_string_equal(nearest("haader"), "header");
	assert_string_equal(nearest("hader"), "header");
	assert_string_equal(nearest("headers"), "header");
	assert_string_equal(nearest("hedaer"), "header");
	assert_string_equal(nearest("hsah"), "hash");
	assert_string_equal(nearest("onRequest"), "on_request");
	assert_string_equal(nearest("on_reqeusts"), "on_request");
	assert_string_equal(nearest("header"), "header");
}

static void the_beginning_of_a_name_is_near(void **state)
{
	(void)state;
	assert_string_equal(nearest("conn"), "connections");
	assert_string_equal(nearest("a_name"), "a_name_of_more_than_thirty_one_letters");
}

static void the_nearer_name_wins(void **state)
{
	(void)state;
	assert_string_equal(nearest("on_conect"), "on_connect");
	assert_string_equal(nearest("on_requect"), "on_request");
}

static void what_has_nothing_to_do_with_any_name_is_near_to_none(void **state)
{
	char endless[5000];

	(void)state;
	memset(endless, 'h', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	assert_null(nearest("x"));
	assert_null(nearest("hah_hah"));
	assert_null(nearest(""));
	assert_null(nearest(endless));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_missing_surplus_and_swapped_letters_are_near),
		cmocka_unit_test(the_beginning_of_a_name_is_near),
		cmocka_unit_test(the_nearer_name_wins),
		cmocka_unit_test(what_has_nothing_to_do_with_any_name_is_near_to_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
