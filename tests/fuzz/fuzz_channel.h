/**
 * A channel with the worker's end in the target's hand. What the channel tells is put together to one number, so that
 * two ways of saying the same can be compared.
 */
#ifndef LP_TESTS_FUZZ_CHANNEL_H
#define LP_TESTS_FUZZ_CHANNEL_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "worker/channel.h"
#include "worker/ports.h"

enum { FUZZ_CONNECTIONS = 4 };

struct fuzz_channel {
	struct lp_channel channel;
	struct lp_ports ports;
	struct lp_region region;
	struct lp_workers workers;
	struct lp_connections connections;
	struct lp_origin origins[FUZZ_CONNECTIONS];
	bool over[FUZZ_CONNECTIONS]; /* Accepted or returned. */
	uint64_t told;
	bool ready;
	bool ended;
	bool closed;
	int worker_end;
};

static inline struct fuzz_channel *fuzz_channel_of(struct lp_channel *channel)
{
	return channel->owner;
}

static inline void fuzz_tell(struct lp_channel *channel, const char *what, const void *bytes, size_t length)
{
	struct fuzz_channel *fuzz = fuzz_channel_of(channel);

	fuzz->told = fuzz_hash(fuzz->told, what, strlen(what) + 1);
	fuzz->told = fuzz_hash(fuzz->told, bytes, length);
}

static inline void fuzz_on_ready(struct lp_channel *channel, bool ready)
{
	FUZZ_CHECK(ready != fuzz_channel_of(channel)->ready);
	fuzz_channel_of(channel)->ready = ready;
	fuzz_tell(channel, "ready", &ready, sizeof(ready));
}

static inline void fuzz_on_parents_channel(struct lp_channel *channel)
{
	fuzz_tell(channel, "parents", "", 0);
}

static inline void fuzz_on_listen(struct lp_channel *channel, uint64_t address, bool listens)
{
	(void)channel;
	(void)address;
	(void)listens;
}

static inline void fuzz_on_over(struct lp_channel *channel, struct lp_connection *connection, const char *what)
{
	size_t index = (size_t)(connection->origin - fuzz_channel_of(channel)->origins);

	FUZZ_CHECK(index < FUZZ_CONNECTIONS && !fuzz_channel_of(channel)->over[index]);
	fuzz_channel_of(channel)->over[index] = true;
	fuzz_tell(channel, what, &index, sizeof(index));
	lp_connection_close(channel->connections, connection);
}

static inline void fuzz_on_accepted(struct lp_channel *channel, struct lp_connection *connection)
{
	fuzz_on_over(channel, connection, "accepted");
}

static inline void fuzz_on_returned(struct lp_channel *channel, struct lp_connection *connection,
				    enum lp_return_reason reason)
{
	lp_connection_move(channel->connections, connection, LP_DUE);
	fuzz_tell(channel, "reason", &reason, sizeof(reason));
	fuzz_on_over(channel, connection, "returned");
}

static inline void fuzz_on_session(struct lp_channel *channel, struct lp_slice key, bool bound)
{
	FUZZ_CHECK(key.length > 0);
	fuzz_tell(channel, bound ? "bound" : "forgotten", key.bytes, key.length);
}

static inline void fuzz_on_open(struct lp_channel *channel, uint64_t open)
{
	fuzz_tell(channel, "open", &open, sizeof(open));
}

static inline void fuzz_on_message(struct lp_channel *channel, const struct lp_message *message)
{
	const char *bytes = message->bytes.bytes;
	size_t length = message->bytes.length;
	fuzz_tell(channel, "message", bytes, length);
	if (channel->dialect->language != LP_LANGUAGE_JSON)
		return; /* Its fields are in a room of their own. */
	FUZZ_CHECK(length > 0 && memchr(bytes, '\n', length) == bytes + length - 1);
	for (int field = 0; field < LP_MESSAGE_FIELDS; field++) {
		struct lp_slice value = message->fields[field];
		FUZZ_CHECK(!value.bytes || (value.bytes >= bytes && value.bytes + value.length <= bytes + length));
	}
}

static inline void fuzz_on_frame(struct lp_channel *channel, const struct lp_frame *frame)
{
	fuzz_tell(channel, "frame", frame->value.bytes, frame->value.length);
}

static inline struct lp_slice fuzz_on_share(struct lp_channel *channel, struct lp_slice name, struct lp_slice value)
{
	fuzz_tell(channel, "share", name.bytes, name.length);
	return value;
}

static inline int fuzz_on_socket(struct lp_channel *channel, const struct lp_socket_address *address)
{
	fuzz_tell(channel, "socket", &address->port, sizeof(address->port));
	return UV_EADDRINUSE;
}

static inline void fuzz_on_socket_dropped(struct lp_channel *channel, int fd, bool closed)
{
	(void)channel;
	(void)fd;
	(void)closed;
	FUZZ_CHECK(!"none was given");
}

static inline int fuzz_on_placeholder(struct lp_channel *channel, const struct sockaddr *address, unsigned which)
{
	(void)address;
	fuzz_tell(channel, "placeholder", &which, sizeof(which));
	return UV_EADDRINUSE;
}

static inline void fuzz_on_answered(struct lp_channel *channel)
{
	fuzz_tell(channel, "answered", NULL, 0);
}

static inline void fuzz_on_bounced(struct lp_channel *channel, int fd)
{
	(void)channel;
	close(fd);
}

static inline void fuzz_on_sigterm(struct lp_channel *channel, bool handled)
{
	(void)channel;
	(void)handled;
}

static inline void fuzz_on_end(struct lp_channel *channel)
{
	FUZZ_CHECK(!fuzz_channel_of(channel)->ended);
	fuzz_channel_of(channel)->ended = true;
	fuzz_tell(channel, "end", NULL, 0);
}

static inline void fuzz_on_closed(struct lp_channel *channel)
{
	fuzz_channel_of(channel)->closed = true;
}

/** The worker says bytes, one message on a SOCK_SEQPACKET channel, and the channel hears them. */
static inline void fuzz_say(struct fuzz_channel *fuzz, const void *bytes, size_t length)
{
	FUZZ_CHECK(send(fuzz->worker_end, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length);
	lp_channel_hear(&fuzz->channel);
}

/** Hand over FUZZ_CONNECTIONS connections. */
static inline void fuzz_hand_over(struct fuzz_channel *fuzz)
{
	for (size_t i = 0; i < FUZZ_CONNECTIONS; i++) {
		fuzz->origins[i] = (struct lp_origin){.name = "here", .port = (uint16_t)(3000 + i)};
		lp_connection_move_to(&fuzz->connections,
				      lp_connections_add(&fuzz->connections, dup(STDERR_FILENO), &fuzz->origins[i]),
				      LP_QUEUED, 1);
	}
	lp_channel_flush(&fuzz->channel);
	FUZZ_CHECK(fuzz->connections.counts[LP_QUEUED] == 0 && fuzz->channel.sent == FUZZ_CONNECTIONS);
}

/** Open a channel on a loop that all inputs share. */
static inline void fuzz_channel_open(struct fuzz_channel *fuzz, const struct lp_dialect *dialect, uv_loop_t *loop)
{
	static const struct lp_channel_events events = {
		.on_ready = fuzz_on_ready,
		.on_parents_channel = fuzz_on_parents_channel,
		.on_listen = fuzz_on_listen,
		.on_accepted = fuzz_on_accepted,
		.on_returned = fuzz_on_returned,
		.on_session = fuzz_on_session,
		.on_open = fuzz_on_open,
		.on_message = fuzz_on_message,
		.on_frame = fuzz_on_frame,
		.on_share = fuzz_on_share,
		.on_socket = fuzz_on_socket,
		.on_socket_dropped = fuzz_on_socket_dropped,
		.on_placeholder = fuzz_on_placeholder,
		.on_answered = fuzz_on_answered,
		.on_bounced = fuzz_on_bounced,
		.on_sigterm = fuzz_on_sigterm,
		.on_end = fuzz_on_end,
	};
	static struct lp_log log = {.fd = -1};

	if (log.fd < 0) {
		lp_log_init(&log, open("/dev/null", O_WRONLY | O_CLOEXEC), LP_LOG_DEBUG, LP_LOG_JSON);
		FUZZ_CHECK(log.fd >= 0 && uv_loop_init(loop) == 0);
	}
	*fuzz = (struct fuzz_channel){.told = FUZZ_HASH_EMPTY};
	FUZZ_CHECK(lp_workers_init(&fuzz->workers, 1, 1) == 0);
	FUZZ_CHECK(lp_connections_open(&fuzz->connections, &fuzz->region, &fuzz->workers) == 0);
	FUZZ_CHECK(lp_channel_open(&fuzz->channel, loop, dialect, &fuzz->connections, 1, &events, &log,
				   &fuzz->worker_end) == 0);
	fuzz->channel.owner = fuzz;
	fuzz->channel.ports = &fuzz->ports;
	fuzz->ports.ours = "3000,unix:/run/x";
}

/** Close it. Every connection has ended by then. @return What the channel told. */
static inline uint64_t fuzz_channel_close(struct fuzz_channel *fuzz, uv_loop_t *loop)
{
	bool handed_over = fuzz->channel.sent > 0;

	lp_channel_close(&fuzz->channel, fuzz_on_closed);
	close(fuzz->worker_end);
	while (!fuzz->closed)
		uv_run(loop, UV_RUN_NOWAIT);
	for (size_t i = 0; handed_over && i < FUZZ_CONNECTIONS; i++)
		FUZZ_CHECK(fuzz->over[i]);
	lp_connections_close(&fuzz->connections);
	lp_region_close(&fuzz->region);
	lp_workers_deinit(&fuzz->workers);
	return fuzz->told;
}

#endif
