/**
 * The programs that workers run.
 */
#ifndef LP_WORKER_PROGRAM_H
#define LP_WORKER_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

/**
 * Find a program as a shell would.
 *
 * @param file  As the command has it: looked up in PATH, unless it has a slash.
 * @param path  Set to where it is, on success.
 *
 * @return Whether there is one that can be executed.
 */
bool lp_program_find(const char *file, char path[PATH_MAX]);

/**
 * Whether a command names a program that is linked statically, as those in Go mostly are: no preloaded library reaches
 * it. A script is none, nor is what cannot be read.
 *
 * @param file  As lp_program_find takes it.
 */
bool lp_is_static_program(const char *file);

#endif
