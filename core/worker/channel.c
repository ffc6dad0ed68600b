/*
 * One socket pair to one worker. Two things go out, in this order: bytes that wait (`out`), and connections that are QUEUED
 * for its worker. So a connection never overtakes another, and a descriptor is never sent inside a half-written message.
 *
 * A connection is not sent when it is queued but when the owner flushes, once a turn of the loop: all that is for one worker
 * goes in one go, and the worker wakes once for all of it. Sent one by one, between accepts and for different workers in
 * turn, each would find its worker asleep again; waking it, and being preempted by it, cost a busy balancer a third of its
 * time.
 *
 * When the worker dies the kernel first gives us what it had said, then end-of-file; so its last acknowledgements count.
 * (A SEQPACKET socket reports ECONNRESET in between; reading goes on past it.)
 *
 * A channel that nothing can be sent through any more, for whatever reason, ends: it is heard out, and then on_end runs
 * (lp_channel_give_up). A worker that has closed only one direction, or an error that nobody thought of, leaves no channel
 * that is neither open nor closed.
 *
 * ENOBUFS, ENOMEM and ETOOMANYREFS (too many descriptors of ours in flight) end without any event,
 * so a timer tries again.
 */
#include "worker/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/v8frame.h"
#include "wire/scm_rights.h"

#define RETRY_MS 10

/* Posted bytes that do not wait for the turn's end. */
#define POSTED_AT_ONCE LP_CHANNEL_READ_SIZE

static void on_poll(uv_poll_t *poll, int status, int events);

static void update_poll(struct lp_channel *channel)
{
	int wanted = channel->blocked && !channel->broken ? UV_READABLE | UV_WRITABLE : UV_READABLE;
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
		channel->blocked = true;
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
			lp_channel_give_up(channel, (int)sent);
		return sent < 0 ? UV_EPIPE : sent;
	}
}

/* The connection is SENT then, or QUEUED again on an error; or it was returned. */
static int send_connection(struct lp_channel *channel, struct lp_connection *connection)
{
	char text[LP_DIALECT_MESSAGE_MAX];
	lp_connection_move(channel->connections, connection, LP_SENDING);
	connection->number = channel->sent + 1;
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
		lp_channel_give_up(channel, -ENOMEM); /* Half a message can never be mended. */
	return 0;
}

/* A worker that has closed its end ends the channel while it is heard out; one that has not is left alone now. */
static void end_given_up(struct lp_channel *channel)
{
	lp_channel_hear_out(channel);
	if (channel->ended)
		return;
	channel->failed = true;
	lp_channel_end(channel);
}

static void on_retry(uv_timer_t *retry)
{
	struct lp_channel *channel = retry->data;
	if (channel->given_up)
		end_given_up(channel);
	else
		lp_channel_flush(channel);
}

/* Out of something that no event tells the return of: try again a little later. */
static void retry_later(struct lp_channel *channel)
{
	if (!channel->given_up)
		uv_timer_start(&channel->retry, on_retry, RETRY_MS, 0);
}

void lp_channel_give_up(struct lp_channel *channel, int status)
{
	if (channel->given_up || channel->ended)
		return;
	if (status != UV_EPIPE && status != UV_ECONNRESET)
		lp_log_limited(channel->log, LP_LOG_ERROR, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
			       "worker %u: limpet has closed its channel: %s", channel->worker, lp_error_words(status));
	channel->broken = true;
	channel->given_up = true;
	uv_timer_start(&channel->retry, on_retry, 0, 0);
}

static void tell_to_drain(struct lp_channel *channel)
{
	channel->drain_wanted = false;
	channel->drained = true;
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
static struct lp_slice next_out(const struct lp_channel *channel)
{
	const char *bytes = channel->out.bytes + channel->out_sent;
	uint32_t length;
	if (!sends_messages(channel))
		return (struct lp_slice){bytes, channel->out.length - channel->out_sent};
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
	return channel->out.length || channel->drain_wanted || first_of(channel, LP_QUEUED);
}

/* Write what waits, as far as the socket takes it. */
static void flush(struct lp_channel *channel)
{
	struct lp_connection *connection;
	flush_out(channel);
	while (!channel->out.length && !channel->broken && (connection = first_of(channel, LP_QUEUED))) {
		int status = send_connection(channel, connection);
		if (status == UV_ENOBUFS)
			retry_later(channel);
		if (status)
			return;
	}
	if (channel->drain_wanted && !channel->out.length && !first_of(channel, LP_QUEUED))
		tell_to_drain(channel);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct lp_channel *channel = poll->data;
	if (status < 0)
		channel->polled =
			0; /* libuv has stopped watching: an error is pending, behind what can still be read. */
	if (status < 0 || events & UV_READABLE)
		lp_channel_hear_some(channel);
	if (channel->ended)
		return;
	if (events & UV_WRITABLE) {
		channel->blocked = false;
		flush(channel);
	}
	update_poll(channel);
}

static bool may_send(const struct lp_channel *channel)
{
	return !channel->blocked && !channel->ended && !uv_is_active((const uv_handle_t *)&channel->retry);
}

void lp_channel_flush(struct lp_channel *channel)
{
	if (!may_send(channel))
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
	int status = dialect->open(channel, &channel->state);
	if (!status) {
		status = uv_poll_init(loop, &channel->poll, channel->fd);
		if (status)
			dialect->close(channel->state);
	}
	if (status) {
		lp_buffer_clear(&channel->in);
		return status;
	}
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
	if (channel->broken || channel->drained)
		return;
	if (first_of(channel, LP_QUEUED))
		channel->drain_wanted = true;
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
	channel->ended = true;
	channel->broken = true;
	channel->closed = closed;
	uv_poll_stop(&channel->poll);
	shutdown(channel->fd, SHUT_RDWR); /* What is unheard in it may hold descriptors, and no more comes. */
	lp_closer_close(channel->connections->closer, channel->fd);
	channel->fd = -1;
	channel->dialect->close(channel->state);
	channel->state = NULL;
	lp_buffer_clear(&channel->in);
	lp_buffer_clear(&channel->out);
	return_all(channel, LP_ARRIVED);
	return_all(channel, LP_SENT);
	return_all(channel, LP_QUEUED);
	uv_close((uv_handle_t *)&channel->poll, on_handle_closed);
	uv_close((uv_handle_t *)&channel->retry, on_handle_closed);
}

int lp_channel_send_descriptor(struct lp_channel *channel, struct lp_slice message, int fd)
{
	lp_channel_flush(channel);
	if (channel->out.length || channel->blocked)
		return UV_EAGAIN;
	ssize_t sent = send_now(channel, message.bytes, message.length, fd);
	if (sent < 0)
		return (int)sent;
	if (lp_buffer_append(&channel->out, message.bytes + sent, message.length - (size_t)sent))
		lp_channel_give_up(channel, -ENOMEM); /* Half a message can never be mended. */
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
	if (channel->broken)
		return false;
	if (channel->out.length >= POSTED_AT_ONCE && may_send(channel)) {
		flush_out(channel); /* Bytes only: no event runs, so who posts to many is not called in between. */
		update_poll(channel);
	}
	return has_room(channel, message.length) && put_out(channel, message.bytes, message.length) == 0;
}

void lp_channel_send(struct lp_channel *channel, const char *bytes, size_t length)
{
	if (channel->broken)
		return;
	size_t sent = 0;
	if (!channel->out.length) {
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
		lp_channel_give_up(channel, status);
	else if (status)
		lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
			       "worker %u: a message to it was dropped: %s", channel->worker, lp_error_words(status));
	if (sent)
		channel->blocked = true; /* A part was taken: there is no room for more. */
	update_poll(channel);
}
