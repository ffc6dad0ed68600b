/**
 * Completions of the command line for shells, made from the table of commands and flags.
 */
#ifndef LP_MANUAL_COMPLETIONS_H
#define LP_MANUAL_COMPLETIONS_H

#include <stdbool.h>

/** Write the completions of a shell to standard output. @param shell "bash", "zsh" or "fish". @return Whether it is one. */
bool lp_completions_print(const char *shell);

#endif
