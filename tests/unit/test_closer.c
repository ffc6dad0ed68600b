#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "base/clock.h"
#include "connection/closer.h"
#include "loopback_fixture.h"

/* As long as a blocked close would take; far longer than any other step here. */
#define LINGER_S 60

static void set_linger(int fd, int seconds)
{
	struct linger linger = {.l_onoff = 1, .l_linger = seconds};
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
}

/* A connection that a worker has filled with more than its client takes. Sets how much is in it. */
static struct connection make_full(size_t *bytes)
{
	static const char chunk[65536];
	struct connection connection = make_connection("");
	int size = 4096;
	ssize_t written;
	*bytes = 0;
	setsockopt(connection.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_int_equal(fcntl(connection.fd, F_SETFL, O_NONBLOCK), 0);
	while ((written = write(connection.fd, chunk, sizeof(chunk))) > 0)
		*bytes += (size_t)written;
	return connection;
}

static void assert_quick(uint64_t since_ns)
{
	assert_true(lp_clock_ns() - since_ns < (uint64_t)LINGER_S * 1000000000 / 2);
}

static size_t read_to_the_end(int client)
{
	char bytes[65536];
	size_t total = 0;
	ssize_t got;
	while ((got = read(client, bytes, sizeof(bytes))) > 0)
		total += (size_t)got;
	assert_int_equal(got, 0);
	return total;
}

static void a_lingering_descriptor_is_closed_without_waiting_and_loses_nothing(void **state)
{
	struct lp_closer *closer = lp_closer_new();
	size_t bytes;
	struct connection connection = make_full(&bytes);
	uint64_t began = lp_clock_ns();
	(void)state;
	set_linger(connection.fd, LINGER_S);
	lp_closer_close(closer, connection.fd);
	lp_closer_free(closer);
	assert_quick(began);
	assert_int_equal(read_to_the_end(connection.client), bytes);
	close(connection.client);
}

static void more_than_it_has_room_for_are_closed_at_once(void **state)
{
	enum { COUNT = LP_CLOSER_MAX + 10 };
	struct lp_closer *closer = lp_closer_new();
	struct connection connections[COUNT];
	size_t bytes[COUNT];
	uint64_t began = lp_clock_ns();
	(void)state;
	for (int i = 0; i < COUNT; i++) {
		connections[i] = make_full(&bytes[i]);
		set_linger(connections[i].fd, LINGER_S);
		lp_closer_close(closer, connections[i].fd);
	}
	lp_closer_free(closer);
	assert_quick(began);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(read_to_the_end(connections[i].client), bytes[i]);
		close(connections[i].client);
	}
}

static void the_option_stays_as_its_worker_has_set_it(void **state)
{
	struct lp_closer *closer = lp_closer_new();
	struct connection connection = make_connection("");
	int workers = dup(connection.fd);
	struct linger linger = {0};
	socklen_t length = sizeof(linger);
	(void)state;
	set_linger(workers, LINGER_S);
	lp_closer_close(closer, connection.fd);
	assert_int_equal(getsockopt(workers, SOL_SOCKET, SO_LINGER, &linger, &length), 0);
	assert_int_equal(linger.l_onoff, 1);
	assert_int_equal(linger.l_linger, LINGER_S);
	lp_closer_free(closer);
	close(workers);
	close(connection.client);
}

static void a_worker_that_wants_a_reset_gets_one(void **state)
{
	struct lp_closer *closer = lp_closer_new();
	struct connection connection = make_connection("GET");
	char byte;
	(void)state;
	set_linger(connection.fd, 0);
	lp_closer_close(closer, connection.fd);
	await_bytes(connection.client);
	assert_int_equal(read(connection.client, &byte, 1), -1);
	lp_closer_free(closer);
	close(connection.client);
}

static void others_are_closed_at_once(void **state)
{
	struct lp_closer *closer = lp_closer_new();
	struct connection connection = make_connection("");
	(void)state;
	lp_closer_close(closer, connection.fd);
	assert_int_equal(fcntl(connection.fd, F_GETFD), -1);
	lp_closer_free(closer);
	lp_closer_free(NULL);
	close(connection.client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lingering_descriptor_is_closed_without_waiting_and_loses_nothing),
		cmocka_unit_test(more_than_it_has_room_for_are_closed_at_once),
		cmocka_unit_test(the_option_stays_as_its_worker_has_set_it),
		cmocka_unit_test(a_worker_that_wants_a_reset_gets_one),
		cmocka_unit_test(others_are_closed_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
