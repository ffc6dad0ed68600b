/*
 * Who has an address: the process that listens there, whoever has connections to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/port_holder.h"

/* The kernel lists sockets in an order of its own: with so many connections, hardly ever the listener first. */
#define CONNECTIONS 64

/* A child that accepts all connections and keeps them; it does not listen. Returns when it has them. */
static pid_t accept_in_child(int listener)
{
	int accepted[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe(accepted), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int count = 0;

		while (count < CONNECTIONS && accept(listener, NULL, NULL) >= 0)
			count++;
		close(listener);
		if (count == CONNECTIONS && write(accepted[1], "", 1) == 1)
			pause();
		_exit(EXIT_FAILURE);
	}
	close(accepted[1]);
	assert_int_equal(read(accepted[0], &byte, 1), 1);
	close(accepted[0]);
	return child;
}

/* Listen at an address, let a child have all connections to it, and see that we are named. */
static void assert_listener_is_named(struct lp_listen_address *address)
{
	int listener = socket(address->socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int clients[CONNECTIONS];
	socklen_t length = address->length;
	char text[LP_PORT_HOLDER_SIZE];
	char us[32];
	pid_t child;

	assert_int_equal(bind(listener, &address->socket.any, address->length), 0);
	assert_int_equal(listen(listener, CONNECTIONS), 0);
	assert_int_equal(getsockname(listener, &address->socket.any, &length), 0);
	for (int i = 0; i < CONNECTIONS; i++) {
		clients[i] = socket(address->socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(clients[i], &address->socket.any, address->length), 0);
	}
	child = accept_in_child(listener);

	lp_port_holder_describe(address, text);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	snprintf(us, sizeof(us), "(pid %d)", (int)getpid());
	assert_non_null(strstr(text, us));

	for (int i = 0; i < CONNECTIONS; i++)
		close(clients[i]);
	close(listener);
	lp_port_holder_describe(address, text);
	assert_string_equal(text, "another process");
}

static void parse(const char *text, struct lp_listen_address *address)
{
	assert_int_equal(lp_listen_address_parse(text, address, NULL), 0);
}

static void who_has_connections_to_a_path_does_not_hold_it(void **state)
{
	struct lp_listen_address address;
	char folder[] = "/tmp/limpet-holder-XXXXXX";
	char text[64];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(text, sizeof(text), "unix:%s/socket", folder);
	parse(text, &address);
	assert_listener_is_named(&address);
	unlink(address.socket.un.sun_path);
	rmdir(folder);
}

static void nor_a_port(void **state)
{
	struct lp_listen_address address;

	(void)state;
	parse("127.0.0.1:0", &address);
	assert_listener_is_named(&address);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_connections_to_a_path_does_not_hold_it),
		cmocka_unit_test(nor_a_port),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
