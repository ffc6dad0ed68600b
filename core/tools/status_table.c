/*
 * Four parts: who it is, the counts as the two equations that hold at any moment, the workers, the policies. Lines fit in
 * 80 columns; what is longer (an address, a reason) comes last on its line.
 */
#include "tools/status_table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/plain_text.h"
#include "tools/balancer_query.h"
#include "tools/chart.h"

#define RESET "\x1b[0m"

const char *lp_status_duration(long long ms, char *text)
{
	static const struct {
		long long ms;
		const char *name;
	} units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};
	size_t size = LP_STATUS_DURATION_SIZE;

	for (size_t i = 0; i < 3; i++)
		if (ms >= units[i].ms) {
			snprintf(text, size, "%lld%s%02lld%s", ms / units[i].ms, units[i].name,
				 ms % units[i].ms / units[i + 1].ms, units[i + 1].name);
			return text;
		}
	snprintf(text, size, "%llds", ms / 1000);
	return text;
}

const char *lp_status_latency(long long us, char *text)
{
	if (us < 1000)
		snprintf(text, LP_STATUS_DURATION_SIZE, "%lld us", us);
	else if (us < 1000000)
		snprintf(text, LP_STATUS_DURATION_SIZE, "%.1f ms", (double)us / 1e3);
	else
		snprintf(text, LP_STATUS_DURATION_SIZE, "%.1f s", (double)us / 1e6);
	return text;
}

const char *lp_status_colour(const char *state)
{
	static const struct {
		const char *state;
		const char *colour;
	} colours[] = {{"ready", "\x1b[32m"}, {"draining", "\x1b[34m"}, {"starting", "\x1b[36m"},
		       {"stuck", "\x1b[31m"}, {"full", "\x1b[33m"},     {"finishing", "\x1b[35m"},
		       {"down", "\x1b[31m"}};

	for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++)
		if (strcmp(colours[i].state, state) == 0)
			return colours[i].colour;
	return "";
}

bool lp_status_shows_colours(FILE *out)
{
	const char *no_color = getenv("NO_COLOR");

	return isatty(fileno(out)) && !(no_color && *no_color);
}

static void print_number(FILE *out, const json_t *object, const char *key, int columns)
{
	char number[LP_CHART_NUMBER_SIZE];

	fprintf(out, "%*s", columns, lp_chart_number((uint64_t)lp_query_number(object, key), number));
}

/* "2026-11-29T05:14:12Z" as "2026-11-29 05:14:12 UTC". */
static void print_moment(FILE *out, const char *moment)
{
	if (strlen(moment) == 20)
		fprintf(out, "%.10s %.8s UTC", moment, moment + 11);
	else
		lp_plain_print(out, moment, 0);
}

static void print_head(FILE *out, const json_t *status)
{
	const json_t *listeners = json_object_get(status, "listeners");

	fputs("limpet ", out);
	lp_plain_print(out, lp_query_text(status, "version"), 0);
	fputs("  ", out);
	lp_plain_print(out, lp_query_text(status, "name"), 0);
	fprintf(out, " (pid %lld)  %s since ", lp_query_number(status, "pid"), lp_query_text(status, "state"));
	print_moment(out, lp_query_text(status, "started"));
	fprintf(out, "  dialect %s\n", lp_query_text(status, "dialect"));
	for (size_t i = 0; i < json_array_size(listeners); i++) {
		const json_t *listener = json_array_get(listeners, i);

		fputs(i == 0 ? "listening on " : "             ", out);
		lp_plain_print(out, lp_query_text(listener, "address"), 0);
		fputs("  (", out);
		print_number(out, listener, "accepted", 0);
		fputs(" accepted)\n", out);
	}
}

static void print_sum(FILE *out, const json_t *counts, const char *sum, const char *const *parts)
{
	print_number(out, counts, sum, 0);
	fprintf(out, " %s =", strcmp(sum, "handed_over") == 0 ? "handed over" : sum);
	for (size_t i = 0; parts[i]; i += 2) {
		fputs(i == 0 ? " " : " + ", out);
		print_number(out, counts, parts[i], 0);
		fprintf(out, " %s", parts[i + 1]);
	}
	fputc('\n', out);
}

static void print_counts(FILE *out, const json_t *status)
{
	const json_t *counts = json_object_get(status, "counts");
	const json_t *latency = json_object_get(status, "latency_us");
	char text[4][LP_STATUS_DURATION_SIZE];

	fputs("\nconnections  ", out);
	print_sum(out, counts, "accepted",
		  (const char *const[]){"handed_over", "handed over", "refused", "refused", "closed_early",
					"closed early", "waiting", "waiting", NULL});
	fputs("             ", out);
	print_sum(out, counts, "handed_over",
		  (const char *const[]){"acknowledged", "acknowledged", "in_flight", "in flight", "moved", "moved",
					NULL});
	fprintf(out, "hand-over    p50 %s, p99 %s, p99.9 %s, longest %s\n",
		lp_status_latency(lp_query_number(latency, "p50"), text[0]),
		lp_status_latency(lp_query_number(latency, "p99"), text[1]),
		lp_status_latency(lp_query_number(latency, "p999"), text[2]),
		lp_status_latency(lp_query_number(latency, "max"), text[3]));
	fputs("sessions     ", out);
	print_number(out, counts, "sessions", 0);
	fputs(" known, ", out);
	print_number(out, counts, "sessions_evicted", 0);
	fputs(" forgotten to make room\n", out);
}

static void print_worker(FILE *out, const json_t *worker, bool colours)
{
	const char *state = lp_query_text(worker, "state");
	char uptime[LP_STATUS_DURATION_SIZE] = "-";

	if (lp_query_number(worker, "uptime_ms"))
		lp_status_duration(lp_query_number(worker, "uptime_ms"), uptime);
	fprintf(out, "%6lld %8lld  %s", lp_query_number(worker, "id"), lp_query_number(worker, "pid"),
		colours ? lp_status_colour(state) : "");
	lp_plain_print(out, state, 9);
	fputs(colours ? RESET : "", out);
	print_number(out, worker, "connections", 7);
	print_number(out, worker, "sessions", 9);
	print_number(out, worker, "handed_over", 13);
	print_number(out, worker, "moved", 7);
	print_number(out, worker, "returned", 10);
	fprintf(out, " %7s\n", uptime);
}

static void print_workers(FILE *out, const json_t *status, bool colours)
{
	const json_t *workers = json_object_get(status, "workers");
	long long wanted = lp_query_number(status, "workers_wanted");

	fputs("\nworker      pid  state      conns sessions  handed over  moved  returned   ready\n", out);
	for (size_t i = 0; i < json_array_size(workers); i++)
		print_worker(out, json_array_get(workers, i), colours);
	if ((long long)json_array_size(workers) < wanted)
		fprintf(out, "%zu of %lld workers run; the log says why, and when the next one is started\n",
			json_array_size(workers), wanted);
}

static void print_policies(FILE *out, const json_t *status)
{
	const json_t *files = json_object_get(status, "policy_files");
	const json_t *refused = json_object_get(status, "last_refused_reload");

	fputs("\npolicies loaded ", out);
	print_moment(out, lp_query_text(status, "policies_loaded"));
	fputs(json_array_size(files) ? "\n" : ": none; each connection goes to the least busy worker\n", out);
	for (size_t i = 0; i < json_array_size(files); i++) {
		const json_t *file = json_array_get(files, i);
		bool included = json_is_true(json_object_get(file, "included"));
		bool module = json_is_string(json_object_get(file, "module"));

		fprintf(out, "  %.12s  %s", lp_query_text(file, "sha256"), module ? "  " : "");
		lp_plain_print(out, lp_query_text(file, "name"), 0);
		fputs(included ? " (included)\n" : "\n", out);
	}
	if (json_is_object(refused)) {
		fputs("last refused reload ", out);
		print_moment(out, lp_query_text(refused, "at"));
		fputs("\n  ", out);
		lp_plain_print(out, lp_query_text(refused, "reason"), 0);
		fputc('\n', out);
	}
}

void lp_status_print(FILE *out, const json_t *status, bool colours)
{
	print_head(out, status);
	print_counts(out, status);
	print_workers(out, status, colours);
	print_policies(out, status);
}
