/*
 * Who handles SIGTERM: a program does, a runtime that always catches it does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <signal.h>

#include "preload/sigterm.h"

static void handle(int signal)
{
	(void)signal;
}

static void handle_with_more(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	(void)context;
}

static void set(struct sigaction action)
{
	assert_int_equal(sigaction(SIGTERM, &action, NULL), 0);
}

static int tear_down(void **state)
{
	(void)state;
	set((struct sigaction){.sa_handler = SIG_DFL});
	return 0;
}

static void the_default_is_not_handled(void **state)
{
	(void)state;
	set((struct sigaction){.sa_handler = SIG_DFL});
	assert_false(lp_handles_sigterm());
}

static void ignored_is_not_handled(void **state)
{
	(void)state;
	set((struct sigaction){.sa_handler = SIG_IGN});
	assert_false(lp_handles_sigterm());
	set((struct sigaction){.sa_handler = SIG_IGN, .sa_flags = SA_RESTART});
	assert_false(lp_handles_sigterm());
}

static void a_handler_handles_it(void **state)
{
	(void)state;
	set((struct sigaction){.sa_handler = handle, .sa_flags = SA_RESTART});
	assert_true(lp_handles_sigterm());
	set((struct sigaction){.sa_sigaction = handle_with_more, .sa_flags = SA_SIGINFO});
	assert_true(lp_handles_sigterm());
}

/* As Node's, which restores the terminal and dies. */
static void a_handler_for_one_time_does_not(void **state)
{
	(void)state;
	set((struct sigaction){.sa_handler = handle, .sa_flags = (int)SA_RESETHAND});
	assert_false(lp_handles_sigterm());
	set((struct sigaction){.sa_sigaction = handle_with_more, .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND)});
	assert_false(lp_handles_sigterm());
}

/* Java's, which catches it whatever the program does. */
static void the_virtual_machines_handler_does_not(void **state)
{
	(void)state;
	void *library = dlopen(LIMPET_TEST_LIBJVM, RTLD_NOW);
	assert_non_null(library);
	void (*handler)(int);
	*(void **)&handler = dlsym(library, "handle_user_signal");
	assert_non_null(handler);
	set((struct sigaction){.sa_handler = handler});
	assert_false(lp_handles_sigterm());
	set((struct sigaction){.sa_handler = SIG_DFL});
	dlclose(library);
}

static void asking_changes_nothing(void **state)
{
	(void)state;
	struct sigaction after;
	set((struct sigaction){.sa_handler = handle, .sa_flags = SA_RESTART | SA_NODEFER});
	lp_handles_sigterm();
	assert_int_equal(sigaction(SIGTERM, NULL, &after), 0);
	assert_ptr_equal(after.sa_handler, handle);
	assert_int_equal(after.sa_flags & (SA_RESTART | SA_NODEFER), SA_RESTART | SA_NODEFER);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_default_is_not_handled),
		TEST(ignored_is_not_handled),
		TEST(a_handler_handles_it),
		TEST(a_handler_for_one_time_does_not),
		TEST(the_virtual_machines_handler_does_not),
		TEST(asking_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
