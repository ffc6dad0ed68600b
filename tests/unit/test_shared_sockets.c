/*
 * Sockets that workers share: one for each address, for as long as somebody has it, or may come to have it again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "worker/shared_sockets.h"

static const struct lp_socket_address any_port = {.kind = LP_SOCKET_TCP, .host = "127.0.0.1"};

static int port_of(int fd)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	return ntohs(((struct sockaddr_in *)&address)->sin_port); /* At the same place in either family. */
}

static bool is_open(int fd)
{
	int type;
	socklen_t length = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0;
}

static void the_same_address_is_the_same_socket(void **state)
{
	struct lp_shared_sockets sockets = {0};
	struct lp_socket_address second = any_port;
	(void)state;
	int fd = lp_shared_sockets_get(&sockets, &any_port);
	assert_true(fd >= 0);
	assert_int_equal(lp_shared_sockets_get(&sockets, &any_port), fd);
	second.index = 1;
	assert_int_not_equal(lp_shared_sockets_get(&sockets, &second), fd);
	lp_shared_sockets_close(&sockets);
	assert_false(is_open(fd));
}

static void the_last_that_closes_it_ends_it_and_a_death_does_not(void **state)
{
	struct lp_shared_sockets sockets = {0};
	(void)state;
	int fd = lp_shared_sockets_get(&sockets, &any_port);
	int port = port_of(fd);
	lp_shared_sockets_get(&sockets, &any_port);
	lp_shared_sockets_drop(&sockets, fd, true);
	assert_true(is_open(fd));
	lp_shared_sockets_drop(&sockets, fd, false);
	assert_int_equal(port_of(lp_shared_sockets_get(&sockets, &any_port)), port);
	lp_shared_sockets_drop(&sockets, fd, true);
	assert_false(is_open(fd));
	assert_int_equal(sockets.count, 0);
}

static void a_host_that_is_none_is_both_families(void **state)
{
	struct lp_shared_sockets sockets = {0};
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	(void)state;
	int fd = lp_shared_sockets_get(&sockets, &(struct lp_socket_address){.kind = LP_SOCKET_TCP, .six = true});
	assert_true(fd >= 0);
	assert_int_equal(listen(fd, 1), 0);
	here.sin_port = htons((uint16_t)port_of(fd));
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&here, sizeof(here)), 0);
	close(client);
	lp_shared_sockets_close(&sockets);
}

static void a_path_goes_with_its_socket(void **state)
{
	struct lp_shared_sockets sockets = {0};
	struct lp_socket_address address = {.kind = LP_SOCKET_PATH};
	(void)state;
	char folder[] = "/tmp/limpet-shared-XXXXXX";
	assert_non_null(mkdtemp(folder));
	snprintf(address.host, sizeof(address.host), "%s/s", folder);
	int fd = lp_shared_sockets_get(&sockets, &address);
	assert_true(fd >= 0);
	assert_int_equal(access(address.host, F_OK), 0);
	lp_shared_sockets_drop(&sockets, fd, true);
	assert_int_not_equal(access(address.host, F_OK), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void what_is_taken_or_nowhere_is_an_error(void **state)
{
	struct lp_shared_sockets sockets = {0};
	struct lp_socket_address taken = any_port;
	(void)state;
	int fd = lp_shared_sockets_get(&sockets, &any_port);
	assert_int_equal(listen(fd, 1), 0);
	taken.port = port_of(fd);
	assert_int_equal(lp_shared_sockets_get(&sockets, &taken), UV_EADDRINUSE);
	strcpy(taken.host, "no.host");
	assert_int_equal(lp_shared_sockets_get(&sockets, &taken), UV_EINVAL);
	lp_shared_sockets_close(&sockets);
}

static void those_that_nobody_has_make_room(void **state)
{
	struct lp_shared_sockets sockets = {0};
	struct lp_socket_address address = any_port;
	(void)state;
	for (address.index = 0; address.index < LP_SHARED_SOCKETS_MAX; address.index++)
		assert_true(lp_shared_sockets_get(&sockets, &address) >= 0);
	assert_int_equal(lp_shared_sockets_get(&sockets, &address), UV_ENFILE);
	lp_shared_sockets_drop(&sockets, sockets.all[3].fd, false);
	assert_true(lp_shared_sockets_get(&sockets, &address) >= 0);
	lp_shared_sockets_close(&sockets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_address_is_the_same_socket),
		cmocka_unit_test(the_last_that_closes_it_ends_it_and_a_death_does_not),
		cmocka_unit_test(a_host_that_is_none_is_both_families),
		cmocka_unit_test(a_path_goes_with_its_socket),
		cmocka_unit_test(what_is_taken_or_nowhere_is_an_error),
		cmocka_unit_test(those_that_nobody_has_make_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
