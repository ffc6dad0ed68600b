/**
 * A channel with the worker's end in the test's hand, and a record of what the channel told.
 */
#ifndef CHANNEL_FIXTURE_H
#define CHANNEL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "table_fixture.h"
#include "worker/channel.h"
#include "worker/ports.h"

#define CONNECTIONS_MAX 4096

struct fixture {
	uv_loop_t loop;
	struct lp_log log;
	struct table table;
	struct lp_channel channel;
	struct lp_ports ports; /* limpet's: 8080 and 3999. */
	int worker_end;
	bool open;
	bool ready;
	bool listens[4];
	unsigned parents;
	unsigned accepted;
	unsigned returned;
	enum lp_return_reason reason;
	unsigned ends;
	enum lp_channel_state end; /* ENDED, or FAILED. */
	unsigned answers;
	char session[64]; /* "+key" or "-key". */
	char message[256];
	char shared[256];                 /* NAME=VALUE */
	struct lp_socket_address asked;   /* The last socket that was asked for. */
	unsigned dropped[2];              /* Sockets: by death, by itself. */
	struct sockaddr_storage listener; /* The last placeholder that was asked for. */
	unsigned which;
	uint64_t reported_open;
	struct lp_connection *connections[CONNECTIONS_MAX]; /* As they were handed over. */
};

static inline void on_ready(struct lp_channel *channel, bool ready)
{
	((struct fixture *)channel->owner)->ready = ready;
}

static inline void on_parents_channel(struct lp_channel *channel)
{
	((struct fixture *)channel->owner)->parents++;
}

static inline void on_listen(struct lp_channel *channel, uint64_t address, bool listens)
{
	((struct fixture *)channel->owner)->listens[address % 4] = listens;
}

static inline void on_accepted(struct lp_channel *channel, struct lp_connection *connection)
{
	((struct fixture *)channel->owner)->accepted++;
	lp_connection_close(channel->connections, connection);
}

static inline void on_returned(struct lp_channel *channel, struct lp_connection *connection,
			       enum lp_return_reason reason)
{
	struct fixture *fixture = channel->owner;
	fixture->returned++;
	fixture->reason = reason;
	lp_connection_move(channel->connections, connection, LP_DUE);
	lp_connection_close(channel->connections, connection);
}

static inline void on_session(struct lp_channel *channel, struct lp_slice key, bool bound)
{
	struct fixture *fixture = channel->owner;
	assert_true(key.length + 2 < sizeof(fixture->session));
	fixture->session[0] = bound ? '+' : '-';
	memcpy(fixture->session + 1, key.bytes, key.length);
	fixture->session[1 + key.length] = '\0';
}

static inline void on_open(struct lp_channel *channel, uint64_t open)
{
	((struct fixture *)channel->owner)->reported_open = open;
}

static inline void on_message(struct lp_channel *channel, const struct lp_message *message)
{
	struct fixture *fixture = channel->owner;
	assert_true(message->bytes.length < sizeof(fixture->message));
	memcpy(fixture->message, message->bytes.bytes, message->bytes.length);
	fixture->message[message->bytes.length] = '\0';
}

static inline void on_frame(struct lp_channel *channel, const struct lp_frame *frame)
{
	(void)channel;
	fail_msg("A Node worker sent frame %d", (int)frame->kind);
}

static inline struct lp_slice on_share(struct lp_channel *channel, struct lp_slice name, struct lp_slice value)
{
	struct fixture *fixture = channel->owner;
	snprintf(fixture->shared, sizeof(fixture->shared), "%.*s=%.*s", LP_SLICE_ARG(name), LP_SLICE_ARG(value));
	return LP_SLICE("{\"first\":1}");
}

static inline int on_socket(struct lp_channel *channel, const struct lp_socket_address *address)
{
	((struct fixture *)channel->owner)->asked = *address;
	return address->port ? STDERR_FILENO : UV_EADDRINUSE;
}

static inline void on_socket_dropped(struct lp_channel *channel, int fd, bool closed)
{
	(void)fd;
	((struct fixture *)channel->owner)->dropped[closed]++;
}

static inline int on_placeholder(struct lp_channel *channel, const struct sockaddr *address, unsigned which)
{
	struct fixture *fixture = channel->owner;
	memcpy(&fixture->listener, address,
	       address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr));
	fixture->which = which;
	return dup(STDERR_FILENO);
}

static inline void on_answered(struct lp_channel *channel)
{
	((struct fixture *)channel->owner)->answers++;
}

static inline void on_end(struct lp_channel *channel)
{
	struct fixture *fixture = channel->owner;
	fixture->ends++;
	fixture->end = channel->state;
}

static const struct lp_channel_events fixture_events = {
	.on_ready = on_ready,
	.on_parents_channel = on_parents_channel,
	.on_listen = on_listen,
	.on_accepted = on_accepted,
	.on_returned = on_returned,
	.on_session = on_session,
	.on_open = on_open,
	.on_message = on_message,
	.on_frame = on_frame,
	.on_share = on_share,
	.on_socket = on_socket,
	.on_socket_dropped = on_socket_dropped,
	.on_placeholder = on_placeholder,
	.on_answered = on_answered,
	.on_end = on_end,
};

static inline struct fixture *open_fixture(const struct lp_dialect *dialect)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	uv_loop_init(&fixture->loop);
	lp_log_init(&fixture->log, -1, LP_LOG_ERROR, LP_LOG_TEXT);
	open_table(&fixture->table, 1);
	assert_int_equal(lp_channel_open(&fixture->channel, &fixture->loop, dialect, &fixture->table.connections, 1,
					 &fixture_events, &fixture->log, &fixture->worker_end),
			 0);
	fixture->channel.owner = fixture;
	fixture->channel.ports = &fixture->ports;
	fixture->ports.ours = "8080,3999";
	fixture->open = true;
	return fixture;
}

static inline void close_fixture(struct fixture *fixture)
{
	if (fixture->open)
		lp_channel_close(&fixture->channel, NULL);
	if (fixture->worker_end >= 0)
		close(fixture->worker_end);
	uv_run(&fixture->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&fixture->loop), 0);
	close_table(&fixture->table);
	free(fixture);
}

/* How many wait to be sent. */
static inline unsigned queued(const struct fixture *fixture)
{
	return fixture->table.connections.by_state[1][LP_QUEUED];
}

/* Hand over one end of a fresh socket pair. */
static inline void hand_over(struct fixture *fixture, unsigned index, uint16_t port)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	close(pair[1]);
	fixture->connections[index] = queue_connection(&fixture->table, pair[0], port, 1);
	lp_channel_flush(&fixture->channel);
}

/* What the channel has sent: bytes as text, and whether a descriptor came along. */
static inline bool receive(struct fixture *fixture, char *text, size_t size)
{
	struct iovec iov = {.iov_base = text, .iov_len = size - 1};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes)};
	ssize_t got = recvmsg(fixture->worker_end, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	text[got > 0 ? got : 0] = '\0';
	struct cmsghdr *first = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (!first)
		return false;
	int fd;
	memcpy(&fd, CMSG_DATA(first), sizeof(fd));
	close(fd);
	return true;
}

/* The worker speaks, and the channel hears it. */
static inline void say(struct fixture *fixture, const char *text)
{
	assert_int_equal(send(fixture->worker_end, text, strlen(text), 0), strlen(text));
	lp_channel_hear(&fixture->channel);
}

#endif
