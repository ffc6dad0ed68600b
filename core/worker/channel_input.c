/*
 * What a worker says, from the socket to its dialect. A stream is put together in `in`; a message of SOCK_SEQPACKET comes
 * whole.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/v8frame.h"
#include "wire/scm_rights.h"
#include "worker/channel.h"

/* Reads before the loop gets its turn, and how long they may take: a talkative worker must not starve the others. */
#define READS_A_TURN 64
#define TURN_NS 1000000

/* What the kernel can hold of a worker's last words, and more, in readings. */
#define LAST_READS 4096

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
	ssize_t got = lp_scm_rights_receive_all(channel->fd, bytes, LP_CHANNEL_READ_SIZE, fds, &count);
	bool is_taken = count && channel->dialect->takes_descriptors;
	channel->came = is_taken ? fds[0] : -1;
	for (size_t i = is_taken; i < count; i++)
		lp_closer_close(channel->connections->closer, fds[i]);
	return got;
}

static ssize_t receive_now(struct lp_channel *channel, char *bytes)
{
	for (;;) {
		ssize_t got = receive_with_descriptors(channel, bytes);
		if (got >= 0)
			return got;
		if (got == -EINTR)
			continue;
		if (got == -ECONNRESET) {
			channel->broken = true;
			continue; /* Said once; what was queued before it can still be read, and then the end. */
		}
		if (got == -EAGAIN)
			return UV_EAGAIN;
		channel->failed = true;
		return 0;
	}
}

static size_t skip_long_frame(struct lp_channel *channel, size_t length)
{
	size_t skipped = length < channel->skip_bytes ? length : channel->skip_bytes;
	channel->skip_bytes -= skipped;
	channel->skipping = channel->skip_bytes > 0;
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
	channel->skipping = false;
	return (size_t)(end - bytes) + 1;
}

/* What has come of a message is forgotten, and so will be its rest. */
static void pass_over(struct lp_channel *channel, const char *why)
{
	lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
		       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
		       "worker %u sent %s; it was ignored", channel->worker, why);
	/* The end of V8's frame cannot be seen, but was told: nothing as short as its head is passed over. */
	if (channel->dialect->language == LP_LANGUAGE_V8)
		channel->skip_bytes = lp_v8_frame_length(channel->in.bytes) - channel->in.length;
	lp_buffer_consume(&channel->in, channel->in.length);
	channel->skipping = true;
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
	if (channel->skipping) {
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
	if (got == UV_EAGAIN)
		return 0;
	if (got == 0) {
		if (!channel->is_shut)
			lp_channel_end(channel);
		return 0;
	}
	bool is_stream = channel->dialect->socket_type == SOCK_STREAM;
	long status = is_stream ? take_stream(channel, bytes, (size_t)got)
				: channel->dialect->receive(channel, bytes, (size_t)got);
	drop_descriptor(channel);
	if (status >= 0)
		return (size_t)got;
	lp_log_limited(channel->log, LP_LOG_ERROR, LP_LOG_TOPIC_WORKER,
		       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
		       "worker %u does not speak the dialect %s (%s); its channel is closed", channel->worker,
		       channel->dialect->name, lp_error_words((int)status));
	channel->failed = true;
	lp_channel_end(channel);
	return 0;
}

/* Read, up to that number of readings and bytes, and until that time. */
static void hear(struct lp_channel *channel, uint64_t until_ns, size_t bytes)
{
	bool is_stream = channel->dialect->socket_type == SOCK_STREAM;
	if (channel->hearing)
		return; /* An event asks for more while bytes of this channel are being taken. */
	channel->hearing = true;
	channel->heard_ns = 0;
	for (int reads = 0; reads < READS_A_TURN && !channel->ended; reads++) {
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

/* Not by the clock, which goes on while others have the processor. */
static uint64_t processor_ns(void)
{
	struct timespec used;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
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
	uint64_t before_ns = processor_ns();
	hear(channel, 0, bytes_there(channel));
	channel->turn_ns += processor_ns() - before_ns;
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
	for (int reads = 0; got && reads < LAST_READS && !channel->ended; reads++)
		got = hear_once(channel);
	channel->hearing = false;
}
