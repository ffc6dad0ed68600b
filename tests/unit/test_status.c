#include "server/status.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned allocations;
static unsigned failing; /* Which of them; 0: none. */

static void *allocate(size_t size)
{
	return ++allocations == failing ? NULL : malloc(size);
}

static char *make_text(unsigned which)
{
	const char *policies[] = {"sid", "./tenants.lua"};
	struct lp_worker slots[3] = {{.id = 1, .pid = 100}, {.id = 2, .pid = 200}, {.id = 3, .pid = 300}};
	struct lp_workers workers = {.slots = slots, .count = 3};
	struct limpet_options options = {.policies = policies, .policy_count = 2};
	struct limpet_counts counts = {.accepted = 3};
	struct lp_histogram latency = {0};
	for (uint64_t us = 1; us < 1000; us++)
		lp_histogram_add(&latency, us);
	allocations = 0;
	failing = which;
	return lp_status_text(&counts, &workers, &latency, &options, "12:00:00");
}

static void each_allocation_that_fails_is_no_answer_rather_than_half_of_one(void **state)
{
	(void)state;
	json_set_alloc_funcs(allocate, free);
	char *whole = make_text(0);
	assert_non_null(whole);
	unsigned all = allocations;
	assert_in_range(all, 50, 10000);
	for (unsigned which = 1; which <= all; which++) {
		char *text = make_text(which);
		if (text)
			assert_string_equal(text, whole);
		free(text);
	}
	free(whole);
	json_set_alloc_funcs(malloc, free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_that_fails_is_no_answer_rather_than_half_of_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
