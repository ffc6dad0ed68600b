/*
 * What asking a policy costs.
 *
 * Every call is for a client that the policy has not seen. Asking about the same one again would find its strings
 * already in Lua's table of strings, as if the policy allocated nothing. So 64 connections are made, asked
 * about, and made anew; the rounds alternate between timing all 64 at once, which the clock does not disturb, and timing
 * each by itself, which shows the slow ones.
 *
 * Limits: one thread, a warm cache, nothing else to do: a busy balancer's calls take longer. Errors of a hook are counted
 * and told, and make its figures those of failing.
 */
#include "tools/bench.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "policy/included.h"
#include "policy/policy.h"
#include "tools/clients.h"
#include "tools/scene_options.h"

#define SEED 1
#define BATCH 64
#define SESSIONS 65536
#define SHARED_ENTRIES 65536
#define SHARED_BYTES (16u << 20)

/* One connection that is asked about, and what it has sent. */
struct asker {
	struct lp_policy_conn conn;
	struct lp_head *head;
	struct lp_hello hello;
	char text[LP_CLIENT_REQUEST_SIZE];
	char sni[32];
};

struct bench {
	const struct lp_bench *what;
	struct lp_workers workers;
	struct lp_log log;
	struct lp_network everybody[2];
	struct lp_policy_host host;
	struct asker askers[BATCH];
	double *batches;  /* A round each: ns a call. */
	double *singles;  /* Calls by themselves: ns. */
	double *bytes;    /* A round each: bytes a call. */
	double clock_ns;  /* What reading the clock twice takes. */
	uint64_t clients; /* Made so far. */
	int name_columns;
};

enum situation { SITUATION_NEW, SITUATION_KNOWN };

static int compare_samples(const void *a, const void *b)
{
	double left = *(const double *)a;
	double right = *(const double *)b;

	return (left > right) - (left < right);
}

static double percentile_of(double *samples, size_t count, unsigned per_cent)
{
	qsort(samples, count, sizeof(*samples), compare_samples);
	return samples[(count - 1) * per_cent / 100];
}

/* A client that was never there before. */
static void make_asker(struct bench *bench, struct asker *asker, enum lp_protocol protocol, enum situation situation)
{
	uint64_t number = bench->clients++;
	char sid[LP_CLIENT_SID_SIZE];
	size_t length;

	asker->conn = (struct lp_policy_conn){
		.port = (uint16_t)(32768 + number % 28232),
		.listener = ":3000",
		.protocol = protocol,
		.head = asker->head,
		.hello = &asker->hello,
	};
	lp_client_ip(number, LP_CLIENTS_EVERYWHERE, &asker->conn.ip);
	if (protocol == LP_PROTOCOL_HTTP) {
		lp_client_sid(number, 1, sid);
		if (situation == SITUATION_KNOWN)
			lp_sessions_bind(bench->host.sessions, (struct lp_slice){sid, strlen(sid)},
					 1 + (unsigned)(number % bench->what->workers));
		length = lp_client_request(number, &asker->conn.ip, situation == SITUATION_KNOWN ? sid : NULL,
					   asker->text);
		lp_head_parse(asker->head, asker->text, length);
	}
	snprintf(asker->sni, sizeof(asker->sni), "tenant-%u.example.com", (unsigned)(number % 100));
	asker->hello.sni = (struct lp_slice){asker->sni, strlen(asker->sni)};
}

static void ask_hook(struct lp_policy *policy, const struct asker *asker, lp_policy_cursor at)
{
	lp_policy_decide(policy, &asker->conn, &at);
}

static void ask_together(struct bench *bench, struct lp_policy *policy, lp_policy_cursor at, unsigned round)
{
	size_t bytes = lp_policy_bytes(policy);
	uint64_t began_ns = lp_clock_ns();

	for (unsigned i = 0; i < BATCH; i++)
		ask_hook(policy, &bench->askers[i], at);
	bench->batches[round] = ((double)(lp_clock_ns() - began_ns) - bench->clock_ns) / BATCH;
	/* When the collector ran there is less than before; the median passes over such rounds. */
	bench->bytes[round] = ((double)lp_policy_bytes(policy) - (double)bytes) / BATCH;
}

static void ask_singly(struct bench *bench, struct lp_policy *policy, lp_policy_cursor at, unsigned round)
{
	for (unsigned i = 0; i < BATCH; i++) {
		uint64_t began_ns = lp_clock_ns();
		double taken_ns;

		ask_hook(policy, &bench->askers[i], at);
		taken_ns = (double)(lp_clock_ns() - began_ns) - bench->clock_ns;
		bench->singles[(size_t)round * BATCH + i] = taken_ns > 0 ? taken_ns : 0;
	}
}

static void measure_hook(struct bench *bench, struct lp_policy *policy, lp_policy_cursor at, enum lp_protocol protocol,
			 enum situation situation)
{
	for (unsigned round = 0; round < bench->what->rounds; round++) {
		for (unsigned i = 0; i < BATCH; i++)
			make_asker(bench, &bench->askers[i], protocol, situation);
		ask_together(bench, policy, at, round);
		for (unsigned i = 0; i < BATCH; i++)
			make_asker(bench, &bench->askers[i], protocol, situation);
		ask_singly(bench, policy, at, round);
	}
}

static void print_row(struct bench *bench, const char *name, const char *hook, const char *situation, FILE *out)
{
	size_t rounds = bench->what->rounds;
	double bytes = percentile_of(bench->bytes, rounds, 50);

	fprintf(out, "%-*s  %-10s  %-9s  %6.0f ns  %6.0f ns  %5.0f\n", bench->name_columns, name, hook, situation,
		percentile_of(bench->batches, rounds, 50), percentile_of(bench->singles, rounds * BATCH, 99),
		bytes > 0 ? bytes : 0);
}

static void bench_hook(struct bench *bench, struct lp_policy *policy, const char *name, lp_policy_cursor at, FILE *out)
{
	const char *hook = lp_policy_hook_name(policy, at);

	if (strcmp(hook, "on_request") == 0) {
		measure_hook(bench, policy, at, LP_PROTOCOL_HTTP, SITUATION_NEW);
		print_row(bench, name, hook, "no sid", out);
		measure_hook(bench, policy, at, LP_PROTOCOL_HTTP, SITUATION_KNOWN);
		print_row(bench, name, hook, "known sid", out);
		return;
	}
	measure_hook(bench, policy, at, strcmp(hook, "on_hello") == 0 ? LP_PROTOCOL_TLS : LP_PROTOCOL_UNSEEN,
		     SITUATION_NEW);
	print_row(bench, name, hook, "", out);
}

static int bench_policy(struct bench *bench, const char *name, FILE *out, struct lp_error *error)
{
	struct lp_policy *policy;
	int status = lp_policy_load(&policy, &bench->host, &name, 1, error);

	if (status < 0)
		return status;
	for (lp_policy_cursor at = 0; lp_policy_hook_name(policy, at); at++)
		bench_hook(bench, policy, name, at, out);
	if (lp_policy_errors(policy) > 0)
		fprintf(out, "%-*s  raised errors: these are the figures of failing\n", bench->name_columns, name);
	lp_policy_free(policy);
	return 0;
}

/* The least, so that nothing is taken from a call that is its own. */
static double measure_clock(void)
{
	double samples[1001];

	for (size_t i = 0; i < 1001; i++) {
		uint64_t began_ns = lp_clock_ns();

		samples[i] = (double)(lp_clock_ns() - began_ns);
	}
	return percentile_of(samples, 1001, 0);
}

static int set_up_askers(struct bench *bench)
{
	for (unsigned i = 0; i < BATCH; i++) {
		bench->askers[i].head = lp_head_new(sizeof(bench->askers[i].text));
		if (!bench->askers[i].head)
			return -ENOMEM;
		bench->askers[i].hello.alpn[0] = LP_SLICE("http/1.1");
		bench->askers[i].hello.alpn_count = 1;
	}
	return 0;
}

static int set_up(struct bench *bench)
{
	size_t rounds = bench->what->rounds;

	if (lp_workers_init(&bench->workers, bench->what->workers, SEED))
		return -ENOMEM;
	for (unsigned id = 1; id <= bench->what->workers; id++)
		lp_workers_set_usable(&bench->workers, id, true);
	lp_log_init(&bench->log, STDERR_FILENO, LP_LOG_WARNING, LP_LOG_TEXT);
	lp_network_parse("0.0.0.0/0", &bench->everybody[0], NULL);
	lp_network_parse("::/0", &bench->everybody[1], NULL);
	bench->host = (struct lp_policy_host){
		.workers = &bench->workers,
		.sessions = lp_sessions_new(SESSIONS, &bench->workers, SEED),
		.shared = lp_shared_new(SHARED_ENTRIES, SHARED_BYTES, SEED),
		.log = &bench->log,
		.trust = {.networks = bench->everybody, .count = 2},
		.rules = &lp_session_rule_sid, /* Made-up clients have sids. */
		.rule_count = 1,
	};
	bench->batches = calloc(rounds, sizeof(*bench->batches));
	bench->bytes = calloc(rounds, sizeof(*bench->bytes));
	bench->singles = calloc(rounds * BATCH, sizeof(*bench->singles));
	bench->clock_ns = measure_clock();
	if (!bench->host.sessions || !bench->host.shared || !bench->batches || !bench->bytes || !bench->singles)
		return -ENOMEM;
	return set_up_askers(bench);
}

static void tear_down(struct bench *bench)
{
	for (unsigned i = 0; i < BATCH; i++)
		lp_head_free(bench->askers[i].head);
	free(bench->singles);
	free(bench->bytes);
	free(bench->batches);
	lp_shared_free(bench->host.shared);
	lp_sessions_free(bench->host.sessions);
	lp_workers_deinit(&bench->workers);
}

static void widen_name_column(struct bench *bench, const char *name)
{
	if ((int)strlen(name) > bench->name_columns)
		bench->name_columns = (int)strlen(name);
}

static int bench_all(struct bench *bench, FILE *out, struct lp_error *error)
{
	const struct lp_bench *what = bench->what;
	int status = 0;

	for (const struct lp_included_policy *included = lp_included_policies; included->name; included++)
		widen_name_column(bench, included->name);
	for (size_t i = 0; i < what->policy_count; i++)
		widen_name_column(bench, what->policies[i]);
	fprintf(out, "%-*s  %-10s  %-9s  %9s  %9s  %5s\n", bench->name_columns, "policy", "hook", "", "median", "p99",
		"bytes");

	bench->host.settings = what->settings;
	bench->host.setting_count = what->setting_count;
	for (size_t i = 0; i < what->policy_count && status == 0; i++)
		status = bench_policy(bench, what->policies[i], out, error);
	bench->host.setting_count = 0;
	for (const struct lp_included_policy *included = lp_included_policies; included->name && status == 0;
	     included++)
		status = bench_policy(bench, included->name, out, error);
	return status;
}

int lp_bench(const struct lp_bench *what, FILE *out, struct lp_error *error)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int status;

	if (!bench)
		return lp_error_set(error, -ENOMEM, "bench: no memory");
	bench->what = what;
	status = set_up(bench);
	if (status < 0)
		lp_error_set(error, status, "bench: no memory for %u rounds", what->rounds);
	else
		status = lp_scene_options_check_settings(what->policies, what->policy_count, what->settings,
							 what->setting_count, error);
	if (status == 0)
		status = bench_all(bench, out, error);
	tear_down(bench);
	free(bench);
	if (status == 0 && (fflush(out) != 0 || ferror(out)))
		return lp_error_set(error, -EIO, "bench: the table could not be written");
	return status;
}
