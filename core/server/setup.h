/**
 * Setups that cannot work, told before the first client meets them.
 */
#ifndef LP_SERVER_SETUP_H
#define LP_SERVER_SETUP_H

#include "base/error.h"
#include "server/data.h"

/**
 * Refuse --session and --learn where nothing would report the sessions that they name.
 *
 * @param data   Its options, rules and dialect are there.
 * @param error  Filled on failure: which option, which dialect, and what to do instead.
 *
 * @return 0, or LP_EUSAGE.
 */
int lp_setup_check_sessions(const struct lp_data *data, struct lp_error *error);

#endif
