/**
 * Ending workers that registered (slot.h): who is told when.
 */
#ifndef LP_WORKER_SHUTDOWN_H
#define LP_WORKER_SHUTDOWN_H

struct lp_slot;
struct lp_slots;

/**
 * Tell everybody to end who can be told by now. To be called when limpet begins to stop, and then whenever something that
 * this depends on has changed.
 *
 * @param slots  Stopping; of a dialect whose workers register.
 */
void lp_shutdown_advance(struct lp_slots *slots);

#endif
