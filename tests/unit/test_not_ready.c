/*
 * What is said of a program that runs and is not ready: the thing, the value, the remedy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/not_ready.h"

static struct lp_not_ready unready(const struct lp_dialect *dialect)
{
	return (struct lp_not_ready){.name = "server",
				     .pid = 4711,
				     .dialect = dialect,
				     .addresses = "5107,unix:/run/app.sock",
				     .seconds = 10,
				     .has_library = true,
				     .path = "/usr/bin/server"};
}

static void assert_told(const struct lp_not_ready *what, const char *expected)
{
	char text[LP_NOT_READY_TEXT_MAX];
	lp_not_ready_describe(what, text);
	assert_string_equal(text, expected);
}

static void assert_told_among_others(const struct lp_not_ready *what, const char *begin, const char *part)
{
	char text[LP_NOT_READY_TEXT_MAX];
	lp_not_ready_describe(what, text);
	if (strncmp(text, begin, strlen(begin)) != 0 || !strstr(text, part))
		fail_msg("\"%s\" is not \"%s… %s…\"", text, begin, part);
}

static void on_another_port_both_are_named(void **state)
{
	(void)state;
	struct lp_not_ready what = unready(&lp_dialect_preload);
	what.listens = (struct lp_listening_ports){.ports = {4107}, .count = 1};
	assert_told(&what,
		    "server (pid 4711) listens on 4107, limpet on 5107, unix:/run/app.sock: make them the same, or "
		    "start limpet with --listen :4107");
	what.addresses = "5107";
	what.dialect = &lp_dialect_node;
	what.listens = (struct lp_listening_ports){.ports = {9229, 4107, 80}, .count = 3};
	assert_told(&what,
		    "server (pid 4711) listens on 9229, 4107 and 80, limpet on 5107: make them the same, or start "
		    "limpet with --listen :9229");
}

static void without_the_library_the_reason_is_told(void **state)
{
	(void)state;
	struct lp_not_ready what = unready(&lp_dialect_preload);
	what.listens = (struct lp_listening_ports){.ports = {5107}, .count = 1};
	what.has_library = false;
	assert_told_among_others(&what, "server (pid 4711) listens on 5107 by itself: /usr/bin/server runs without ",
				 "env -i, sudo");
	what.obstacle = LP_OBSTACLE_STATIC;
	assert_told_among_others(&what,
				 "server (pid 4711) listens on 5107 by itself: /usr/bin/server is linked statically",
				 "native dialect");
	what.obstacle = LP_OBSTACLE_PRIVILEGED;
	assert_told_among_others(&what, "server (pid 4711) listens on 5107 by itself: ", "setcap -r /usr/bin/server");
}

static void past_the_c_library_on_our_port(void **state)
{
	(void)state;
	struct lp_not_ready what = unready(&lp_dialect_preload);
	what.listens = (struct lp_listening_ports){.ports = {4107, 5107}, .count = 2};
	assert_told_among_others(&what, "server (pid 4711) listens on 4107 and 5107 past the C library", "io_uring");
}

static void one_that_listens_nowhere_is_told_where_to(void **state)
{
	(void)state;
	struct lp_not_ready what = unready(&lp_dialect_preload);
	assert_told(&what,
		    "server (pid 4711) has run for 10 s and is not ready: it listens on no port, and is ready once it "
		    "listens on 5107, unix:/run/app.sock or on descriptor 3");
	what.dialect = &lp_dialect_node;
	what.has_library = false;
	what.obstacle = LP_OBSTACLE_LIBC;
	assert_told_among_others(
		&what,
		"server (pid 4711) has run for 10 s and is not ready: it listens on no port, and is ready "
		"once it listens on 5107, unix:/run/app.sock; /usr/bin/server is built for musl",
		"glibc");
}

static void where_workers_are_given_their_channel_the_dialect_is_in_question(void **state)
{
	(void)state;
	struct lp_not_ready what = unready(&lp_dialect_native);
	assert_told(&what,
		    "server (pid 4711) has run for 10 s and is not ready: in the dialect native it is ready once it "
		    "says \"ready\" on its channel (limpet/worker.h); leave --dialect out if it is a server that "
		    "listens by itself");
	what.listens = (struct lp_listening_ports){.ports = {4107}, .count = 1};
	assert_told(&what,
		    "server (pid 4711) listens on 4107 by itself, but in the dialect native connections come over a "
		    "channel: leave --dialect out");
}

static void a_long_path_is_cut_and_nothing_else(void **state)
{
	(void)state;
	struct lp_not_ready what = unready(&lp_dialect_preload);
	char text[LP_NOT_READY_TEXT_MAX];
	what.listens = (struct lp_listening_ports){.ports = {5107}, .count = 1};
	what.has_library = false;
	memset(what.path, 'x', sizeof(what.path) - 1);
	lp_not_ready_describe(&what, text);
	assert_int_equal(strlen(text), LP_NOT_READY_TEXT_MAX - 1);
}

/* Of this very process, which is in somebody's session. */
static void what_listens_is_found(void **state)
{
	(void)state;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	struct lp_listening_ports listens;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(listen(fd, 1), 0);
	pid_t child = fork();
	if (child == 0) {
		setsid();
		for (;;)
			pause();
	}
	while (getsid(child) != child)
		usleep(1000);
	lp_listening_ports_find(child, &listens);
	kill(child, SIGKILL);
	close(fd);
	assert_int_equal(listens.count, 1);
	assert_int_equal(listens.ports[0], ntohs(address.sin_port));
	assert_int_equal(listens.pid, child);
	assert_int_equal(waitpid(child, NULL, 0), child);
	lp_listening_ports_find(child, &listens);
	assert_int_equal(listens.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_another_port_both_are_named),
		cmocka_unit_test(without_the_library_the_reason_is_told),
		cmocka_unit_test(past_the_c_library_on_our_port),
		cmocka_unit_test(one_that_listens_nowhere_is_told_where_to),
		cmocka_unit_test(where_workers_are_given_their_channel_the_dialect_is_in_question),
		cmocka_unit_test(a_long_path_is_cut_and_nothing_else),
		cmocka_unit_test(what_listens_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
