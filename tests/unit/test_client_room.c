/*
 * The library for workers when limpet does not read: the socket is full, and nothing may be lost, disordered or spun on.
 */
#include "client_fixture.h"

/* Tell sessions until the socket is full and some wait in the library: how many were told. */
static unsigned fill(struct fixture *fixture)
{
	struct pollfd channel = {.fd = atoi(getenv("LIMPET_CHANNEL_FD")), .events = POLLOUT};
	char key[16];
	unsigned told = 0;
	unsigned after = 10;
	while (after) {
		snprintf(key, sizeof(key), "s%u", told++);
		assert_int_equal(limpet_worker_session(fixture->worker, key, strlen(key)), 0);
		after -= poll(&channel, 1, 0) == 0 && send(channel.fd, "x", 1, MSG_DONTWAIT) < 0;
	}
	return told;
}

static void hear_sessions(struct fixture *fixture, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		char text[32];
		snprintf(text, sizeof(text), "session s%u", i);
		const char *heard = hear(fixture);
		while (strcmp(heard, "x") == 0)
			heard = hear(fixture);
		assert_string_equal(heard, text);
	}
}

static void a_full_channel_loses_and_disorders_nothing(void **state)
{
	struct fixture *fixture = *state;
	unsigned told = fill(fixture);
	send_connection(fixture, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	hear_sessions(fixture, 0, told - 10);
	assert_true(is_readable(limpet_worker_fd(fixture->worker)));
	int connection = accept_one(fixture);
	hear_sessions(fixture, told - 10, told);
	assert_string_equal(hear(fixture), "ack 1 1");
	assert_string_equal(hear(fixture), "");
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	assert_false(is_readable(limpet_worker_fd(fixture->worker)));
	close(connection);
}

static void a_taken_batch_waits_for_room_whatever_is_said_meanwhile(void **state)
{
	struct fixture *fixture = *state;
	struct pollfd channel = {.fd = atoi(getenv("LIMPET_CHANNEL_FD")), .events = POLLOUT};
	send_connection(fixture, 0);
	while (send(channel.fd, "x", 1, MSG_DONTWAIT) == 1)
		continue;
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	assert_false(is_readable(limpet_worker_fd(fixture->worker)));
	while (*hear(fixture))
		continue;
	assert_int_equal(limpet_worker_session(fixture->worker, "s", 1), 0);
	assert_string_equal(hear(fixture), "session s");
	assert_string_equal(hear(fixture), "ack 1 1");
	close(accept_one(fixture));
}

static void a_close_that_met_a_full_channel_is_reported_later(void **state)
{
	struct fixture *fixture = *state;
	send_connection(fixture, 0);
	int connection = accept_one(fixture);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	unsigned told = fill(fixture);
	limpet_worker_close(fixture->worker, connection);
	await_readable(fixture);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	assert_string_equal(hear(fixture), "ack 1 1");
	hear_sessions(fixture, 0, told - 10);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	hear_sessions(fixture, told - 10, told);
	assert_string_equal(hear(fixture), "ack 1 0");
}

static void a_full_channel_wakes_nobody_until_there_is_room(void **state)
{
	struct fixture *fixture = *state;
	send_connection(fixture, 0);
	int connection = accept_one(fixture);
	unsigned told = fill(fixture);
	send_connection(fixture, 0);
	limpet_worker_close(fixture->worker, connection);
	await_readable(fixture);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	assert_false(is_readable(limpet_worker_fd(fixture->worker)));
	assert_string_equal(hear(fixture), "ack 1 1");
	hear_sessions(fixture, 0, told - 10);
	assert_true(is_readable(limpet_worker_fd(fixture->worker)));
	close(accept_one(fixture));
	hear_sessions(fixture, told - 10, told);
	assert_string_equal(hear(fixture), "ack 1 0");
	assert_string_equal(hear(fixture), "ack 2 1");
}

static void what_may_wait_has_a_bound(void **state)
{
	struct fixture *fixture = *state;
	char key[1024];
	int status = 0;
	memset(key, 'k', sizeof(key));
	for (int i = 0; i < 4096 && status == 0; i++)
		status = limpet_worker_session(fixture->worker, key, sizeof(key));
	assert_int_equal(status, -ENOBUFS);
	while (*hear(fixture))
		continue;
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	assert_int_equal(limpet_worker_session(fixture->worker, key, sizeof(key)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORKER(a_full_channel_loses_and_disorders_nothing),
		WITH_WORKER(a_taken_batch_waits_for_room_whatever_is_said_meanwhile),
		WITH_WORKER(a_close_that_met_a_full_channel_is_reported_later),
		WITH_WORKER(a_full_channel_wakes_nobody_until_there_is_room),
		WITH_WORKER(what_may_wait_has_a_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
