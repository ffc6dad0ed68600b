/**
 * `limpet route --replay`: which of the recorded connections would go elsewhere under other policies.
 */
#ifndef LP_TOOLS_REPLAY_H
#define LP_TOOLS_REPLAY_H

#include <stdio.h>

#include "base/error.h"
#include "base/options.h"

/**
 * Ask two policies about each connection of a recording, and print those that they send elsewhere, and how many there are.
 * Both see the same workers, and the sids of recorded requests as sessions of the workers these went to.
 *
 * @param line   Parsed, of LP_COMMAND_ROUTE, with a replay and two files. There are as many workers as it says, or as
 *               the recording names. Borrowed.
 * @param out    Borrowed; whether it could be written is for the caller to ask (ferror).
 * @param error  Filled on failure.
 *
 * @return How many hooks failed; or negative: a policy that does not load, a file that is no recording, no memory.
 */
int lp_replay(const struct lp_command_line *line, FILE *out, struct lp_error *error);

#endif
