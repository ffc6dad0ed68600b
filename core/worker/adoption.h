/**
 * The next balancer takes over the workers that the last one had (survivors.h).
 */
#ifndef LP_WORKER_ADOPTION_H
#define LP_WORKER_ADOPTION_H

struct lp_slots;

/**
 * Go on with the workers of an earlier balancer. Sessions of workers that have ended meanwhile are forgotten.
 *
 * @param slots  Prepared, with a registry if the dialect has one; programs that it knows are in their slots.
 */
void lp_adopt_survivors(struct lp_slots *slots);

#endif
