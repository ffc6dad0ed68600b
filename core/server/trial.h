/**
 * Trials: policies are tried before they are used, and watched while they are new.
 *
 * A trial is a second instance of policies in surroundings of its own: a copy of the workers, a view of the sessions
 * (lp_sessions_new_view), an empty limpet.shared, a log in memory. What policies do in there nobody outside notices: no
 * worker's turn is taken, no session is bound or counted as used, nothing is counted. The instance that is used later is
 * another one, which has never seen a made-up connection.
 */
#ifndef LP_SERVER_TRIAL_H
#define LP_SERVER_TRIAL_H

#include "base/error.h"
#include "limpet/balancer.h"
#include "policy/policy.h"
#include "server/recorder.h"

/** How much of the processor's time recorded connections may take in all; the loop stands still meanwhile. Those left over are
 * not tried. */
#define LP_TRIAL_BUDGET_MS 4

/** How many of the live sessions are tried: those used last. */
#define LP_TRIAL_SESSIONS 256

/** How many calls a new policy's probation lasts; it has failed when this many of them have. */
#define LP_PROBATION_CALLS 20
#define LP_PROBATION_FAILURES 3

struct lp_trial;

/**
 * Load policies for a trial.
 *
 * @param out      Set on success; for lp_trial_free.
 * @param live     What the policies in use reach. Borrowed; must outlive the trial.
 * @param options  Names the policies and the listeners. Borrowed; must outlive the trial.
 * @param error    Filled on failure, as by lp_policy_load.
 *
 * @return 0; or negative with *out NULL.
 */
int lp_trial_new(struct lp_trial **out, const struct lp_policy_host *live, const struct limpet_options *options,
		 struct lp_error *error);

/**
 * The policies that are tried, for lp_policy_copy: what is used then is what was tried, whatever is in the files by now.
 *
 * @param trial  Borrowed.
 *
 * @return The trial's.
 */
const struct lp_policy *lp_trial_policy(const struct lp_trial *trial);

/** Free a trial and its policies. @param trial NULL is allowed. */
void lp_trial_free(struct lp_trial *trial);

/**
 * The dry run: ask about made-up connections (IPv4, IPv6, HTTP with and without a session, TLS, neither, odd ones) at
 * each listener, and about the recorded ones. While no worker is usable, all are for the trial.
 *
 * @param trial     Borrowed.
 * @param recorder  Borrowed.
 * @param error     Filled on failure: what was raised, file and line, and on which connection.
 *
 * @return 0; LP_EPOLICY when a hook raised an error or returned no answer; -ENOMEM.
 */
int lp_trial_run(struct lp_trial *trial, const struct lp_recorder *recorder, struct lp_error *error);

/**
 * Refuse to move clients: ask two trials about the recorded connections and about requests with the sids of live
 * sessions, and count those that the old policies send to a worker and the new ones elsewhere. Policies that choose
 * without regard to the client (random, round_robin, least_connections) have nothing that could stay: beside them the
 * share means little.
 *
 * @param trial        Of the new policies.
 * @param before       Of those in use.
 * @param recorder     Borrowed.
 * @param max_percent  0 – 100: the largest share that may move.
 * @param error        Filled on failure: how many would move, and from where to where.
 *
 * @return 0; LP_EPOLICY when more would move; -ENOMEM.
 */
int lp_trial_compare(struct lp_trial *trial, struct lp_trial *before, const struct lp_recorder *recorder,
		     unsigned max_percent, struct lp_error *error);

/** A policy's first live calls. All zero at first. */
struct lp_probation {
	unsigned calls;
	unsigned failed;
	uint64_t errors; /**< lp_policy_errors after the last call. */
};

enum lp_probation_state { LP_PROBATION_ON, LP_PROBATION_PASSED, LP_PROBATION_FAILED };

/** Note a call. @param probation Not over yet. @param errors lp_policy_errors now. @return How it stands. */
enum lp_probation_state lp_probation_note(struct lp_probation *probation, uint64_t errors);

#endif
