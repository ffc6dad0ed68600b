/**
 * The keeper: the process that a user starts. It starts the balancer, holds what outlives it, and starts the next one when it
 * has died.
 *
 *     state       meaning                                   leaves on
 *     STARTING    a balancer runs that serves nobody yet    it serves -> SERVING; it ends -> WAITING, or the keeper ends
 *     SERVING     a balancer serves                         a signal kills it -> STARTING; it ends by itself: so does the keeper
 *     WAITING     none runs: the last ones failed to begin  the pause is over -> STARTING
 *
 * The first balancer's failure to begin is the keeper's: somebody waits for that answer. A later one's is not: there are
 * workers with clients, so it is tried again, at once, then after growing pauses.
 *
 * Only the keeper takes signals; it passes them on. Balancers are in a process group of their own, so ^C reaches them once.
 * It is a subreaper: workers of a balancer that has died become its children. It reads nothing but its balancer's messages,
 * and opens no descriptor after it has begun.
 */
#ifndef LP_KEEPER_KEEPER_H
#define LP_KEEPER_KEEPER_H

#include "keeper/lasting.h"

/** After this number of deaths by its own errors within LP_KEEPER_WINDOW_MS, the next balancer starts with nothing. */
#define LP_KEEPER_DEATHS 5
#define LP_KEEPER_WINDOW_MS 10000

/**
 * Run balancers until one ends by itself.
 *
 * @param bytes     Of lasting memory.
 * @param balancer  Runs in a process of its own, with SIGTERM, SIGINT, SIGHUP and SIGQUIT blocked: it unblocks them
 *                  (lp_keeper_unblock_signals) when it can take them. Returns the exit status.
 * @param owner     Passed to it.
 *
 * @return The exit status; or negative errno with nothing started.
 */
int lp_keeper_run(size_t bytes, int (*balancer)(void *owner, struct lp_lasting *lasting), void *owner);

/** Take signals from here on. In a balancer, or in a process without a keeper. */
void lp_keeper_unblock_signals(void);

/** In a balancer: it ends with the keeper. To be said again when the process has become another user.
 * @param lasting Open, or NULL: then nothing is done. */
void lp_keeper_die_with(const struct lp_lasting *lasting);

#endif
