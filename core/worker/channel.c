/*
 * One socket pair to one worker. Two things go out, in this order: bytes that wait (`out`), parcels that wait (`queue`).
 * So a parcel never overtakes another, and a descriptor is never sent inside a half-written message.
 *
 * A parcel is not sent when it is handed over but when the owner flushes, once a turn of the loop: all that is for one
 * worker goes in one go, and the worker wakes once for all of it. Sent one by one, between accepts and for different
 * workers in turn, each would find its worker asleep again; waking it, and being preempted by it, cost a busy balancer
 * a third of its time.
 *
 * The channel has no state of its own beyond open and closed; a parcel in it has these:
 *
 *     (sender's) --hand_over--> QUEUED --room in the socket--> IN FLIGHT --acknowledge--> (sender's, ended well)
 *                      \--room at once--------------------------/   \------return-------> (sender's, unread)
 *     close: all QUEUED and IN FLIGHT parcels are returned
 *
 * When the worker dies the kernel first gives us what it had said, then end-of-file; so its last acknowledgements count.
 * (A SEQPACKET socket reports ECONNRESET in between; reading goes on past it.)
 *
 * ENOBUFS, ENOMEM and ETOOMANYREFS (too many descriptors of ours in flight) are not told of by any event when they
 * end, so a timer tries again.
 */
#include "worker/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* One recvmsg; a worker's usual messages are far shorter. */
#define READ_SIZE 65536

/* Reads before the loop gets its turn: a talkative worker must not starve the others. */
#define READS_A_TURN 64

#define RETRY_MS 10

/* Posted bytes that do not wait for the turn's end. */
#define POSTED_AT_ONCE READ_SIZE

/* Descriptors that one message from a worker may carry; they are of no use here and closed. */
#define STRAY_FDS 16

static void on_poll(uv_poll_t *poll, int status, int events);

static void update_poll(struct lp_channel *channel)
{
	int wanted = channel->blocked && !channel->broken ? UV_READABLE | UV_WRITABLE : UV_READABLE;
	if (wanted != channel->polled) {
		channel->polled = wanted;
		uv_poll_start(&channel->poll, wanted, on_poll);
	}
}

/* sendmsg without waiting: bytes sent, UV_EAGAIN, or UV_EPIPE when the channel is broken. */
static ssize_t send_now(struct lp_channel *channel, const char *bytes, size_t length, int fd)
{
	struct iovec iov = {.iov_base = (char *)bytes, .iov_len = length};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		memset(&control, 0, sizeof(control)); /* Its padding goes to the kernel too. */
		control.align = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.bytes);
	}
	for (;;) {
		ssize_t sent = sendmsg(channel->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent >= 0)
			return sent;
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
			channel->blocked = true;
			return UV_EAGAIN;
		case ENOBUFS:
		case ENOMEM:
		case ETOOMANYREFS:
			lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_HANDOVER,
				       "worker %u cannot be sent a connection: %s; trying again", channel->worker,
				       strerror(errno));
			return UV_ENOBUFS;
		default:
			channel->broken = true;
			return UV_EPIPE;
		}
	}
}

static int send_parcel(struct lp_channel *channel, struct lp_parcel *parcel)
{
	char text[LP_DIALECT_MESSAGE_MAX];
	parcel->number = channel->sent + 1;
	parcel->arrived = false;
	size_t length = channel->dialect->address(channel, parcel, text);
	ssize_t sent = send_now(channel, text, length, parcel->fd);
	if (sent < 0)
		return (int)sent;
	channel->sent++;
	lp_list_append(&channel->in_flight, &parcel->link);
	if ((size_t)sent < length && lp_buffer_append(&channel->out, text + sent, length - (size_t)sent))
		channel->broken = true; /* Half a message can never be mended. */
	return 0;
}

static void on_retry(uv_timer_t *retry)
{
	lp_channel_flush(retry->data);
}

/* Out of something that no event tells the return of: try again a little later. */
static void retry_later(struct lp_channel *channel)
{
	uv_timer_start(&channel->retry, on_retry, RETRY_MS, 0);
}

static void tell_to_drain(struct lp_channel *channel)
{
	channel->drain_wanted = false;
	channel->drained = true;
	channel->dialect->drain(channel);
}

/* Write what waits, as far as the socket takes it. */
static void flush(struct lp_channel *channel)
{
	while (channel->out.length) {
		ssize_t sent = send_now(channel, channel->out.bytes, channel->out.length, -1);
		if (sent == UV_ENOBUFS)
			retry_later(channel);
		if (sent < 0)
			return;
		lp_buffer_consume(&channel->out, (size_t)sent);
	}
	while (channel->queued && !channel->out.length) {
		struct lp_parcel *parcel = LP_LIST_OWNER(channel->queue.next, struct lp_parcel, link);
		lp_list_remove(&parcel->link);
		int status = send_parcel(channel, parcel);
		if (status) {
			lp_list_prepend(&channel->queue, &parcel->link);
			if (status == UV_ENOBUFS)
				retry_later(channel);
			return;
		}
		channel->queued--;
	}
	if (channel->out.length)
		return; /* A message was only half taken. */
	if (channel->short_of_room) {
		channel->short_of_room = false;
		channel->events->on_room(channel);
	}
	if (channel->drain_wanted && !channel->queued)
		tell_to_drain(channel);
}

static void close_stray_descriptors(struct msghdr *message)
{
	for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(control) + i * sizeof(fd), sizeof(fd));
			close(fd);
		}
	}
}

/* The first is kept for the dialect, until the next message. */
static void keep_descriptor(struct lp_channel *channel, struct msghdr *message)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	if (channel->dialect->takes_descriptors && control && control->cmsg_level == SOL_SOCKET &&
	    control->cmsg_type == SCM_RIGHTS && control->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&channel->came, CMSG_DATA(control), sizeof(channel->came));
	else
		close_stray_descriptors(message);
}

static void drop_descriptor(struct lp_channel *channel)
{
	if (channel->came >= 0)
		close(channel->came);
	channel->came = -1;
}

static ssize_t receive_now(struct lp_channel *channel, char *bytes)
{
	struct iovec iov = {.iov_base = bytes, .iov_len = READ_SIZE};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(STRAY_FDS * sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes)};
	for (;;) {
		ssize_t got = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (got >= 0) {
			if (message.msg_controllen)
				keep_descriptor(channel, &message);
			return got;
		}
		if (errno == EINTR)
			continue;
		if (errno == ECONNRESET) {
			channel->broken = true;
			continue; /* Said once; what was queued before it can still be read, and then the end. */
		}
		return errno == EAGAIN ? UV_EAGAIN : 0;
	}
}

/* A message too long is passed over up to its end. Returns where the rest of bytes begins. */
static size_t skip_long_message(struct lp_channel *channel, const char *bytes, size_t length)
{
	const char *end = memchr(bytes, '\n', length);
	if (!end)
		return length;
	channel->skipping = false;
	return (size_t)(end - bytes) + 1;
}

/* Bytes of a stream: what the dialect leaves over waits in `in` for the rest of its message. */
static long take_stream(struct lp_channel *channel, const char *bytes, size_t length)
{
	if (channel->skipping) {
		size_t skipped = skip_long_message(channel, bytes, length);
		bytes += skipped;
		length -= skipped;
	}
	if (channel->in.length == 0) {
		long used = channel->dialect->receive(channel, bytes, length);
		if (used < 0)
			return used;
		return lp_buffer_append(&channel->in, bytes + used, length - (size_t)used);
	}
	int status = lp_buffer_append(&channel->in, bytes, length);
	if (status)
		return status;
	long used = channel->dialect->receive(channel, channel->in.bytes, channel->in.length);
	if (used < 0)
		return used;
	lp_buffer_consume(&channel->in, (size_t)used);
	if (channel->in.length > LP_CHANNEL_MESSAGE_MAX) {
		lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       "worker %u sent a message longer than %u bytes; it is passed over", channel->worker,
			       LP_CHANNEL_MESSAGE_MAX);
		lp_buffer_clear(&channel->in);
		channel->skipping = true;
	}
	return 0;
}

static void end(struct lp_channel *channel)
{
	if (channel->ended)
		return;
	channel->ended = true;
	channel->broken = true;
	channel->events->on_end(channel);
}

static void hear(struct lp_channel *channel)
{
	char bytes[READ_SIZE];
	for (int reads = 0; reads < READS_A_TURN && !channel->ended; reads++) {
		ssize_t got = receive_now(channel, bytes);
		if (got == UV_EAGAIN)
			break;
		if (got == 0) {
			end(channel);
			return;
		}
		long status = channel->dialect->socket_type == SOCK_STREAM
				      ? take_stream(channel, bytes, (size_t)got)
				      : channel->dialect->receive(channel, bytes, (size_t)got);
		drop_descriptor(channel);
		if (status < 0) {
			lp_log_limited(channel->log, LP_LOG_ERROR, LP_LOG_TOPIC_WORKER,
				       "worker %u does not speak the dialect %s (%s); its channel is closed",
				       channel->worker, channel->dialect->name, lp_error_words((int)status));
			end(channel);
			return;
		}
		if (got < READ_SIZE && channel->dialect->socket_type == SOCK_STREAM)
			break;
	}
}

uint64_t lp_channel_heard_ns(struct lp_channel *channel)
{
	if (!channel->heard_ns)
		channel->heard_ns = lp_clock_ns(); /* Once for all that is heard in one go. */
	return channel->heard_ns;
}

void lp_channel_hear(struct lp_channel *channel)
{
	if (channel->hearing)
		return; /* An event asks for more while bytes of this channel are being taken. */
	channel->hearing = true;
	channel->heard_ns = 0;
	hear(channel);
	channel->hearing = false;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct lp_channel *channel = poll->data;
	if (status < 0)
		channel->polled =
			0; /* libuv has stopped watching: an error is pending, behind what can still be read. */
	if (status < 0 || events & UV_READABLE)
		lp_channel_hear(channel);
	if (channel->ended)
		return;
	if (events & UV_WRITABLE) {
		channel->blocked = false;
		flush(channel);
	}
	update_poll(channel);
}

void lp_channel_flush(struct lp_channel *channel)
{
	if (channel->blocked || channel->ended || uv_is_active((uv_handle_t *)&channel->retry))
		return;
	flush(channel);
	update_poll(channel);
}

int lp_channel_adopt(struct lp_channel *channel, uv_loop_t *loop, const struct lp_dialect *dialect, unsigned worker,
		     const struct lp_channel_events *events, struct lp_log *log, int fd)
{
	*channel = (struct lp_channel){.fd = fd,
				       .came = -1,
				       .worker = worker,
				       .dialect = dialect,
				       .events = events,
				       .log = log,
				       .open_handles = 2};
	lp_list_init(&channel->queue);
	lp_list_init(&channel->in_flight);
	int status = dialect->open(channel, &channel->state);
	if (status)
		return status;
	status = uv_poll_init(loop, &channel->poll, channel->fd);
	if (status) {
		dialect->close(channel->state);
		return status;
	}
	uv_timer_init(loop, &channel->retry);
	channel->poll.data = channel;
	channel->retry.data = channel;
	update_poll(channel);
	return 0;
}

int lp_channel_open(struct lp_channel *channel, uv_loop_t *loop, const struct lp_dialect *dialect, unsigned worker,
		    const struct lp_channel_events *events, struct lp_log *log, int *worker_end)
{
	int pair[2];
	if (socketpair(AF_UNIX, dialect->socket_type | SOCK_CLOEXEC, 0, pair))
		return -errno;
	int status = lp_channel_adopt(channel, loop, dialect, worker, events, log, pair[0]);
	if (status) {
		close(pair[0]);
		close(pair[1]);
		return status;
	}
	*worker_end = pair[1];
	return 0;
}

int lp_channel_hand_over(struct lp_channel *channel, struct lp_parcel *parcel)
{
	if (channel->broken || channel->fd < 0)
		return UV_EPIPE;
	if (channel->queued >= LP_CHANNEL_BACKLOG) {
		channel->short_of_room = true;
		return UV_ENOBUFS;
	}
	lp_list_append(&channel->queue, &parcel->link);
	channel->queued++;
	return 0;
}

void lp_channel_drain(struct lp_channel *channel)
{
	if (channel->broken || channel->drained)
		return;
	if (channel->queued)
		channel->drain_wanted = true;
	else
		tell_to_drain(channel);
}

static void return_all(struct lp_channel *channel, struct lp_list *from)
{
	while (!lp_list_empty(from)) {
		struct lp_parcel *parcel = LP_LIST_OWNER(from->next, struct lp_parcel, link);
		lp_list_remove(&parcel->link);
		channel->events->on_returned(channel, parcel, LP_RETURN_LOST);
	}
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
	close(channel->fd);
	channel->fd = -1;
	channel->dialect->close(channel->state);
	channel->state = NULL;
	lp_buffer_clear(&channel->in);
	lp_buffer_clear(&channel->out);
	channel->queued = 0;
	return_all(channel, &channel->in_flight);
	return_all(channel, &channel->queue);
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
		channel->broken = true; /* Half a message can never be mended. */
	return 0;
}

static void log_dropped(struct lp_channel *channel)
{
	lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
		       "worker %u does not read its messages (%zu bytes wait); one for it is dropped", channel->worker,
		       channel->out.length);
}

bool lp_channel_post(struct lp_channel *channel, struct lp_slice message)
{
	if (channel->broken)
		return false;
	if (channel->out.length >= POSTED_AT_ONCE)
		lp_channel_flush(channel);
	if (channel->out.length + message.length > LP_CHANNEL_OUT_MAX) {
		log_dropped(channel);
		return false;
	}
	return lp_buffer_append(&channel->out, message.bytes, message.length) == 0;
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
	if (sent == 0 && channel->out.length + length > LP_CHANNEL_OUT_MAX) {
		log_dropped(channel);
		return;
	}
	if (lp_buffer_append(&channel->out, bytes + sent, length - sent) && sent)
		channel->broken = true;
	if (sent)
		channel->blocked = true; /* A part was taken: there is no room for more. */
	update_poll(channel);
}
