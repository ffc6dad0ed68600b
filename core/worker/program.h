/**
 * The programs that workers run: where they are, what they are, and whether a library can be put in front of them.
 */
#ifndef LP_WORKER_PROGRAM_H
#define LP_WORKER_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/** Why no library of ours is loaded into a program. */
enum lp_obstacle {
	LP_OBSTACLE_NONE,
	LP_OBSTACLE_STATIC,     /**< It is linked statically, as those in Go mostly are: nothing is loaded into it. */
	LP_OBSTACLE_LIBC,       /**< It is built for another C library: musl. */
	LP_OBSTACLE_MACHINE,    /**< It is built for another kind of processor, or for 32 bits. */
	LP_OBSTACLE_PRIVILEGED, /**< It has capabilities, or another user's rights: the system protects it from that. */
};

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
 * See whether a program can be run.
 *
 * @param file   As lp_program_find takes it.
 * @param error  Filled on failure: what is wrong, and what to do.
 *
 * @return 0; or -ENOENT, -EACCES.
 */
int lp_program_check(const char *file, struct lp_error *error);

/**
 * Find what the kernel runs in the end: of a script, what its first line names (behind env, what env starts).
 *
 * @param file  As lp_program_find takes it.
 * @param path  Set to where it is, on success.
 *
 * @return Whether there is one that can be executed.
 */
bool lp_program_interpreter(const char *file, char path[PATH_MAX]);

/** Whether a command runs Node: by its own name, or that of a script's interpreter. @param file As lp_program_find takes it. */
bool lp_program_is_node(const char *file);

/**
 * Why no library can be preloaded into what a command names. Of a script it is its interpreter that counts. What cannot be
 * read has no obstacle.
 *
 * @param file     As lp_program_find takes it.
 * @param as_root  It will run as root, for whom capabilities of the file mean nothing.
 * @param path     Set to the program in question, unless the answer is LP_OBSTACLE_NONE.
 */
enum lp_obstacle lp_program_obstacle(const char *file, bool as_root, char path[PATH_MAX]);

/**
 * Say what it is, and what to do.
 *
 * @param obstacle  Not LP_OBSTACLE_NONE.
 * @param path      Of the program.
 * @param text      Filled.
 * @param size      Bytes of text.
 */
void lp_program_explain(enum lp_obstacle obstacle, const char *path, char *text, size_t size);

#endif
