/*
 * Simulations: what policies that we know well come to, and what is said of it. The made-up clients are tried here too.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "route/head.h"
#include "tools/clients.h"
#include "tools/simulate.h"

#define CLIENTS 20000
#define EXAMPLES LIMPET_SOURCE_DIR "/examples/custom_policy/"

/* Its clients, of 20,000 with the same luck each, are an expected share give or take four deviations. */
#define LUCK 0.02

static struct lp_simulation simulation_of(const char *const *policy)
{
	return (struct lp_simulation){
		.policies = policy, .policy_count = 1, .clients = CLIENTS, .workers = 8, .kill = 3, .add = 2};
}

static struct lp_simulated run(const struct lp_simulation *what)
{
	struct lp_simulated result;
	struct lp_error error = {0};

	if (lp_simulation_run(what, &result, &error) != 0)
		fail_msg("%s", error.text);
	return result;
}

static struct lp_simulated run_named(const char *policy)
{
	struct lp_simulation what = simulation_of(&policy);

	return run(&what);
}

static double largest_against_mean(const struct lp_simulated *result, unsigned workers)
{
	struct lp_chart chart = {.values = result->connections, .count = workers};

	return (double)lp_chart_largest(&chart) / lp_chart_mean(&chart);
}

static void assert_about(double value, double expected)
{
	if (value < expected - LUCK || value > expected + LUCK)
		fail_msg("%f is not about %f", value, expected);
}

static void the_same_simulation_ends_the_same(void **state)
{
	const char *const policies[] = {"random", "bounded_hash", "sid", EXAMPLES "canary.lua",
					EXAMPLES "rate_limit.lua"};

	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		struct lp_simulation what = simulation_of(&policies[i]);
		struct lp_simulated first = run(&what);
		struct lp_simulated second = run(&what);

		assert_memory_equal(&first, &second, sizeof(first));
	}
}

static void every_connection_is_with_a_worker(void **state)
{
	struct lp_simulated result = run_named("random");
	uint64_t expected = 0;
	uint64_t sum = 0;

	(void)state;
	for (unsigned i = 0; i < CLIENTS; i++)
		expected += lp_client_connections(i);
	for (unsigned i = 0; i < LP_SIMULATION_WORKERS_MAX; i++)
		sum += result.connections[i];
	assert_int_equal(result.total, expected);
	assert_int_equal(sum, expected);
	assert_int_equal(result.refused, 0);
	assert_int_equal(result.errors, 0);
}

static void a_hash_moves_what_rendezvous_hashing_must_and_no_more(void **state)
{
	struct lp_simulated result = run_named("ip_hash");

	(void)state;
	assert_about(result.died.share, 1.0 / 8);
	assert_about(result.died.ideal, 1.0 / 8);
	assert_true(result.returned.share == 0);
	assert_about(result.added.share, 2.0 / 10);
	assert_about(result.added.ideal, 2.0 / 10);
	assert_int_equal(result.together, CLIENTS);
	assert_true(largest_against_mean(&result, 8) < 1.1);
}

static void sessions_stay_when_workers_are_added_and_do_not_come_home(void **state)
{
	struct lp_simulated result = run_named("sid");

	(void)state;
	assert_about(result.died.share, 1.0 / 8);
	assert_true(result.returned.share == result.died.share);
	assert_true(result.added.share == 0);
	assert_int_equal(result.together, CLIENTS);
	assert_true(largest_against_mean(&result, 8) < 1.001);
}

static void without_stickiness_nearly_everybody_moves_and_is_torn_apart(void **state)
{
	const char *const policies[] = {"random", "round_robin", "least_connections"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct lp_simulated result = run_named(policies[i]);

		assert_about(result.returned.share, 7.0 / 8);
		assert_true(result.together < CLIENTS / 3);
	}
}

static void nat_sinks_a_worker_unless_the_hash_is_bounded(void **state)
{
	const char *policies[] = {"ip_hash", "bounded_hash"};
	struct lp_simulation what = simulation_of(&policies[0]);
	struct lp_simulated result;

	(void)state;
	what.nat = true;
	result = run(&what);
	assert_true(largest_against_mean(&result, 8) > 1.5);
	what.policies = &policies[1];
	result = run(&what);
	assert_true(largest_against_mean(&result, 8) < 1.26);
}

static void refusals_are_counted_and_hold_no_connection(void **state)
{
	const char *policy = EXAMPLES "rate_limit.lua";
	const char *setting = "most=1";
	struct lp_simulation what = simulation_of(&policy);
	struct lp_simulated result;

	(void)state;
	what.settings = &setting;
	what.setting_count = 1;
	what.kill = what.add = 0;
	result = run(&what);
	assert_in_range(result.total, CLIENTS - 10, CLIENTS);
	assert_true(result.refused > CLIENTS);
}

static void a_client_comes_every_millisecond(void **state)
{
	static const char source[] = "local first\n"
				     "return { on_connect = function()\n"
				     "  first = first or limpet.now()\n"
				     "  return limpet.now() - first >= 0.5 and limpet.refuse(503)\n"
				     "end }\n";
	char path[] = "/tmp/limpet-simulate-XXXXXX.lua";
	const char *policy = path;
	struct lp_simulation what = simulation_of(&policy);
	struct lp_simulated result;
	int fd = mkstemps(path, 4);

	(void)state;
	assert_int_equal(write(fd, source, sizeof(source) - 1), sizeof(source) - 1);
	close(fd);
	what.clients = 1000;
	what.kill = what.add = 0;
	result = run(&what);
	unlink(path);
	assert_int_equal(result.errors, 0);
	assert_in_range(result.refused, result.total * 8 / 10, result.total * 12 / 10);
}

static void what_does_not_fit_together_is_refused_in_words(void **state)
{
	const char *policy = "sid";
	const struct {
		unsigned clients, workers, kill, add;
		const char *words;
	} wrong[] = {
		{0, 8, 0, 0, "--clients must be 1 or more"},         {10, 0, 0, 0, "1 to 256 are possible"},
		{10, 250, 0, 7, "250 workers and 7 added"},          {10, 8, 0, UINT32_MAX, "1 to 256 are possible"},
		{10, 8, 9, 0, "--kill 9: there are workers 1 to 8"}, {10, 1, 1, 0, "no worker would be left"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct lp_simulation what = {.policies = &policy,
					     .policy_count = 1,
					     .clients = wrong[i].clients,
					     .workers = wrong[i].workers,
					     .kill = wrong[i].kill,
					     .add = wrong[i].add};
		struct lp_simulated result;
		struct lp_error error = {0};

		assert_int_equal(lp_simulation_run(&what, &result, &error), LP_EUSAGE);
		assert_non_null(strstr(error.text, wrong[i].words));
	}
}

static void a_policy_that_does_not_load_is_told(void **state)
{
	const char *policy = "ip_hsah";
	struct lp_simulation what = simulation_of(&policy);
	struct lp_simulated result;
	struct lp_error error = {0};

	(void)state;
	assert_true(lp_simulation_run(&what, &result, &error) < 0);
	assert_non_null(strstr(error.text, "ip_hsah"));
}

/* What lp_simulate printed; for free(). */
static char *report(const struct lp_simulation *what, const char *svg, int expected, struct lp_error *error)
{
	struct lp_chart_style style = {.columns = 80};
	static char *text;
	static size_t length;
	FILE *out = open_memstream(&text, &length);

	assert_int_equal(lp_simulate(what, &style, svg, out, error), expected);
	fclose(out);
	return text;
}

static void the_report_says_what_was_asked_for(void **state)
{
	const char *policy = "ip_hash";
	struct lp_simulation what = simulation_of(&policy);
	struct lp_error error = {0};
	char *text = report(&what, NULL, 0, &error);

	(void)state;
	assert_int_equal(strncmp(text, "ip_hash: 20,000 clients with ", 29), 0);
	assert_non_null(strstr(text, "\n  worker 8  ####"));
	assert_null(strstr(text, "worker 9"));
	assert_non_null(strstr(text, "the largest against the mean      1.0"));
	assert_non_null(strstr(text, "clients with one worker only     100.0 %"));
	assert_non_null(strstr(text, "worker 3 dies  "));
	assert_non_null(strstr(text, "it is back, against the start      0.0 %     0.0 %"));
	assert_non_null(strstr(text, "2 workers are added"));
	assert_null(strstr(text, "refused"));
	assert_null(strstr(text, "errors"));
	free(text);

	what.kill = 0;
	what.add = 1;
	text = report(&what, NULL, 0, &error);
	assert_null(strstr(text, "dies"));
	assert_non_null(strstr(text, "1 worker is added"));
	free(text);
}

static void the_picture_is_written_or_the_reason_told(void **state)
{
	const char *policy = "ip_hash";
	struct lp_simulation what = simulation_of(&policy);
	struct lp_error error = {0};
	char path[] = "/tmp/limpet-simulate-XXXXXX";
	char picture[64] = "";
	int fd = mkstemp(path);

	(void)state;
	what.clients = 100;
	free(report(&what, path, 0, &error));
	close(fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(pread(fd, picture, sizeof(picture) - 1, 0) > 0);
	assert_int_equal(strncmp(picture, "<svg ", 5), 0);
	close(fd);
	unlink(path);

	free(report(&what, "/nowhere/x.svg", -ENOENT, &error));
	assert_string_equal(error.text, "simulate: --svg /nowhere/x.svg: no such file or directory");
}

static void a_report_that_cannot_be_written_is_an_error(void **state)
{
	const char *policy = "ip_hash";
	struct lp_simulation what = simulation_of(&policy);
	struct lp_chart_style style = {.columns = 80};
	struct lp_error error = {0};
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	what.clients = 100;
	assert_int_equal(lp_simulate(&what, &style, NULL, full, &error), -EIO);
	fclose(full);
}

static void a_client_sends_a_request_that_has_what_policies_ask_for(void **state)
{
	struct lp_head *head = lp_head_new(LP_CLIENT_REQUEST_SIZE);
	char text[LP_CLIENT_REQUEST_SIZE];
	char sid[LP_CLIENT_SID_SIZE];
	char value[64];

	(void)state;
	for (uint64_t number = 0; number < 1000; number++) {
		struct lp_ip ip;
		size_t length;

		lp_client_ip(number, LP_CLIENTS_EVERYWHERE, &ip);
		lp_client_sid(number, 2, sid);
		assert_int_equal(strlen(sid), LP_CLIENT_SID_SIZE - 1);
		length = lp_client_request(number, &ip, sid, text);
		assert_int_equal(lp_head_parse(head, text, length), length);
		assert_int_equal(lp_head_headers(head, NULL), LP_CLIENT_REQUEST_HEADERS);
		assert_int_equal(lp_head_query(head, LP_SLICE("sid"), value, sizeof(value)), strlen(sid));
		assert_memory_equal(value, sid, strlen(sid));
		assert_int_equal(lp_head_cookie(head, LP_SLICE("session")).length, 16);
		assert_non_null(lp_head_header(head, LP_SLICE("x-tenant"), NULL));
		assert_non_null(lp_head_header(head, LP_SLICE("x-forwarded-for"), NULL));

		length = lp_client_request(number, &ip, NULL, text);
		assert_int_equal(lp_head_parse(head, text, length), length);
		assert_int_equal(lp_head_query(head, LP_SLICE("sid"), value, sizeof(value)), -1);
	}
	lp_head_free(head);
}

static void offices_hold_two_in_five_clients_and_the_largest_a_third_of_them(void **state)
{
	struct {
		struct lp_ip ip;
		unsigned clients;
	} seen[LP_CLIENT_OFFICES + 1] = {0};
	unsigned office_count = 0;
	unsigned in_offices = 0;
	unsigned largest = 0;

	(void)state;
	/* Every address that two of the first thousand clients share is an office's. */
	for (uint64_t a = 0; a < 1000; a++) {
		struct lp_ip ip;
		bool shared = false;
		unsigned i = 0;

		lp_client_ip(a, LP_CLIENTS_BEHIND_NAT, &ip);
		for (uint64_t b = 0; b < 1000 && !shared; b++) {
			struct lp_ip other;

			lp_client_ip(b, LP_CLIENTS_BEHIND_NAT, &other);
			shared = a != b && lp_ip_equal(&ip, &other);
		}
		if (!shared)
			continue;
		while (i < office_count && !lp_ip_equal(&seen[i].ip, &ip))
			i++;
		assert_true(i < LP_CLIENT_OFFICES);
		if (i == office_count)
			seen[office_count++].ip = ip;
		if (++seen[i].clients > largest)
			largest = seen[i].clients;
		in_offices++;
	}
	assert_int_equal(office_count, LP_CLIENT_OFFICES);
	assert_in_range(in_offices, 340, 460);
	assert_in_range(largest, in_offices / 4, in_offices / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_simulation_ends_the_same),
		cmocka_unit_test(every_connection_is_with_a_worker),
		cmocka_unit_test(a_hash_moves_what_rendezvous_hashing_must_and_no_more),
		cmocka_unit_test(sessions_stay_when_workers_are_added_and_do_not_come_home),
		cmocka_unit_test(without_stickiness_nearly_everybody_moves_and_is_torn_apart),
		cmocka_unit_test(nat_sinks_a_worker_unless_the_hash_is_bounded),
		cmocka_unit_test(refusals_are_counted_and_hold_no_connection),
		cmocka_unit_test(a_client_comes_every_millisecond),
		cmocka_unit_test(what_does_not_fit_together_is_refused_in_words),
		cmocka_unit_test(a_policy_that_does_not_load_is_told),
		cmocka_unit_test(the_report_says_what_was_asked_for),
		cmocka_unit_test(the_picture_is_written_or_the_reason_told),
		cmocka_unit_test(a_report_that_cannot_be_written_is_an_error),
		cmocka_unit_test(a_client_sends_a_request_that_has_what_policies_ask_for),
		cmocka_unit_test(offices_hold_two_in_five_clients_and_the_largest_a_third_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
