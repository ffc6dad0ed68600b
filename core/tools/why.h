/**
 * `limpet why` and `limpet tail`: what a running balancer decided about its last connections, and what came of it.
 */
#ifndef LP_TOOLS_WHY_H
#define LP_TOOLS_WHY_H

#include <jansson.h>
#include <stdio.h>

#include "base/error.h"
#include "base/options.h"

/**
 * Explain connections: those of a client or a session, or the last ones.
 *
 * @param line   `limpet why`. Borrowed.
 * @param out    Where to.
 * @param error  Filled on failure.
 *
 * @return How many there were, or negative.
 */
int lp_why(const struct lp_command_line *line, FILE *out, struct lp_error *error);

/**
 * Print connections, a line each, as their outcomes become known, until the output or the balancer is gone.
 *
 * @param line   `limpet tail`. Borrowed.
 * @param out    Where to.
 * @param error  Filled on failure.
 *
 * @return Negative, or 0 when nobody reads the output any more.
 */
int lp_tail(const struct lp_command_line *line, FILE *out, struct lp_error *error);

/** Explain one connection in some lines. @param out Borrowed. @param decision As the balancer answers it. Borrowed. */
void lp_why_explain(FILE *out, const json_t *decision);

/** The same in one line. @param out Borrowed. @param decision As the balancer answers it. Borrowed. */
void lp_why_print_line(FILE *out, const json_t *decision);

#endif
