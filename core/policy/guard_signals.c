/*
 * Which signal handlers were there before ours. Signal handlers are global by nature, and so is this: one count, under a
 * lock, and what to put back when it is 0 again.
 */
#include "policy/guard_signals.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "policy/guard.h"

static struct {
	pthread_mutex_t lock;
	unsigned users;
	lp_handler_cb on_signal;
	lp_handler_cb on_fault;
	struct sigaction signal_before;
	struct sigaction fault_before;
} handlers = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_function(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) || (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

void lp_guard_signals_pass_on(int number, siginfo_t *info, void *context)
{
	const struct sigaction *before = number == SIGSEGV ? &handlers.fault_before : &handlers.signal_before;

	if (is_function(before)) {
		if (before->sa_flags & SA_SIGINFO)
			before->sa_sigaction(number, info, context);
		else
			before->sa_handler(number);
		return;
	}
	if (number != SIGSEGV)
		return;
	sigaction(SIGSEGV, before, NULL);
	if (info->si_code <= 0)
		raise(SIGSEGV); /* Somebody sent it: nothing will fault again. */
}

/* While either runs, LP_GUARD_SIGNAL waits. What was there is known before ours runs. */
static void install_handler(int number, lp_handler_cb handler, struct sigaction *before)
{
	struct sigaction action = {
		.sa_sigaction = handler,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART,
	};

	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, LP_GUARD_SIGNAL);
	sigaction(number, NULL, before);
	sigaction(number, &action, NULL);
}

static void restore_handler(int number, lp_handler_cb handler, const struct sigaction *before)
{
	struct sigaction now;

	sigaction(number, NULL, &now);
	if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == handler)
		sigaction(number, before, NULL);
}

void lp_guard_signals_landed(void)
{
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, LP_GUARD_SIGNAL);
	sigaddset(&ours, SIGSEGV);
	pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
}

void lp_guard_signals_install(lp_handler_cb on_signal, lp_handler_cb on_fault)
{
	pthread_mutex_lock(&handlers.lock);
	if (handlers.users++ == 0) {
		handlers.on_signal = on_signal;
		handlers.on_fault = on_fault;
		install_handler(LP_GUARD_SIGNAL, on_signal, &handlers.signal_before);
		install_handler(SIGSEGV, on_fault, &handlers.fault_before);
	}
	pthread_mutex_unlock(&handlers.lock);
}

void lp_guard_signals_restore(void)
{
	pthread_mutex_lock(&handlers.lock);
	if (--handlers.users == 0) {
		restore_handler(LP_GUARD_SIGNAL, handlers.on_signal, &handlers.signal_before);
		restore_handler(SIGSEGV, handlers.on_fault, &handlers.fault_before);
	}
	pthread_mutex_unlock(&handlers.lock);
}
