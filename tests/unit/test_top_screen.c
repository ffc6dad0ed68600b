#include "tools/top_screen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A status of some workers, numbered from 1, each with a hundred times its number handed over. */
static json_t *make_status(int workers)
{
	json_t *list = json_array();
	for (int i = 1; i <= workers; i++)
		json_array_append_new(list,
				      json_pack("{s:i, s:i, s:s, s:i, s:i, s:i, s:i, s:i}", "id", i, "pid", 4194303,
						"state", "finishing", "connections", 123456, "sessions", 1234567,
						"handed_over", 100 * i, "returned", 12, "uptime_ms", 90000000));
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:{s:i, s:i}, s:o}", "version", "0.1.0", "name", "chat", "pid", 1,
			 "state", "running", "started", "2026-11-29T05:14:12Z", "counts", "accepted", 5000, "sessions",
			 7, "workers", list);
}

static char *print(const struct lp_top_screen *screen)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	lp_top_print(out, screen);
	fclose(out);
	return text;
}

static void it_fits_eighty_by_twenty_four(void **state)
{
	struct lp_top_past past = {.at_ms = 1};
	(void)state;
	for (int workers = 0; workers <= 40; workers++) {
		json_t *status = make_status(workers);
		char *text = print(&(struct lp_top_screen){.status = status,
							   .past = &past,
							   .now_ms = 2,
							   .selected = workers,
							   .message = "done",
							   .rows = 24});
		unsigned lines = 1;
		size_t column = 0;
		for (const char *at = text; *at; at++) {
			column = *at == '\n' ? 0 : column + 1;
			lines += *at == '\n';
			assert_true(column <= 80);
		}
		assert_int_equal(lines, 24);
		assert_true(workers == 0 || strstr(text, "\n>")); /* Whoever is selected can be seen. */
		free(text);
		json_decref(status);
	}
}

static void rates_are_of_the_time_between_two_looks(void **state)
{
	struct lp_top_past past;
	json_t *before = make_status(1);
	json_t *after = make_status(1);
	(void)state;
	json_object_set_new(json_object_get(after, "counts"), "accepted", json_integer(5100));
	json_object_set_new(json_array_get(json_object_get(after, "workers"), 0), "handed_over", json_integer(103));
	lp_top_remember(&past, before, 10000);
	char *text = print(&(struct lp_top_screen){.status = after, .past = &past, .now_ms = 12000, .rows = 24});
	assert_non_null(strstr(text, "accepted 5,100, 50 a second"));
	assert_non_null(strstr(text, "1,234,567     1.5         103"));
	free(text);
	json_decref(before);
	json_decref(after);
}

static void nothing_is_said_of_a_rate_at_the_first_look(void **state)
{
	const struct lp_top_past past = {0};
	json_t *status = make_status(1);
	(void)state;
	char *text = print(&(struct lp_top_screen){.status = status, .past = &past, .now_ms = 5, .rows = 24});
	assert_non_null(strstr(text, "accepted 5,000, - a second"));
	free(text);
	json_decref(status);
}

static void the_selection_stays_among_the_workers(void **state)
{
	json_t *status = make_status(3);
	json_t *none = make_status(0);
	(void)state;
	assert_int_equal(lp_top_select(status, 0, 0), 1);
	assert_int_equal(lp_top_select(status, 2, 0), 2);
	assert_int_equal(lp_top_select(status, 2, 1), 3);
	assert_int_equal(lp_top_select(status, 3, 1), 3);
	assert_int_equal(lp_top_select(status, 1, -1), 1);
	assert_int_equal(lp_top_select(status, 9, 1), 1); /* It is gone. */
	assert_int_equal(lp_top_select(none, 1, 0), 0);
	assert_int_equal(lp_top_select(NULL, 1, 1), 0);
	json_decref(status);
	json_decref(none);
}

static void what_a_terminal_would_obey_is_not_printed(void **state)
{
	const struct lp_top_past past = {0};
	json_t *status = make_status(1);
	(void)state;
	json_object_set_new(status, "name", json_string("a\x1b[2J"));
	char *text =
		print(&(struct lp_top_screen){.status = status, .past = &past, .message = "b\x1b]0;c", .rows = 24});
	assert_null(strchr(text, '\x1b'));
	free(text);
	json_decref(status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_fits_eighty_by_twenty_four),
		cmocka_unit_test(rates_are_of_the_time_between_two_looks),
		cmocka_unit_test(nothing_is_said_of_a_rate_at_the_first_look),
		cmocka_unit_test(the_selection_stays_among_the_workers),
		cmocka_unit_test(what_a_terminal_would_obey_is_not_printed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
