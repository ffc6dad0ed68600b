#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "connection/tcp_unread.h"
#include "loopback_fixture.h"

#define REQUEST "GET / HTTP/1.1\r\n"

static const struct lp_tcp_baseline fresh;

static void await_end(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLRDHUP};
	assert_int_equal(poll(&polled, 1, 10000), 1);
}

static void read_bytes(int fd, size_t count)
{
	char bytes[65536];
	while (count) {
		ssize_t got = read(fd, bytes, count < sizeof(bytes) ? count : sizeof(bytes));
		assert_true(got > 0);
		count -= (size_t)got;
	}
}

/* A request and its answer have passed, and the next request is here. */
static struct connection make_kept(struct lp_tcp_baseline *baseline)
{
	struct connection connection = make_connection(REQUEST);
	read_bytes(connection.fd, strlen(REQUEST));
	assert_int_equal(write(connection.fd, "200", 3), 3);
	read_bytes(connection.client, 3);
	assert_int_equal(write(connection.client, REQUEST, strlen(REQUEST)), strlen(REQUEST));
	await_bytes(connection.fd);
	lp_tcp_baseline_take(connection.fd, baseline);
	return connection;
}

static void a_new_connection_is_unread_from_zero(void **state)
{
	struct connection silent = make_connection("");
	struct connection speaking = make_connection(REQUEST);
	(void)state;
	assert_int_equal(lp_tcp_use_since(silent.fd, &fresh), LP_TCP_UNREAD);
	assert_int_equal(lp_tcp_use_since(speaking.fd, &fresh), LP_TCP_UNREAD);
	assert_int_equal(lp_bytes_waiting(speaking.fd), strlen(REQUEST));
	close_connection(&silent);
	close_connection(&speaking);
}

static void one_byte_that_was_read_is_use(void **state)
{
	struct connection connection = make_connection(REQUEST);
	(void)state;
	read_bytes(connection.fd, 1);
	assert_int_equal(lp_tcp_use_since(connection.fd, &fresh), LP_TCP_USED);
	assert_int_equal(write(connection.client, "!", 1), 1);
	assert_int_equal(lp_tcp_use_since(connection.fd, &fresh), LP_TCP_USED);
	close_connection(&connection);
}

static void one_byte_that_was_written_is_use(void **state)
{
	struct connection connection = make_connection(REQUEST);
	(void)state;
	assert_int_equal(write(connection.fd, "1", 1), 1);
	assert_int_equal(lp_tcp_use_since(connection.fd, &fresh), LP_TCP_USED);
	close_connection(&connection);
}

static void a_client_that_has_ended_its_side_is_unread_too(void **state)
{
	struct connection connection = make_connection(REQUEST);
	(void)state;
	assert_int_equal(shutdown(connection.client, SHUT_WR), 0);
	await_end(connection.fd);
	assert_int_equal(lp_tcp_use_since(connection.fd, &fresh), LP_TCP_UNREAD);
	read_bytes(connection.fd, 1); /* The end must not make up for a byte. */
	assert_int_equal(lp_tcp_use_since(connection.fd, &fresh), LP_TCP_USED);
	read_bytes(connection.fd, strlen(REQUEST) - 1);
	assert_int_equal(lp_tcp_use_since(connection.fd, &fresh), LP_TCP_USED);
	close_connection(&connection);
}

static void a_kept_connection_is_unread_since_its_baseline(void **state)
{
	struct lp_tcp_baseline baseline;
	struct connection connection = make_kept(&baseline);
	(void)state;
	assert_int_equal(baseline.read, strlen(REQUEST));
	assert_int_equal(baseline.written, 3);
	assert_int_equal(lp_tcp_use_since(connection.fd, &fresh), LP_TCP_USED);
	assert_int_equal(lp_tcp_use_since(connection.fd, &baseline), LP_TCP_UNREAD);
	assert_int_equal(write(connection.client, REQUEST, strlen(REQUEST)), strlen(REQUEST));
	assert_int_equal(shutdown(connection.client, SHUT_WR), 0);
	await_end(connection.fd);
	assert_int_equal(lp_tcp_use_since(connection.fd, &baseline), LP_TCP_UNREAD);
	read_bytes(connection.fd, 1);
	assert_int_equal(lp_tcp_use_since(connection.fd, &baseline), LP_TCP_USED);
	close_connection(&connection);
}

static void a_baseline_counts_what_is_still_to_be_sent(void **state)
{
	static char answer[1 << 22];
	struct connection connection = make_connection(REQUEST);
	struct lp_tcp_baseline baseline;
	(void)state;
	read_bytes(connection.fd, strlen(REQUEST));
	assert_int_equal(fcntl(connection.fd, F_SETFL, O_NONBLOCK), 0);
	ssize_t written = write(connection.fd, answer, sizeof(answer));
	assert_in_range(written, 1, sizeof(answer) - 1); /* More than the client has room for. */
	lp_tcp_baseline_take(connection.fd, &baseline);
	assert_int_equal(baseline.written, written);
	read_bytes(connection.client, (size_t)written);
	assert_int_equal(lp_tcp_use_since(connection.fd, &baseline), LP_TCP_UNREAD);
	assert_int_equal(write(connection.fd, "x", 1), 1);
	assert_int_equal(lp_tcp_use_since(connection.fd, &baseline), LP_TCP_USED);
	close_connection(&connection);
}

static void a_side_that_a_worker_has_ended_is_not_proven_unread(void **state)
{
	struct connection connection = make_connection(REQUEST);
	(void)state;
	assert_int_equal(shutdown(connection.fd, SHUT_WR), 0);
	assert_int_not_equal(lp_tcp_use_since(connection.fd, &fresh), LP_TCP_UNREAD);
	close_connection(&connection);
}

static void a_reset_proves_nothing(void **state)
{
	struct connection connection = make_connection(REQUEST);
	struct linger linger = {.l_onoff = 1};
	(void)state;
	assert_int_equal(setsockopt(connection.client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(connection.client);
	await_end(connection.fd);
	assert_int_equal(lp_tcp_use_since(connection.fd, &fresh), LP_TCP_UNKNOWN);
	close(connection.fd);
}

static void nothing_is_known_of_other_sockets(void **state)
{
	struct lp_tcp_baseline baseline = {.read = 7};
	int pair[2];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(lp_tcp_use_since(pair[0], &fresh), LP_TCP_UNKNOWN);
	lp_tcp_baseline_take(pair[0], &baseline);
	assert_int_equal(baseline.read, 0);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_connection_is_unread_from_zero),
		cmocka_unit_test(one_byte_that_was_read_is_use),
		cmocka_unit_test(one_byte_that_was_written_is_use),
		cmocka_unit_test(a_client_that_has_ended_its_side_is_unread_too),
		cmocka_unit_test(a_kept_connection_is_unread_since_its_baseline),
		cmocka_unit_test(a_baseline_counts_what_is_still_to_be_sent),
		cmocka_unit_test(a_side_that_a_worker_has_ended_is_not_proven_unread),
		cmocka_unit_test(a_reset_proves_nothing),
		cmocka_unit_test(nothing_is_known_of_other_sockets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
