/**
 * Text of strangers on a terminal: a path of a request, a file's name, a worker's words. What a terminal would obey (escape
 * sequences, line ends) is shown as '?'.
 */
#ifndef LP_BASE_PLAIN_TEXT_H
#define LP_BASE_PLAIN_TEXT_H

#include <stddef.h>
#include <stdio.h>

/**
 * Copy text without what a terminal would obey: control characters and what is no UTF-8 become '?'.
 *
 * @param out      Ends in NUL.
 * @param size     Bytes of out, 4 or more. Text that does not fit is cut between two characters.
 * @param text     Ends in NUL.
 * @param columns  How many characters at most; longer text is cut and ends in "…". 0: as many as fit.
 *
 * @return How many characters it has, as a terminal counts those of one column each.
 */
size_t lp_plain_text(char *out, size_t size, const char *text, size_t columns);

/**
 * Print text without what a terminal would obey, padded with blanks.
 *
 * @param out      Borrowed.
 * @param text     Ends in NUL.
 * @param columns  Pads or cuts to this number; negative: pads on the left. 0: neither.
 */
void lp_plain_print(FILE *out, const char *text, int columns);

#endif
