#include "admin/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
	struct lp_log log;
	struct lp_workers workers;
	struct lp_region region;
	struct lp_connections connections;
	struct lp_policy_host host;
	struct lp_policy *policy;
	struct lp_decisions *decisions;
	struct limpet_counts counts;
	struct lp_histogram latency;
	struct lp_status_listener listeners[3];
	struct limpet_options options;
	struct lp_status status;
	struct lp_metrics metrics;
	char *text;
};

static struct lp_status_listener listener_at(const void *listeners, size_t index)
{
	return ((const struct lp_status_listener *)listeners)[index];
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	lp_log_init(&fixture->log, -1, LP_LOG_ERROR, LP_LOG_TEXT);
	lp_workers_init(&fixture->workers, 6, 1);
	if (lp_connections_open(&fixture->connections, &fixture->region, &fixture->workers))
		return -1;
	fixture->host = (struct lp_policy_host){.workers = &fixture->workers, .log = &fixture->log};
	lp_policy_load(&fixture->policy, &fixture->host, (const char *const[]){"random", "random"}, 2, NULL);
	fixture->decisions = lp_decisions_new();
	fixture->status = (struct lp_status){.name = "web",
					     .state = "running",
					     .started = 1000,
					     .counts = &fixture->counts,
					     .workers = &fixture->workers,
					     .connections = &fixture->connections,
					     .wanted = 2,
					     .latency = &fixture->latency,
					     .options = &fixture->options,
					     .listeners = fixture->listeners,
					     .listener_at = listener_at,
					     .listener_count = 3,
					     .policy = fixture->policy};
	fixture->metrics = (struct lp_metrics){.status = &fixture->status,
					       .decisions = fixture->decisions,
					       .loaded = 2000,
					       .last_reload_successful = true};
	fixture->listeners[0].name = ":3000";
	fixture->listeners[1].name = "unix:/run/a\"b\\c\nd\xff";
	fixture->listeners[2].name = ":3000";
	*state = fixture;
	return fixture->policy && fixture->decisions ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	free(fixture->text);
	lp_policy_free(fixture->policy);
	lp_decisions_free(fixture->decisions);
	lp_connections_close(&fixture->connections);
	lp_region_close(&fixture->region);
	lp_workers_deinit(&fixture->workers);
	free(fixture);
	return 0;
}

static void make(struct fixture *fixture)
{
	size_t length;
	free(fixture->text);
	fixture->text = lp_metrics_text(&fixture->metrics, &length);
	assert_non_null(fixture->text);
	assert_int_equal(strlen(fixture->text), length);
}

static void assert_has(struct fixture *fixture, const char *line)
{
	char whole[256];
	snprintf(whole, sizeof(whole), "\n%s\n", line);
	make(fixture);
	if (!strstr(fixture->text, whole))
		fail_msg("no line \"%s\" in\n%s", line, fixture->text);
}

static void assert_has_not(struct fixture *fixture, const char *text)
{
	make(fixture);
	if (strstr(fixture->text, text))
		fail_msg("\"%s\" is in\n%s", text, fixture->text);
}

static void each_family_is_told_once_with_help_and_type(void **state)
{
	struct fixture *fixture = *state;
	const char *names[128];
	size_t lengths[128];
	size_t count = 0;
	make(fixture);
	for (const char *at = fixture->text; (at = strstr(at, "# HELP ")); at++) {
		const char *name = at + 7;
		size_t length = strcspn(name, " ");
		const char *type = strchr(at, '\n') + 1;
		assert_int_equal(strncmp(type, "# TYPE ", 7), 0);
		assert_memory_equal(type + 7, name, length);
		for (size_t i = 0; i < count; i++)
			assert_false(lengths[i] == length && memcmp(names[i], name, length) == 0);
		names[count] = name;
		lengths[count++] = length;
	}
	assert_in_range(count, 30, 127);
}

/* No two samples have the same name and labels, or a scrape fails as a whole. */
static void no_sample_is_told_twice(void **state)
{
	struct fixture *fixture = *state;
	const char *samples[512];
	size_t lengths[512];
	size_t count = 0;
	make(fixture);
	for (char *line = strtok(fixture->text, "\n"); line; line = strtok(NULL, "\n")) {
		if (*line == '#')
			continue;
		samples[count] = line;
		lengths[count] = (size_t)(strrchr(line, ' ') - line);
		for (size_t i = 0; i < count; i++)
			if (lengths[i] == lengths[count] && memcmp(samples[i], line, lengths[i]) == 0)
				fail_msg("twice: %s", line);
		count++;
	}
	assert_in_range(count, 60, 511);
}

static void listeners_of_one_name_are_one_sample_and_labels_are_escaped(void **state)
{
	struct fixture *fixture = *state;
	fixture->listeners[0].accepted = 3;
	fixture->listeners[2].accepted = 4;
	assert_has(fixture, "limpet_connections_accepted_total{listener=\":3000\"} 7");
	assert_has(fixture, "limpet_connections_accepted_total{listener=\"unix:/run/a\\\"b\\\\c\\nd\xef\xbf\xbd\"} 0");
}

static void workers_that_never_were_are_not_told_of(void **state)
{
	struct fixture *fixture = *state;
	fixture->workers.slots[1].acknowledged = 5;
	fixture->workers.slots[1].moved = 2;
	fixture->workers.slots[3].starts = 3; /* A member that is gone: its counts stay. */
	assert_has(fixture, "limpet_worker_up{worker=\"1\"} 0");
	assert_has(fixture, "limpet_connections_handed_over_total{worker=\"2\"} 7");
	assert_has(fixture, "limpet_worker_restarts_total{worker=\"4\"} 2");
	assert_has_not(fixture, "worker=\"3\"");
	assert_has_not(fixture, "worker=\"5\"");
}

static void a_histograms_buckets_add_up_and_end_in_its_count(void **state)
{
	struct fixture *fixture = *state;
	for (uint64_t us = 0; us < 300; us++)
		lp_histogram_add(&fixture->latency, us);
	lp_histogram_add(&fixture->latency, UINT64_C(1) << 40);
	assert_has(fixture, "limpet_handover_duration_seconds_bucket{le=\"6.4e-05\"} 64");
	assert_has(fixture, "limpet_handover_duration_seconds_bucket{le=\"0.000256\"} 256");
	assert_has(fixture, "limpet_handover_duration_seconds_bucket{le=\"16.777216\"} 300");
	assert_has(fixture, "limpet_handover_duration_seconds_bucket{le=\"+Inf\"} 301");
	assert_has(fixture, "limpet_handover_duration_seconds_count 301");
}

static void refusals_are_told_by_reason(void **state)
{
	struct fixture *fixture = *state;
	struct lp_ip ip = {0};
	struct lp_decision_client client = {.ip = &ip, .listener = ":3000"};
	lp_decisions_ended(fixture->decisions, 0, &client, LP_OUTCOME_NO_WORKER, 503);
	lp_decisions_ended(fixture->decisions, 0, &client, LP_OUTCOME_NO_WORKER, 503);
	lp_decisions_ended(fixture->decisions, 0, &client, LP_OUTCOME_REFUSED_POLICY, 403);
	assert_has(fixture, "limpet_connections_refused_total{reason=\"no_worker\"} 2");
	assert_has(fixture, "limpet_connections_refused_total{reason=\"policy\"} 1");
	assert_has(fixture, "limpet_connections_refused_total{reason=\"head_timeout\"} 0");
}

static void policies_calls_are_counted_by_hook_and_answer(void **state)
{
	struct fixture *fixture = *state;
	struct lp_policy_conn conn = {.listener = ":3000"};
	lp_policy_cursor cursor = 0;
	lp_workers_set_usable(&fixture->workers, 1, true);
	assert_int_equal(lp_policy_decide(fixture->policy, &conn, &cursor).kind, LP_VERDICT_WORKER);
	lp_workers_set_usable(&fixture->workers, 1, false);
	cursor = 0;
	assert_int_equal(lp_policy_decide(fixture->policy, &conn, &cursor).kind, LP_VERDICT_NONE);
	assert_has(fixture,
		   "limpet_policy_calls_total{policy=\"random\",table=\"1\",hook=\"on_connect\",result=\"worker\"} 1");
	assert_has(fixture,
		   "limpet_policy_calls_total{policy=\"random\",table=\"1\",hook=\"on_connect\",result=\"none\"} 1");
	assert_has(fixture,
		   "limpet_policy_calls_total{policy=\"random\",table=\"2\",hook=\"on_connect\",result=\"none\"} 1");
	assert_has(fixture, "limpet_policy_duration_seconds_count 1");
}

static void a_refused_reload_shows(void **state)
{
	struct fixture *fixture = *state;
	fixture->counts.failed_reloads = 2;
	fixture->metrics.last_reload_successful = false;
	assert_has(fixture, "limpet_reloads_total{result=\"refused\"} 2");
	assert_has(fixture, "limpet_config_last_reload_successful 0");
	assert_has(fixture, "limpet_config_last_reload_success_timestamp_seconds 2000");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(each_family_is_told_once_with_help_and_type),
		TEST(no_sample_is_told_twice),
		TEST(listeners_of_one_name_are_one_sample_and_labels_are_escaped),
		TEST(workers_that_never_were_are_not_told_of),
		TEST(a_histograms_buckets_add_up_and_end_in_its_count),
		TEST(refusals_are_told_by_reason),
		TEST(policies_calls_are_counted_by_hook_and_answer),
		TEST(a_refused_reload_shows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
