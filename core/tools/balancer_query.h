/**
 * How commands ask a running balancer.
 */
#ifndef LP_TOOLS_BALANCER_QUERY_H
#define LP_TOOLS_BALANCER_QUERY_H

#include <jansson.h>

#include "base/control_client.h"
#include "base/control_path.h"
#include "base/error.h"
#include "limpet/balancer.h"

/**
 * The control socket that the flags name, or that of the only balancer that runs.
 *
 * @param options  `control` and `name`, as given. Borrowed.
 * @param path     LP_CONTROL_PATH_SIZE bytes; filled on success.
 * @param error    Filled on failure.
 *
 * @return 0, or negative.
 */
int lp_query_find_balancer(const struct limpet_options *options, char *path, struct lp_error *error);

/**
 * Ask, and take the answer as JSON.
 *
 * @param path         Of the control socket.
 * @param request      A line.
 * @param patience_ms  As for lp_control_ask.
 * @param answer       Set to the answer, for json_decref; NULL on error.
 * @param error        Filled on failure: nobody answers, the answer is invalid, or the balancer refuses and says why.
 *
 * @return 0, or negative.
 */
int lp_query_balancer(const char *path, const char *request, int patience_ms, json_t **answer, struct lp_error *error);

/** A string of an answer. @param object Borrowed. @param key Its name. @return It; "" if there is none. */
const char *lp_query_text(const json_t *object, const char *key);

/** A number of an answer. @param object Borrowed. @param key Its name. @return It; 0 if there is none. */
long long lp_query_number(const json_t *object, const char *key);

#endif
