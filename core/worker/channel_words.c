/*
 * What a worker's words mean: the calls that dialects make, and what they find in a channel for that.
 */
#include <unistd.h>

#include "worker/channel.h"

void lp_channel_set_ready(struct lp_channel *channel, bool ready)
{
	if (channel->ready == ready)
		return;
	channel->ready = ready;
	channel->events->on_ready(channel, ready);
}

void lp_channel_listen(struct lp_channel *channel, uint64_t address, bool listens)
{
	channel->events->on_listen(channel, address, listens);
}

void lp_channel_has_parents(struct lp_channel *channel)
{
	channel->events->on_parents_channel(channel);
}

struct lp_connection *lp_channel_oldest(struct lp_channel *channel)
{
	return lp_connections_first(channel->connections, channel->sends_for, LP_SENT);
}

static struct lp_connection *find_in(struct lp_channel *channel, enum lp_connection_state state, uint64_t number)
{
	struct lp_connection *connection = lp_connections_first(channel->connections, channel->sends_for, state);
	while (connection && connection->number < number)
		connection = lp_connections_next(channel->connections, connection);
	return connection && connection->number == number ? connection : NULL;
}

struct lp_connection *lp_channel_find(struct lp_channel *channel, uint64_t number)
{
	struct lp_connection *connection = find_in(channel, LP_ARRIVED, number);
	return connection ? connection : find_in(channel, LP_SENT, number);
}

void lp_channel_arrive(struct lp_channel *channel, struct lp_connection *connection)
{
	lp_connection_move(channel->connections, connection, LP_ARRIVED);
}

void lp_channel_accept(struct lp_channel *channel, struct lp_connection *connection)
{
	channel->events->on_accepted(channel, connection);
}

void lp_channel_return(struct lp_channel *channel, struct lp_connection *connection, enum lp_return_reason reason)
{
	channel->events->on_returned(channel, connection, reason);
}

void lp_channel_session(struct lp_channel *channel, struct lp_slice key, bool bound)
{
	channel->events->on_session(channel, key, bound);
}

void lp_channel_message(struct lp_channel *channel, const struct lp_message *message)
{
	channel->events->on_message(channel, message);
}

void lp_channel_frame(struct lp_channel *channel, const struct lp_frame *frame)
{
	channel->events->on_frame(channel, frame);
}

struct lp_slice lp_channel_share(struct lp_channel *channel, struct lp_slice name, struct lp_slice value)
{
	return channel->events->on_share(channel, name, value);
}

int lp_channel_socket(struct lp_channel *channel, const struct lp_socket_address *address)
{
	return channel->events->on_socket(channel, address);
}

void lp_channel_drop_socket(struct lp_channel *channel, int fd, bool closed)
{
	channel->events->on_socket_dropped(channel, fd, closed);
}

int lp_channel_placeholder(struct lp_channel *channel, const struct sockaddr *address, unsigned which)
{
	return channel->events->on_placeholder(channel, address, which);
}

void lp_channel_report_open(struct lp_channel *channel, uint64_t open)
{
	channel->events->on_open(channel, open);
}

void lp_channel_bounce(struct lp_channel *channel)
{
	int fd = channel->came;
	channel->came = -1;
	if (fd >= 0)
		channel->events->on_bounced(channel, fd);
}

void lp_channel_set_sigterm(struct lp_channel *channel, bool handled)
{
	channel->events->on_sigterm(channel, handled);
}

void lp_channel_end(struct lp_channel *channel)
{
	if (channel->ended)
		return;
	channel->ended = true;
	channel->broken = true;
	channel->events->on_end(channel);
}
