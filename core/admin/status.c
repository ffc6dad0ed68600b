/*
 * One object: who it is, counts, workers by id, listeners, policies, descriptors, latency. Times are in milliseconds, except
 * in what is named _us; moments are ISO 8601 in UTC.
 *
 * The latency's buckets are two long lists of numbers, so they have a line to themselves, while all else is indented.
 */
#include "admin/status.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/sha256.h"
#include "limpet/version.h"

/* An answer that misses a part, because memory ran out, would be wrong: then there is no answer. */
static json_t *whole_or_null(json_t *value, int status)
{
	if (status == 0)
		return value;
	json_decref(value);
	return NULL;
}

/* File names and what is said about them need not be UTF-8, and JSON is. */
json_t *lp_status_string(const char *text)
{
	json_t *value = json_string(text);
	char *plain = value ? NULL : strdup(text);
	for (char *at = plain; at && *at; at++)
		if (*at & 0x80)
			*at = '?';
	if (plain)
		value = json_string(plain);
	free(plain);
	return value;
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
		{"sessions_moved", counts->sessions_moved},
	};
	json_t *object = json_object();
	int status = 0;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		status |= json_object_set_new(object, members[i].name, json_integer((json_int_t)members[i].value));
	return whole_or_null(object, status);
}

const char *lp_status_of_worker(const struct lp_worker *worker)
{
	return worker->down          ? "down"
	       : worker->draining    ? "draining"
	       : worker->usable      ? "ready"
	       : worker->stuck       ? "stuck"
	       : worker->busy        ? "full"
	       : !worker->started_ns ? "starting"
				     : "finishing";
}

/* A moment of the monotonic clock on the wall clock; JSON's null when there was none. */
static json_t *moment_of(uint64_t ns)
{
	char text[LP_CLOCK_TEXT_SIZE];
	if (!ns)
		return json_null();
	lp_clock_format(time(NULL) - (time_t)((lp_clock_ns() - ns) / 1000000000), text);
	return json_string(text);
}

static json_t *worker_of(const struct lp_status *status, const struct lp_worker *worker)
{
	uint64_t in_flight = lp_connections_in_flight_at(status->connections, worker->id);
	uint64_t uptime_ms = worker->started_ns ? (lp_clock_ns() - worker->started_ns) / 1000000 : 0;
	json_int_t handed_over = (json_int_t)worker->acknowledged + (json_int_t)worker->moved + (json_int_t)in_flight;
	return json_pack("{s:i, s:i, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "id", (int)worker->id,
			 "pid", (int)(worker->pid ? worker->pid : worker->program), "state",
			 lp_status_of_worker(worker), "usable", worker->usable, "stuck", worker->stuck, "connections",
			 (json_int_t)worker->connections, "waiting", (json_int_t)worker->waiting, "sessions",
			 (json_int_t)worker->sessions, "handed_over", handed_over, "moved", (json_int_t)worker->moved,
			 "returned", (json_int_t)worker->returned, "uptime_ms", (json_int_t)uptime_ms, "since",
			 moment_of(worker->started_ns));
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
	return whole_or_null(object, status);
}

/* A slot without a process is no worker, unless one is to come, or to come back. */
static json_t *workers_of(const struct lp_status *status)
{
	const struct lp_workers *workers = status->workers;
	json_t *list = json_array();
	int failed = 0;
	for (unsigned i = 0; i < workers->count; i++)
		if (workers->slots[i].pid || workers->slots[i].program || workers->slots[i].down)
			failed |= json_array_append_new(list, worker_of(status, &workers->slots[i]));
	return whole_or_null(list, failed);
}

static json_t *policies_of(const struct limpet_options *options)
{
	json_t *list = json_array();
	int status = 0;
	for (size_t i = 0; i < options->policy_count; i++)
		status |= json_array_append_new(list, lp_status_string(options->policies[i]));
	return whole_or_null(list, status);
}

static json_t *file_of(const struct lp_policy_text *text)
{
	char digest[LP_SHA256_TEXT_SIZE];
	lp_sha256_format(text->sha256, digest);
	return json_pack("{s:o, s:o, s:b, s:I, s:s}", "name", lp_status_string(text->name), "module",
			 text->module ? lp_status_string(text->module) : json_null(), "included", !text->is_file,
			 "bytes", (json_int_t)text->bytes, "sha256", digest);
}

json_t *lp_status_files(const struct lp_policy *policy)
{
	json_t *list = json_array();
	struct lp_policy_text text;
	int status = 0;
	for (size_t i = 0; lp_policy_text(policy, i, &text); i++)
		status |= json_array_append_new(list, file_of(&text));
	return whole_or_null(list, status);
}

static json_t *list_listeners(const struct lp_status *shown)
{
	json_t *list = json_array();
	int status = 0;
	for (size_t i = 0; i < shown->listener_count; i++) {
		char bound[LP_LISTEN_TEXT_SIZE];
		struct lp_status_listener listener = shown->listener_at(shown->listeners, i);
		lp_listen_address_format(listener.address, bound);
		status |= json_array_append_new(
			list, json_pack("{s:o, s:o, s:I}", "listen", lp_status_string(listener.name), "address",
					lp_status_string(bound), "accepted", (json_int_t)listener.accepted));
	}
	return whole_or_null(list, status);
}

static json_t *refused_reload_of(const struct lp_refused_reload *refused)
{
	if (!refused->at[0])
		return json_null();
	return json_pack("{s:s, s:o}", "at", refused->at, "reason", lp_status_string(refused->error.text));
}

static json_t *processes_of(const struct lp_lasting_head *processes)
{
	if (!processes)
		return json_pack("{s:n, s:i, s:i}", "keeper", "balancer", (int)getpid(), "balancer_deaths", 0);
	return json_pack("{s:i, s:i, s:i}", "keeper", (int)processes->keeper, "balancer", (int)processes->balancer,
			 "balancer_deaths", (int)processes->deaths);
}

static json_t *head_of(const struct lp_status *status)
{
	char started[LP_CLOCK_TEXT_SIZE];
	lp_clock_format(status->started, started);
	const char *config = status->options->config;
	int pid = status->processes ? (int)status->processes->keeper : (int)getpid();
	return json_pack("{s:s, s:s, s:i, s:o, s:s, s:s, s:s, s:i, s:o}", "version", LIMPET_VERSION, "name",
			 status->name, "pid", pid, "processes", processes_of(status->processes), "state", status->state,
			 "started", started, "dialect", status->dialect, "workers_wanted", (int)status->wanted,
			 "config", config ? lp_status_string(config) : json_null());
}

/* Move the members of one object to the end of another. */
static int append_members(json_t *object, json_t *members)
{
	int status = members ? json_object_update(object, members) : -1;
	json_decref(members);
	return status;
}

static json_t *body_of(const struct lp_status *status)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:{s:I, s:I}}", "counts", counts_of(status->counts),
			 "workers", workers_of(status), "listeners", list_listeners(status), "policies",
			 policies_of(status->options), "policy_files", lp_status_files(status->policy),
			 "policies_loaded", status->loaded, "last_refused_reload", refused_reload_of(status->refused),
			 "descriptors", "open", (json_int_t)lp_descriptors_count(), "limit",
			 (json_int_t)lp_descriptors_limit());
}

/* jansson 2.14 does not look at what its callback returns for an object's key. So the failure is kept here. */
struct text {
	struct lp_buffer buffer;
	int status;
};

static int append_json(const char *bytes, size_t length, void *owner)
{
	struct text *text = owner;
	if (!text->status)
		text->status = lp_buffer_append(&text->buffer, bytes, length);
	return text->status;
}

static void write_json(struct text *text, const json_t *value, size_t flags)
{
	if (!value || json_dump_callback(value, append_json, text, flags))
		text->status = -ENOMEM;
}

char *lp_status_text(const struct lp_status *status)
{
	static const char between[] = ",\n  \"latency_us\": ";
	static const char end[] = "\n}\n";
	struct text text = {0};
	json_t *most = head_of(status);
	if (most && append_members(most, body_of(status))) {
		json_decref(most);
		most = NULL;
	}
	json_t *last = latency_of(status->latency);
	write_json(&text, most, JSON_INDENT(2));
	if (!text.status)
		text.buffer.length -= strlen("\n}");
	append_json(between, strlen(between), &text);
	write_json(&text, last, JSON_COMPACT);
	append_json(end, sizeof(end), &text);
	json_decref(most);
	json_decref(last);
	if (text.status)
		lp_buffer_clear(&text.buffer);
	return text.buffer.bytes;
}
