/* Every event in every state of a channel, with a socket of the test's: what channel.c has in its table. */
#include "channel_fixture.h"

#include <errno.h>

enum event {
	CONNECTION_IS_SENT,
	NO_ROOM_FOR_CONNECTION,
	KERNEL_STARVES,
	SENDING_FAILS,
	NO_ROOM_FOR_BYTES,
	ROOM_IS_BACK,
	TIMER_ENDS,
	WORKER_ENDS,
	WORKER_RESETS,
	READING_FAILS,
	WORKER_TALKS_NONSENSE,
	FAILS,
	CLOSES,
	EVENTS,
};

#define NEVER (-1)
#define SAME (-2)

static const int table[EVENTS][LP_CHANNEL_STATES] = {
	/*               CLOSED OPEN              BLOCKED           STARVED            DEAF  FAILING ENDED FAILED */
	[CONNECTION_IS_SENT] = {NEVER, SAME, SAME, SAME, SAME, SAME, SAME, SAME},
	[NO_ROOM_FOR_CONNECTION] = {NEVER, LP_CHANNEL_BLOCKED, SAME, SAME, SAME, SAME, SAME, SAME},
	[KERNEL_STARVES] = {NEVER, LP_CHANNEL_STARVED, SAME, SAME, SAME, SAME, SAME, SAME},
	[SENDING_FAILS] = {NEVER, LP_CHANNEL_FAILING, SAME, SAME, SAME, SAME, SAME, SAME},
	[NO_ROOM_FOR_BYTES] = {NEVER, LP_CHANNEL_BLOCKED, SAME, LP_CHANNEL_BLOCKED, SAME, SAME, SAME, SAME},
	[ROOM_IS_BACK] = {NEVER, SAME, LP_CHANNEL_OPEN, SAME, SAME, SAME, SAME, SAME},
	[TIMER_ENDS] = {NEVER, NEVER, NEVER, LP_CHANNEL_OPEN, NEVER, LP_CHANNEL_FAILED, NEVER, NEVER},
	[WORKER_ENDS] = {NEVER, LP_CHANNEL_ENDED, LP_CHANNEL_ENDED, LP_CHANNEL_ENDED, LP_CHANNEL_ENDED,
			 LP_CHANNEL_ENDED, SAME, SAME},
	[WORKER_RESETS] = {NEVER, LP_CHANNEL_DEAF, LP_CHANNEL_DEAF, LP_CHANNEL_DEAF, SAME, SAME, SAME, SAME},
	[READING_FAILS] = {NEVER, LP_CHANNEL_FAILED, LP_CHANNEL_FAILED, LP_CHANNEL_FAILED, LP_CHANNEL_FAILED,
			   LP_CHANNEL_FAILED, SAME, SAME},
	[WORKER_TALKS_NONSENSE] = {NEVER, LP_CHANNEL_FAILED, LP_CHANNEL_FAILED, LP_CHANNEL_FAILED, LP_CHANNEL_FAILED,
				   LP_CHANNEL_FAILED, SAME, SAME},
	[FAILS] = {NEVER, LP_CHANNEL_FAILING, LP_CHANNEL_FAILING, LP_CHANNEL_FAILING, LP_CHANNEL_FAILING, SAME, SAME,
		   SAME},
	[CLOSES] = {NEVER, LP_CHANNEL_CLOSED, LP_CHANNEL_CLOSED, LP_CHANNEL_CLOSED, LP_CHANNEL_CLOSED,
		    LP_CHANNEL_CLOSED, LP_CHANNEL_CLOSED, LP_CHANNEL_CLOSED},
};

/* What the socket and the loop do. */
static struct {
	ssize_t sends; /* Negative errno of all that is sent; 0: it goes out. */
	unsigned sent;
	ssize_t reads[2];  /* Of the next two readings; then there is nothing. */
	const char *words; /* What a reading brings instead. */
	unsigned readings;
	uv_poll_cb on_poll;
	int polled;
	uv_timer_cb on_timer;
	bool timer_runs;
} socket_is;

ssize_t __wrap_lp_scm_rights_send(int socket, const char *bytes, size_t length, int fd);
ssize_t __wrap_lp_scm_rights_receive_all(int socket, char *bytes, size_t size, int *fds, size_t *count);
int __wrap_uv_poll_start(uv_poll_t *poll, int events, uv_poll_cb callback);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t timeout_ms, uint64_t repeat_ms);
int __wrap_uv_timer_stop(uv_timer_t *timer);

ssize_t __wrap_lp_scm_rights_send(int socket, const char *bytes, size_t length, int fd)
{
	(void)socket;
	(void)bytes;
	(void)fd;
	if (socket_is.sends)
		return socket_is.sends;
	socket_is.sent++;
	return (ssize_t)length;
}

ssize_t __wrap_lp_scm_rights_receive_all(int socket, char *bytes, size_t size, int *fds, size_t *count)
{
	(void)socket;
	(void)size;
	(void)fds;
	*count = 0;
	if (socket_is.words) {
		size_t length = strlen(socket_is.words);
		memcpy(bytes, socket_is.words, length);
		socket_is.words = NULL;
		return (ssize_t)length;
	}
	return socket_is.readings < 2 ? socket_is.reads[socket_is.readings++] : -EAGAIN;
}

int __wrap_uv_poll_start(uv_poll_t *poll, int events, uv_poll_cb callback)
{
	(void)poll;
	socket_is.polled = events;
	socket_is.on_poll = callback;
	return 0;
}

int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t timeout_ms, uint64_t repeat_ms)
{
	(void)timer;
	(void)timeout_ms;
	assert_int_equal(repeat_ms, 0);
	socket_is.on_timer = callback;
	socket_is.timer_runs = true;
	return 0;
}

int __wrap_uv_timer_stop(uv_timer_t *timer)
{
	(void)timer;
	socket_is.timer_runs = false;
	return 0;
}

static void queue_one(struct fixture *fixture)
{
	queue_connection(&fixture->table, dup(STDERR_FILENO), 80, 1);
	lp_channel_flush(&fixture->channel);
}

static void become_readable(struct fixture *fixture, ssize_t first, ssize_t second)
{
	socket_is.reads[0] = first;
	socket_is.reads[1] = second;
	socket_is.readings = 0;
	if (lp_channel_can_hear(&fixture->channel))
		socket_is.on_poll(&fixture->channel.poll, 0, UV_READABLE);
	lp_channel_hear_some(&fixture->channel);
	socket_is.readings = 2;
}

static void happen(struct fixture *fixture, enum event event)
{
	struct lp_channel *channel = &fixture->channel;
	switch (event) {
	case CONNECTION_IS_SENT:
		queue_one(fixture);
		break;
	case NO_ROOM_FOR_CONNECTION:
	case KERNEL_STARVES:
	case SENDING_FAILS:
		socket_is.sends = event == NO_ROOM_FOR_CONNECTION ? -EAGAIN
				  : event == KERNEL_STARVES       ? -ENOBUFS
								  : -EPIPE;
		queue_one(fixture);
		socket_is.sends = 0;
		break;
	case NO_ROOM_FOR_BYTES:
		socket_is.sends = -EAGAIN;
		lp_channel_send(channel, "bytes", 5);
		socket_is.sends = 0;
		break;
	case ROOM_IS_BACK:
		if (lp_channel_can_hear(channel))
			socket_is.on_poll(&channel->poll, 0, UV_WRITABLE);
		break;
	case TIMER_ENDS:
		socket_is.timer_runs = false;
		socket_is.on_timer(&channel->retry);
		break;
	case WORKER_ENDS:
		become_readable(fixture, 0, -EAGAIN);
		break;
	case WORKER_RESETS:
		become_readable(fixture, -ECONNRESET, -EAGAIN);
		break;
	case READING_FAILS:
		become_readable(fixture, -EIO, -EAGAIN);
		break;
	case WORKER_TALKS_NONSENSE:
		socket_is.words = "ack 7 0"; /* Of nothing that was sent. */
		become_readable(fixture, -EAGAIN, -EAGAIN);
		socket_is.words = NULL;
		break;
	case FAILS:
		lp_channel_fail(channel, -ENOMEM);
		break;
	default:
		lp_channel_close(channel, NULL);
		fixture->open = false;
		break;
	}
}

static void check_channel(const struct fixture *fixture)
{
	enum lp_channel_state state = fixture->channel.state;
	bool has_ended = state == LP_CHANNEL_ENDED || state == LP_CHANNEL_FAILED;
	assert_int_equal(socket_is.timer_runs, state == LP_CHANNEL_STARVED || state == LP_CHANNEL_FAILING);
	if (state != LP_CHANNEL_CLOSED)
		assert_int_equal(fixture->ends, has_ended);
	assert_int_equal(lp_channel_can_hear(&fixture->channel), !has_ended && state != LP_CHANNEL_CLOSED);
	if (state == LP_CHANNEL_BLOCKED)
		assert_true(socket_is.polled & UV_WRITABLE);
}

static struct fixture *reach(enum lp_channel_state state)
{
	static const enum event way[LP_CHANNEL_STATES] = {
		[LP_CHANNEL_CLOSED] = CLOSES,          [LP_CHANNEL_BLOCKED] = NO_ROOM_FOR_CONNECTION,
		[LP_CHANNEL_STARVED] = KERNEL_STARVES, [LP_CHANNEL_DEAF] = WORKER_RESETS,
		[LP_CHANNEL_FAILING] = FAILS,          [LP_CHANNEL_ENDED] = WORKER_ENDS,
		[LP_CHANNEL_FAILED] = READING_FAILS,
	};
	memset(&socket_is, 0, sizeof(socket_is));
	struct fixture *fixture = open_fixture(&lp_dialect_native);
	if (state != LP_CHANNEL_OPEN)
		happen(fixture, way[state]);
	assert_int_equal(fixture->channel.state, state);
	return fixture;
}

static void a_channel_meets_every_event(void **unused)
{
	(void)unused;
	for (int from = 0; from < LP_CHANNEL_STATES; from++)
		for (int event = 0; event < EVENTS; event++) {
			int next = table[event][from];
			struct fixture *fixture = reach((enum lp_channel_state)from);
			check_channel(fixture);
			if (event == TIMER_ENDS)
				assert_int_equal(socket_is.timer_runs, next != NEVER);
			if (next != NEVER) {
				happen(fixture, (enum event)event);
				if ((int)fixture->channel.state != (next == SAME ? from : next))
					fail_msg("state %d, event %d: %d", from, event, fixture->channel.state);
				check_channel(fixture);
			}
			close_fixture(fixture);
		}
}

static void connections_go_out_when_it_is_open_only(void **unused)
{
	(void)unused;
	for (int state = LP_CHANNEL_OPEN; state < LP_CHANNEL_STATES; state++) {
		struct fixture *fixture = reach((enum lp_channel_state)state);
		socket_is.sent = 0;
		queue_one(fixture);
		assert_int_equal(socket_is.sent, state == LP_CHANNEL_OPEN);
		assert_int_equal(fixture->table.connections.by_state[1][LP_SENT], state == LP_CHANNEL_OPEN);
		close_fixture(fixture);
	}
}

/* Of what was said before it failed. */
static void messages_are_kept_while_it_may_send_again(void **unused)
{
	(void)unused;
	for (int state = LP_CHANNEL_OPEN; state < LP_CHANNEL_STATES; state++) {
		struct fixture *fixture = reach((enum lp_channel_state)state);
		bool may = state <= LP_CHANNEL_STARVED;
		assert_int_equal(lp_channel_post(&fixture->channel, LP_SLICE("message")), may);
		lp_channel_drain(&fixture->channel);
		assert_int_equal(fixture->channel.drain != LP_CHANNEL_DRAIN_NOT, may);
		close_fixture(fixture);
	}
}

static void what_was_refused_goes_out_when_there_is_room_again(void **unused)
{
	struct fixture *fixture = reach(LP_CHANNEL_BLOCKED);
	(void)unused;
	lp_channel_drain(&fixture->channel);
	assert_int_equal(fixture->channel.drain, LP_CHANNEL_DRAIN_WANTED);
	happen(fixture, ROOM_IS_BACK);
	assert_int_equal(fixture->table.connections.by_state[1][LP_SENT], 1);
	assert_int_equal(fixture->channel.drain, LP_CHANNEL_DRAIN_TOLD);
	assert_int_equal(socket_is.sent, 2);
	assert_false(socket_is.polled & UV_WRITABLE);
	lp_channel_drain(&fixture->channel); /* Twice is once. */
	assert_int_equal(socket_is.sent, 2);
	close_fixture(fixture);

	fixture = reach(LP_CHANNEL_STARVED);
	happen(fixture, TIMER_ENDS);
	assert_int_equal(fixture->table.connections.by_state[1][LP_SENT], 1);
	close_fixture(fixture);
}

/* It is heard out before its end is told. */
static void last_words_of_one_that_fails_count(void **unused)
{
	struct fixture *fixture = reach(LP_CHANNEL_OPEN);
	(void)unused;
	queue_one(fixture);
	lp_channel_fail(&fixture->channel, UV_EPIPE);
	lp_channel_fail(&fixture->channel, -EIO); /* Twice is once. */
	assert_int_equal(fixture->ends, 0);
	socket_is.words = "ack 1 1";
	happen(fixture, TIMER_ENDS);
	assert_int_equal(fixture->accepted, 1);
	assert_int_equal(fixture->ends, 1);
	assert_int_equal(fixture->end, LP_CHANNEL_FAILED);
	close_fixture(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_channel_meets_every_event),
		cmocka_unit_test(connections_go_out_when_it_is_open_only),
		cmocka_unit_test(messages_are_kept_while_it_may_send_again),
		cmocka_unit_test(what_was_refused_goes_out_when_there_is_room_again),
		cmocka_unit_test(last_words_of_one_that_fails_count),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
