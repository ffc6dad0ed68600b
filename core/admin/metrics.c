/*
 * A family is its help, its type and its samples, in that order and in one place; a label's value is written with what the
 * format wants escaped.
 *
 * A histogram's bounds are powers of two of a microsecond: the counts are kept in buckets that end there, so they are
 * exact, and the same at every scrape.
 */
#include "admin/metrics.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/utf8.h"
#include "limpet/version.h"

/* Bounds from 2^6 us (64 us) to 2^24 us (17 s); of policies' nanoseconds from 2^10 (1 us) to 2^26 (67 ms). */
#define HANDOVER_FIRST 6
#define HANDOVER_LAST 24
#define POLICY_FIRST 10
#define POLICY_LAST 26

static void begin_family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The value of a label: UTF-8, with backslash, quote and newline escaped. */
static void put_label(FILE *out, const char *value)
{
	for (size_t left = strlen(value); *value;) {
		size_t length = lp_utf8_length(value, left);
		size_t taken = length ? length : 1;

		if (length == 0)
			fputs("\xef\xbf\xbd", out);
		else if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '"' || *value == '\\')
			fprintf(out, "\\%c", *value);
		else
			fwrite(value, 1, length, out);
		value += taken;
		left -= taken;
	}
}

static void put_plain(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
	begin_family(out, name, type, help);
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void put_labelled(FILE *out, const char *name, const char *label, const char *label_value, uint64_t value)
{
	fprintf(out, "%s{%s=\"", name, label);
	put_label(out, label_value);
	fprintf(out, "\"} %" PRIu64 "\n", value);
}

static void put_of_worker(FILE *out, const char *name, unsigned worker, uint64_t value)
{
	fprintf(out, "%s{worker=\"%u\"} %" PRIu64 "\n", name, worker, value);
}

static void put_histogram(FILE *out, const char *name, const char *help, const struct lp_histogram *histogram,
			  unsigned first, unsigned last, double unit)
{
	uint64_t count = 0;
	unsigned bucket = 0;

	begin_family(out, name, "histogram", help);
	for (unsigned power = first; power <= last; power++) {
		uint64_t bound = UINT64_C(1) << power;

		for (; bucket < LP_HISTOGRAM_BUCKETS && lp_histogram_bound(bucket) < bound; bucket++)
			count += histogram->counts[bucket];
		fprintf(out, "%s_bucket{le=\"%.9g\"} %" PRIu64 "\n", name, (double)bound * unit, count);
	}
	fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.9g\n%s_count %" PRIu64 "\n", name, histogram->total,
		name, (double)histogram->sum * unit, name, histogram->total);
}

/* Connections */

static void put_refusals(FILE *out, const struct lp_decisions *decisions)
{
	static const struct {
		enum lp_outcome outcome;
		const char *reason;
	} refusals[] = {
		{LP_OUTCOME_REFUSED_POLICY, "policy"},     {LP_OUTCOME_HEAD_TOO_LONG, "head_too_long"},
		{LP_OUTCOME_HEAD_TIMEOUT, "head_timeout"}, {LP_OUTCOME_NO_WORKER, "no_worker"},
		{LP_OUTCOME_NO_ROOM, "no_room"},           {LP_OUTCOME_PUSHED_OUT, "pushed_out"},
		{LP_OUTCOME_STOPPING, "stopping"},         {LP_OUTCOME_PER_ADDRESS, "per_address"},
		{LP_OUTCOME_ADDRESS_RATE, "address_rate"},
	};
	static const char name[] = "limpet_connections_refused_total";

	begin_family(out, name, "counter", "Connections that limpet answered itself or closed, by reason.");
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		put_labelled(out, name, "reason", refusals[i].reason,
			     lp_decisions_count(decisions, refusals[i].outcome));
}

/* A listener that is given twice in the same words is one family member. */
static void put_accepted(FILE *out, const struct lp_status *status)
{
	static const char name[] = "limpet_connections_accepted_total";

	begin_family(out, name, "counter",
		     "Connections accepted, those that workers gave back between two requests included.");
	for (size_t i = 0; i < status->listener_count; i++) {
		const char *listener = status->listener_at(status->listeners, i).name;
		uint64_t accepted = 0;
		bool is_first = true;

		for (size_t k = 0; k < status->listener_count; k++) {
			struct lp_status_listener other = status->listener_at(status->listeners, k);
			if (strcmp(listener, other.name) == 0) {
				accepted += other.accepted;
				is_first = is_first && k >= i;
			}
		}
		if (is_first)
			put_labelled(out, name, "listener", listener, accepted);
	}
}

/* Those that limpet still has: by what they wait for, and on the way to a worker. */
static void put_waiting(FILE *out, const struct lp_connections *connections)
{
	static const char name[] = "limpet_connections_waiting";

	begin_family(out, name, "gauge", "Connections that no worker has for good yet, by state.");
	for (unsigned state = LP_DECIDING; state <= LP_UNREAD; state++) {
		char word[32];
		const char *text = lp_connection_state_name(state);
		size_t length = strlen(text);

		for (size_t i = 0; i <= length && i < sizeof(word); i++)
			word[i] = (char)tolower((unsigned char)text[i]);
		put_labelled(out, name, "state", word, connections->counts[state]);
	}
}

static void put_connections(FILE *out, const struct lp_metrics *metrics)
{
	const struct limpet_counts *counts = metrics->status->counts;

	put_accepted(out, metrics->status);
	put_refusals(out, metrics->decisions);
	put_plain(out, "limpet_connections_closed_early_total", "counter",
		  "Connections that ended before they were decided: the client left, or said nothing.",
		  counts->closed_early);
	put_plain(out, "limpet_connections_moved_total", "counter",
		  "Connections that a worker took after another had given them back unread.", counts->moved);
	begin_family(out, "limpet_connections_returned_total", "counter",
		     "How often a worker gave a connection back unread, by reason.");
	put_labelled(out, "limpet_connections_returned_total", "reason", "lost", counts->returned_lost);
	put_labelled(out, "limpet_connections_returned_total", "reason", "refused", counts->returned_refused);
	put_labelled(out, "limpet_connections_returned_total", "reason", "no_room", counts->returned_no_room);
	put_plain(out, "limpet_connections_bounced_total", "counter",
		  "Kept connections that workers gave back between two requests.", counts->bounced);
	put_waiting(out, metrics->status->connections);
	put_histogram(out, "limpet_handover_duration_seconds",
		      "From all that a decision needs to the worker's acknowledgement.", metrics->status->latency,
		      HANDOVER_FIRST, HANDOVER_LAST, 1e-6);
}

/* Workers */

/* Of slots that were never used nothing is told. */
static bool is_known(const struct lp_status *status, const struct lp_worker *worker)
{
	return worker->id <= status->wanted || worker->pid || worker->starts;
}

static uint64_t up_of(const struct lp_worker *worker)
{
	return worker->takes;
}

static uint64_t draining_of(const struct lp_worker *worker)
{
	return worker->draining;
}

static uint64_t stuck_of(const struct lp_worker *worker)
{
	return worker->stuck;
}

static uint64_t connections_of(const struct lp_worker *worker)
{
	return worker->connections;
}

static uint64_t sessions_of(const struct lp_worker *worker)
{
	return worker->sessions;
}

static uint64_t handed_over_of(const struct lp_worker *worker)
{
	return worker->acknowledged + worker->moved;
}

static uint64_t restarts_of(const struct lp_worker *worker)
{
	return worker->starts ? worker->starts - 1 : 0;
}

static void put_workers(FILE *out, const struct lp_status *status)
{
	static const struct {
		const char *name;
		const char *type;
		const char *help;
		uint64_t (*value)(const struct lp_worker *worker);
	} families[] = {
		{"limpet_connections_handed_over_total", "counter", "Connections that a worker has accepted.",
		 handed_over_of},
		{"limpet_worker_up", "gauge", "Whether a worker takes connections.", up_of},
		{"limpet_worker_draining", "gauge", "Whether a worker gets no new connections, as an operator wishes.",
		 draining_of},
		{"limpet_worker_stuck", "gauge", "Whether a worker has taken no connection for too long.", stuck_of},
		{"limpet_worker_connections", "gauge", "Connections that a worker has open.", connections_of},
		{"limpet_worker_sessions", "gauge", "Sessions that belong to a worker.", sessions_of},
		{"limpet_worker_restarts_total", "counter", "How often another process took a worker's place.",
		 restarts_of},
	};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		begin_family(out, families[i].name, families[i].type, families[i].help);
		for (unsigned k = 0; k < status->workers->count; k++)
			if (is_known(status, &status->workers->slots[k]))
				put_of_worker(out, families[i].name, k + 1,
					      families[i].value(&status->workers->slots[k]));
	}
	put_plain(out, "limpet_workers_wanted", "gauge", "Workers that the configuration asks for.", status->wanted);
	put_plain(out, "limpet_worker_exits_total", "counter", "Worker processes that have ended, for any reason.",
		  status->counts->worker_exits);
	put_plain(out, "limpet_worker_ejections_total", "counter",
		  "How often a worker took no connection for --ack-timeout, and got no new ones.",
		  status->counts->worker_ejections);
	put_plain(out, "limpet_worker_stuck_kills_total", "counter", "Workers that were killed for --kill-stuck.",
		  status->counts->stuck_kills);
}

/* Policies, sessions, reloads */

static void put_policy_calls(FILE *out, const struct lp_policy *policy)
{
	static const char *const results[] = {
		[LP_POLICY_CHOSE] = "worker", [LP_POLICY_REFUSED] = "refuse", [LP_POLICY_NO_OPINION] = "none",
		[LP_POLICY_WAITS] = "wait",   [LP_POLICY_FAILED] = "error",   [LP_POLICY_STOPPED] = "stopped",
	};
	struct lp_policy_hook_place place;

	begin_family(out, "limpet_policy_calls_total", "counter",
		     "Calls of policies' hooks since they were loaded, by what they answered.");
	for (lp_policy_cursor at = 0; lp_policy_hook_place(policy, at, &place); at++) {
		uint64_t counts[LP_POLICY_RESULTS];

		lp_policy_hook_counts(policy, at, counts);
		for (unsigned result = 0; result < LP_POLICY_RESULTS; result++) {
			fputs("limpet_policy_calls_total{policy=\"", out);
			put_label(out, place.script);
			fprintf(out, "\",table=\"%u\",hook=\"%s\",result=\"%s\"} %" PRIu64 "\n", place.number,
				place.hook, results[result], counts[result]);
		}
	}
}

static void put_policies(FILE *out, const struct lp_metrics *metrics)
{
	const struct limpet_counts *counts = metrics->status->counts;

	put_policy_calls(out, metrics->status->policy);
	put_histogram(out, "limpet_policy_duration_seconds",
		      "How long hooks of policies took; one call in 64 is timed.",
		      lp_policy_durations(metrics->status->policy), POLICY_FIRST, POLICY_LAST, 1e-9);
	put_plain(out, "limpet_policy_errors_total", "counter",
		  "Hooks that raised an error, returned what is no answer, or were stopped.", counts->policy_errors);
	put_plain(out, "limpet_policy_kills_total", "counter", "Hooks that were stopped: out of time or memory.",
		  counts->policy_kills);
	put_plain(out, "limpet_policy_benched", "gauge",
		  "Whether policies are not asked for a while, having been stopped too often.",
		  counts->policy_benched_ms > 0);
	put_plain(out, "limpet_sessions", "gauge", "Sessions that are known.", counts->sessions);
	put_plain(out, "limpet_sessions_evicted_total", "counter", "Sessions forgotten to make room for new ones.",
		  counts->sessions_evicted);
	put_plain(out, "limpet_sessions_moved_total", "counter",
		  "Claims of a session that another worker had, which was alive.", counts->sessions_moved);
	begin_family(out, "limpet_reloads_total", "counter", "Reloads, by result.");
	put_labelled(out, "limpet_reloads_total", "result", "success", counts->reloads);
	put_labelled(out, "limpet_reloads_total", "result", "refused", counts->failed_reloads);
	put_labelled(out, "limpet_reloads_total", "result", "rolled_back", counts->rollbacks);
	put_plain(out, "limpet_config_last_reload_successful", "gauge", "Whether the last reload was taken.",
		  metrics->last_reload_successful);
	put_plain(out, "limpet_config_last_reload_success_timestamp_seconds", "gauge",
		  "When the policies in use were loaded.", (uint64_t)metrics->loaded);
}

/* The process */

/* Bytes and ticks of /proc/self/stat, whose second field can hold blanks and brackets. */
static void put_process(FILE *out, const struct lp_status *status)
{
	char line[1024] = "";
	unsigned long user = 0, system = 0, virtual = 0;
	long resident = 0;
	FILE *file = fopen("/proc/self/stat", "re");
	const char *after = file && fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;

	if (after)
		sscanf(after + 1,
		       " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %lu %ld",
		       &user, &system, &virtual, &resident);
	if (file)
		fclose(file);
	begin_family(out, "process_cpu_seconds_total", "counter",
		     "Processor time that limpet has used, without workers.");
	fprintf(out, "process_cpu_seconds_total %.2f\n", (double)(user + system) / (double)sysconf(_SC_CLK_TCK));
	put_plain(out, "process_resident_memory_bytes", "gauge", "Memory that limpet has in RAM.",
		  (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE));
	put_plain(out, "process_virtual_memory_bytes", "gauge", "Addresses that limpet has mapped.", virtual);
	put_plain(out, "process_open_fds", "gauge", "Descriptors that limpet has open.", lp_descriptors_count());
	put_plain(out, "process_max_fds", "gauge", "Descriptors that limpet may open.", lp_descriptors_limit());
	put_plain(out, "process_start_time_seconds", "gauge", "When limpet was started.", (uint64_t)status->started);
	begin_family(out, "limpet_build_info", "gauge", "1, with the version of limpet.");
	fputs("limpet_build_info{version=\"" LIMPET_VERSION "\"} 1\n", out);
}

char *lp_metrics_text(const struct lp_metrics *metrics, size_t *length)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, length);
	bool failed;

	if (!out)
		return NULL;
	put_connections(out, metrics);
	put_workers(out, metrics->status);
	put_policies(out, metrics);
	put_process(out, metrics->status);
	failed = ferror(out) != 0;
	if (fclose(out) == 0 && !failed)
		return text;
	free(text);
	return NULL;
}
