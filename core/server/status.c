/*
 * One object: version, counts, workers by id, policies. Times are in milliseconds.
 */
#include "server/status.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
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
		{"refused", counts->refused},
		{"closed_early", counts->closed_early},
		{"waiting", counts->waiting},
		{"moved", counts->moved},
		{"policy_errors", counts->policy_errors},
		{"policy_kills", counts->policy_kills},
		{"policy_benched_ms", counts->policy_benched_ms},
		{"reloads", counts->reloads},
		{"failed_reloads", counts->failed_reloads},
		{"rollbacks", counts->rollbacks},
		{"worker_starts", counts->worker_starts},
		{"worker_exits", counts->worker_exits},
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
	return json_pack("{s:i, s:i, s:b, s:I, s:I, s:I, s:I}", "id", (int)worker->id, "pid", (int)worker->pid,
			 "usable", worker->usable, "connections", (json_int_t)worker->connections, "waiting",
			 (json_int_t)worker->waiting, "sessions", (json_int_t)worker->sessions, "uptime_ms",
			 (json_int_t)uptime_ms);
}

char *lp_status_text(const struct limpet_counts *counts, const struct lp_workers *workers,
		     const struct limpet_options *options, const char *loaded)
{
	json_t *list = json_array();
	json_t *policies = json_array();
	for (unsigned i = 0; i < workers->count; i++)
		json_array_append_new(list, worker_of(&workers->slots[i]));
	for (size_t i = 0; i < options->policy_count; i++)
		json_array_append_new(policies, json_string(options->policies[i]));
	json_t *status = json_pack("{s:s, s:o, s:o, s:o, s:s}", "version", LIMPET_VERSION, "counts", counts_of(counts),
				   "workers", list, "policies", policies, "policies_loaded", loaded);
	char *text = json_dumps(status, JSON_INDENT(2));
	json_decref(status);
	size_t length = text ? strlen(text) : 0;
	char *line = text ? realloc(text, length + 2) : NULL;
	if (!line) {
		free(text);
		return NULL;
	}
	memcpy(line + length, "\n", 2);
	return line;
}
