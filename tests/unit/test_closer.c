#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>

#include "base/clock.h"
#include "connection/closer.h"
#include "loopback_fixture.h"
#include "wire/scm_rights.h"

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

/* The thread lingers over none of them, and makes room all the time. */
static void more_than_it_has_room_for_are_closed_without_waiting_for_each(void **state)
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

/* Until its client's window is full, too: then the end waits for the client. */
static void fill_up(int fd)
{
	static const char chunk[65536];
	struct pollfd room = {.fd = fd, .events = POLLOUT};
	while (poll(&room, 1, 50) == 1)
		assert_true(write(fd, chunk, sizeof(chunk)) > 0);
}

static void send_descriptor(int socket, int fd)
{
	assert_int_equal(lp_scm_rights_send(socket, "x", 1, fd), 1);
	close(fd);
}

/* Nobody has received it: it is inside of the socket, or of one that is inside of it. */
static void what_lingers_inside_of_a_unix_socket_is_closed_without_waiting(void **state)
{
	static const int types[] = {SOCK_SEQPACKET, SOCK_STREAM};
	struct lp_closer *closer = lp_closer_new();
	(void)state;
	for (int depth = 0; depth < 2; depth++)
		for (int i = 0; i < 2; i++) {
			size_t bytes;
			struct connection connection = make_full(&bytes);
			int outer[2];
			int inner[2];
			fill_up(connection.fd);
			set_linger(connection.fd, LINGER_S);
			assert_int_equal(socketpair(AF_UNIX, types[i], 0, outer), 0);
			assert_int_equal(socketpair(AF_UNIX, types[i], 0, inner), 0);
			send_descriptor(depth ? inner[0] : outer[0], connection.fd);
			if (depth)
				send_descriptor(outer[0], inner[1]);
			else
				close(inner[1]);
			uint64_t began = lp_clock_ns();
			lp_closer_close(closer, outer[1]);
			assert_quick(began);
			assert_true(read_to_the_end(connection.client) >= bytes);
			close(connection.client);
			close(outer[0]);
			close(inner[0]);
		}
	lp_closer_free(closer);
}

static void one_that_lingers_does_not_hold_up_the_next(void **state)
{
	struct lp_closer *closer = lp_closer_new();
	size_t bytes;
	struct connection connection = make_full(&bytes);
	(void)state;
	fill_up(connection.fd);
	set_linger(connection.fd, LINGER_S);
	uint64_t began = lp_clock_ns();
	lp_closer_close(closer, connection.fd);
	for (int i = 0; i < 3; i++) {
		int pair[2];
		char byte;
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		lp_closer_close(closer, pair[1]);
		assert_int_equal(read(pair[0], &byte, 1), 0);
		close(pair[0]);
	}
	assert_quick(began);
	lp_closer_free(closer);
	close(connection.client);
}

/* The thread has a table of its own for a moment. */
static void what_is_open_beside_it_stays_open_and_ends_when_it_is_closed(void **state)
{
	struct lp_closer *closer = lp_closer_new();
	struct connection other = make_connection("");
	(void)state;
	for (int i = 0; i < 20; i++) {
		size_t bytes;
		char byte;
		int pipes[2];
		struct connection connection = make_full(&bytes);
		assert_int_equal(pipe(pipes), 0);
		set_linger(connection.fd, LINGER_S);
		lp_closer_close(closer, connection.fd);
		close(pipes[1]);
		assert_int_equal(read(pipes[0], &byte, 1), 0);
		assert_int_equal(read_to_the_end(connection.client), bytes);
		assert_int_equal(write(other.fd, "x", 1), 1);
		close(pipes[0]);
		close(connection.client);
	}
	lp_closer_free(closer);
	close(other.fd);
	close(other.client);
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
		cmocka_unit_test(more_than_it_has_room_for_are_closed_without_waiting_for_each),
		cmocka_unit_test(what_lingers_inside_of_a_unix_socket_is_closed_without_waiting),
		cmocka_unit_test(one_that_lingers_does_not_hold_up_the_next),
		cmocka_unit_test(what_is_open_beside_it_stays_open_and_ends_when_it_is_closed),
		cmocka_unit_test(the_option_stays_as_its_worker_has_set_it),
		cmocka_unit_test(a_worker_that_wants_a_reset_gets_one),
		cmocka_unit_test(others_are_closed_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
