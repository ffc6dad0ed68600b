#include "channel_fixture.h"

static void a_connection_is_accepted_once(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_native);
	char text[256];
	(void)state;
	say(fixture, "ready");
	assert_true(fixture->ready);
	hand_over(fixture, 0, 80);
	assert_int_equal(fixture->accepted, 0);
	assert_true(receive(fixture, text, sizeof(text)));
	assert_string_equal(text, "connection 1");
	say(fixture, "ack 1 1");
	assert_int_equal(fixture->accepted, 1);
	assert_int_equal(fixture->reported_open, 1);
	say(fixture, "ack 1 0");
	assert_int_equal(fixture->accepted, 1);
	assert_int_equal(fixture->reported_open, 0);
	close_fixture(fixture);
}

static void closing_returns_everything_on_its_way(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_native);
	(void)state;
	for (unsigned i = 0; i < 600; i++)
		hand_over(fixture, i, 80);
	assert_true(queued(fixture) > 0);
	lp_channel_close(&fixture->channel, NULL);
	fixture->open = false;
	assert_int_equal(fixture->returned, 600);
	assert_int_equal(fixture->reason, LP_RETURN_LOST);
	close_fixture(fixture);
}

static void what_there_is_no_room_for_is_sent_in_order_when_there_is(void **state)
{
	enum { COUNT = 1000 };
	struct fixture *fixture = open_fixture(&lp_dialect_native);
	char text[256];
	char expected[64];
	(void)state;
	for (unsigned i = 0; i < COUNT; i++)
		hand_over(fixture, i, 80);
	assert_true(queued(fixture) > 0);
	for (unsigned received = 0; received < COUNT;) {
		if (!receive(fixture, text, sizeof(text))) {
			uv_run(&fixture->loop, UV_RUN_NOWAIT);
			continue;
		}
		snprintf(expected, sizeof(expected), "connection %u", ++received);
		assert_string_equal(text, expected);
	}
	assert_int_equal(queued(fixture), 0);
	assert_int_equal(fixture->table.connections.by_state[1][LP_SENT], COUNT);
	close_fixture(fixture);
}

static void a_dead_workers_last_words_count(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_native);
	(void)state;
	hand_over(fixture, 0, 80);
	hand_over(fixture, 1, 80);
	assert_int_equal(send(fixture->worker_end, "ack 1 1", 7, 0), 7);
	close(fixture->worker_end); /* With one descriptor unread in it. */
	fixture->worker_end = -1;
	lp_channel_hear(&fixture->channel);
	assert_int_equal(fixture->accepted, 1);
	assert_int_equal(fixture->ends, 1);
	hand_over(fixture, 2, 80); /* Too late: it is not sent. */
	assert_int_equal(queued(fixture), 1);
	lp_channel_close(&fixture->channel, NULL);
	fixture->open = false;
	assert_int_equal(fixture->returned, 2);
	close_fixture(fixture);
}

/* Run the loop until the channel has ended, which is once. */
static void run_to_the_end(struct fixture *fixture)
{
	while (fixture->ends == 0)
		uv_run(&fixture->loop, UV_RUN_NOWAIT);
	assert_false(lp_channel_can_hear(&fixture->channel));
	lp_channel_close(&fixture->channel, NULL);
	fixture->open = false;
}

/* It has closed one direction: nothing tells us of that but that nothing can be sent. */
static void a_worker_that_reads_no_more_ends_its_channel_and_its_last_words_count(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_native);
	(void)state;
	hand_over(fixture, 0, 80);
	assert_int_equal(send(fixture->worker_end, "ack 1 1", 7, 0), 7);
	assert_int_equal(shutdown(fixture->worker_end, SHUT_RD), 0);
	hand_over(fixture, 1, 80);
	run_to_the_end(fixture);
	assert_int_equal(fixture->ends, 1);
	assert_int_equal(fixture->end, LP_CHANNEL_FAILED);
	assert_int_equal(fixture->accepted, 1);
	assert_int_equal(fixture->returned, 1);
	assert_int_equal(fixture->reason, LP_RETURN_LOST);
	close_fixture(fixture);
}

/* EMSGSIZE, of which no line of ours knows. */
static void an_error_that_nobody_thought_of_ends_the_channel(void **state)
{
	enum { TOO_LONG = 8 << 20 };
	struct fixture *fixture = open_fixture(&lp_dialect_native);
	char *bytes = calloc(1, TOO_LONG);
	(void)state;
	hand_over(fixture, 0, 80);
	lp_channel_send(&fixture->channel, bytes, TOO_LONG);
	free(bytes);
	run_to_the_end(fixture);
	assert_int_equal(fixture->end, LP_CHANNEL_FAILED);
	assert_int_equal(fixture->returned, 1);
	close_fixture(fixture);
}

static void giving_up_is_once_and_not_from_inside(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_native);
	(void)state;
	lp_channel_fail(&fixture->channel, -ENOMEM);
	lp_channel_fail(&fixture->channel, -EIO);
	assert_int_equal(fixture->ends, 0);
	run_to_the_end(fixture);
	assert_int_equal(fixture->ends, 1);
	close_fixture(fixture);
}

static void an_end_that_the_worker_has_made_is_no_failure(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_native);
	(void)state;
	close(fixture->worker_end);
	fixture->worker_end = -1;
	hand_over(fixture, 0, 80);
	run_to_the_end(fixture);
	assert_int_equal(fixture->end, LP_CHANNEL_ENDED);
	assert_int_equal(fixture->returned, 1);
	close_fixture(fixture);
}

static void one_that_speaks_another_language_has_failed(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_native);
	(void)state;
	say(fixture, "ack 7 0"); /* Of nothing that was sent. */
	assert_int_equal(fixture->ends, 1);
	assert_int_equal(fixture->end, LP_CHANNEL_FAILED);
	lp_channel_close(&fixture->channel, NULL);
	fixture->open = false;
	close_fixture(fixture);
}

static void drain_follows_what_is_queued(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_native);
	char text[256];
	unsigned connections = 0;
	(void)state;
	for (unsigned i = 0; i < 600; i++)
		hand_over(fixture, i, 80);
	lp_channel_drain(&fixture->channel);
	for (;;) {
		if (receive(fixture, text, sizeof(text)))
			connections++;
		else if (text[0])
			break;
		else
			uv_run(&fixture->loop, UV_RUN_NOWAIT);
	}
	assert_string_equal(text, "drain");
	assert_int_equal(connections, 600);
	close_fixture(fixture);
}

static void descriptors_from_a_worker_are_closed(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_cluster);
	int pair[2];
	char byte;
	char text[] = "{\"cmd\":\"NODE_HANDLE\"}\n";
	struct iovec iov = {.iov_base = text, .iov_len = strlen(text)};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(3 * sizeof(int))];
	} control = {
		.align = {.cmsg_len = CMSG_LEN(3 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes)};
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (size_t i = 0; i < 3; i++)
		memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &pair[0], sizeof(int));
	assert_int_equal(sendmsg(fixture->worker_end, &message, 0), strlen(text));
	close(pair[0]);
	lp_channel_hear(&fixture->channel);
	assert_int_equal(read(pair[1], &byte, 1), 0);
	close(pair[1]);
	close_fixture(fixture);
}

static bool post(struct fixture *fixture, char *bytes, size_t length, unsigned number)
{
	memset(bytes, 'x', length);
	snprintf(bytes, length, "%u", number);
	bytes[length - 1] = '\n';
	return lp_channel_post(&fixture->channel, (struct lp_slice){bytes, length});
}

/* Who posts to many workers, one after another, must not be called in between. */
static void posting_sends_no_connection(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_socketio_sticky);
	char bytes[LP_CHANNEL_READ_SIZE], text[4096];
	(void)state;
	queue_connection(&fixture->table, dup(STDERR_FILENO), 80, 1);
	assert_true(post(fixture, bytes, sizeof(bytes), 1));
	assert_true(post(fixture, bytes, 100, 2));
	assert_int_equal(queued(fixture), 1);
	lp_channel_flush(&fixture->channel);
	while (queued(fixture)) {
		receive(fixture, text, sizeof(text));
		uv_run(&fixture->loop, UV_RUN_NOWAIT);
	}
	close_fixture(fixture);
}

static void what_waits_for_a_slow_worker_comes_in_order(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_socketio_sticky);
	const size_t length = 50000;
	char bytes[50000], text[4096];
	unsigned posted = 0, came = 0;
	size_t at = 0;
	bool dropped = false;
	(void)state;
	while (!dropped || came < posted) {
		for (int i = 0; i < 40 && !dropped; i++) {
			dropped = !post(fixture, bytes, length, posted);
			posted += !dropped;
		}
		lp_channel_flush(&fixture->channel);
		uv_run(&fixture->loop, UV_RUN_NOWAIT);
		receive(fixture, text, sizeof(text));
		if (at == 0 && text[0])
			assert_int_equal(strtoul(text, NULL, 10), came);
		for (char *byte = text; *byte; byte++, at = (at + 1) % length)
			came += *byte == '\n';
	}
	assert_true(posted * length > LP_CHANNEL_OUT_MAX - length);
	assert_int_equal(fixture->channel.out.length, 0);
	close_fixture(fixture);
}

/* A worker that has another word to say whenever one was heard, as long as it can say it. */
static const char *next_word;
static unsigned heard;

static void on_session_say_more(struct lp_channel *channel, struct lp_slice key, bool bound)
{
	struct fixture *fixture = channel->owner;
	(void)key;
	(void)bound;
	heard++;
	send(fixture->worker_end, next_word, strlen(next_word), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static struct fixture *open_talkative(const struct lp_dialect *dialect, const char *word)
{
	static struct lp_channel_events events;
	struct fixture *fixture = open_fixture(dialect);
	events = fixture_events;
	events.on_session = on_session_say_more;
	fixture->channel.events = &events;
	next_word = word;
	heard = 0;
	assert_int_equal(send(fixture->worker_end, word, strlen(word), 0), strlen(word));
	return fixture;
}

static void a_decision_hears_what_was_said_before_it(void **state)
{
	struct fixture *fixture =
		open_talkative(&lp_dialect_socketio_sticky, "{\"type\":\"sticky:connection\",\"data\":\"a\"}\n");
	(void)state;
	lp_channel_hear_for_decision(&fixture->channel, 1);
	assert_int_equal(heard, 1);
	lp_channel_hear_for_decision(&fixture->channel, 1);
	assert_int_equal(heard, 2);
	fixture->channel.turn_ns = UINT64_MAX / 2; /* It has taken all that it may of this turn. */
	lp_channel_hear_for_decision(&fixture->channel, 1);
	assert_int_equal(heard, 2);
	lp_channel_hear_for_decision(&fixture->channel, 2);
	assert_int_equal(heard, 3);
	close_fixture(fixture);
}

/* The worker has ended, and something that it has started has its channel still. */
static void last_words_have_an_end(void **state)
{
	static const struct lp_dialect *const dialects[] = {&lp_dialect_native, &lp_dialect_socketio_sticky};
	static const char *const words[] = {"session a", "{\"type\":\"sticky:connection\",\"data\":\"a\"}\n"};
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fixture *fixture = open_talkative(dialects[i], words[i]);
		lp_channel_hear_out(&fixture->channel);
		assert_int_equal(heard, 1);
		assert_int_equal(fixture->ends, 0);
		close_fixture(fixture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_decision_hears_what_was_said_before_it),
		cmocka_unit_test(last_words_have_an_end),
		cmocka_unit_test(a_connection_is_accepted_once),
		cmocka_unit_test(closing_returns_everything_on_its_way),
		cmocka_unit_test(what_there_is_no_room_for_is_sent_in_order_when_there_is),
		cmocka_unit_test(a_dead_workers_last_words_count),
		cmocka_unit_test(a_worker_that_reads_no_more_ends_its_channel_and_its_last_words_count),
		cmocka_unit_test(an_error_that_nobody_thought_of_ends_the_channel),
		cmocka_unit_test(giving_up_is_once_and_not_from_inside),
		cmocka_unit_test(an_end_that_the_worker_has_made_is_no_failure),
		cmocka_unit_test(one_that_speaks_another_language_has_failed),
		cmocka_unit_test(drain_follows_what_is_queued),
		cmocka_unit_test(descriptors_from_a_worker_are_closed),
		cmocka_unit_test(posting_sends_no_connection),
		cmocka_unit_test(what_waits_for_a_slow_worker_comes_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
