#include "tools/status_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void durations_have_their_two_largest_units(void **state)
{
	char text[LP_STATUS_DURATION_SIZE];
	(void)state;
	assert_string_equal(lp_status_duration(0, text), "0s");
	assert_string_equal(lp_status_duration(59999, text), "59s");
	assert_string_equal(lp_status_duration(60000, text), "1m00s");
	assert_string_equal(lp_status_duration(3600000 + 12 * 60000, text), "1h12m");
	assert_string_equal(lp_status_duration(26LL * 3600000, text), "1d02h");
	assert_string_equal(lp_status_duration(1000LL * 86400000, text), "1000d00h");
}

static void latencies_are_in_the_unit_that_suits_them(void **state)
{
	char text[LP_STATUS_DURATION_SIZE];
	(void)state;
	assert_string_equal(lp_status_latency(999, text), "999 us");
	assert_string_equal(lp_status_latency(1234, text), "1.2 ms");
	assert_string_equal(lp_status_latency(3400000, text), "3.4 s");
}

static char *print(const char *json)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	json_t *status = json_loads(json, 0, NULL);
	assert_non_null(status);
	lp_status_print(out, status, false);
	json_decref(status);
	fclose(out);
	return text;
}

static void an_answer_of_another_version_is_shown_as_far_as_it_goes(void **state)
{
	(void)state;
	char *text = print("{}");
	assert_non_null(strstr(text, "0 accepted = 0 handed over"));
	assert_non_null(strstr(text, "the least busy worker"));
	free(text);
}

static void what_a_terminal_would_obey_is_not_printed(void **state)
{
	(void)state;
	char *text = print("{\"name\": \"a\\u001b[2J\", \"last_refused_reload\": {\"at\": \"x\\u0007\", \"reason\": "
			   "\"y\\u001b]0;z\"}}");
	assert_null(strchr(text, '\x1b'));
	assert_null(strchr(text, '\a'));
	free(text);
}

static void a_worker_that_is_missing_is_said(void **state)
{
	(void)state;
	char *text = print("{\"workers_wanted\": 2, \"workers\": [{\"id\": 1, \"pid\": 4711, \"state\": \"ready\", "
			   "\"connections\": 1234, \"handed_over\": 1234567, \"uptime_ms\": 60000}]}");
	assert_non_null(strstr(text, "1 of 2 workers run"));
	assert_non_null(
		strstr(text, "     1     4711  ready      1,234        0    1,234,567      0         0   1m00s\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_have_their_two_largest_units),
		cmocka_unit_test(latencies_are_in_the_unit_that_suits_them),
		cmocka_unit_test(an_answer_of_another_version_is_shown_as_far_as_it_goes),
		cmocka_unit_test(what_a_terminal_would_obey_is_not_printed),
		cmocka_unit_test(a_worker_that_is_missing_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
