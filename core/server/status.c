/*
 * One object: version, counts, workers by id, policies, descriptors, latency. Times are in milliseconds, but for what is named _us.
 *
 * The latency's buckets are two long lists of numbers, so they have a line to themselves, while all else is indented.
 */
#include "server/status.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "limpet/version.h"

static json_t *counts_of(const struct limpet_counts *counts)
{
	const struct {
		const char *name;
		uint64_t value;
	} members[] = {
		{"accepted", counts->accepted},
		{"handed_over", counts->handed_over},
		{"acknowledged", counts->acknowledged},
		{"in_flight", counts->in_flight},
		{"moved", counts->moved},
		{"refused", counts->refused},
		{"over_limit", counts->over_limit},
		{"closed_early", counts->closed_early},
		{"waiting", counts->waiting},
		{"returned", counts->returned_lost + counts->returned_refused + counts->returned_no_room},
		{"returned_lost", counts->returned_lost},
		{"returned_refused", counts->returned_refused},
		{"returned_no_room", counts->returned_no_room},
		{"policy_errors", counts->policy_errors},
		{"policy_kills", counts->policy_kills},
		{"policy_benched_ms", counts->policy_benched_ms},
		{"reloads", counts->reloads},
		{"failed_reloads", counts->failed_reloads},
		{"rollbacks", counts->rollbacks},
		{"bounced", counts->bounced},
		{"worker_starts", counts->worker_starts},
		{"worker_exits", counts->worker_exits},
		{"worker_ejections", counts->worker_ejections},
		{"stuck_kills", counts->stuck_kills},
		{"sessions", counts->sessions},
		{"sessions_evicted", counts->sessions_evicted},
	};
	json_t *object = json_object();
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		json_object_set_new(object, members[i].name, json_integer((json_int_t)members[i].value));
	return object;
}

static json_t *worker_of(const struct lp_worker *worker)
{
	uint64_t uptime_ms = worker->started_ns ? (lp_clock_ns() - worker->started_ns) / 1000000 : 0;
	return json_pack("{s:i, s:i, s:b, s:b, s:I, s:I, s:I, s:I}", "id", (int)worker->id, "pid", (int)worker->pid,
			 "usable", worker->usable, "stuck", worker->stuck, "connections",
			 (json_int_t)worker->connections, "waiting", (json_int_t)worker->waiting, "sessions",
			 (json_int_t)worker->sessions, "uptime_ms", (json_int_t)uptime_ms);
}

/* The buckets of two readings have the same places, so one can be subtracted from the other. */
static char *latency_of(const struct lp_histogram *latency)
{
	json_t *bounds = json_array();
	json_t *counts = json_array();
	for (unsigned i = 0; i < lp_histogram_used(latency); i++) {
		json_array_append_new(bounds, json_integer((json_int_t)lp_histogram_bound(i)));
		json_array_append_new(counts, json_integer((json_int_t)latency->counts[i]));
	}
	json_t *object =
		json_pack("{s:I, s:I, s:I, s:I, s:o, s:o}", "p50", (json_int_t)lp_histogram_quantile(latency, 0.5),
			  "p99", (json_int_t)lp_histogram_quantile(latency, 0.99), "p999",
			  (json_int_t)lp_histogram_quantile(latency, 0.999), "max", (json_int_t)latency->highest,
			  "le_us", bounds, "count", counts);
	char *text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

char *lp_status_text(const struct limpet_counts *counts, const struct lp_workers *workers,
		     const struct lp_histogram *latency, const struct limpet_options *options, const char *loaded)
{
	json_t *list = json_array();
	json_t *policies = json_array();
	for (unsigned i = 0; i < workers->count; i++)
		json_array_append_new(list, worker_of(&workers->slots[i]));
	for (size_t i = 0; i < options->policy_count; i++)
		json_array_append_new(policies, json_string(options->policies[i]));
	json_t *status = json_pack("{s:s, s:o, s:o, s:o, s:s, s:{s:I, s:I}}", "version", LIMPET_VERSION, "counts",
				   counts_of(counts), "workers", list, "policies", policies, "policies_loaded", loaded,
				   "descriptors", "open", (json_int_t)lp_descriptors_count(), "limit",
				   (json_int_t)lp_descriptors_limit());
	char *most = json_dumps(status, JSON_INDENT(2));
	char *last = latency_of(latency);
	char *text = NULL;
	json_decref(status);
	if (most && last) {
		most[strlen(most) - strlen("\n}")] = '\0';
		if (asprintf(&text, "%s,\n  \"latency_us\": %s\n}\n", most, last) < 0)
			text = NULL;
	}
	free(most);
	free(last);
	return text;
}
