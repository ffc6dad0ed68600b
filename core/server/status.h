/**
 * What a balancer says of itself, as JSON: for `limpet status` and whoever watches.
 */
#ifndef LP_SERVER_STATUS_H
#define LP_SERVER_STATUS_H

#include <stddef.h>

#include "base/histogram.h"
#include "limpet/balancer.h"
#include "route/workers.h"

/**
 * Write the status.
 *
 * @param counts   What became of the connections.
 * @param workers  The workers.
 * @param latency  Microseconds from ready to acknowledged.
 * @param options  As the balancer was made with.
 * @param loaded   When the policies were loaded, as text.
 *
 * @return Indented JSON with a final newline, for free(); NULL without memory.
 */
char *lp_status_text(const struct limpet_counts *counts, const struct lp_workers *workers,
		     const struct lp_histogram *latency, const struct limpet_options *options, const char *loaded);

#endif
