/**
 * Guards: calls that end, whatever is called.
 *
 * A guard runs a body that may never return by itself, or that recurses until the C stack is full. A body that takes
 * longer than its time is asked to end (a callback, from a signal handler), and when that does not help left by a jump:
 * its frames are gone, what it held is lost, and what it worked on is to be thrown away unlooked at (policy/arena.h).
 *
 * A guard has a thread that looks at the clock, so that an ordinary call makes no system call and reads no clock itself.
 * That thread sleeps while there are no calls.
 *
 * Signals: while there is a guard, LP_GUARD_SIGNAL and SIGSEGV have handlers of ours in the whole process. What is not
 * for a guard is passed on to the handlers that were there before, which come back with the last lp_guard_free. A
 * program that sets its own LP_GUARD_SIGNAL handler meanwhile loses the guard's protection against endless calls.
 */
#ifndef LP_POLICY_GUARD_H
#define LP_POLICY_GUARD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "policy/retired_threads.h"

/** By default ignored, so that one that comes late does no harm; and sent by nobody but sockets asked to. */
#define LP_GUARD_SIGNAL SIGURG

/** How a guarded call ended. */
enum lp_guard_end {
	LP_GUARD_RETURNED, /**< By itself. */
	LP_GUARD_TIME,     /**< Its time was over, and asking had not helped. */
	LP_GUARD_STACK,    /**< The C stack was full. */
	LP_GUARD_GIVEN_UP, /**< lp_guard_give_up. */
};

struct lp_guard;

/** What is guarded. */
typedef void (*lp_guarded_cb)(void *subject);

/**
 * Asks the body to end soon. Runs in a signal handler on the body's thread, between any two of its instructions, again
 * every few milliseconds; only what is safe there may be done.
 */
typedef void (*lp_guard_ask_cb)(void *owner);

/**
 * Make a guard, and start its thread.
 *
 * @param guard  Set on success; for lp_guard_free.
 * @param ask    As described.
 * @param owner  Passed to ask. Must outlive the guard.
 *
 * @return 0, or negative errno with *guard NULL.
 */
int lp_guard_new(struct lp_guard **guard, lp_guard_ask_cb ask, void *owner);

/**
 * Free a guard, on the thread that last used it; that has to be alive until then.
 *
 * @param guard    NULL, or not running.
 * @param retired  Gets the guard's own thread, which ends soon and touches nothing of the owner's any more. NULL: wait for
 *                 it, on a busy machine for as long as it takes to get a processor.
 */
void lp_guard_free(struct lp_guard *guard, struct lp_retired_threads *retired);

/**
 * Run a body. Its time is not measured before it calls lp_guard_arm.
 *
 * @param guard    Not running, and no other guard runs on this thread.
 * @param body     Called at once. What it calls while armed may be left at any instruction, except for what stands between
 *                 lp_guard_hold and lp_guard_release: it must hold no lock and own no memory then.
 * @param subject  Passed to body.
 *
 * @return How it ended.
 */
enum lp_guard_end lp_guard_run(struct lp_guard *guard, lp_guarded_cb body, void *subject);

/**
 * From here on the time is measured, and the body may be left.
 *
 * @param guard    Running, not armed.
 * @param time_ms  1 and up. The body is asked when this much is over, and left when it has not ended within a quarter of
 *                 that (at least 2 and at most 8 ms) more, counted from when it was asked. The first is up to 5 ms late,
 *                 the second 1 ms. On a machine that does not let it run, both wait until it has had half of that.
 */
void lp_guard_arm(struct lp_guard *guard, uint32_t time_ms);

/** From here on nothing is measured, and the body is not left. @param guard Running. */
void lp_guard_disarm(struct lp_guard *guard);

/**
 * Begin what must not be left halfway. May be nested. When too little stack is left for it, the body ends here.
 *
 * @param guard  When it is not running nothing happens.
 */
void lp_guard_hold(struct lp_guard *guard);

/** End it. When the body should have been left meanwhile, it is left now. @param guard As lp_guard_hold. */
void lp_guard_release(struct lp_guard *guard);

/**
 * Whether the body has nested its calls deeper than it should: past 128 KiB of C stack, or an eighth of what a
 * small stack has. Whoever calls back what called it looks at this first.
 *
 * @param guard  When it is not running, nothing is deep.
 */
bool lp_guard_is_deep(const struct lp_guard *guard);

/** Whether it runs, on this thread. @param guard NULL is allowed. */
bool lp_guard_is_running(const struct lp_guard *guard);

/** Leave the body as when its time was over. @param guard Running, not held. @return Never. */
_Noreturn void lp_guard_give_up(struct lp_guard *guard);

#endif
