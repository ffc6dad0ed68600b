/* A channel outlives its balancer: the next one reads on where it stopped, counts on, and cuts nothing in two. */
#include <errno.h>

#include "channel_fixture.h"
#include "worker/channel_lasting.h"

#define SESSION "{\"type\":\"sticky:connection\",\"data\":\"abc\"}\n"

static struct fixture *open_lasting(const struct lp_dialect *dialect)
{
	struct fixture *fixture = open_fixture(dialect);
	struct lp_channel_lasting *lasting = calloc(1, sizeof(*lasting));
	assert_non_null(lasting);
	assert_int_equal(lp_channel_outlive(&fixture->channel, lasting), 0);
	return fixture;
}

static void close_lasting(struct fixture *fixture)
{
	struct lp_channel_lasting *lasting = fixture->channel.lasting;
	close_fixture(fixture);
	free(lasting);
}

/* The balancer dies: what it had besides is gone. Returns what outliving says of the next one's channel. */
static int die(struct fixture *fixture)
{
	struct lp_channel_lasting *lasting = fixture->channel.lasting;
	const struct lp_dialect *dialect = fixture->channel.dialect;
	struct lp_channel_lasting *left = malloc(sizeof(*left));
	int fd = fixture->channel.fd;
	assert_non_null(left);
	fixture->channel.fd =
		open("/dev/null", O_RDWR | O_CLOEXEC); /* The kernel, too, closes only what was its own. */
	memcpy(left, lasting, sizeof(*left));
	lp_channel_close(&fixture->channel, NULL);
	uv_run(&fixture->loop, UV_RUN_DEFAULT);
	memcpy(lasting, left, sizeof(*left)); /* Closing has forgotten it all. */
	free(left);
	fixture->ready = false;
	fixture->session[0] = '\0';
	assert_int_equal(lp_channel_adopt(&fixture->channel, &fixture->loop, dialect, &fixture->table.connections, 1,
					  &fixture_events, &fixture->log, fd),
			 0);
	fixture->channel.owner = fixture;
	fixture->channel.ports = &fixture->ports;
	return lp_channel_outlive(&fixture->channel, lasting);
}

static void go_on(struct fixture *fixture)
{
	assert_int_equal(die(fixture), 0);
	lp_channel_resume(&fixture->channel);
}

static void half_a_line_waits_for_the_next_balancer(void **state)
{
	struct fixture *fixture = open_lasting(&lp_dialect_socketio_sticky);
	(void)state;
	say(fixture, "{\"type\":\"sticky:conn");
	go_on(fixture);
	assert_string_equal(fixture->session, "");
	say(fixture, "ection\",\"data\":\"abc\"}\n");
	assert_string_equal(fixture->session, "+abc");
	go_on(fixture);
	assert_string_equal(fixture->session, ""); /* It was dealt with. */
	close_lasting(fixture);
}

/* As the kernel leaves it when the process is killed in the system call. */
static void what_came_and_was_never_looked_at_is_dealt_with(void **state)
{
	struct fixture *fixture = open_lasting(&lp_dialect_socketio_sticky);
	(void)state;
	say(fixture, "{\"a\":");
	struct lp_channel_lasting *lasting = fixture->channel.lasting;
	size_t end = (size_t)(lasting->place >> 32);
	static const char more[] = "1}\n" SESSION "{\"b\":";
	memcpy(lasting->in + end, more, strlen(more));
	lasting->journal.msg_len = (unsigned)strlen(more);
	go_on(fixture);
	assert_string_equal(fixture->session, "+abc");
	say(fixture, "2}\n{\"type\":\"sticky:disconnection\",\"data\":\"abc\"}\n");
	assert_string_equal(fixture->session, "-abc");
	close_lasting(fixture);
}

static void a_frame_that_was_never_looked_at_is_dealt_with(void **state)
{
	struct fixture *fixture = open_lasting(&lp_dialect_native);
	static const char frame[] = "session abc";
	(void)state;
	say(fixture, "ready");
	memcpy(fixture->channel.lasting->in, frame, strlen(frame));
	fixture->channel.lasting->journal.msg_len = (unsigned)strlen(frame);
	go_on(fixture);
	assert_true(fixture->ready); /* As it was. */
	assert_string_equal(fixture->session, "+abc");
	close_lasting(fixture);
}

static char *make_line(size_t length, const char *begin)
{
	char *line = malloc(length + 1);
	assert_non_null(line);
	memset(line, ' ', length);
	memcpy(line, begin, strlen(begin));
	line[length - 1] = '\n';
	line[length] = '\0';
	return line;
}

/* In pieces, as the socket takes them. */
static void say_all(struct fixture *fixture, const char *text, size_t length)
{
	while (length) {
		ssize_t sent = send(fixture->worker_end, text, length < 50000 ? length : 50000, 0);
		assert_true(sent > 0);
		text += sent;
		length -= (size_t)sent;
		lp_channel_hear(&fixture->channel);
	}
}

static void a_line_that_has_no_room_comes_whole_all_the_same(void **state)
{
	struct fixture *fixture = open_lasting(&lp_dialect_socketio_sticky);
	const size_t length = 3 * LP_CHANNEL_LASTING_IN;
	char *line = make_line(length, "{\"type\":\"sticky:connection\",\"data\":\"abc\"}");
	(void)state;
	say_all(fixture, line, length);
	assert_string_equal(fixture->session, "+abc");
	assert_false(fixture->channel.lasting->spilled);
	go_on(fixture);
	say(fixture, "{\"type\":\"sticky:disconnection\",\"data\":\"abc\"}\n");
	assert_string_equal(fixture->session, "-abc");
	free(line);
	close_lasting(fixture);
}

static void its_beginning_dies_with_the_balancer_and_its_rest_is_passed_over(void **state)
{
	struct fixture *fixture = open_lasting(&lp_dialect_socketio_sticky);
	const size_t length = 3 * LP_CHANNEL_LASTING_IN;
	char *line = make_line(length, "{\"type\":\"sticky:connection\",\"data\":\"abc\"}");
	(void)state;
	say_all(fixture, line, length - 100);
	assert_true(fixture->channel.lasting->spilled);
	go_on(fixture);
	say_all(fixture, line + length - 100, 100);
	assert_string_equal(fixture->session, "");
	say(fixture, SESSION);
	assert_string_equal(fixture->session, "+abc");
	free(line);
	close_lasting(fixture);
}

static void numbers_of_connections_go_on(void **state)
{
	struct fixture *fixture = open_lasting(&lp_dialect_native);
	char text[256];
	(void)state;
	say(fixture, "ready");
	hand_over(fixture, 0, 8080);
	assert_true(receive(fixture, text, sizeof(text)));
	assert_string_equal(text, "connection 1");
	on_returned(&fixture->channel, fixture->connections[0], LP_RETURN_REFUSED);
	go_on(fixture);
	hand_over(fixture, 1, 8080);
	assert_true(receive(fixture, text, sizeof(text)));
	assert_string_equal(text, "connection 2");
	say(fixture, "ack 2 1");
	assert_int_equal(fixture->accepted, 1);
	close_lasting(fixture);
}

static void acknowledgements_of_an_earlier_balancers_connections_are_not_counted(void **state)
{
	struct fixture *fixture = open_lasting(&lp_dialect_socketio_sticky);
	char text[256];
	(void)state;
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\"}\n");
	assert_true(fixture->ready);
	go_on(fixture);
	assert_false(fixture->ready);
	lp_channel_flush(&fixture->channel);
	assert_true(receive(fixture, text, sizeof(text))); /* The question, with something to acknowledge. */
	assert_non_null(strstr(text, "\"seq\":-1}"));
	hand_over(fixture, 0, 8080);
	say(fixture, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
	assert_int_equal(fixture->accepted, 0);
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":-1,\"accepted\":false}\n");
	assert_true(fixture->ready);
	assert_int_equal(fixture->answers, 0); /* Nobody but the channel had asked. */
	say(fixture, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
	assert_int_equal(fixture->accepted, 1);
	close_lasting(fixture);
}

static void what_is_written_ends_where_a_line_does(void **state)
{
	struct fixture *fixture = open_lasting(&lp_dialect_socketio_sticky);
	char *long_line = make_line(2 * LP_CHANNEL_WHOLE_MAX, "{}");
	char text[3 * 20000 + 1];
	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 20000 == 19999 ? '\n' : 'x';
	struct lp_slice next = lp_channel_lasting_next(&fixture->channel, (struct lp_slice){text, sizeof(text) - 1});
	assert_int_equal(next.length, 20000);
	assert_false(fixture->channel.lasting->half_sent);

	struct lp_slice whole = {long_line, 2 * LP_CHANNEL_WHOLE_MAX};
	assert_int_equal(lp_channel_lasting_next(&fixture->channel, whole).length, whole.length);
	assert_true(fixture->channel.lasting->half_sent);
	lp_channel_lasting_sent(&fixture->channel, 1000);
	assert_int_equal(
		lp_channel_lasting_next(&fixture->channel, (struct lp_slice){whole.bytes + 1000, whole.length - 1000})
			.length,
		whole.length - 1000);
	assert_int_equal(die(fixture), -EPIPE); /* Half a line followed by another would end the worker. */
	free(long_line);
	close_lasting(fixture);
}

static void a_record_that_makes_no_sense_is_not_believed(void **state)
{
	struct fixture *fixture = open_lasting(&lp_dialect_socketio_sticky);
	(void)state;
	fixture->channel.lasting->place = UINT64_MAX;
	assert_int_equal(die(fixture), -EPIPE);
	close_lasting(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_a_line_waits_for_the_next_balancer),
		cmocka_unit_test(what_came_and_was_never_looked_at_is_dealt_with),
		cmocka_unit_test(a_frame_that_was_never_looked_at_is_dealt_with),
		cmocka_unit_test(a_line_that_has_no_room_comes_whole_all_the_same),
		cmocka_unit_test(its_beginning_dies_with_the_balancer_and_its_rest_is_passed_over),
		cmocka_unit_test(numbers_of_connections_go_on),
		cmocka_unit_test(acknowledgements_of_an_earlier_balancers_connections_are_not_counted),
		cmocka_unit_test(what_is_written_ends_where_a_line_does),
		cmocka_unit_test(a_record_that_makes_no_sense_is_not_believed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
