/**
 * `limpet check`: find mistakes in policies without a balancer.
 */
#ifndef LP_TOOLS_CHECK_H
#define LP_TOOLS_CHECK_H

#include <stdio.h>

#include "base/error.h"
#include "base/options.h"

/**
 * Check the policies of a command line, each by itself: read it, load it, and run it on made-up connections (IPv4, IPv6,
 * unix; with and without a session, headers, TLS; with no, one and many workers; with the headers, cookies and
 * parameters that it asks for). Files that end in .test.lua or .meta.lua are no policies, and are passed over. Prints a
 * line each mistake, "file:line: what is wrong", or "file: ok".
 *
 * @param line   Parsed, of LP_COMMAND_CHECK. Borrowed.
 * @param out    Borrowed; whether it could be written is for the caller to ask (ferror).
 * @param error  Filled on failure.
 *
 * @return How many mistakes; or negative: a file that cannot be read, no memory.
 */
int lp_check(const struct lp_command_line *line, FILE *out, struct lp_error *error);

#endif
