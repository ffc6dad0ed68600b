/**
 * Commands to a running balancer: status, reload, drain, enable, stop. Each waits for its outcome and prints it.
 */
#ifndef LP_TOOLS_OPERATE_H
#define LP_TOOLS_OPERATE_H

#include <stdio.h>

#include "base/error.h"
#include "base/options.h"

/**
 * Run one of them.
 *
 * @param line   One of these commands. Borrowed.
 * @param out    Where the outcome goes, and how far it is meanwhile.
 * @param error  Filled on failure: what the balancer refuses and why, or why it cannot be asked.
 *
 * @return 0; or negative: it was not done.
 */
int lp_operate(const struct lp_command_line *line, FILE *out, struct lp_error *error);

#endif
