/**
 * Answers of the control socket to requests that change something: {"ok": true, …}, or {"ok": false, "reason": …}.
 */
#ifndef LP_ADMIN_ANSWERS_H
#define LP_ADMIN_ANSWERS_H

#include <jansson.h>

#include "base/error.h"

/** That it was done. @param members What else is to say; taken; NULL: nothing. @return For free(), or NULL without memory. */
char *lp_answer_done(json_t *members);

/** That it was not done. @param error Why. Borrowed. @return For free(), or NULL without memory. */
char *lp_answer_refused(const struct lp_error *error);

#endif
