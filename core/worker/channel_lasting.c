/*
 * `place` is one word, so that beginning and end change at once. Whoever is killed between two stores has dealt with a message
 * and not yet said so, or said so and not yet moved the rest: both are right.
 *
 *     recvmmsg                 the kernel sets journal.msg_len
 *     note                     came = msg_len; then msg_len = 0
 *     the end moves by `came`  then came = 0
 *
 * A message of SOCK_SEQPACKET lies at the beginning, and `came` is its length until it was dealt with.
 */
#include "worker/channel_lasting.h"

#include <errno.h>
#include <string.h>

#include "broker/v8frame.h"
#include "wire/scm_rights.h"

#define PLACE(begin, end) ((uint64_t)(end) << 32 | (uint64_t)(begin))

static void in_order(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static size_t begin_of(const struct lp_channel_lasting *lasting)
{
	return (uint32_t)lasting->place;
}

static size_t end_of(const struct lp_channel_lasting *lasting)
{
	return (size_t)(lasting->place >> 32);
}

static bool is_stream(const struct lp_channel *channel)
{
	return channel->dialect->socket_type == SOCK_STREAM;
}

/* What the kernel has put there is ours. */
static void note_came(struct lp_channel_lasting *lasting)
{
	if (!lasting->journal.msg_len)
		return;
	lasting->came = lasting->journal.msg_len;
	in_order();
	lasting->journal.msg_len = 0;
	in_order();
}

static void move_end(struct lp_channel_lasting *lasting)
{
	if (!lasting->came)
		return;
	lasting->place = PLACE(begin_of(lasting), end_of(lasting) + lasting->came);
	in_order();
	lasting->came = 0;
}

static bool is_sane(const struct lp_channel_lasting *lasting)
{
	return begin_of(lasting) <= end_of(lasting) && end_of(lasting) + lasting->came <= sizeof(lasting->in);
}

int lp_channel_outlive(struct lp_channel *channel, struct lp_channel_lasting *lasting)
{
	channel->lasting = lasting;
	note_came(lasting);
	if (!is_sane(lasting) || lasting->half_sent)
		return -EPIPE;
	if (lasting->spilled && channel->dialect->language == LP_LANGUAGE_V8)
		return -EPIPE;
	channel->sent = lasting->sent;
	if (lasting->drained)
		channel->drain = LP_CHANNEL_DRAIN_TOLD;
	if (lasting->spilled)
		channel->skip_bytes = LP_CHANNEL_SKIP_TO_NEWLINE;
	if (channel->dialect->outlive)
		channel->dialect->outlive(channel, lasting->state);
	return 0;
}

size_t lp_channel_lasting_left(const struct lp_channel *channel)
{
	const struct lp_channel_lasting *lasting = channel->lasting;
	return end_of(lasting) - begin_of(lasting) + lasting->came;
}

void lp_channel_lasting_end(struct lp_channel *channel)
{
	struct lp_channel_lasting *lasting = channel->lasting;
	channel->lasting = NULL;
	if (lasting)
		memset(lasting, 0, sizeof(*lasting));
}

/* In */

static char *make_room(struct lp_channel *channel)
{
	struct lp_channel_lasting *lasting = channel->lasting;
	size_t begin = begin_of(lasting);
	size_t length = end_of(lasting) - begin;
	/* What is moved does not overlap, for until the place changes it is where it was. */
	if (begin >= length && begin) {
		memcpy(lasting->in, lasting->in + begin, length);
		in_order();
		lasting->place = PLACE(0, length);
	}
	return lasting->in + end_of(lasting);
}

ssize_t lp_channel_lasting_receive(struct lp_channel *channel, int fds[LP_SCM_RIGHTS_MAX], size_t *count)
{
	struct lp_channel_lasting *lasting = channel->lasting;
	char *room = make_room(channel);
	ssize_t got =
		lp_scm_rights_receive_journal(channel->fd, room, LP_CHANNEL_READ_SIZE, fds, count, &lasting->journal);
	note_came(lasting);
	return got;
}

/* A message that has no room goes on where it would have been without lasting memory, and the next ones behind it. */
static long spill(struct lp_channel *channel, lp_channel_take_cb take)
{
	struct lp_channel_lasting *lasting = channel->lasting;
	lasting->spilled = true;
	in_order();
	size_t begin = begin_of(lasting);
	long status = take(channel, lasting->in + begin, end_of(lasting) - begin);
	if (channel->lasting) { /* Else it was closed. */
		lasting->place = 0;
		in_order();
		lasting->spilled = channel->in.length > 0 || channel->skip_bytes;
	}
	return status < 0 ? status : 0;
}

static long take_stream(struct lp_channel *channel, lp_channel_take_cb take)
{
	struct lp_channel_lasting *lasting = channel->lasting;
	move_end(lasting);
	size_t begin = begin_of(lasting);
	size_t length = end_of(lasting) - begin;
	if (lasting->spilled || channel->in.length || channel->skip_bytes)
		return spill(channel, take);
	long used = channel->dialect->receive(channel, lasting->in + begin, length);
	if (used < 0 || !channel->lasting)
		return used;
	begin += (size_t)used;
	lasting->place = begin == end_of(lasting) ? 0 : PLACE(begin, end_of(lasting));
	length -= (size_t)used;
	bool has_room = (begin >= length ? length : end_of(lasting)) + LP_CHANNEL_READ_SIZE <= sizeof(lasting->in);
	return has_room ? 0 : spill(channel, take);
}

long lp_channel_lasting_take(struct lp_channel *channel, size_t got, lp_channel_take_cb take)
{
	struct lp_channel_lasting *lasting = channel->lasting;
	if (is_stream(channel))
		return take_stream(channel, take);
	long status = channel->dialect->receive(channel, lasting->in, got);
	lasting->came = 0;
	return status;
}

/* Out */

static size_t whole_lines(struct lp_slice waiting)
{
	size_t most = waiting.length < LP_CHANNEL_WHOLE_MAX ? waiting.length : LP_CHANNEL_WHOLE_MAX;
	const char *newline = memrchr(waiting.bytes, '\n', most);
	return newline ? (size_t)(newline - waiting.bytes) + 1 : 0;
}

static size_t first_line(struct lp_slice waiting)
{
	const char *newline = memchr(waiting.bytes, '\n', waiting.length);
	return newline ? (size_t)(newline - waiting.bytes) + 1 : waiting.length;
}

static size_t first_frame(struct lp_slice waiting)
{
	size_t length = waiting.length < LP_V8_FRAME_HEAD ? waiting.length : lp_v8_frame_length(waiting.bytes);
	return length < waiting.length ? length : waiting.length;
}

static size_t whole_frames(struct lp_slice waiting)
{
	size_t whole = 0;
	while (whole < waiting.length) {
		struct lp_slice rest = {waiting.bytes + whole, waiting.length - whole};
		size_t frame = first_frame(rest);
		if (whole + frame > LP_CHANNEL_WHOLE_MAX)
			break;
		whole += frame;
	}
	return whole;
}

struct lp_slice lp_channel_lasting_next(struct lp_channel *channel, struct lp_slice waiting)
{
	bool has_frames = channel->dialect->language == LP_LANGUAGE_V8;
	size_t whole = has_frames ? whole_frames(waiting) : whole_lines(waiting);
	if (channel->half_left || whole)
		return (struct lp_slice){waiting.bytes, channel->half_left ? channel->half_left : whole};
	channel->half_left = has_frames ? first_frame(waiting) : first_line(waiting);
	channel->lasting->half_sent = true;
	return (struct lp_slice){waiting.bytes, channel->half_left};
}

void lp_channel_lasting_sent(struct lp_channel *channel, size_t sent)
{
	if (!channel->half_left)
		return;
	channel->half_left -= sent;
	if (!channel->half_left)
		channel->lasting->half_sent = false;
}
