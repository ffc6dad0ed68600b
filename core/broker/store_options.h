/**
 * What a collection of the shared store can be configured with: {"expireKeys": SECONDS}, as strong-store-cluster has it.
 */
#ifndef LP_BROKER_STORE_OPTIONS_H
#define LP_BROKER_STORE_OPTIONS_H

#include "base/slice.h"

/**
 * Read options.
 *
 * @param config   A JSON object; absent is fine.
 * @param seconds  Set to how long keys are kept that are not used, 0: for ever. Only with 1.
 *
 * @return 1; 0 if there are none; -EINVAL if there are others, or if it is not a number of seconds.
 */
int lp_store_options_read(struct lp_slice config, double *seconds);

#endif
