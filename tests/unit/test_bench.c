/*
 * The table that measuring policies ends in. How fast they are is no test's business: machines differ.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/bench.h"

#define FOLDER LIMPET_SOURCE_DIR "/examples/custom_policy/"

/* What was printed; for free(). */
static char *bench(const char *policy, int expected, struct lp_error *error)
{
	struct lp_bench what = {.policies = &policy, .policy_count = policy ? 1 : 0, .workers = 4, .rounds = 10};
	static char *text;
	static size_t length;
	FILE *out = open_memstream(&text, &length);

	assert_int_equal(lp_bench(&what, out, error), expected);
	fclose(out);
	return text;
}

/* The bytes of the first row that begins so, which is its last number. */
static long bytes_of(const char *text, const char *row)
{
	const char *line = strstr(text, row);
	const char *end;

	assert_non_null(line);
	end = strchr(line, '\n');
	while (end[-1] != ' ')
		end--;
	return strtol(end, NULL, 10);
}

static void every_hook_has_its_rows_and_lines_are_aligned(void **state)
{
	struct lp_error error = {0};
	char *text = bench(FOLDER "tenants.lua", 0, &error);
	size_t width = (size_t)(strchr(text, '\n') - text);

	(void)state;
	assert_non_null(strstr(text, FOLDER "tenants.lua  on_request  no sid "));
	assert_non_null(strstr(text, FOLDER "tenants.lua  on_request  known sid "));
	assert_non_null(strstr(text, "\nip_hash "));
	assert_non_null(strstr(text, "\nsid "));
	for (const char *line = text; *line; line = strchr(line, '\n') + 1)
		assert_int_equal(strchr(line, '\n') - line, width);
	free(text);
}

static void bytes_are_those_of_new_clients(void **state)
{
	struct lp_error error = {0};
	char *text = bench(NULL, 0, &error);

	(void)state;
	assert_int_equal(bytes_of(text, "\nround_robin "), 0);
	assert_in_range(bytes_of(text, "\nip_hash "), 24, 200); /* A string of an address each. */
	free(text);
}

static void a_policy_that_does_not_load_ends_it(void **state)
{
	struct lp_error error = {0};

	(void)state;
	free(bench(FOLDER "drain.lua", LP_EPOLICY, &error));
	assert_non_null(strstr(error.text, "say which worker: --set worker=3"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_hook_has_its_rows_and_lines_are_aligned),
		cmocka_unit_test(bytes_are_those_of_new_clients),
		cmocka_unit_test(a_policy_that_does_not_load_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
