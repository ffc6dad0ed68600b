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

struct lp_parcel *lp_channel_oldest(struct lp_channel *channel)
{
	for (struct lp_list *link = channel->in_flight.next; link != &channel->in_flight; link = link->next) {
		struct lp_parcel *parcel = LP_LIST_OWNER(link, struct lp_parcel, link);
		if (!parcel->arrived)
			return parcel;
	}
	return NULL;
}

struct lp_parcel *lp_channel_find(struct lp_channel *channel, uint64_t number)
{
	for (struct lp_list *link = channel->in_flight.next; link != &channel->in_flight; link = link->next) {
		struct lp_parcel *parcel = LP_LIST_OWNER(link, struct lp_parcel, link);
		if (parcel->number >= number)
			return parcel->number == number ? parcel : NULL;
	}
	return NULL;
}

void lp_channel_acknowledge(struct lp_channel *channel, struct lp_parcel *parcel)
{
	lp_list_remove(&parcel->link);
	channel->events->on_acknowledged(channel, parcel);
}

void lp_channel_return(struct lp_channel *channel, struct lp_parcel *parcel, enum lp_return_reason reason)
{
	lp_list_remove(&parcel->link);
	channel->events->on_returned(channel, parcel, reason);
}

void lp_channel_session(struct lp_channel *channel, struct lp_slice key, bool bound)
{
	channel->events->on_session(channel, key, bound);
}

void lp_channel_letter(struct lp_channel *channel, const struct lp_letter *letter)
{
	channel->events->on_letter(channel, letter);
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

void lp_channel_takes_messages(struct lp_channel *channel)
{
	channel->events->on_takes_messages(channel);
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

void lp_channel_end(struct lp_channel *channel)
{
	if (channel->ended)
		return;
	channel->ended = true;
	channel->broken = true;
	channel->events->on_end(channel);
}
