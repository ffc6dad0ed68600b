/**
 * A balancer's data: all of it that has nothing to do with the loop, made from the options in one go.
 */
#ifndef LP_SERVER_BALANCER_PRIVATE_H
#define LP_SERVER_BALANCER_PRIVATE_H

#include "admin/decisions.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/session_rule.h"
#include "limpet/balancer.h"
#include "policy/policy.h"
#include "policy/retired_threads.h"
#include "server/per_address.h"
#include "server/recorder.h"
#include "server/trial.h"
#include "worker/dialect.h"

/** Policies that were loaded together. All zero: none. */
struct lp_loaded {
	struct lp_policy *policy;
	struct lp_trial *twin; /**< The same, to compare the next ones with; NULL without --max-moved. */
	time_t when;
	char at[LP_CLOCK_TEXT_SIZE]; /**< When: "2026-11-29T05:14:12Z". */
};

/** Warnings about the policies that are remembered from one reload to the next. */
#define LP_SETUP_TOLD_MAX 32

/** What was said about the policies in use (setup.h), by hashes of the words. */
struct lp_setup_told {
	uint64_t hashes[LP_SETUP_TOLD_MAX];
	uint64_t next[LP_SETUP_TOLD_MAX]; /**< While the next report is made. */
	size_t count;
	size_t next_count;
};

struct lp_data {
	struct limpet_options options;
	struct lp_log log;
	struct lp_workers workers;
	unsigned processes; /**< How many slots have a process of the command. */
	struct lp_sessions *sessions;
	struct lp_shared *shared;
	struct lp_network *trusted;
	enum lp_forwarded_header forwarded_header; /**< That they write. */
	struct lp_session_rule *rules;             /**< What --session names. */
	char learnt[LP_SESSION_LEARNT_SIZE];       /**< What workers look for in responses; "" for sids alone. */
	const struct lp_dialect *dialect;
	struct lp_dialect adapted;  /**< It, when the options change something about it. */
	int stop_signal;            /**< What tells workers to finish; 0: the dialect's own way. */
	struct lp_policy_host host; /**< What policies reach of the above. */
	struct lp_retired_threads retired;
	struct lp_recorder *recorder;
	struct lp_decisions *decisions;
	struct lp_per_address *per_address; /**< NULL when addresses have no limits. */
	struct lp_loaded current;           /**< In use. */
	struct lp_loaded proven;            /**< While the current ones are on probation: those to go back to. */
	struct lp_probation probation;
	struct lp_setup_told told;
	uint64_t past_policy_errors; /**< Of policies that were freed. */
	uint64_t past_policy_kills;  /**< The same. */
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

/** Tell the policies, also those that may come back, of a worker that takes connections. @param data Made. @param worker Its id. */
void lp_data_worker_up(struct lp_data *data, unsigned worker);

/** Tell them of one that takes none any more. @param data Made. @param worker Its id. */
void lp_data_worker_down(struct lp_data *data, unsigned worker);

/**
 * Load the policies again, if a trial finds nothing against them. They are on probation then; the last ones that are not
 * stay beside them.
 *
 * @param data   Made. On success its current policy is the new one; the one before is not to be used any more.
 * @param error  Filled on failure.
 *
 * @return 0; or negative with nothing changed.
 */
int lp_data_reload(struct lp_data *data, struct lp_error *error);

/**
 * Whether the policies can be loaded again: of use when that might have changed without them.
 *
 * @param data   Made.
 * @param error  Filled when they cannot.
 *
 * @return 0, or negative.
 */
int lp_data_can_reload(struct lp_data *data, struct lp_error *error);

/**
 * Note that the current policies were asked.
 *
 * @param data  Made.
 *
 * @return Whether they have just failed their probation. Those before are current again, and the others freed.
 */
bool lp_data_asked(struct lp_data *data);

/** Errors of all policies there ever were. @param data Made. */
uint64_t lp_data_policy_errors(const struct lp_data *data);

/** Hooks that were stopped so far, of all policies that were in use. @param data Made. */
uint64_t lp_data_policy_kills(const struct lp_data *data);

#endif
