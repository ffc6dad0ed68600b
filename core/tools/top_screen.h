/**
 * What `limpet top` shows: a status, as lines that fit a screen.
 */
#ifndef LP_TOOLS_TOP_SCREEN_H
#define LP_TOOLS_TOP_SCREEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** What the rates need of an earlier status. All zero: there was none. */
struct lp_top_past {
	uint64_t at_ms;
	long long accepted;
	long long handed_over[257]; /**< By worker. */
};

/** What is shown. All borrowed. */
struct lp_top_screen {
	const json_t *status; /**< NULL: the balancer has not answered yet. */
	const struct lp_top_past *past;
	uint64_t now_ms;     /**< When the status was asked for, on the clock of past. */
	long long selected;  /**< The worker that keys are about. */
	const char *message; /**< What came of the last key, or why nothing is new. */
	unsigned rows;       /**< Of the terminal; fewer than 10 count as 10. */
	bool colours;
};

/**
 * Print the screen: at most `rows` lines, the last without a line end. None is longer than 80 columns, unless a name or the
 * message is.
 *
 * @param out     Borrowed.
 * @param screen  Borrowed.
 */
void lp_top_print(FILE *out, const struct lp_top_screen *screen);

/** Keep of a status what the next one's rates need. @param past Overwritten. @param status Borrowed. @param now_ms When it was asked for. */
void lp_top_remember(struct lp_top_past *past, const json_t *status, uint64_t now_ms);

/**
 * The worker above or below another.
 *
 * @param status    Borrowed; NULL is allowed.
 * @param selected  A worker's number, which may be none's any more.
 * @param step      1: below; -1: above; 0: the same one, if it is still there.
 *
 * @return Its number; 0: there are no workers.
 */
long long lp_top_select(const json_t *status, long long selected, int step);

#endif
