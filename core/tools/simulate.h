/**
 * `limpet simulate`: what a policy does to many clients and workers, without any of them.
 *
 * Made-up clients (tools/clients.h) come one after another and open their connections; each is routed by the real policy,
 * and by the balancer's fallback where that has no opinion. Nothing closes until all are there: what is seen is how full
 * the workers get. Then, when a worker dies, returns, or workers are added, every client comes again, with its sid
 * unless the worker that knew it died; its old connections close when its new ones are open.
 */
#ifndef LP_TOOLS_SIMULATE_H
#define LP_TOOLS_SIMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "tools/chart.h"

/** Workers are numbered 1 to LP_SIMULATION_WORKERS_MAX. */
#define LP_SIMULATION_WORKERS_MAX 256

/** What to simulate. All borrowed. */
struct lp_simulation {
	const char *const *policies; /**< As for lp_policy_load. */
	size_t policy_count;
	const char *const *settings; /**< "key=value" each. */
	size_t setting_count;
	unsigned clients; /**< 1 – 10,000,000; each takes about 40 bytes, and 66 of a session. */
	unsigned workers; /**< At first. With `add` at most LP_SIMULATION_WORKERS_MAX. */
	unsigned kill;    /**< The worker that dies and returns, 1 – workers; 0: none. Needs two workers. */
	unsigned add;     /**< Workers that are added at last; 0: none. */
	bool nat;         /**< Many clients share few addresses. */
};

/** One occasion for clients to move. */
struct lp_simulated_move {
	double share; /**< Of the clients, 0 – 1: whose worker is another one than before. */
	double ideal; /**< What rendezvous hashing would move, on average. */
};

/** What came of it. */
struct lp_simulated {
	uint64_t connections[LP_SIMULATION_WORKERS_MAX]; /**< By worker id - 1, when all clients are there. */
	uint64_t total;                                  /**< Of these. */
	uint64_t refused;                                /**< Connections that the policy refused, at any time. */
	uint64_t together;                               /**< Clients that have all their connections at one worker. */
	uint64_t errors;                                 /**< lp_policy_errors at the end. */
	struct lp_simulated_move died;                   /**< With `kill`: against the time before. */
	struct lp_simulated_move returned;               /**< With `kill`: against the time before the death. */
	struct lp_simulated_move added;                  /**< With `add`: against the time before. */
};

/**
 * Simulate. The same simulation of the same policy ends the same on every run: math.random begins with the same seed,
 * and the clock that policies see goes on by a millisecond with each client. Errors of hooks are written to standard
 * error, as the balancer logs them.
 *
 * @param what    Borrowed.
 * @param result  Filled on success.
 * @param error   Filled on failure.
 *
 * @return 0; LP_EUSAGE for numbers that do not fit together, what lp_policy_load returns, or -ENOMEM.
 */
int lp_simulation_run(const struct lp_simulation *what, struct lp_simulated *result, struct lp_error *error);

/**
 * Simulate and print what came of it.
 *
 * @param what   Borrowed.
 * @param style  How to draw. Borrowed.
 * @param svg    Path of the picture to write as well, or NULL. An existing file is overwritten.
 * @param out    Where to print. Borrowed.
 * @param error  Filled on failure.
 *
 * @return As lp_simulation_run; or negative errno when the picture or out cannot be written.
 */
int lp_simulate(const struct lp_simulation *what, const struct lp_chart_style *style, const char *svg, FILE *out,
		struct lp_error *error);

#endif
