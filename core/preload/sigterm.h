/**
 * Whether the program ends in an orderly way when it gets SIGTERM.
 */
#ifndef LP_PRELOAD_SIGTERM_H
#define LP_PRELOAD_SIGTERM_H

#include <stdbool.h>

/**
 * Whether this process has a SIGTERM handler of its own program. Makes no system call but sigaction(2).
 *
 * @return false if SIGTERM is ignored, kills the process, or is caught only by its runtime, which then just ends: such a
 *         process has to be drained first.
 */
bool lp_handles_sigterm(void);

#endif
