#include "base/service_manager.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* A service manager that listens at an abstract address, which nobody has to remove. */
struct fixture {
	char name[64];
	int fd;
	struct lp_service_manager found;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int length = snprintf(fixture->name, sizeof(fixture->name), "@limpet-test-%d", (int)getpid());
	memcpy(address.sun_path + 1, fixture->name + 1, (size_t)length - 1);
	fixture->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	*state = fixture;
	setenv("NOTIFY_SOCKET", fixture->name, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return bind(fixture->fd, (struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length));
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	close(fixture->fd);
	free(fixture);
	return 0;
}

static void it_hears_what_is_told(void **state)
{
	struct fixture *fixture = *state;
	char text[64] = "";
	lp_service_manager_find(&fixture->found);
	lp_service_manager_tell(&fixture->found, "READY=1");
	assert_int_equal(recv(fixture->fd, text, sizeof(text) - 1, 0), 7);
	assert_string_equal(text, "READY=1");
}

static void children_do_not_learn_of_it(void **state)
{
	struct fixture *fixture = *state;
	setenv("WATCHDOG_USEC", "30000000", 1);
	lp_service_manager_find(&fixture->found);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_int_equal(fixture->found.watchdog_ms, 30000);
}

static void another_processs_watchdog_is_not_ours(void **state)
{
	struct fixture *fixture = *state;
	setenv("WATCHDOG_USEC", "30000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	lp_service_manager_find(&fixture->found);
	assert_int_equal(fixture->found.watchdog_ms, 0);
}

static void nobody_waits_and_nothing_is_told(void **state)
{
	struct fixture *fixture = *state;
	const char *const names[] = {"", "relative", "/nowhere/at/all"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		lp_service_manager_find(&fixture->found);
		assert_int_equal(*fixture->found.socket, names[i][0] == '/' ? '/' : '\0');
		lp_service_manager_tell(&fixture->found, "READY=1");
	}
	assert_int_equal(recv(fixture->fd, fixture->name, 1, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_hears_what_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(children_do_not_learn_of_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_processs_watchdog_is_not_ours, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_waits_and_nothing_is_told, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
