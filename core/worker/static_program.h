/**
 * Programs that no preloaded library reaches.
 */
#ifndef LP_WORKER_STATIC_PROGRAM_H
#define LP_WORKER_STATIC_PROGRAM_H

#include <stdbool.h>

/**
 * Whether a command names a program that is linked statically, as those in Go mostly are. A script is none, nor is what
 * cannot be read.
 *
 * @param file  As the command has it: looked up in PATH, unless it has a slash.
 */
bool lp_is_static_program(const char *file);

#endif
