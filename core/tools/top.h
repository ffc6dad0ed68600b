/**
 * `limpet top`: a running balancer on a terminal, live.
 */
#ifndef LP_TOOLS_TOP_H
#define LP_TOOLS_TOP_H

#include "base/error.h"
#include "base/options.h"

/**
 * Show a balancer until the user has seen enough. The terminal is then as it was before.
 *
 * @param line   Parsed. Borrowed.
 * @param error  Filled on failure: there is no terminal, or no balancer.
 *
 * @return 0, or negative.
 */
int lp_top(const struct lp_command_line *line, struct lp_error *error);

#endif
