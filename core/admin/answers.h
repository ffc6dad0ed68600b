/**
 * Answers of the control socket to requests that change something: {"ok": true, …}, or {"ok": false, "reason": …}.
 */
#ifndef LP_ADMIN_ANSWERS_H
#define LP_ADMIN_ANSWERS_H

#include <jansson.h>

#include "base/error.h"

/** Say that it was done. @param members Further members; taken; NULL: nothing. @return For free(), or NULL when out of memory. */
char *lp_answer_done(json_t *members);

/** Say that it was not done, and why. @param error Why. Borrowed. @return For free(), or NULL when out of memory. */
char *lp_answer_refused(const struct lp_error *error);

#endif
