/*
 * The native dialect over a real channel: what a worker's frames do to the connections in flight. The test is the
 * worker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "table_fixture.h"
#include "worker/channel.h"
#include "worker/dialect.h"

/* Everything that happened, as text: "ready; ack 1; open 1; ". */
struct fixture {
	uv_loop_t loop;
	struct lp_channel channel;
	struct lp_log log;
	struct table table;
	int worker;
	bool closed;
	char news[512];
};

static void __attribute__((format(printf, 2, 3))) note(struct lp_channel *channel, const char *format, ...)
{
	struct fixture *fixture = channel->owner;
	size_t used = strlen(fixture->news);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(fixture->news + used, sizeof(fixture->news) - used, format, arguments);
	va_end(arguments);
}

static void on_ready(struct lp_channel *channel, bool ready)
{
	note(channel, ready ? "ready; " : "not ready; ");
}

static void on_parents_channel(struct lp_channel *channel)
{
	note(channel, "parents; ");
}

static void on_listen(struct lp_channel *channel, uint64_t address, bool listens)
{
	note(channel, listens ? "listens at %llu; " : "deaf at %llu; ", (unsigned long long)address);
}

static void on_accepted(struct lp_channel *channel, struct lp_connection *connection)
{
	note(channel, "ack %d; ", (int)connection->number);
	lp_connection_close(channel->connections, connection);
}

static void on_returned(struct lp_channel *channel, struct lp_connection *connection, enum lp_return_reason reason)
{
	static const char *const reasons[] = {"lost", "refused", "no room"};
	note(channel, "%s %d; ", reasons[reason], (int)connection->number);
	lp_connection_move(channel->connections, connection, LP_DUE);
	lp_connection_close(channel->connections, connection);
}

static void on_session(struct lp_channel *channel, struct lp_slice key, bool bound)
{
	note(channel, "%s %.*s; ", bound ? "session" : "forget", LP_SLICE_ARG(key));
}

static void on_open(struct lp_channel *channel, uint64_t open)
{
	note(channel, "open %d; ", (int)open);
}

static void on_message(struct lp_channel *channel, const struct lp_message *letter)
{
	note(channel, "letter %.*s; ", LP_SLICE_ARG(letter->bytes));
}

static void on_frame(struct lp_channel *channel, const struct lp_frame *frame)
{
	note(channel, "frame %d %d %.*s %.*s %.*s; ", (int)frame->kind, (int)frame->number, LP_SLICE_ARG(frame->name),
	     LP_SLICE_ARG(frame->key), LP_SLICE_ARG(frame->value));
}

static void on_sigterm(struct lp_channel *channel, bool handled)
{
	note(channel, "sigterm %d; ", handled);
}

static void on_end(struct lp_channel *channel)
{
	note(channel, "end; ");
}

static const struct lp_channel_events events = {
	.on_ready = on_ready,
	.on_parents_channel = on_parents_channel,
	.on_listen = on_listen,
	.on_accepted = on_accepted,
	.on_returned = on_returned,
	.on_session = on_session,
	.on_open = on_open,
	.on_message = on_message,
	.on_frame = on_frame,
	.on_sigterm = on_sigterm,
	.on_end = on_end,
};

static int set_up(void **state)
{
	static struct fixture fixture;
	memset(&fixture, 0, sizeof(fixture));
	assert_int_equal(uv_loop_init(&fixture.loop), 0);
	lp_log_init(&fixture.log, memfd_create("log", MFD_CLOEXEC), LP_LOG_INFO, LP_LOG_TEXT);
	open_table(&fixture.table, 3);
	assert_int_equal(lp_channel_open(&fixture.channel, &fixture.loop, &lp_dialect_native,
					 &fixture.table.connections, 3, &events, &fixture.log, &fixture.worker),
			 0);
	fixture.channel.owner = &fixture;
	*state = &fixture;
	return 0;
}

static void on_closed(struct lp_channel *channel)
{
	((struct fixture *)channel->owner)->closed = true;
}

static void close_channel(struct fixture *fixture)
{
	lp_channel_close(&fixture->channel, on_closed);
	while (!fixture->closed)
		uv_run(&fixture->loop, UV_RUN_ONCE);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	if (!fixture->closed)
		close_channel(fixture);
	assert_int_equal(uv_loop_close(&fixture->loop), 0);
	close_table(&fixture->table);
	close(fixture->worker);
	close(fixture->log.fd);
	return 0;
}

/* Hand over connections, the last one's number being `last`. */
static void hand_over(struct fixture *fixture, uint64_t last)
{
	while (fixture->channel.sent < last) {
		queue_connection(&fixture->table, dup(STDERR_FILENO), 80, 3);
		lp_channel_flush(&fixture->channel);
	}
}

static void say(struct fixture *fixture, const char *bytes, size_t length)
{
	assert_int_equal(send(fixture->worker, bytes, length, MSG_NOSIGNAL), (int)length);
	lp_channel_hear(&fixture->channel);
}

/* What came of it, at once. */
static void assert_news(struct fixture *fixture, const char *frame, const char *news)
{
	fixture->news[0] = '\0';
	say(fixture, frame, strlen(frame));
	assert_string_equal(fixture->news, news);
}

static void assert_logged(struct fixture *fixture, const char *part)
{
	char text[4096];
	ssize_t length = pread(fixture->log.fd, text, sizeof(text) - 1, 0);
	text[length > 0 ? length : 0] = '\0';
	if (!strstr(text, part))
		fail_msg("the log says \"%s\", not \"%s\"", text, part);
}

/* Read one message at the worker's end, and whether a descriptor was with it. */
static bool take(struct fixture *fixture, char *text, size_t size)
{
	struct iovec iov = {.iov_base = text, .iov_len = size - 1};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes)};
	ssize_t length = recvmsg(fixture->worker, &message, MSG_DONTWAIT);
	text[length > 0 ? length : 0] = '\0';
	if (length <= 0 || !CMSG_FIRSTHDR(&message))
		return false;
	int fd;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	close(fd);
	return true;
}

static void a_connection_travels_with_its_number(void **state)
{
	struct fixture *fixture = *state;
	char text[64];
	hand_over(fixture, 2);
	assert_true(take(fixture, text, sizeof(text)));
	assert_string_equal(text, "connection 1");
	assert_true(take(fixture, text, sizeof(text)));
	assert_string_equal(text, "connection 2");
}

static void ready_is_heard(void **state)
{
	assert_news(*state, "ready", "ready; ");
	assert_news(*state, "ready", "");
}

static void an_ack_covers_all_up_to_its_number_and_then_says_what_is_open(void **state)
{
	struct fixture *fixture = *state;
	hand_over(fixture, 4);
	assert_news(fixture, "ack 3 2", "ack 1; ack 2; ack 3; open 2; ");
	assert_news(fixture, "ack 3 2", "open 2; ");
	assert_news(fixture, "ack 1 1", "open 1; ");
	assert_news(fixture, "ack 4", "ack 4; ");
	assert_news(fixture, "ack 4 0", "open 0; ");
}

static void the_state_can_be_said_before_any_connection(void **state)
{
	assert_news(*state, "ack 0 0", "open 0; ");
}

static void a_nack_returns_one_and_the_ack_after_it_the_others(void **state)
{
	struct fixture *fixture = *state;
	hand_over(fixture, 3);
	assert_news(fixture, "nack 2", "no room 2; ");
	assert_news(fixture, "nack 2", "");
	assert_news(fixture, "ack 3 2", "ack 1; ack 3; open 2; ");
	assert_news(fixture, "nack 3", "");
}

static void sessions_begin_and_end(void **state)
{
	assert_news(*state, "session lv_VI97HAXpY6yYWAAAC", "session lv_VI97HAXpY6yYWAAAC; ");
	assert_news(*state, "forget lv_VI97HAXpY6yYWAAAC", "forget lv_VI97HAXpY6yYWAAAC; ");
}

static void what_is_for_the_broker_is_passed_up(void **state)
{
	char news[64];
	snprintf(news, sizeof(news), "frame %d 1 c k ; ", LP_FRAME_GET);
	assert_news(*state, "get 1 c k", news);
	snprintf(news, sizeof(news), "frame %d 0  news hello\n; ", LP_FRAME_PUBLISH);
	assert_news(*state, "publish news\nhello\n", news);
	assert_news(*state, "value 1\nx", "");
	assert_logged(*state, "worker 3 sent \"value 1\\x0ax\"");
}

/* Also where they wait for room. */
static void messages_stay_apart_and_in_order(void **state)
{
	struct fixture *fixture = *state;
	char text[64];
	int sent = 0;
	int taken = 0;
	while (fixture->channel.state != LP_CHANNEL_BLOCKED) {
		snprintf(text, sizeof(text), "publish news\n%d", sent++);
		lp_channel_send(&fixture->channel, text, strlen(text));
	}
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "publish news\n%d", sent++);
		assert_true(lp_channel_post(&fixture->channel, (struct lp_slice){text, strlen(text)}));
	}
	while (taken < sent) {
		char expected[64];
		take(fixture, text, sizeof(text));
		snprintf(expected, sizeof(expected), "publish news\n%d", taken++);
		assert_string_equal(text, expected);
		uv_run(&fixture->loop, UV_RUN_NOWAIT);
	}
	take(fixture, text, sizeof(text));
	assert_string_equal(text, "");
	assert_int_equal(fixture->channel.out.length, 0);
}

static void what_is_no_frame_is_logged_and_passed_over(void **state)
{
	struct fixture *fixture = *state;
	hand_over(fixture, 1);
	assert_news(fixture, "hello \"you\"\n", "");
	assert_logged(fixture, "worker 3 sent \"hello \\x22you\\x22\\x0a\"");
	assert_news(fixture, "drain", "");
	assert_logged(fixture, "worker 3 sent \"drain\"");
	assert_news(fixture, "connection 1", "");
	assert_logged(fixture, "worker 3 sent \"connection 1\"");
	assert_news(fixture, "ack 1 1", "ack 1; open 1; ");
}

static void a_word_of_a_newer_worker_is_passed_over(void **state)
{
	struct fixture *fixture = *state;
	hand_over(fixture, 1);
	assert_news(fixture, "pause 5\nfor a while", "");
	assert_logged(fixture, "worker 3 sent \"pause 5\\x0afor a while\"");
	assert_news(fixture, "ack 1 1", "ack 1; open 1; ");
}

static void whether_sigterm_is_handled_is_heard(void **state)
{
	assert_news(*state, "sigterm 1", "sigterm 1; ");
	assert_news(*state, "sigterm 0", "sigterm 0; ");
}

static void a_long_strange_message_is_logged_in_part(void **state)
{
	struct fixture *fixture = *state;
	static char bytes[60000];
	memset(bytes, 0xff, sizeof(bytes));
	say(fixture, bytes, sizeof(bytes));
	assert_logged(fixture, "\\xff\\xff\"…, which is no frame");
	assert_string_equal(fixture->news, "");
}

static void an_ack_of_what_was_never_sent_ends_the_channel(void **state)
{
	struct fixture *fixture = *state;
	hand_over(fixture, 2);
	assert_news(fixture, "ack 3 3", "end; ");
	assert_logged(fixture, "worker 3 sent \"ack 3\", but only 2 connections were sent to it");
	fixture->news[0] = '\0';
	close_channel(fixture);
	assert_string_equal(fixture->news, "lost 1; lost 2; ");
}

static void a_nack_of_what_was_never_sent_ends_the_channel(void **state)
{
	assert_news(*state, "nack 1", "end; ");
	assert_logged(*state, "worker 3 sent \"nack 1\", but only 0 connections were sent to it");
}

static void the_last_words_of_a_dead_worker_count(void **state)
{
	struct fixture *fixture = *state;
	hand_over(fixture, 3);
	assert_int_equal(send(fixture->worker, "ack 2 2", 7, 0), 7);
	close(fixture->worker); /* With all three unread: our end also gets ECONNRESET. */
	fixture->worker = -1;
	lp_channel_hear(&fixture->channel);
	assert_string_equal(fixture->news, "ack 1; ack 2; open 2; end; ");
	close_channel(fixture);
	assert_string_equal(fixture->news, "ack 1; ack 2; open 2; end; lost 3; ");
}

static void drain_is_one_word_behind_the_connections(void **state)
{
	struct fixture *fixture = *state;
	char text[64];
	hand_over(fixture, 1);
	lp_channel_drain(&fixture->channel);
	assert_true(take(fixture, text, sizeof(text)));
	assert_string_equal(text, "connection 1");
	assert_false(take(fixture, text, sizeof(text)));
	assert_string_equal(text, "drain");
}

#define WITH_CHANNEL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CHANNEL(a_connection_travels_with_its_number),
		WITH_CHANNEL(ready_is_heard),
		WITH_CHANNEL(an_ack_covers_all_up_to_its_number_and_then_says_what_is_open),
		WITH_CHANNEL(the_state_can_be_said_before_any_connection),
		WITH_CHANNEL(a_nack_returns_one_and_the_ack_after_it_the_others),
		WITH_CHANNEL(sessions_begin_and_end),
		WITH_CHANNEL(what_is_for_the_broker_is_passed_up),
		WITH_CHANNEL(messages_stay_apart_and_in_order),
		WITH_CHANNEL(what_is_no_frame_is_logged_and_passed_over),
		WITH_CHANNEL(a_word_of_a_newer_worker_is_passed_over),
		WITH_CHANNEL(whether_sigterm_is_handled_is_heard),
		WITH_CHANNEL(a_long_strange_message_is_logged_in_part),
		WITH_CHANNEL(an_ack_of_what_was_never_sent_ends_the_channel),
		WITH_CHANNEL(a_nack_of_what_was_never_sent_ends_the_channel),
		WITH_CHANNEL(the_last_words_of_a_dead_worker_count),
		WITH_CHANNEL(drain_is_one_word_behind_the_connections),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
