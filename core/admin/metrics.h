/**
 * What a balancer counts, in Prometheus' text format.
 *
 * Names follow Prometheus' conventions: base units, _total for what only grows. Labels have few values, which do not grow
 * with traffic: no pid, no client, no session. At any moment, and so in any scrape,
 *
 *     sum(accepted_total) = sum(handed_over_total) + sum(refused_total) + closed_early_total + sum(waiting)
 */
#ifndef LP_ADMIN_METRICS_H
#define LP_ADMIN_METRICS_H

#include "admin/decisions.h"
#include "admin/status.h"

/** What metrics are made of. All borrowed for the call. */
struct lp_metrics {
	const struct lp_status *status;
	const struct lp_decisions *decisions;
	time_t loaded; /**< When the policies in use were loaded. */
	bool last_reload_successful;
};

/**
 * Write the metrics.
 *
 * @param metrics  Borrowed.
 * @param length   Set to the bytes.
 *
 * @return For free(); NULL when out of memory.
 */
char *lp_metrics_text(const struct lp_metrics *metrics, size_t *length);

#endif
