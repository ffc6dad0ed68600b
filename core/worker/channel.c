/*
 * One socket pair to one worker: connections and bytes go out, and what the worker says comes in.
 *
 *     state      meaning                                  leaves on
 *     CLOSED     there is none                            lp_channel_open, lp_channel_adopt -> OPEN
 *     OPEN       it sends and hears                       the socket has no room -> BLOCKED; the kernel is out of something
 *                                                         -> STARVED
 *     BLOCKED    it hears; the socket has no room         there is room -> OPEN
 *     STARVED    it hears; `retry` runs                   RETRY_MS later -> OPEN; the socket has no room -> BLOCKED
 *     DEAF       it hears; the worker reads no more       –
 *     FAILING    lp_channel_fail: on_end comes soon       it has been heard out -> FAILED
 *     ENDED      the worker has closed its end            (on_end was called)
 *     FAILED     it was ended by an error, or by us       (on_end was called)
 *
 * From OPEN, BLOCKED and STARVED a send that fails leads to FAILING, and a worker that has closed while we had more to say to
 * DEAF; from those, DEAF and FAILING the end of what it says leads to ENDED, and what makes no sense to FAILED; from all of them
 * lp_channel_close to CLOSED.
 *
 * Two things go out, in this order: bytes that wait (`out`), and connections that are QUEUED for its worker. So a connection never
 * overtakes another, and a descriptor is never sent inside a half-written message.
 *
 * A connection is not sent when it is queued but when the owner flushes, once a turn of the loop: all that is for one worker
 * goes in one go, and the worker wakes once for all of it. Sent one by one, between accepts and for different workers in
 * turn, each would find its worker asleep again; waking it, and being preempted by it, cost a busy balancer a third of its
 * time.
 *
 * What comes in of a stream is put together in `in`; a message of SOCK_SEQPACKET comes whole. When the worker dies the kernel
 * first gives us what it had said, then end-of-file; so its last acknowledgements count. (A SEQPACKET socket reports ECONNRESET in
 * between; reading goes on past it.)
 *
 * A channel that nothing can be sent through any more, for whatever reason, ends: it is heard out, and then on_end runs
 * (lp_channel_fail). A worker that has closed only one direction, or an error that nobody thought of, leaves no channel
 * that is neither open nor closed.
 *
 * ENOBUFS, ENOMEM and ETOOMANYREFS (too many descriptors of ours in flight) end without any event,
 * so a timer tries again.
 */
#include "worker/channel.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/v8frame.h"
#include "wire/scm_rights.h"
#include "worker/channel_lasting.h"

#define RETRY_MS 10

/* Posted bytes that do not wait for the turn's end. */
#define POSTED_AT_ONCE LP_CHANNEL_READ_SIZE

/* Reads before the loop gets its turn, and how long they may take: a talkative worker must not starve the others. */
#define READS_A_TURN 64
#define TURN_NS 1000000

/* What the kernel can hold of a worker's last words, and more, in readings. */
#define LAST_READS 4096

#define BIT(state) (1u << (state))

#define ALL_SENDING (BIT(LP_CHANNEL_OPEN) | BIT(LP_CHANNEL_BLOCKED) | BIT(LP_CHANNEL_STARVED))
#define ALL_HEARING (ALL_SENDING | BIT(LP_CHANNEL_DEAF) | BIT(LP_CHANNEL_FAILING))

#define ALL_ENDS (BIT(LP_CHANNEL_ENDED) | BIT(LP_CHANNEL_FAILED) | BIT(LP_CHANNEL_CLOSED))

struct state {
	const char *name;
	unsigned next; /* Those that it may become. */
};

static const struct state states[LP_CHANNEL_STATES] = {
	[LP_CHANNEL_CLOSED] = {"CLOSED", BIT(LP_CHANNEL_OPEN)},
	[LP_CHANNEL_OPEN] = {"OPEN", BIT(LP_CHANNEL_BLOCKED) | BIT(LP_CHANNEL_STARVED) | BIT(LP_CHANNEL_DEAF) |
					     BIT(LP_CHANNEL_FAILING) | ALL_ENDS},
	[LP_CHANNEL_BLOCKED] = {"BLOCKED",
				BIT(LP_CHANNEL_OPEN) | BIT(LP_CHANNEL_DEAF) | BIT(LP_CHANNEL_FAILING) | ALL_ENDS},
	[LP_CHANNEL_STARVED] = {"STARVED", BIT(LP_CHANNEL_OPEN) | BIT(LP_CHANNEL_BLOCKED) | BIT(LP_CHANNEL_DEAF) |
						   BIT(LP_CHANNEL_FAILING) | ALL_ENDS},
	[LP_CHANNEL_DEAF] = {"DEAF", BIT(LP_CHANNEL_FAILING) | ALL_ENDS},
	[LP_CHANNEL_FAILING] = {"FAILING", ALL_ENDS},
	[LP_CHANNEL_ENDED] = {"ENDED", BIT(LP_CHANNEL_CLOSED)},
	[LP_CHANNEL_FAILED] = {"FAILED", BIT(LP_CHANNEL_CLOSED)},
};

static void move_channel(struct lp_channel *channel, enum lp_channel_state to)
{
	enum lp_channel_state from = channel->state;
	if (!(states[from].next & BIT(to))) {
		fprintf(stderr, "limpet: a channel that is %s cannot become %s; this is a bug of limpet's\n",
			states[from].name, states[to].name);
		abort();
	}
	if (from == LP_CHANNEL_STARVED || from == LP_CHANNEL_FAILING)
		uv_timer_stop(&channel->retry);
	channel->state = to;
}

static bool can_send(const struct lp_channel *channel)
{
	return ALL_SENDING & BIT(channel->state);
}

bool lp_channel_can_hear(const struct lp_channel *channel)
{
	return ALL_HEARING & BIT(channel->state);
}

static void note_blocked(struct lp_channel *channel)
{
	if (channel->state == LP_CHANNEL_OPEN || channel->state == LP_CHANNEL_STARVED)
		move_channel(channel, LP_CHANNEL_BLOCKED);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void update_poll(struct lp_channel *channel)
{
	int wanted = channel->state == LP_CHANNEL_BLOCKED ? UV_READABLE | UV_WRITABLE : UV_READABLE;
	if (wanted != channel->polled) {
		channel->polled = wanted;
		uv_poll_start(&channel->poll, wanted, on_poll);
	}
}

/* Without waiting: bytes sent, UV_EAGAIN, UV_ENOBUFS, or UV_EPIPE when the channel is broken. */
static ssize_t send_now(struct lp_channel *channel, const char *bytes, size_t length, int fd)
{
	ssize_t sent;
	do
		sent = lp_scm_rights_send(channel->fd, bytes, length, fd);
	while (sent == -EINTR);
	switch (sent) {
	case -EAGAIN:
		note_blocked(channel);
		return UV_EAGAIN;
	case -ENOBUFS:
	case -ENOMEM:
	case -ETOOMANYREFS:
		lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_HANDOVER,
			       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
			       "worker %u cannot be sent a connection: %s; trying again", channel->worker,
			       strerror((int)-sent));
		return UV_ENOBUFS;
	default:
		if (sent < 0)
			lp_channel_fail(channel, (int)sent);
		return sent < 0 ? UV_EPIPE : sent;
	}
}

/* The connection is SENT then, or QUEUED again on an error; or it was returned. */
static int send_connection(struct lp_channel *channel, struct lp_connection *connection)
{
	char text[LP_DIALECT_MESSAGE_MAX];
	lp_connection_move(channel->connections, connection, LP_SENDING);
	connection->number = channel->sent + 1;
	if (channel->lasting)
		channel->lasting->sent = connection->number;
	size_t length = channel->dialect->address(channel, connection, text);
	if (!length) {
		channel->events->on_returned(channel, connection, LP_RETURN_NO_SERVER);
		return 0;
	}
	if (connection->watched)
		channel->events->on_sending(channel, connection);
	ssize_t sent = send_now(channel, text, length, connection->fd);
	lp_connection_move(channel->connections, connection, sent < 0 ? LP_QUEUED : LP_SENT);
	if (sent < 0)
		return (int)sent;
	channel->sent++;
	if ((size_t)sent < length && lp_buffer_append(&channel->out, text + sent, length - (size_t)sent))
		lp_channel_fail(channel, -ENOMEM); /* Half a message can never be mended. */
	return 0;
}

static void on_retry(uv_timer_t *retry)
{
	struct lp_channel *channel = retry->data;
	move_channel(channel, LP_CHANNEL_OPEN);
	lp_channel_flush(channel);
}

/* Out of something that no event tells the return of: try again a little later. */
static void retry_later(struct lp_channel *channel)
{
	if (channel->state != LP_CHANNEL_OPEN)
		return;
	move_channel(channel, LP_CHANNEL_STARVED);
	uv_timer_start(&channel->retry, on_retry, RETRY_MS, 0);
}

static void end_channel(struct lp_channel *channel, enum lp_channel_state end)
{
	move_channel(channel, end);
	channel->events->on_end(channel);
}

/* A worker that has closed its end ends the channel while it is heard out; one that has not is left alone now. */
static void on_failing(uv_timer_t *retry)
{
	struct lp_channel *channel = retry->data;
	lp_channel_hear_out(channel);
	if (channel->state == LP_CHANNEL_FAILING)
		end_channel(channel, LP_CHANNEL_FAILED);
}

void lp_channel_fail(struct lp_channel *channel, int status)
{
	if (!can_send(channel) && channel->state != LP_CHANNEL_DEAF)
		return;
	if (status != UV_EPIPE && status != UV_ECONNRESET)
		lp_log_limited(channel->log, LP_LOG_ERROR, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
			       "worker %u: limpet has closed its channel: %s", channel->worker, lp_error_words(status));
	move_channel(channel, LP_CHANNEL_FAILING);
	uv_timer_start(&channel->retry, on_failing, 0, 0);
}

static void tell_to_drain(struct lp_channel *channel)
{
	channel->drain = LP_CHANNEL_DRAIN_TOLD;
	if (channel->lasting)
		channel->lasting->drained = true;
	channel->dialect->drain(channel);
}

static bool sends_messages(const struct lp_channel *channel)
{
	return channel->dialect->socket_type == SOCK_SEQPACKET;
}

/* Let bytes wait; where messages are to stay apart, behind their length. 0, or -ENOMEM with nothing changed. */
static int put_out(struct lp_channel *channel, const char *bytes, size_t length)
{
	uint32_t head = (uint32_t)length;
	size_t before = channel->out.length;
	int status = sends_messages(channel) ? lp_buffer_append(&channel->out, (const char *)&head, sizeof(head)) : 0;
	if (!status)
		status = lp_buffer_append(&channel->out, bytes, length);
	if (status)
		channel->out.length = before;
	return status;
}

/* What is to be sent at once of the bytes that wait. */
static struct lp_slice next_out(struct lp_channel *channel)
{
	const char *bytes = channel->out.bytes + channel->out_sent;
	uint32_t length;
	struct lp_slice waiting = {bytes, channel->out.length - channel->out_sent};
	if (!sends_messages(channel))
		return channel->lasting ? lp_channel_lasting_next(channel, waiting) : waiting;
	memcpy(&length, bytes, sizeof(length));
	return (struct lp_slice){bytes + sizeof(length), length};
}

/*
 * Write bytes that wait, as far as the socket takes them. What is left is moved to the front only when it is no more than
 * what was written: with much waiting for a slow worker, moving it each time would cost more than all else.
 */
static void flush_out(struct lp_channel *channel)
{
	ssize_t sent = 0;
	while (sent >= 0 && channel->out_sent < channel->out.length) {
		struct lp_slice next = next_out(channel);
		sent = send_now(channel, next.bytes, next.length, -1);
		if (sent >= 0 && channel->lasting)
			lp_channel_lasting_sent(channel, (size_t)sent);
		if (sent >= 0)
			channel->out_sent = (size_t)(next.bytes - channel->out.bytes) + (size_t)sent;
	}
	if (channel->out_sent && channel->out_sent >= channel->out.length - channel->out_sent) {
		lp_buffer_consume(&channel->out, channel->out_sent);
		channel->out_sent = 0;
	}
	if (sent == UV_ENOBUFS)
		retry_later(channel);
}

static struct lp_connection *first_of(const struct lp_channel *channel, enum lp_connection_state state)
{
	return lp_connections_first(channel->connections, channel->sends_for, state);
}

bool lp_channel_has_work(const struct lp_channel *channel)
{
	return channel->out.length || channel->drain == LP_CHANNEL_DRAIN_WANTED || channel->resync_wanted ||
	       first_of(channel, LP_QUEUED);
}

/* Which flushes, and comes here again with nothing wanted. */
static void resync(struct lp_channel *channel)
{
	channel->resync_wanted = false;
	int status = channel->dialect->resync(channel);
	channel->resync_wanted = status == UV_EAGAIN || status == UV_ENOBUFS;
}

/* Write what waits, as far as the socket takes it. */
static void flush(struct lp_channel *channel)
{
	struct lp_connection *connection;
	flush_out(channel);
	if (channel->resync_wanted && !channel->out.length && channel->state == LP_CHANNEL_OPEN)
		resync(channel);
	while (!channel->out.length && can_send(channel) && (connection = first_of(channel, LP_QUEUED))) {
		int status = send_connection(channel, connection);
		if (status == UV_ENOBUFS)
			retry_later(channel);
		if (status)
			return;
	}
	if (channel->drain == LP_CHANNEL_DRAIN_WANTED && !channel->out.length && !first_of(channel, LP_QUEUED))
		tell_to_drain(channel);
}

/* Hearing */

static void drop_descriptor(struct lp_channel *channel)
{
	if (channel->came >= 0)
		lp_closer_close(channel->connections->closer, channel->came);
	channel->came = -1;
}

/* What came with it is kept for the dialect, until the next message. */
static ssize_t receive_with_descriptors(struct lp_channel *channel, char *bytes)
{
	int fds[LP_SCM_RIGHTS_MAX];
	size_t count;
	ssize_t got = channel->lasting
			      ? lp_channel_lasting_receive(channel, fds, &count)
			      : lp_scm_rights_receive_all(channel->fd, bytes, LP_CHANNEL_READ_SIZE, fds, &count);
	bool is_taken = count && channel->dialect->takes_descriptors;
	channel->came = is_taken ? fds[0] : -1;
	for (size_t i = is_taken; i < count; i++)
		lp_closer_close(channel->connections->closer, fds[i]);
	return got;
}

/* Returns as recvmsg does, or negative errno. */
static ssize_t receive_now(struct lp_channel *channel, char *bytes)
{
	for (;;) {
		ssize_t got = receive_with_descriptors(channel, bytes);
		if (got >= 0)
			return got;
		if (got == -EINTR)
			continue;
		if (got == -ECONNRESET) {
			if (can_send(channel))
				move_channel(channel, LP_CHANNEL_DEAF);
			continue; /* Said once; what was queued before it can still be read, and then the end. */
		}
		return got;
	}
}

static size_t skip_long_frame(struct lp_channel *channel, size_t length)
{
	size_t skipped = length < channel->skip_bytes ? length : channel->skip_bytes;
	channel->skip_bytes -= skipped;
	return skipped;
}

/* A message too long is passed over up to its end. Returns where the rest of bytes begins. */
static size_t skip_long_message(struct lp_channel *channel, const char *bytes, size_t length)
{
	if (channel->dialect->language == LP_LANGUAGE_V8)
		return skip_long_frame(channel, length);
	const char *end = memchr(bytes, '\n', length);
	if (!end)
		return length;
	channel->skip_bytes = 0;
	return (size_t)(end - bytes) + 1;
}

/* What has come of a message is forgotten, and so will be its rest. */
static void pass_over(struct lp_channel *channel, const char *why)
{
	lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
		       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
		       "worker %u sent %s; it was ignored", channel->worker, why);
	/* The end of V8's frame cannot be seen, but was told: nothing as short as its head is passed over. */
	bool is_v8 = channel->dialect->language == LP_LANGUAGE_V8;
	channel->skip_bytes =
		is_v8 ? lp_v8_frame_length(channel->in.bytes) - channel->in.length : LP_CHANNEL_SKIP_TO_NEWLINE;
	lp_buffer_consume(&channel->in, channel->in.length);
}

/*
 * Bytes of a stream: what the dialect leaves over waits in `in` for the rest of its message. There is always room for
 * what one reading leaves, so that only a message that is longer can find no memory: acknowledgements are not lost.
 *
 * The dialect looks at what waits from its beginning. Of a line whose end has not come it need not look each time.
 */
static long take_stream(struct lp_channel *channel, const char *bytes, size_t length)
{
	bool goes_on =
		channel->in.length && channel->dialect->language == LP_LANGUAGE_JSON && !memchr(bytes, '\n', length);
	if (channel->in.length && lp_buffer_append(&channel->in, bytes, length))
		pass_over(channel, "a message that there is no memory for");
	else if (channel->in.length)
		length = 0; /* They are in it. */
	if (channel->skip_bytes) {
		size_t skipped = skip_long_message(channel, bytes, length);
		bytes += skipped;
		length -= skipped;
	}
	if (!channel->in.length) {
		long used = channel->dialect->receive(channel, bytes, length);
		return used < 0 ? used : lp_buffer_append(&channel->in, bytes + used, length - (size_t)used);
	}
	long used = goes_on ? 0 : channel->dialect->receive(channel, channel->in.bytes, channel->in.length);
	if (used < 0)
		return used;
	lp_buffer_consume(&channel->in, (size_t)used);
	if (channel->in.length > LP_CHANNEL_MESSAGE_MAX) {
		char why[64];
		snprintf(why, sizeof(why), "a message longer than %u bytes", LP_CHANNEL_MESSAGE_MAX);
		pass_over(channel, why);
	}
	return 0;
}

/* Read once. Returns how many bytes were taken, or 0 when there is no more for now. */
static size_t hear_once(struct lp_channel *channel)
{
	char bytes[LP_CHANNEL_READ_SIZE];
	ssize_t got = receive_now(channel, bytes);
	if (got == -EAGAIN)
		return 0;
	if (got <= 0) {
		if (got < 0 || !channel->is_shut)
			end_channel(channel, got ? LP_CHANNEL_FAILED : LP_CHANNEL_ENDED);
		return 0;
	}
	bool is_stream = channel->dialect->socket_type == SOCK_STREAM;
	long status = channel->lasting ? lp_channel_lasting_take(channel, (size_t)got, take_stream)
		      : is_stream      ? take_stream(channel, bytes, (size_t)got)
				       : channel->dialect->receive(channel, bytes, (size_t)got);
	drop_descriptor(channel);
	if (status >= 0)
		return (size_t)got;
	lp_log_limited(channel->log, LP_LOG_ERROR, LP_LOG_TOPIC_WORKER,
		       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
		       "worker %u does not speak the dialect %s (%s); its channel is closed", channel->worker,
		       channel->dialect->name, lp_error_words((int)status));
	if (lp_channel_can_hear(channel))
		end_channel(channel, LP_CHANNEL_FAILED);
	return 0;
}

/* A word that makes no sense would have ended the earlier balancer's channel. */
void lp_channel_resume(struct lp_channel *channel)
{
	size_t came = channel->lasting->came;
	if (channel->dialect->resume)
		channel->dialect->resume(channel);
	else
		lp_channel_set_ready(channel, channel->lasting->ready);
	if (lp_channel_lasting_left(channel) == 0 || lp_channel_lasting_take(channel, came, take_stream) >= 0)
		return;
	if (lp_channel_can_hear(channel))
		end_channel(channel, LP_CHANNEL_FAILED);
}

/* Read, up to that number of readings and bytes, and until that time. */
static void hear(struct lp_channel *channel, uint64_t until_ns, size_t bytes)
{
	bool is_stream = channel->dialect->socket_type == SOCK_STREAM;
	if (channel->hearing)
		return; /* An event asks for more while bytes of this channel are being taken. */
	channel->hearing = true;
	channel->heard_ns = 0;
	for (int reads = 0; reads < READS_A_TURN && lp_channel_can_hear(channel); reads++) {
		size_t got = hear_once(channel);
		if (got == 0 || got >= bytes || (is_stream && got < LP_CHANNEL_READ_SIZE) ||
		    (until_ns && lp_clock_ns() >= until_ns))
			break;
		bytes -= got;
	}
	channel->hearing = false;
}

uint64_t lp_channel_heard_ns(struct lp_channel *channel)
{
	if (!channel->heard_ns)
		channel->heard_ns = lp_clock_ns(); /* Once for all that is heard in one go. */
	return channel->heard_ns;
}

void lp_channel_hear(struct lp_channel *channel)
{
	hear(channel, 0, SIZE_MAX);
}

void lp_channel_hear_some(struct lp_channel *channel)
{
	hear(channel, lp_clock_ns() + TURN_NS, SIZE_MAX);
}

/* What is there now counts, all of it; what a worker says meanwhile does not. Of messages the kernel does not tell how much
 * that is, but only few fit. */
static size_t bytes_there(const struct lp_channel *channel)
{
	int there;
	if (channel->dialect->socket_type != SOCK_STREAM || ioctl(channel->fd, SIOCINQ, &there))
		return SIZE_MAX;
	return (size_t)there;
}

void lp_channel_hear_for_decision(struct lp_channel *channel, uint64_t turn)
{
	if (channel->turn != turn)
		channel->turn_ns = 0;
	channel->turn = turn;
	if (channel->turn_ns >= TURN_NS)
		return;
	uint64_t before_ns = lp_clock_thread_ns();
	hear(channel, 0, bytes_there(channel));
	channel->turn_ns += lp_clock_thread_ns() - before_ns;
}

static bool has_hung_up(const struct lp_channel *channel)
{
	struct pollfd end = {.fd = channel->fd, .events = POLLIN};
	return poll(&end, 1, 0) == 1 && end.revents & POLLHUP;
}

void lp_channel_hear_out(struct lp_channel *channel)
{
	size_t got = 1;
	if (channel->hearing)
		return;
	if (!has_hung_up(channel)) { /* Somebody has it still, and could go on without end. */
		shutdown(channel->fd, SHUT_RD);
		channel->is_shut = true;
	}
	channel->hearing = true;
	channel->heard_ns = 0;
	for (int reads = 0; got && reads < LAST_READS && lp_channel_can_hear(channel); reads++)
		got = hear_once(channel);
	channel->hearing = false;
}

/* Both */

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct lp_channel *channel = poll->data;
	if (status < 0)
		channel->polled =
			0; /* libuv has stopped watching: an error is pending, behind what can still be read. */
	if (status < 0 || events & UV_READABLE)
		lp_channel_hear_some(channel);
	if (!lp_channel_can_hear(channel))
		return;
	if (events & UV_WRITABLE && channel->state == LP_CHANNEL_BLOCKED) {
		move_channel(channel, LP_CHANNEL_OPEN);
		flush(channel);
	}
	update_poll(channel);
}

void lp_channel_flush(struct lp_channel *channel)
{
	if (channel->state != LP_CHANNEL_OPEN)
		return;
	flush(channel);
	update_poll(channel);
}

int lp_channel_adopt(struct lp_channel *channel, uv_loop_t *loop, const struct lp_dialect *dialect,
		     struct lp_connections *connections, unsigned worker, const struct lp_channel_events *events,
		     struct lp_log *log, int fd)
{
	*channel = (struct lp_channel){.fd = fd,
				       .came = -1,
				       .worker = worker,
				       .dialect = dialect,
				       .connections = connections,
				       .sends_for = worker,
				       .events = events,
				       .log = log,
				       .open_handles = 2};
	if (dialect->socket_type == SOCK_STREAM &&
	    lp_buffer_reserve(&channel->in, LP_CHANNEL_READ_SIZE + LP_V8_FRAME_HEAD))
		return -ENOMEM;
	int status = dialect->open(channel, &channel->dialect_state);
	if (!status) {
		status = uv_poll_init(loop, &channel->poll, channel->fd);
		if (status)
			dialect->close(channel->dialect_state);
	}
	if (status) {
		lp_buffer_clear(&channel->in);
		return status;
	}
	move_channel(channel, LP_CHANNEL_OPEN);
	uv_timer_init(loop, &channel->retry);
	channel->poll.data = channel;
	channel->retry.data = channel;
	update_poll(channel);
	return 0;
}

int lp_channel_open(struct lp_channel *channel, uv_loop_t *loop, const struct lp_dialect *dialect,
		    struct lp_connections *connections, unsigned worker, const struct lp_channel_events *events,
		    struct lp_log *log, int *worker_end)
{
	int pair[2];
	if (socketpair(AF_UNIX, dialect->socket_type | SOCK_CLOEXEC, 0, pair))
		return -errno;
	int status = lp_channel_adopt(channel, loop, dialect, connections, worker, events, log, pair[0]);
	if (status) {
		close(pair[0]);
		close(pair[1]);
		return status;
	}
	*worker_end = pair[1];
	return 0;
}

void lp_channel_drain(struct lp_channel *channel)
{
	if (!can_send(channel) || channel->drain == LP_CHANNEL_DRAIN_TOLD)
		return;
	if (first_of(channel, LP_QUEUED))
		channel->drain = LP_CHANNEL_DRAIN_WANTED;
	else
		tell_to_drain(channel);
}

static void return_all(struct lp_channel *channel, enum lp_connection_state state)
{
	struct lp_connection *connection;
	while ((connection = first_of(channel, state)))
		channel->events->on_returned(channel, connection, LP_RETURN_LOST);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct lp_channel *channel = handle->data;
	if (--channel->open_handles == 0 && channel->closed)
		channel->closed(channel);
}

void lp_channel_close(struct lp_channel *channel, void (*closed)(struct lp_channel *channel))
{
	move_channel(channel, LP_CHANNEL_CLOSED);
	channel->closed = closed;
	uv_close((uv_handle_t *)&channel->poll,
		 on_handle_closed);       /* Before the closer's thread may close what it polls. */
	shutdown(channel->fd, SHUT_RDWR); /* What is unheard in it may hold descriptors, and no more comes. */
	lp_closer_close(channel->connections->closer, channel->fd);
	channel->fd = -1;
	channel->dialect->close(channel->dialect_state);
	channel->dialect_state = NULL;
	lp_channel_lasting_end(channel);
	lp_buffer_clear(&channel->in);
	lp_buffer_clear(&channel->out);
	return_all(channel, LP_ARRIVED);
	return_all(channel, LP_SENT);
	return_all(channel, LP_QUEUED);
	uv_close((uv_handle_t *)&channel->retry, on_handle_closed);
}

int lp_channel_send_descriptor(struct lp_channel *channel, struct lp_slice message, int fd)
{
	lp_channel_flush(channel);
	if (channel->out.length || channel->state == LP_CHANNEL_BLOCKED)
		return UV_EAGAIN;
	ssize_t sent = send_now(channel, message.bytes, message.length, fd);
	if (sent < 0)
		return (int)sent;
	if (lp_buffer_append(&channel->out, message.bytes + sent, message.length - (size_t)sent))
		lp_channel_fail(channel, -ENOMEM); /* Half a message can never be mended. */
	return 0;
}

/* Whether more bytes may wait; if not, it is logged. */
static bool has_room(struct lp_channel *channel, size_t length)
{
	size_t waiting = channel->out.length - channel->out_sent;
	if (waiting + length <= LP_CHANNEL_OUT_MAX)
		return true;
	lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
		       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
		       "worker %u does not read its messages (%zu bytes wait); one for it is dropped", channel->worker,
		       waiting);
	return false;
}

bool lp_channel_post(struct lp_channel *channel, struct lp_slice message)
{
	if (!can_send(channel))
		return false;
	if (channel->out.length >= POSTED_AT_ONCE && channel->state == LP_CHANNEL_OPEN) {
		flush_out(channel); /* Bytes only: no event runs, so who posts to many is not called in between. */
		update_poll(channel);
	}
	return has_room(channel, message.length) && put_out(channel, message.bytes, message.length) == 0;
}

void lp_channel_send(struct lp_channel *channel, const char *bytes, size_t length)
{
	if (!can_send(channel))
		return;
	size_t sent = 0;
	bool is_long = channel->lasting && length > LP_CHANNEL_WHOLE_MAX;
	if (!channel->out.length && !is_long) {
		ssize_t status = send_now(channel, bytes, length, -1);
		if (status == UV_EPIPE)
			return;
		sent = status > 0 ? (size_t)status : 0;
	}
	if (sent == length)
		return;
	if (sent == 0 && !has_room(channel, length))
		return;
	int status =
		sent ? lp_buffer_append(&channel->out, bytes + sent, length - sent) : put_out(channel, bytes, length);
	if (status && sent)
		lp_channel_fail(channel, status);
	else if (status)
		lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
			       "worker %u: a message to it was dropped: %s", channel->worker, lp_error_words(status));
	if (sent)
		note_blocked(channel); /* A part was taken: there is no room for more. */
	update_poll(channel);
}

/* For dialects */

void lp_channel_set_ready(struct lp_channel *channel, bool ready)
{
	if (channel->ready == ready)
		return;
	channel->ready = ready;
	if (channel->lasting)
		channel->lasting->ready = ready;
	channel->events->on_ready(channel, ready);
}

struct lp_connection *lp_channel_oldest(struct lp_channel *channel)
{
	return first_of(channel, LP_SENT);
}

static struct lp_connection *find_number(struct lp_channel *channel, enum lp_connection_state state, uint64_t number)
{
	struct lp_connection *connection = first_of(channel, state);
	while (connection && connection->number < number)
		connection = lp_connections_next(channel->connections, connection);
	return connection && connection->number == number ? connection : NULL;
}

struct lp_connection *lp_channel_find(struct lp_channel *channel, uint64_t number)
{
	struct lp_connection *connection = find_number(channel, LP_ARRIVED, number);
	return connection ? connection : find_number(channel, LP_SENT, number);
}

int lp_channel_take_descriptor(struct lp_channel *channel)
{
	int fd = channel->came;
	channel->came = -1;
	return fd;
}
