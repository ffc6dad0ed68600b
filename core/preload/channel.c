/*
 * A connection is acknowledged as soon as it has a place here: limpet keeps its copy until the bytes are read all the same.
 * A process at its limit of open files is never told EMFILE: libuv, for one, answers that by closing a descriptor that it
 * keeps for this, and then accepting and closing all clients that wait.
 *
 * An ack is cumulative, so one that finds no room is made up for by the next, or by the next look at the channel.
 */
#include "preload/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "preload/bindings.h"
#include "preload/descriptors.h"
#include "preload/libc.h"
#include "preload/node.h"
#include "preload/sigterm.h"
#include "wire/frame.h"
#include "wire/scm_rights.h"

/* How long a session's report may wait for room. */
#define ROOM_MS 50

static int send_now(const struct lp_preload_channel *channel, const char *bytes, size_t length, int fd)
{
	ssize_t sent = lp_scm_rights_send(channel->fd, bytes, length, fd);
	return sent < 0 ? (int)sent : 0;
}

/* Send a frame, with a descriptor or -1; with patience, if it is to wait for room. */
static int send_frame(const struct lp_preload_channel *channel, const struct lp_frame *frame, int fd, bool patient)
{
	char text[LP_FRAME_HEAD_MAX];
	size_t length = lp_frame_write(frame, text);
	if (length == 0)
		return -EINVAL;
	int status = send_now(channel, text, length, fd);
	if (status == -EAGAIN && patient) {
		struct pollfd room = {.fd = channel->fd, .events = POLLOUT};
		lp_libc()->poll(&room, 1, ROOM_MS);
		status = send_now(channel, text, length, fd);
	}
	return status;
}

static void send_acknowledgement(struct lp_preload_channel *channel)
{
	struct lp_frame ack = {.kind = LP_FRAME_ACK, .number = channel->arrived, .open = -1};
	channel->ack_due = send_frame(channel, &ack, -1, false) == -EAGAIN;
}

/* The frame after it, or the channel's end, says the same to limpet as no answer: so none is worth waiting for. */
static void say_sigterm(const struct lp_preload_channel *channel)
{
	struct lp_frame frame = {.kind = LP_FRAME_SIGTERM, .number = lp_handles_sigterm()};
	send_frame(channel, &frame, -1, true);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return lp_descriptor_lift(fd);
	int status = -errno;
	lp_libc()->close(fd);
	return status;
}

/* Say what has changed. One that finds no room within ROOM_MS is not said: limpet is stuck, or ends. */
static int send_listens(const struct lp_preload_channel *channel, uint32_t before)
{
	int status = 0;
	for (unsigned which = 0; which < LP_ADDRESSES_MAX && !status; which++) {
		bool listens = channel->listens >> which & 1;
		if (listens != (before >> which & 1))
			status = send_frame(channel,
					    &(struct lp_frame){.kind = listens ? LP_FRAME_LISTEN : LP_FRAME_UNLISTEN,
							       .number = which},
					    -1, true);
	}
	return status;
}

void lp_preload_channel_listen(struct lp_preload_channel *channel, uint32_t listens)
{
	uint32_t before = channel->listens;
	channel->listens = listens;
	if (channel->fd >= 0 && listens != before)
		send_listens(channel, before);
}

int lp_preload_channel_open(struct lp_preload_channel *channel, const char *path)
{
	int fd = connect_to(path);
	if (fd < 0)
		return fd;
	channel->fd = fd;
	channel->arrived = 0;
	channel->ack_due = false;
	channel->drained = false;
	int status = 0;
	for (struct lp_learnt_sessions_key *key = channel->known.oldest; key && !status; key = key->next)
		status = send_frame(channel,
				    &(struct lp_frame){.kind = LP_FRAME_SESSION, .key = {key->bytes, key->length}}, -1,
				    true);
	if (!status)
		status = send_listens(channel, 0);
	if (!status && lp_node_has_parents_channel())
		status = send_frame(channel, &(struct lp_frame){.kind = LP_FRAME_PARENTS}, -1, true);
	if (!status)
		say_sigterm(channel);
	if (!status)
		status = send_frame(channel, &(struct lp_frame){.kind = LP_FRAME_READY}, -1, true);
	if (status)
		lp_preload_channel_close(channel);
	return status;
}

void lp_preload_channel_close(struct lp_preload_channel *channel)
{
	if (channel->fd >= 0)
		lp_libc()->close(channel->fd);
	channel->fd = -1;
}

void lp_preload_channel_answer(struct lp_preload_channel *channel, bool kept)
{
	if (!kept)
		send_frame(channel, &(struct lp_frame){.kind = LP_FRAME_NACK, .number = channel->arrived}, -1, true);
	send_acknowledgement(channel);
}

int lp_preload_channel_take(struct lp_preload_channel *channel, int flags)
{
	if (channel->ack_due)
		send_acknowledgement(channel);
	for (;;) {
		char bytes[LP_FRAME_HEAD_MAX];
		struct lp_frame frame;
		int fd;
		ssize_t got = lp_scm_rights_receive(channel->fd, bytes, sizeof(bytes),
						    flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0, &fd);
		if (got == -EINTR)
			continue;
		if (got == -EAGAIN || got == -ENOMEM)
			return -EAGAIN;
		if (got <= 0)
			return -EPIPE;
		bool known = lp_frame_parse(&frame, bytes, (size_t)got) == 0;
		if (known && frame.kind == LP_FRAME_CONNECTION) {
			channel->arrived = frame.number;
			if (fd >= 0)
				return lp_descriptor_mode(fd, flags);
			lp_preload_channel_answer(channel, false);
			continue;
		}
		if (fd >= 0)
			lp_libc()->close(fd);
		if (known && frame.kind == LP_FRAME_EACH)
			channel->each = (int)frame.number;
		if (known && frame.kind == LP_FRAME_DRAIN) {
			channel->drained = true;
			say_sigterm(channel);
		}
	}
}

void lp_preload_channel_session(struct lp_preload_channel *channel, struct lp_slice key)
{
	if (lp_learnt_sessions_add(&channel->known, key) && channel->fd >= 0)
		send_frame(channel, &(struct lp_frame){.kind = LP_FRAME_SESSION, .key = key}, -1, true);
}

int lp_preload_channel_bounce(struct lp_preload_channel *channel, int fd)
{
	if (channel->fd < 0)
		return -ENOTCONN;
	return send_frame(channel, &(struct lp_frame){.kind = LP_FRAME_BOUNCE}, fd, true);
}
