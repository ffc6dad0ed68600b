/**
 * Asking a running balancer: for the command line. One line goes to its control socket, one answer comes back.
 */
#ifndef LP_BASE_CONTROL_CLIENT_H
#define LP_BASE_CONTROL_CLIENT_H

#include <stddef.h>

#include "base/error.h"

/** For requests that are answered at once. */
#define LP_CONTROL_PATIENCE_MS 5000

/** For requests that load policies, which may take their time. */
#define LP_CONTROL_LONG_PATIENCE_MS 60000

/** Bytes of an answer, at most. */
#define LP_CONTROL_ANSWER_MAX (64u << 20)

/**
 * Ask, and wait for the whole answer.
 *
 * @param path         Of the control socket.
 * @param request      A line without a newline.
 * @param patience_ms  How long the balancer may say nothing.
 * @param answer       Set to the answer, NUL-terminated, for free(); NULL on error.
 * @param length       Set to its bytes without the NUL. NULL is allowed.
 * @param error        Filled on failure; names the path.
 *
 * @return 0; or negative errno.
 */
int lp_control_ask(const char *path, const char *request, int patience_ms, char **answer, size_t *length,
		   struct lp_error *error);

#endif
