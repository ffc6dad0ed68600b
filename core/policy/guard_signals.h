/**
 * The signal handlers of guards, which belong to the process: installed with the first guard, gone with the last.
 *
 * What is not for a guard is passed on to the handlers that were there before.
 */
#ifndef LP_POLICY_GUARD_SIGNALS_H
#define LP_POLICY_GUARD_SIGNALS_H

#include <signal.h>

/** Handles a signal, as sigaction has it. */
typedef void (*lp_handler_cb)(int number, siginfo_t *info, void *context);

/**
 * Install the handlers, or count that one more needs them. They run on the thread's stack for signals. While one runs its
 * signal is blocked, and LP_GUARD_SIGNAL in any case: whoever leaves one by siglongjmp calls lp_guard_signals_landed.
 *
 * @param on_signal  For LP_GUARD_SIGNAL. The same in every call, as the next.
 * @param on_fault   For SIGSEGV.
 */
void lp_guard_signals_install(lp_handler_cb on_signal, lp_handler_cb on_fault);

/** Undo one lp_guard_signals_install; the last puts back what was there before, unless somebody else's came in between. */
void lp_guard_signals_restore(void);

/** After a jump out of a handler: unblock what was blocked while it ran. */
void lp_guard_signals_landed(void);

/**
 * Pass a signal to the handler that it would have reached without ours. Called in a handler; a fault without a handler of others kills by
 * happening once more after the return.
 *
 * @param number   As the handler was given it, as the next two.
 * @param info     Borrowed.
 * @param context  Borrowed.
 */
void lp_guard_signals_pass_on(int number, siginfo_t *info, void *context);

#endif
