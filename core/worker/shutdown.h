/**
 * Ending workers when limpet stops: who is told when. Private to the worker layer.
 */
#ifndef LP_WORKER_SHUTDOWN_H
#define LP_WORKER_SHUTDOWN_H

struct lp_slot;
struct lp_slots;

/** How far a worker's end has come. shutdown.c has the table. */
enum lp_finish {
	LP_FINISH_UNTOLD,   /**< Nothing was sent to it, or limpet does not stop. */
	LP_FINISH_HURRYING, /**< What keeps it from being told has until the timer's end. */
	LP_FINISH_HURRIED,  /**< That is over. */
	LP_FINISH_TOLD,     /**< It was sent the signal that is to end it. */
	LP_FINISH_STATES,
};

/**
 * Tell everybody to end who can be told by now. To be called when limpet begins to stop, and then whenever something that
 * this depends on has changed.
 *
 * @param slots  Stopping. In a dialect whose workers do not register, nothing happens.
 */
void lp_shutdown_advance(struct lp_slots *slots);

/** The same when what has changed concerns one slot; in every dialect. @param slot Stopping. */
void lp_shutdown_advance_slot(struct lp_slot *slot);

/** The slot's worker has ended: the next is untold. @param slot Any. */
void lp_shutdown_forget(struct lp_slot *slot);

#endif
