/**
 * Orphans: processes that a program has started and left. They become children of this process instead of init's, so
 * that a worker that is a daemon can still be told from a stranger; and this process sees to it that they leave no zombies.
 *
 * For a process that is limpet's alone: every child of it that ends is reaped.
 */
#ifndef LP_WORKER_ORPHANS_H
#define LP_WORKER_ORPHANS_H

#include <stdbool.h>
#include <uv.h>

struct lp_orphans {
	uv_signal_t child;
	uv_timer_t later;
	/** Whether somebody else waits for a child. */
	bool (*is_waited_for)(void *owner, int pid);
	void *owner;
	void (*closed)(void *owner);
	void *closed_owner;
	unsigned open_handles; /**< 0: not started. */
};

/**
 * Adopt orphans from now on.
 *
 * @param orphans        The caller's memory, until lp_orphans_close has ended.
 * @param loop           Borrowed.
 * @param is_waited_for  Answers for children that are not orphans.
 * @param owner          Passed to it.
 *
 * @return 0; or negative errno with nothing to close.
 */
int lp_orphans_adopt(struct lp_orphans *orphans, uv_loop_t *loop, bool (*is_waited_for)(void *owner, int pid),
		     void *owner);

/**
 * Leave them to init again.
 *
 * @param orphans  Started, or all zero.
 * @param closed   Runs once, on the loop, maybe before this returns.
 * @param owner    Passed to closed.
 */
void lp_orphans_close(struct lp_orphans *orphans, void (*closed)(void *owner), void *owner);

#endif
