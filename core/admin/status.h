/**
 * The status of a balancer as JSON: for `limpet status` and for monitoring.
 */
#ifndef LP_ADMIN_STATUS_H
#define LP_ADMIN_STATUS_H

#include <jansson.h>
#include <stddef.h>
#include <time.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "connection/connection.h"
#include "keeper/lasting.h"
#include "limpet/balancer.h"
#include "policy/policy.h"
#include "route/workers.h"

/** Why the last reload that was refused was refused. All zero: none was. */
struct lp_refused_reload {
	char at[LP_CLOCK_TEXT_SIZE]; /**< When. */
	struct lp_error error;
};

/** A listener, as the status shows it. What it points to is borrowed. */
struct lp_status_listener {
	const char *name;                        /**< As --listen names it. */
	const struct lp_listen_address *address; /**< As bound. */
	uint64_t accepted;                       /**< Connections; those that workers gave back count again. */
};

/** What the status is made of. All borrowed for the call. */
struct lp_status {
	const char *name;
	const char *state; /**< "running", "draining", "stopping". */
	time_t started;
	const struct limpet_counts *counts;
	const struct lp_workers *workers;
	const struct lp_connections *connections;
	unsigned wanted;                    /**< How many workers the options ask for. */
	const struct lp_histogram *latency; /**< Microseconds from ready to acknowledged. */
	const struct limpet_options *options;
	const void *listeners; /**< listener_at's. */
	struct lp_status_listener (*listener_at)(const void *listeners, size_t index);
	size_t listener_count;
	const struct lp_policy *policy;
	const char *loaded; /**< When the policies were loaded. */
	const struct lp_refused_reload *refused;
	const char *dialect;
	const struct lp_lasting_head *processes; /**< The keeper and its balancers; NULL: there is no keeper. */
};

/**
 * A string for JSON. JSON is UTF-8; in a text that is not, each byte beyond ASCII becomes '?'.
 *
 * @param text  Borrowed.
 *
 * @return The caller's; NULL when out of memory.
 */
json_t *lp_status_string(const char *text);

/** The texts that policies were made from, with their digests. @param policy Borrowed. @return An array, or NULL when out of memory. */
json_t *lp_status_files(const struct lp_policy *policy);

/** A worker's state in one word: "ready", "starting", "draining", "full", "stuck", "finishing",
 * "down". @param worker With a process, or down. */
const char *lp_status_of_worker(const struct lp_worker *worker);

/**
 * Write the status.
 *
 * @param status  Borrowed.
 *
 * @return Indented JSON with a final newline, for free(); NULL when out of memory.
 */
char *lp_status_text(const struct lp_status *status);

#endif
