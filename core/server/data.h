/**
 * A balancer's data: all of it that has nothing to do with the loop, made from the options in one go.
 */
#ifndef LP_SERVER_DATA_H
#define LP_SERVER_DATA_H

#include "base/error.h"
#include "base/log.h"
#include "limpet/balancer.h"
#include "route/policy.h"
#include "worker/dialect.h"

struct lp_data {
	struct limpet_options options;
	struct lp_log log;
	struct lp_workers workers;
	struct lp_sessions *sessions;
	struct lp_shared *shared;
	struct lp_network *trusted;
	const struct lp_dialect *dialect;
	struct lp_policy_host host; /**< What policies reach of the above. */
	struct lp_policy *policy;
	char loaded[16];             /**< When the policy was, for people: "10:41:07". */
	uint64_t past_policy_errors; /**< Of policies that were replaced. */
};

/**
 * Make the data.
 *
 * @param data     The caller's memory, all zero; lp_data_deinit it, also after an error.
 * @param options  Copied; what they point to is borrowed.
 * @param error    Filled on failure.
 *
 * @return 0; or negative: an option is wrong, a policy does not load, no memory.
 */
int lp_data_init(struct lp_data *data, const struct limpet_options *options, struct lp_error *error);

/** Free it. @param data All zero is fine too. */
void lp_data_deinit(struct lp_data *data);

/**
 * Load the policies again.
 *
 * @param data   Made. On success its policy is the new one.
 * @param old    Set on success: the policy before, for lp_policy_free once nothing uses it any more.
 * @param error  Filled on failure.
 *
 * @return 0; or negative with nothing changed.
 */
int lp_data_reload(struct lp_data *data, struct lp_policy **old, struct lp_error *error);

#endif
