/*
 * The native dialect, the balancer's end: frames (wire/frame.h) over SOCK_SEQPACKET, so that a descriptor and its
 * number arrive together, and nothing has to be put together from pieces. include/limpet/worker.h is the protocol for
 * people.
 *
 * An ack is cumulative and says the worker's whole state, so one can stand for many and a repeated one changes nothing.
 * That is why there is no state here: what is in flight is the channel's, what is open comes with the acks.
 *
 * An invalid frame is logged and ignored. So is an unknown word: it may be a newer worker's. Only the
 * author of a worker wants to hear of that, so for the library it is a detail. An ack or nack of a connection that
 * was never sent is different. It means that the two ends count differently, and then every later ack would let go of
 * connections that may not have arrived; so the channel is closed, and what was in flight goes to other workers.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/log.h"
#include "wire/frame.h"
#include "worker/channel.h"
#include "worker/dialect.h"

_Static_assert(LP_FRAME_SHORT_MAX <= LP_DIALECT_MESSAGE_MAX, "a connection frame fits beside its descriptor");

/* Bytes of a strange frame that the log shows. */
#define SHOWN_MAX 48

static int open_state(struct lp_channel *channel, void **state)
{
	(void)channel;
	*state = NULL;
	return 0;
}

static void close_state(void *state)
{
	(void)state;
}

static size_t address(struct lp_channel *channel, const struct lp_connection *connection, char *out)
{
	(void)channel;
	return lp_frame_write(&(struct lp_frame){.kind = LP_FRAME_CONNECTION, .number = connection->number}, out);
}

static void log_strange_frame(struct lp_channel *channel, enum lp_log_level level, const char *bytes, size_t length)
{
	char shown[SHOWN_MAX * 4 + 1];
	size_t used = 0;
	for (size_t i = 0; i < length && i < SHOWN_MAX; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		if (byte >= ' ' && byte < 127 && byte != '"' && byte != '\\')
			shown[used++] = (char)byte;
		else
			used += (size_t)snprintf(shown + used, 5, "\\x%02x", byte);
	}
	shown[used] = '\0';
	lp_log_limited(channel->log, level, LP_LOG_TOPIC_WORKER,
		       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
		       "worker %u sent \"%s\"%s, which is no frame of the native dialect; it was ignored",
		       channel->worker, shown, length > SHOWN_MAX ? "…" : "");
}

static int reject_number(struct lp_channel *channel, const char *word, uint64_t number)
{
	lp_log_limited(channel->log, LP_LOG_ERROR, LP_LOG_TOPIC_WORKER,
		       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
		       "worker %u sent \"%s %llu\", but only %llu connections were sent to it", channel->worker, word,
		       (unsigned long long)number, (unsigned long long)channel->sent);
	return UV_EPROTO;
}

static int on_ack(struct lp_channel *channel, const struct lp_frame *frame)
{
	if (frame->number > channel->sent)
		return reject_number(channel, "ack", frame->number);
	struct lp_connection *connection = lp_channel_oldest(channel);
	while (connection && connection->number <= frame->number) {
		channel->events->on_accepted(channel, connection);
		connection = lp_channel_oldest(channel);
	}
	if (frame->open >= 0)
		channel->events->on_open(channel, (uint64_t)frame->open);
	return 0;
}

/* A nack of what was acknowledged before comes too late to matter: the connection is gone, and its worker said so. */
static int on_nack(struct lp_channel *channel, const struct lp_frame *frame)
{
	if (frame->number > channel->sent)
		return reject_number(channel, "nack", frame->number);
	struct lp_connection *connection = lp_channel_find(channel, frame->number);
	if (connection)
		channel->events->on_returned(channel, connection, LP_RETURN_NO_ROOM);
	return 0;
}

/* The connection that rode with the message comes back. */
static void give_back(struct lp_channel *channel)
{
	int fd = lp_channel_take_descriptor(channel);
	if (fd >= 0)
		channel->events->on_bounced(channel, fd);
}

static long receive(struct lp_channel *channel, const char *bytes, size_t length)
{
	struct lp_frame frame;
	int status = lp_frame_parse(&frame, bytes, length);
	if (status) {
		bool is_newer = status == -EOPNOTSUPP && channel->dialect->registers;
		log_strange_frame(channel, is_newer ? LP_LOG_DEBUG : LP_LOG_WARNING, bytes, length);
		return (long)length;
	}
	switch (frame.kind) {
	case LP_FRAME_READY:
		lp_channel_set_ready(channel, true);
		break;
	case LP_FRAME_ACK:
		status = on_ack(channel, &frame);
		break;
	case LP_FRAME_NACK:
		status = on_nack(channel, &frame);
		break;
	case LP_FRAME_BOUNCE:
		give_back(channel);
		break;
	case LP_FRAME_LISTEN:
	case LP_FRAME_UNLISTEN:
		channel->events->on_listen(channel, frame.number, frame.kind == LP_FRAME_LISTEN);
		break;
	case LP_FRAME_SIGTERM:
		channel->events->on_sigterm(channel, frame.number != 0);
		break;
	case LP_FRAME_PARENTS:
		channel->events->on_parents_channel(channel);
		break;
	case LP_FRAME_SESSION:
	case LP_FRAME_FORGET:
		channel->events->on_session(channel, frame.key, frame.kind == LP_FRAME_SESSION);
		break;
	case LP_FRAME_CONNECTION:
	case LP_FRAME_DRAIN:
	case LP_FRAME_EACH:
	case LP_FRAME_VALUE:
	case LP_FRAME_REFUSED:
		log_strange_frame(channel, LP_LOG_WARNING, bytes, length);
		break;
	default:
		channel->events->on_frame(channel, &frame);
		break;
	}
	return status ? status : (long)length;
}

static void drain(struct lp_channel *channel)
{
	char text[LP_FRAME_SHORT_MAX];
	size_t length = lp_frame_write(&(struct lp_frame){.kind = LP_FRAME_DRAIN}, text);
	lp_channel_send(channel, text, length);
}

static void tell_each(struct lp_channel *channel, unsigned each)
{
	char text[LP_FRAME_SHORT_MAX];
	size_t length = lp_frame_write(&(struct lp_frame){.kind = LP_FRAME_EACH, .number = each}, text);
	lp_channel_send(channel, text, length);
}

const struct lp_dialect lp_dialect_native = {
	.name = "native",
	.sessions = LP_SESSIONS_NAMED,
	.socket_type = SOCK_SEQPACKET,
	.readiness = "says \"ready\" on its channel (limpet/worker.h)",
	.takes_descriptors = true,
	.language = LP_LANGUAGE_FRAMES,
	.environment = {"LIMPET_CHANNEL_FD=3", "LIMPET_WORKER_ID=%u", NULL},
	.open = open_state,
	.close = close_state,
	.address = address,
	.receive = receive,
	.drain = drain,
};

/* The same words, spoken by the library that is put in front of the C library (core/preload). It acknowledges for a
 * server that reads a moment later. */
const struct lp_dialect lp_dialect_preload = {
	.name = "preload",
	.sessions = LP_SESSIONS_LEARNT,
	.socket_type = SOCK_SEQPACKET,
	.registers = true,
	.gives_listener = true,
	.takes_descriptors = true,
	.language = LP_LANGUAGE_FRAMES,
	.keep_until_read = true,
	.readiness = "waits for connections on the port that limpet listens on, or on descriptor 3",
	.environment = {NULL},
	.open = open_state,
	.close = close_state,
	.address = address,
	.receive = receive,
	.drain = drain,
	.tell_each = tell_each,
};
