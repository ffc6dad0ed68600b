/*
 * One object: version, counts, workers by id, policies, descriptors, latency. Times are in milliseconds, but for what is named _us.
 *
 * The latency's buckets are two long lists of numbers, so they have a line to themselves, while all else is indented.
 */
#include "server/status.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "limpet/version.h"

/* What misses a part, for want of memory, would be a wrong answer: it is none. */
static json_t *whole(json_t *value, int status)
{
	if (status == 0)
		return value;
	json_decref(value);
	return NULL;
}

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
	int status = 0;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		status |= json_object_set_new(object, members[i].name, json_integer((json_int_t)members[i].value));
	return whole(object, status);
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
static json_t *latency_of(const struct lp_histogram *latency)
{
	json_t *bounds = json_array();
	json_t *counts = json_array();
	int status = 0;
	for (unsigned i = 0; i < lp_histogram_used(latency); i++) {
		status |= json_array_append_new(bounds, json_integer((json_int_t)lp_histogram_bound(i)));
		status |= json_array_append_new(counts, json_integer((json_int_t)latency->counts[i]));
	}
	json_t *object =
		json_pack("{s:I, s:I, s:I, s:I, s:o, s:o}", "p50", (json_int_t)lp_histogram_quantile(latency, 0.5),
			  "p99", (json_int_t)lp_histogram_quantile(latency, 0.99), "p999",
			  (json_int_t)lp_histogram_quantile(latency, 0.999), "max", (json_int_t)latency->highest,
			  "le_us", bounds, "count", counts);
	return whole(object, status);
}

static json_t *workers_of(const struct lp_workers *workers)
{
	json_t *list = json_array();
	int status = 0;
	for (unsigned i = 0; i < workers->count; i++)
		status |= json_array_append_new(list, worker_of(&workers->slots[i]));
	return whole(list, status);
}

static json_t *policies_of(const struct limpet_options *options)
{
	json_t *list = json_array();
	int status = 0;
	for (size_t i = 0; i < options->policy_count; i++)
		status |= json_array_append_new(list, json_string(options->policies[i]));
	return whole(list, status);
}

/* jansson 2.14 does not look at what its callback returns for an object's key. So the failure is kept here. */
struct text {
	struct lp_buffer buffer;
	int status;
};

static int append(const char *bytes, size_t length, void *owner)
{
	struct text *text = owner;
	if (!text->status)
		text->status = lp_buffer_append(&text->buffer, bytes, length);
	return text->status;
}

static void write_json(struct text *text, const json_t *value, size_t flags)
{
	if (!value || json_dump_callback(value, append, text, flags))
		text->status = -ENOMEM;
}

char *lp_status_text(const struct limpet_counts *counts, const struct lp_workers *workers,
		     const struct lp_histogram *latency, const struct limpet_options *options, const char *loaded)
{
	static const char between[] = ",\n  \"latency_us\": ";
	static const char end[] = "\n}\n";
	struct text text = {0};
	json_t *most = json_pack("{s:s, s:o, s:o, s:o, s:s, s:{s:I, s:I}}", "version", LIMPET_VERSION, "counts",
				 counts_of(counts), "workers", workers_of(workers), "policies", policies_of(options),
				 "policies_loaded", loaded, "descriptors", "open", (json_int_t)lp_descriptors_count(),
				 "limit", (json_int_t)lp_descriptors_limit());
	json_t *last = latency_of(latency);
	write_json(&text, most, JSON_INDENT(2));
	if (!text.status)
		text.buffer.length -= strlen("\n}");
	append(between, strlen(between), &text);
	write_json(&text, last, JSON_COMPACT);
	append(end, sizeof(end), &text);
	json_decref(most);
	json_decref(last);
	if (text.status)
		lp_buffer_clear(&text.buffer);
	return text.buffer.bytes;
}
