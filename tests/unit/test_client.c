/*
 * The library for workers, against the other end of its channel: what a program gets, and what limpet hears, in which
 * order. test_client_room.c has what happens when limpet does not listen.
 */
#include "client_fixture.h"
#include "wire/scm_rights.h"

static void a_process_that_limpet_did_not_start_is_told_so(void **state)
{
	static const char *const values[] = {"", "x", "3x", "-1", "99999999999", "12345", "0"};
	struct limpet_worker *worker;
	char number[16];
	int pair[2];
	(void)state;
	unsetenv("LIMPET_CHANNEL_FD");
	assert_int_equal(limpet_worker_new(&worker, 1), -ENOTCONN);
	assert_null(worker);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		setenv("LIMPET_CHANNEL_FD", values[i], 1);
		assert_int_equal(limpet_worker_new(&worker, 1), -ENOTCONN);
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	snprintf(number, sizeof(number), "%d", pair[0]);
	setenv("LIMPET_CHANNEL_FD", number, 1);
	assert_int_equal(limpet_worker_new(&worker, 1), -ENOTCONN);
	close(pair[0]);
	close(pair[1]);
}

static void a_batch_out_of_range_is_refused(void **state)
{
	struct limpet_worker *worker;
	int pair[2];
	(void)state;
	make_channel(pair);
	assert_int_equal(limpet_worker_new(&worker, 0), -EINVAL);
	assert_int_equal(limpet_worker_new(&worker, LIMPET_WORKER_BATCH_MAX + 1), -EINVAL);
	assert_null(worker);
	close(pair[0]);
	close(pair[1]);
}

static void a_worker_knows_its_slot_and_keeps_its_channel_from_children(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(limpet_worker_id(fixture->worker), 7);
	assert_int_equal(fcntl(atoi(getenv("LIMPET_CHANNEL_FD")), F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(limpet_worker_fd(fixture->worker), F_GETFD), FD_CLOEXEC);
}

static void ready_is_said_once_and_with_the_state(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(limpet_worker_ready(fixture->worker), 0);
	assert_int_equal(limpet_worker_ready(fixture->worker), 0);
	assert_string_equal(hear(fixture), "ready");
	assert_string_equal(hear(fixture), "ack 0 0");
	assert_string_equal(hear(fixture), "");
}

static void one_ack_serves_a_batch_and_comes_before_any_of_it_is_returned(void **state)
{
	struct fixture *fixture = *state;
	for (int i = 0; i < 3; i++)
		send_connection(fixture, 0);
	assert_true(is_readable(limpet_worker_fd(fixture->worker)));
	int first = accept_one(fixture);
	assert_string_equal(hear(fixture), "ack 3 3");
	int second = accept_one(fixture);
	int third = accept_one(fixture);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	assert_string_equal(hear(fixture), "");
	assert_int_equal(limpet_worker_open(fixture->worker), 3);
	assert_false(is_readable(limpet_worker_fd(fixture->worker)));
	assert_int_equal(write(second, "2", 1), 1);
	char byte;
	assert_int_equal(read(fixture->clients[2], &byte, 1), 1);
	assert_int_equal(byte, '2');
	close(first);
	close(second);
	close(third);
}

static void a_batch_has_its_bound(void **state)
{
	struct fixture *fixture = *state;
	for (int i = 0; i < LIMPET_WORKER_BATCH_MAX + 1; i++)
		send_connection(fixture, 0);
	for (int i = 0; i < LIMPET_WORKER_BATCH_MAX; i++)
		close(accept_one(fixture));
	assert_string_equal(hear(fixture), "ack 64 64");
	assert_string_equal(hear(fixture), "");
	close(accept_one(fixture));
	assert_string_equal(hear(fixture), "ack 65 65");
}

static void one_by_one_leaves_the_others_to_limpet(void **state)
{
	struct fixture *fixture = *state;
	send_connection(fixture, 0);
	send_connection(fixture, 0);
	close(accept_one(fixture));
	assert_string_equal(hear(fixture), "ack 1 1");
	assert_string_equal(hear(fixture), "");
	close(accept_one(fixture));
	assert_string_equal(hear(fixture), "ack 2 2");
}

static void a_close_is_reported_with_the_next_ack(void **state)
{
	struct fixture *fixture = *state;
	send_connection(fixture, 0);
	limpet_worker_close(fixture->worker, accept_one(fixture));
	assert_string_equal(hear(fixture), "ack 1 1");
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	send_connection(fixture, 0);
	limpet_worker_close(fixture->worker, accept_one(fixture));
	assert_string_equal(hear(fixture), "ack 2 1");
	assert_string_equal(hear(fixture), "");
}

static void a_close_is_reported_though_no_connection_comes(void **state)
{
	struct fixture *fixture = *state;
	send_connection(fixture, 0);
	int connection = accept_one(fixture);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	assert_string_equal(hear(fixture), "ack 1 1");
	close(connection);
	limpet_worker_closed(fixture->worker);
	limpet_worker_closed(fixture->worker); /* One too many. */
	assert_int_equal(limpet_worker_open(fixture->worker), 0);
	await_readable(fixture);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	assert_string_equal(hear(fixture), "ack 1 0");
	assert_false(is_readable(limpet_worker_fd(fixture->worker)));
}

static void a_connection_given_back_is_limpets_and_its_client_notices_nothing(void **state)
{
	struct fixture *fixture = *state;
	char text[64];
	char byte;
	int fd = -1;
	send_connection(fixture, 0);
	int connection = accept_one(fixture);
	assert_string_equal(hear(fixture), "ack 1 1");
	assert_int_equal(read(connection, &byte, 1), 1);
	assert_int_equal(write(fixture->clients[1], "y", 1), 1);
	assert_int_equal(limpet_worker_bounce(fixture->worker, connection), 0);
	assert_int_equal(limpet_worker_open(fixture->worker), 0);
	assert_int_equal(lp_scm_rights_receive(fixture->limpet, text, sizeof(text), 0, &fd), 6);
	assert_memory_equal(text, "bounce", 6);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(recv(fixture->clients[1], &byte, 1, MSG_DONTWAIT), -1);
	close(fd);
	await_readable(fixture);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	assert_string_equal(hear(fixture), "ack 1 0");
}

static void nothing_is_given_back_to_a_limpet_that_is_gone(void **state)
{
	struct fixture *fixture = *state;
	send_connection(fixture, 0);
	int connection = accept_one(fixture);
	close_limpet(fixture);
	assert_int_equal(limpet_worker_bounce(fixture->worker, connection), -EPIPE);
	assert_int_equal(limpet_worker_open(fixture->worker), 1);
	close(connection);
}

static void a_close_ends_the_connection_though_limpet_has_its_copy(void **state)
{
	struct fixture *fixture = *state;
	char byte;
	send_connection(fixture, 0);
	int connection = accept_one(fixture);
	int copy = dup(connection);
	assert_int_equal(read(connection, &byte, 1), 1);
	limpet_worker_close(fixture->worker, connection);
	assert_int_equal(recv(fixture->clients[1], &byte, 1, MSG_DONTWAIT), 0);
	close(copy);
}

static void an_ended_connection_is_closed_a_little_later(void **state)
{
	struct fixture *fixture = *state;
	int lasting = 4; /* Both ends of the channel, the timer and the set. */
	for (int i = 0; i < 100; i++) {
		send_connection(fixture, 0);
		limpet_worker_close(fixture->worker, accept_one(fixture));
	}
	await_readable(fixture);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	assert_int_equal(count_descriptors(), fixture->descriptors + lasting + 100);
}

static void a_descriptor_is_in_the_mode_that_was_asked_for(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		int sent;
		int asked;
	} cases[] = {{0, 0}, {SOCK_NONBLOCK, 0}, {0, SOCK_NONBLOCK}, {SOCK_NONBLOCK, SOCK_NONBLOCK}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		send_connection(fixture, cases[i].sent);
		int connection = limpet_worker_accept(fixture->worker, cases[i].asked);
		assert_true(connection >= 0);
		assert_int_equal(fcntl(connection, F_GETFL) & O_NONBLOCK, cases[i].asked ? O_NONBLOCK : 0);
		assert_int_equal(fcntl(connection, F_GETFD), FD_CLOEXEC);
		limpet_worker_close(fixture->worker, connection);
	}
}

static void a_connection_without_its_descriptor_is_given_back_before_the_ack(void **state)
{
	struct fixture *fixture = *state;
	struct rlimit before;
	send_connection(fixture, 0);
	send_connection(fixture, 0);
	int free_fd = dup(0);
	close(free_fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	struct rlimit room_for_one = {.rlim_cur = (rlim_t)free_fd + 1, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &room_for_one), 0);
	int connection = limpet_worker_accept(fixture->worker, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(connection, free_fd);
	assert_string_equal(hear(fixture), "nack 2");
	assert_string_equal(hear(fixture), "ack 2 1");
	assert_string_equal(hear(fixture), "");
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	send_connection(fixture, 0);
	limpet_worker_close(fixture->worker, connection);
	connection = accept_one(fixture);
	assert_string_equal(hear(fixture), "ack 3 1");
	close(connection);
}

static void a_whole_batch_can_be_given_back(void **state)
{
	struct fixture *fixture = *state;
	char text[32];
	for (int i = 1; i <= LIMPET_WORKER_BATCH_MAX; i++) {
		snprintf(text, sizeof(text), "connection %d", i);
		send_text(fixture, text, -1);
	}
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -EAGAIN);
	for (int i = 1; i <= LIMPET_WORKER_BATCH_MAX; i++) {
		snprintf(text, sizeof(text), "nack %d", i);
		assert_string_equal(hear(fixture), text);
	}
	assert_string_equal(hear(fixture), "ack 64 0");
}

static void drain_comes_after_the_connections_before_it(void **state)
{
	struct fixture *fixture = *state;
	send_connection(fixture, 0);
	send_text(fixture, "drain", -1);
	int connection = accept_one(fixture);
	assert_string_equal(hear(fixture), "ack 1 1");
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -ESHUTDOWN);
	limpet_worker_close(fixture->worker, connection);
	assert_string_equal(hear(fixture), "ack 1 0");
	assert_int_equal(limpet_worker_open(fixture->worker), 0);
	close_limpet(fixture);
	assert_false(is_readable(limpet_worker_fd(fixture->worker)));
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -ESHUTDOWN);
}

static void a_connection_that_cannot_be_acknowledged_is_not_returned(void **state)
{
	struct fixture *fixture = *state;
	char byte;
	send_connection(fixture, 0);
	int ours = accept_one(fixture);
	send_connection(fixture, 0);
	close_limpet(fixture);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -ESHUTDOWN);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -ESHUTDOWN);
	assert_int_equal(limpet_worker_open(fixture->worker), 1);
	limpet_worker_free(fixture->worker);
	fixture->worker = NULL;
	/* Its end here is gone with the worker, unread: the client's byte comes back as a reset. */
	assert_int_equal(read(fixture->clients[2], &byte, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(read(ours, &byte, 1), 1);
	close(ours);
}

static void without_limpet_everything_says_so(void **state)
{
	struct fixture *fixture = *state;
	close_limpet(fixture);
	assert_true(is_readable(limpet_worker_fd(fixture->worker)));
	assert_int_equal(limpet_worker_ready(fixture->worker), -EPIPE);
	assert_int_equal(limpet_worker_session(fixture->worker, "a", 1), -EPIPE);
	assert_int_equal(limpet_worker_forget(fixture->worker, "a", 1), -EPIPE);
	assert_int_equal(limpet_worker_accept(fixture->worker, 0), -ESHUTDOWN);
	assert_false(is_readable(limpet_worker_fd(fixture->worker)));
	limpet_worker_closed(fixture->worker);
}

static void sessions_are_told_at_once(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(limpet_worker_session(fixture->worker, "lv_VI97HAXpY6yYWAAAC", 20), 0);
	assert_string_equal(hear(fixture), "session lv_VI97HAXpY6yYWAAAC");
	assert_int_equal(limpet_worker_forget(fixture->worker, "lv_VI97HAXpY6yYWAAAC", 20), 0);
	assert_string_equal(hear(fixture), "forget lv_VI97HAXpY6yYWAAAC");
	assert_int_equal(limpet_worker_session(fixture->worker, "two words", 9), -EINVAL);
	assert_int_equal(limpet_worker_session(fixture->worker, "", 0), -EINVAL);
	assert_string_equal(hear(fixture), "");
}

static void words_of_a_later_limpet_are_passed_over(void **state)
{
	struct fixture *fixture = *state;
	send_text(fixture, "tea 5", -1);
	send_text(fixture, "biscuit", 0); /* The descriptor is closed: tear_down counts. */
	send_connection(fixture, 0);
	close(accept_one(fixture));
	assert_string_equal(hear(fixture), "ack 1 1");
}

static void freeing_a_worker_leaves_what_it_did_not_take_to_limpet(void **state)
{
	struct fixture *fixture = *state;
	char byte;
	send_connection(fixture, 0);
	send_connection(fixture, 0);
	int connection = accept_one(fixture);
	limpet_worker_free(fixture->worker);
	fixture->worker = NULL;
	assert_string_equal(hear(fixture), "ack 1 1");
	assert_int_equal(read(connection, &byte, 1), 1);
	close(connection);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_that_limpet_did_not_start_is_told_so),
		cmocka_unit_test(a_batch_out_of_range_is_refused),
		WITH_WORKER(a_worker_knows_its_slot_and_keeps_its_channel_from_children),
		WITH_WORKER(ready_is_said_once_and_with_the_state),
		WITH_WORKER(one_ack_serves_a_batch_and_comes_before_any_of_it_is_returned),
		WITH_WORKER(a_batch_has_its_bound),
		cmocka_unit_test_setup_teardown(one_by_one_leaves_the_others_to_limpet, set_up_one_by_one, tear_down),
		WITH_WORKER(a_connection_given_back_is_limpets_and_its_client_notices_nothing),
		WITH_WORKER(nothing_is_given_back_to_a_limpet_that_is_gone),
		WITH_WORKER(a_close_is_reported_with_the_next_ack),
		WITH_WORKER(a_close_is_reported_though_no_connection_comes),
		WITH_WORKER(a_close_ends_the_connection_though_limpet_has_its_copy),
		WITH_WORKER(an_ended_connection_is_closed_a_little_later),
		WITH_WORKER(a_descriptor_is_in_the_mode_that_was_asked_for),
		WITH_WORKER(a_connection_without_its_descriptor_is_given_back_before_the_ack),
		WITH_WORKER(a_whole_batch_can_be_given_back),
		WITH_WORKER(drain_comes_after_the_connections_before_it),
		WITH_WORKER(a_connection_that_cannot_be_acknowledged_is_not_returned),
		WITH_WORKER(without_limpet_everything_says_so),
		WITH_WORKER(sessions_are_told_at_once),
		WITH_WORKER(words_of_a_later_limpet_are_passed_over),
		cmocka_unit_test_setup_teardown(freeing_a_worker_leaves_what_it_did_not_take_to_limpet,
						set_up_one_by_one, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
