#include "worker/session_query.h"

#include <sys/socket.h>
#include <unistd.h>

#include "worker/slot.h"

/* The channel over which a slot's worker can be asked; NULL: there is nothing to ask it, or nobody. A worker that was never
 * ready has no sessions. */
static struct lp_channel *channel_of(struct lp_slot *slot)
{
	bool is_open = slot->channel_state == LP_SLOT_CHANNEL_OPEN;
	bool can = is_open && slot->worker->started_ns && slot->channel.dialect->ask;
	return can ? &slot->channel : NULL;
}

/* One end of a pair whose other end is closed: nothing can be done with it, and that is all it is for. */
static bool make_descriptor(struct lp_session_query *asking)
{
	int pair[2];
	if (asking->fd >= 0)
		return true;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return false;
	close(pair[1]);
	asking->fd = pair[0];
	return true;
}

void lp_session_query_open(struct lp_session_query *asking)
{
	make_descriptor(asking);
}

uint32_t lp_session_query_begin(struct lp_slots *slots)
{
	struct lp_session_query *asking = &slots->asking;
	unsigned asked = 0;
	if (asking->open)
		return asking->round;
	asking->round++;
	for (unsigned i = 0; i < slots->config.workers->count; i++) {
		struct lp_slot *slot = &slots->all[i];
		if (channel_of(slot))
			asked++;
		else
			slot->asked = (struct lp_asked){.sent = asking->round, .answered = asking->round};
	}
	asking->open = asked > 0;
	asking->told = !asking->open;
	return asking->open ? asking->round : 0;
}

/* The latest round that all have answered is told. */
static void tell_answered(struct lp_slots *slots)
{
	struct lp_session_query *asking = &slots->asking;
	uint32_t oldest = asking->round;
	if (asking->told)
		return;
	for (unsigned i = 0; i < slots->config.workers->count; i++)
		if (slots->all[i].asked.answered < oldest)
			oldest = slots->all[i].asked.answered;
	asking->told = oldest == asking->round;
	slots->config.events->on_answered(slots->config.owner, oldest);
}

static void ask(struct lp_slot *slot)
{
	struct lp_session_query *asking = &slot->slots->asking;
	struct lp_channel *channel = channel_of(slot);
	bool waits = slot->asked.sent > slot->asked.answered;
	if (waits || slot->asked.sent == asking->round || !channel)
		return;
	if (make_descriptor(asking) && channel->dialect->ask(channel, asking->fd) == 0)
		slot->asked.sent = asking->round;
}

void lp_session_query_flush(struct lp_slots *slots)
{
	if (slots->asking.told)
		return;
	slots->asking.open = false;
	for (unsigned i = 0; i < slots->config.workers->count; i++)
		ask(&slots->all[i]);
}

void lp_session_query_answered(struct lp_slot *slot)
{
	slot->asked.answered = slot->asked.sent;
	tell_answered(slot->slots);
}

void lp_session_query_forget(struct lp_slot *slot)
{
	uint32_t round = slot->slots->asking.round;
	slot->asked = (struct lp_asked){.sent = round, .answered = round};
	tell_answered(slot->slots);
}

void lp_session_query_close(struct lp_session_query *asking)
{
	if (asking->fd >= 0)
		close(asking->fd);
	asking->fd = -1;
}
