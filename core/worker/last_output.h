/**
 * The end of what a program has written, and the line of it that tells most.
 */
#ifndef LP_WORKER_LAST_OUTPUT_H
#define LP_WORKER_LAST_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/** So much of the end is kept. */
#define LP_LAST_OUTPUT_MAX 4096

/** All zero at first. */
struct lp_last_output {
	char bytes[LP_LAST_OUTPUT_MAX];
	size_t length;
};

/** The program has written something. @param words In use. @param bytes Borrowed. @param length Their number. */
void lp_last_output_add(struct lp_last_output *words, const char *bytes, size_t length);

/**
 * The last line that is not empty. Behind an uncaught exception of Node's, which ends with Node's version, it is the line of
 * the exception.
 *
 * @param words  In use.
 * @param text   Filled on success; ends in NUL, and is cut if it does not fit.
 * @param size   Bytes of text, 1 at least.
 *
 * @return Whether there is one.
 */
bool lp_last_output_choose(const struct lp_last_output *words, char *text, size_t size);

#endif
