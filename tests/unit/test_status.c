#include "admin/status.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned allocations;
static unsigned failing; /* Which of them; 0: none. */

static struct lp_status_listener listener_at(const void *listeners, size_t index)
{
	return ((const struct lp_status_listener *)listeners)[index];
}

static void *allocate(size_t size)
{
	return ++allocations == failing ? NULL : malloc(size);
}

static char *make_text(unsigned which)
{
	const char *policies[] = {"sid", "./tenants\xff.lua"};
	struct lp_worker slots[4] = {
		{.id = 1, .pid = 100, .usable = true}, {.id = 2}, {.id = 3, .pid = 300}, {.id = 4}};
	struct lp_workers workers = {.slots = slots, .count = 4};
	struct limpet_options options = {.policies = policies, .policy_count = 2};
	struct limpet_counts counts = {.accepted = 3};
	struct lp_histogram latency = {0};
	for (uint64_t us = 1; us < 1000; us++)
		lp_histogram_add(&latency, us);
	struct lp_listen_address address;
	struct lp_status_listener listeners[1] = {{.name = ":3000", .address = &address}};
	struct lp_refused_reload refused = {.at = "2026-11-29T05:14:12Z", .error = {.text = "policy x.lua:1: \xff"}};
	struct lp_policy *policy;
	assert_int_equal(lp_listen_address_parse(":3000", &address, NULL), 0);
	struct lp_log log;
	lp_log_init(&log, -1, LP_LOG_ERROR, LP_LOG_TEXT);
	struct lp_policy_host host = {.workers = &workers, .log = &log};
	assert_int_equal(lp_policy_load(&policy, &host, (const char *const[]){"random"}, 1, NULL), 0);
	struct lp_region region = {0};
	struct lp_connections connections = {0};
	assert_int_equal(lp_connections_open(&connections, &region, &workers), 0);
	struct lp_status status = {.name = "web",
				   .state = "running",
				   .started = 1,
				   .counts = &counts,
				   .workers = &workers,
				   .connections = &connections,
				   .wanted = 3,
				   .latency = &latency,
				   .options = &options,
				   .listeners = listeners,
				   .listener_at = listener_at,
				   .listener_count = 1,
				   .policy = policy,
				   .loaded = "2026-11-29T05:14:12Z",
				   .refused = &refused,
				   .dialect = "cluster"};
	allocations = 0;
	failing = which;
	char *text = lp_status_text(&status);
	failing = 0;
	lp_policy_free(policy);
	lp_connections_close(&connections);
	lp_region_close(&region);
	return text;
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

static json_t *parse_status(void)
{
	char *text = make_text(0);
	json_t *status = json_loads(text, 0, NULL);
	assert_non_null(status);
	free(text);
	return status;
}

static const char *text_at(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void a_slot_without_a_process_is_no_worker(void **state)
{
	(void)state;
	json_t *status = parse_status();
	const json_t *workers = json_object_get(status, "workers");
	assert_int_equal(json_array_size(workers), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(workers, 1), "id")), 3);
	assert_string_equal(text_at(json_array_get(workers, 0), "state"), "ready");
	assert_string_equal(text_at(json_array_get(workers, 1), "state"), "starting");
	assert_true(json_is_null(json_object_get(json_array_get(workers, 1), "since")));
	json_decref(status);
}

static void a_policys_digest_is_that_of_its_text(void **state)
{
	(void)state;
	json_t *status = parse_status();
	const json_t *file = json_array_get(json_object_get(status, "policy_files"), 0);
	assert_string_equal(text_at(file, "name"), "random");
	assert_true(json_is_true(json_object_get(file, "included")));
	assert_int_equal(strlen(text_at(file, "sha256")), 64);
	json_decref(status);
}

static void what_is_no_utf8_is_shown_as_far_as_it_goes(void **state)
{
	(void)state;
	json_t *status = parse_status();
	assert_string_equal(json_string_value(json_array_get(json_object_get(status, "policies"), 1)),
			    "./tenants?.lua");
	assert_string_equal(text_at(json_object_get(status, "last_refused_reload"), "reason"), "policy x.lua:1: ?");
	json_decref(status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_without_a_process_is_no_worker),
		cmocka_unit_test(a_policys_digest_is_that_of_its_text),
		cmocka_unit_test(what_is_no_utf8_is_shown_as_far_as_it_goes),
		cmocka_unit_test(each_allocation_that_fails_is_no_answer_rather_than_half_of_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
