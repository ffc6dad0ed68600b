/*
 * What is not for a guard goes where it would have gone without one, and comes back with the last of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "policy/guard.h"

#ifdef __SANITIZE_THREAD__
/* Two tests fork, and start a guard in the child. */
const char *__tsan_default_options(void);

__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}
#endif

static void on_ask(void *owner)
{
	++*(unsigned *)owner;
}

static void touch_nothing(void *subject)
{
	volatile char *volatile nowhere = (volatile char *)(uintptr_t)64;

	lp_guard_arm(subject, 10000);
	*nowhere = 1;
}

/* Runs what faults, in a child with such a handler for faults. Returns how it ended, as waitpid has it. */
static int fault_with(void (*handler)(int))
{
	struct lp_guard *guard;
	unsigned asked = 0;
	int status;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGSEGV, handler);
		if (lp_guard_new(&guard, on_ask, &asked) == 0)
			lp_guard_run(guard, touch_nothing, guard);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void on_fault_before(int number)
{
	(void)number;
	_exit(42);
}

static void a_fault_that_is_no_full_stack_goes_where_it_went_before(void **state)
{
	int status = fault_with(on_fault_before);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
}

static void or_kills_as_it_would_have(void **state)
{
	int status = fault_with(SIG_DFL);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static volatile sig_atomic_t passed_on;

static void on_signal_before(int number)
{
	passed_on += number == LP_GUARD_SIGNAL;
}

static void signals_of_others_are_passed_on_and_their_handlers_come_back(void **state)
{
	struct lp_guard *first;
	struct lp_guard *second;
	struct sigaction now;
	unsigned asked = 0;

	(void)state;
	passed_on = 0;
	signal(LP_GUARD_SIGNAL, on_signal_before);
	assert_int_equal(lp_guard_new(&first, on_ask, &asked), 0);
	assert_int_equal(lp_guard_new(&second, on_ask, &asked), 0);
	raise(LP_GUARD_SIGNAL);
	assert_int_equal(passed_on, 1);
	assert_int_equal(asked, 0);

	lp_guard_free(first, NULL);
	sigaction(LP_GUARD_SIGNAL, NULL, &now);
	assert_ptr_not_equal(now.sa_handler, on_signal_before);
	lp_guard_free(second, NULL);
	sigaction(LP_GUARD_SIGNAL, NULL, &now);
	assert_ptr_equal(now.sa_handler, on_signal_before);
	signal(LP_GUARD_SIGNAL, SIG_DFL);
}

static void leave_by_signal(void *subject)
{
	lp_guard_arm(subject, 1);
	for (;;)
		lp_clock_ns();
}

static void a_stop_leaves_no_signal_blocked(void **state)
{
	struct lp_guard *guard;
	sigset_t blocked;
	unsigned asked = 0;

	(void)state;
	assert_int_equal(lp_guard_new(&guard, on_ask, &asked), 0);
	assert_int_equal(lp_guard_run(guard, leave_by_signal, guard), LP_GUARD_TIME);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	assert_false(sigismember(&blocked, LP_GUARD_SIGNAL));
	assert_false(sigismember(&blocked, SIGSEGV));
	lp_guard_free(guard, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_that_is_no_full_stack_goes_where_it_went_before),
		cmocka_unit_test(or_kills_as_it_would_have),
		cmocka_unit_test(signals_of_others_are_passed_on_and_their_handlers_come_back),
		cmocka_unit_test(a_stop_leaves_no_signal_blocked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
