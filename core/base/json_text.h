/**
 * Writing JSON by hand: for text of strangers, which need not be UTF-8.
 */
#ifndef LP_BASE_JSON_TEXT_H
#define LP_BASE_JSON_TEXT_H

#include <stdio.h>

#include "base/slice.h"

/**
 * Write a string with its quotes. Control characters are escaped; each byte that is no UTF-8 becomes U+FFFD.
 *
 * @param out   Borrowed.
 * @param text  Not absent.
 */
void lp_json_put_string(FILE *out, struct lp_slice text);

#endif
