/**
 * Setups that cannot work, told before the first client meets them.
 */
#ifndef LP_SERVER_SETUP_H
#define LP_SERVER_SETUP_H

#include "base/error.h"
#include "server/balancer_private.h"

/**
 * Refuse --session and --learn where nothing would report the sessions that they name, and the policy `session` where
 * none is named.
 *
 * @param data   Its options, rules and dialect are there.
 * @param error  Filled on failure: which option, which dialect, and what to do instead.
 *
 * @return 0, or LP_EUSAGE.
 */
int lp_setup_check_sessions(const struct lp_data *data, struct lp_error *error);

/**
 * Refuse addresses that cannot be listened at together.
 *
 * @param options  Borrowed for the call.
 * @param error    Filled on failure: which two.
 *
 * @return 0, or LP_EUSAGE, also for an invalid address.
 */
int lp_setup_check_listeners(const struct limpet_options *options, struct lp_error *error);

/**
 * Warn of what the policies in use cannot do here: look for sessions that nothing reports, be asked about requests of kept
 * connections that workers cannot give back; and of sessions that no policy looks for. What the last report has said is not
 * said again.
 *
 * @param data  Its policies are loaded.
 */
void lp_setup_report(struct lp_data *data);

#endif
