/**
 * `limpet route`: which worker a made-up connection goes to, and why.
 */
#ifndef LP_TOOLS_ROUTE_H
#define LP_TOOLS_ROUTE_H

#include <stdio.h>

#include "base/error.h"
#include "base/options.h"

/**
 * Route the connection of a command line, and print each policy's answer in turn: what it read, what it asked, what it
 * said and how long that took; then where the connection goes.
 *
 * @param line   Parsed, of LP_COMMAND_ROUTE. Borrowed.
 * @param out    Borrowed; whether it could be written is for the caller to ask (ferror).
 * @param error  Filled on failure.
 *
 * @return How many hooks failed, which are printed too; or negative: a policy that does not load, a file that cannot be
 *         read, a connection that cannot be made, no memory.
 */
int lp_route(const struct lp_command_line *line, FILE *out, struct lp_error *error);

#endif
