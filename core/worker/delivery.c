/*
 * What goes between a slot and the worker in it: connections to it, and what its channel says. slot.c has the life of
 * the slot.
 *
 * A worker is usable (struct lp_worker) while it is up, its queue has room, it takes what it is given (stuck.c) and
 * nobody stops us.
 *
 * Open connections: a worker that tells (native) is believed. For the others the kernel is asked (open_count.h); that starts
 * with the first connection such a worker takes, and ends for a worker with its first report.
 */
#include "worker/slot.h"

#include <errno.h>

#include "base/clock.h"
#include "worker/node.h"

/* How often limpet logs of one process that it is ready. */
#define TELL_NS 1000000000ull

void lp_slot_update_usable(struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	bool takes = slot->worker_state == LP_WORKER_READY && !slots->stopping;
	bool late = slot->is_full || slot->worker->stuck;
	slot->worker->busy = takes && late;
	lp_workers_set_usable(slots->config.workers, slot->worker->id, takes && !late);
}

static const struct lp_channel_events channel_events;

/* One that opens and closes its server all the time is not to fill the log. */
static void tell_ready(struct lp_slot *slot)
{
	uint64_t now_ns = lp_clock_ns();
	bool again = slot->logged_pid == slot->worker->pid && now_ns - slot->logged_ns < TELL_NS;
	lp_log_write(slot->slots->config.log, again ? LP_LOG_DEBUG : LP_LOG_INFO,
		     LP_LOG_ABOUT(.worker = slot->worker->id, .pid = slot->worker->pid), "worker %u is ready (pid %d)",
		     slot->worker->id, slot->worker->pid);
	slot->logged_pid = slot->worker->pid;
	if (!again)
		slot->logged_ns = now_ns;
}

void lp_slot_announce_up(struct lp_slot *slot)
{
	const struct lp_supervisor_config *config = &slot->slots->config;
	lp_slot_update_usable(slot);
	if (!slot->worker->started_ns) {
		slot->worker->started_ns = lp_clock_ns();
		slot->worker->starts++;
	}
	lp_slot_note_ready(slot);
	tell_ready(slot);
	config->events->on_worker_up(config->owner, slot->worker->id);
}

void lp_slot_announce_down(struct lp_slot *slot)
{
	const struct lp_supervisor_config *config = &slot->slots->config;
	lp_slot_update_usable(slot);
	config->events->on_worker_down(config->owner, slot->worker->id);
}

static bool is_open(const struct lp_slot *slot)
{
	return slot->channel_state == LP_SLOT_CHANNEL_OPEN;
}

/* A worker with two channels is ready as soon as both say so, in whatever order. One without Node's, because its parent has given
 * it another, goes by the library's alone. One that has hung up, or was cut off, takes no connections whatever is said of it, until
 * it registers again. */
void lp_slot_update_up(struct lp_slot *slot)
{
	bool listens = is_open(slot) && slot->channel.ready;
	bool takes = listens && (!slot->node || !slot->node->works || slot->node->channel.ready);
	if (takes && slot->worker_state == LP_WORKER_UNREADY && !lp_slot_relaunch_heard(slot))
		lp_slot_move_worker(slot, LP_WORKER_READY);
	else if (!takes && slot->worker_state == LP_WORKER_READY)
		lp_slot_move_worker(slot, LP_WORKER_UNREADY);
}

static void on_channel_closed(struct lp_channel *channel)
{
	struct lp_slot *slot = channel->owner;
	slot->channel_state = LP_SLOT_CHANNEL_NONE;
	lp_slot_on_part_closed(slot);
}

int lp_slot_open_channel(struct lp_slot *slot, int fd, int *worker_end)
{
	const struct lp_supervisor_config *config = &slot->slots->config;
	/* Whoever registers speaks as the library does, whatever else it speaks. */
	const struct lp_dialect *spoken = slot->slots->registry ? &lp_dialect_preload : config->dialect;
	int status = fd < 0 ? lp_channel_open(&slot->channel, config->loop, config->dialect, config->connections,
					      slot->worker->id, &channel_events, config->log, worker_end)
			    : lp_channel_adopt(&slot->channel, config->loop, spoken, config->connections,
					       slot->worker->id, &channel_events, config->log, fd);
	if (status)
		return status;
	slot->channel.owner = slot;
	slot->channel.pid = slot->worker->pid; /* Of a process that is yet to be started, it is set then. */
	slot->channel.ports = &slot->slots->ports;
	slot->channel_state = LP_SLOT_CHANNEL_OPEN;
	slot->is_full = false;
	slot->reports = false;
	slot->uncounted = false;
	if (fd < 0)
		lp_survivors_hold_channel(slot);
	return 0;
}

void lp_slot_close_channel(struct lp_slot *slot)
{
	if (!is_open(slot))
		return;
	slot->channel_state = LP_SLOT_CHANNEL_CLOSING;
	lp_survivors_drop_channel(slot);
	lp_workers_forget_listens(slot->slots->config.workers, slot->worker->id, false);
	lp_stuck_forget(slot);
	if (slot->slots->registry)
		lp_slot_update_up(slot);
	else
		lp_slot_hang_up(slot); /* It has no way to come again. */
	lp_channel_close(&slot->channel, on_channel_closed);
	lp_session_query_forget(slot);
	if (!slot->slots->config.dialect->has_node_channel) /* There it is Node's that speaks. */
		lp_broker_leave(slot->slots->broker, slot->worker->id);
	lp_slot_end_if_idle(slot);
}

/*
 * A dead worker's last acknowledgements and sessions count before its connections are given up. A channel that does not end
 * then is still held by somebody: the process was a shell, and the server lives. It must not take what others get now.
 */
static void hear_out(struct lp_slot *slot)
{
	if (is_open(slot))
		lp_channel_hear_out(&slot->channel);
	if (is_open(slot))
		lp_process_kill_rest(slot->worker_process);
	lp_slot_close_channel(slot);
}

void lp_slot_lose_worker(struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	struct lp_worker *worker = slot->worker;
	hear_out(slot);
	lp_node_process_ended(slots, worker->pid);
	lp_slot_move_worker(slot, LP_WORKER_LEAVING);
	if (slot->worker_process == &slot->process)
		slot->worker_process = NULL; /* A member's handles are its own to close. */
	lp_unread_worker_ended(&slots->unread, worker->id);
	lp_sessions_forget_worker(slots->config.sessions, worker->id);
	if (slots->count)
		lp_open_count_forget_worker(slots->count, worker->id);
	lp_workers_forget_listens(slots->config.workers, worker->id, true);
	slot->handles_sigterm = false;
	slot->outlived = false;
	lp_survivors_note_worker(slot, 0);
	lp_shutdown_forget(slot);
	slot->session = 0;
	worker->pid = 0;
	worker->connections = 0;
	worker->started_ns = 0;
	lp_workers_set_draining(slots->config.workers, worker->id, false); /* Its successor is another worker. */
}

/* What channels say */

static void on_ready(struct lp_channel *channel, bool ready)
{
	struct lp_slot *slot = channel->owner;
	if (ready && slot->slots->each && channel->dialect->tell_each)
		channel->dialect->tell_each(channel, slot->slots->each);
	lp_slot_update_up(slot);
}

/* Once: what is true of one process is mostly so of all. */
static void on_parents_channel(struct lp_channel *channel)
{
	struct lp_slot *slot = channel->owner;
	struct lp_slots *slots = slot->slots;
	if (slots->told_of_parents || !slots->config.dialect->has_node_channel)
		return;
	slots->told_of_parents = true;
	lp_log_write(
		slots->config.log, LP_LOG_WARNING, LP_LOG_ABOUT(.worker = slot->worker->id, .pid = slot->worker->pid),
		"worker %u (pid %d) has Node's channel from the program that started it, not from limpet: it serves "
		"clients, but has no cluster.worker, and what packages say between workers (the Socket.IO adapter) "
		"does not get through; for those start it without that program, as in: node --import tsx main.ts",
		slot->worker->id, slot->worker->pid);
}

/* What nobody could take may be for it. */
static void on_listen(struct lp_channel *channel, uint64_t address, bool listens)
{
	struct lp_slot *slot = channel->owner;
	const struct lp_supervisor_config *config = &slot->slots->config;
	lp_workers_set_listens(config->workers, slot->worker->id, address, listens);
	if (listens && slot->worker_state == LP_WORKER_READY)
		config->events->on_room(config->owner, slot->worker->id);
}

/* Clients whose connections have to stay here are watched. */
static unsigned count_queued(struct lp_slot *slot)
{
	const struct lp_supervisor_config *config = &slot->slots->config;
	unsigned worker = slot->worker->id;
	uint32_t queued = config->connections->by_state[worker][LP_QUEUED];
	if (queued)
		config->events->on_blocked(config->owner, worker);
	return queued;
}

void lp_slot_flush(struct lp_slot *slot)
{
	const struct lp_supervisor_config *config = &slot->slots->config;
	if (is_open(slot) && lp_channel_has_work(&slot->channel))
		lp_channel_flush(&slot->channel);
	if (!slot->worker->waiting && !slot->is_full)
		return;
	if (count_queued(slot) || !slot->is_full)
		return;
	slot->is_full = false;
	lp_slot_update_usable(slot);
	config->events->on_room(config->owner, slot->worker->id);
}

static void on_connections_closed(void *owner, unsigned worker, unsigned how_many)
{
	struct lp_slots *slots = owner;
	struct lp_worker *of = lp_workers_find(slots->config.workers, worker);
	of->connections -= how_many < of->connections ? how_many : of->connections;
	lp_slot_end_if_idle(&slots->all[worker - 1]);
}

/* Remember a connection whose end its worker will not tell. */
static void count_connection(struct lp_slot *slot, const struct lp_connection *connection)
{
	struct lp_slots *slots = slot->slots;
	if (!slots->count_tried) {
		int status = lp_open_count_start(&slots->count, slots->config.loop, slots->config.log, false,
						 on_connections_closed, slots);
		slots->count_tried = status != UV_ENOMEM; /* Which passes. */
		if (status)
			lp_log_write(slots->config.log, LP_LOG_WARNING, NULL,
				     "open connections cannot be counted (%s): workers that do not report theirs are "
				     "balanced by the connections on the way to them",
				     lp_error_words(status));
	}
	int status = slots->count ? lp_open_count_add(slots->count, connection->fd, slot->worker->id,
						      connection->origin->port)
				  : UV_ENOTSUP;
	if (status == 0)
		slot->worker->connections++;
	if (status && status != -EEXIST)
		slot->uncounted = true;
}

/* The connection is its worker's for good. */
static void settle(struct lp_slot *slot, struct lp_connection *connection)
{
	const struct lp_supervisor_config *config = &slot->slots->config;
	if (!slot->reports)
		count_connection(slot, connection);
	config->events->on_settled(config->owner, connection);
	lp_connection_close(config->connections, connection);
}

bool lp_slot_is_silent(struct lp_unread *unread, unsigned worker)
{
	struct lp_slots *slots = unread->owner;
	const struct lp_slot *slot = &slots->all[worker - 1];
	return lp_stuck_suspected(slot) || (slot->worker_process && lp_process_is_stopped(slot->worker_process));
}

static struct lp_slot *slot_of(struct lp_unread *unread, const struct lp_connection *connection)
{
	struct lp_slots *slots = unread->owner;
	return &slots->all[connection->group - 1];
}

void lp_slot_settle(struct lp_unread *unread, struct lp_connection *connection)
{
	settle(slot_of(unread, connection), connection);
}

void lp_slot_leave(struct lp_unread *unread, struct lp_connection *connection)
{
	const struct lp_supervisor_config *config = &((struct lp_slots *)unread->owner)->config;
	config->events->on_returned(config->owner, connection, slot_of(unread, connection)->worker->id, LP_RETURN_LOST);
}

static void on_sending(struct lp_channel *channel, struct lp_connection *connection)
{
	const struct lp_supervisor_config *config = &((struct lp_slot *)channel->owner)->slots->config;
	config->events->on_sending(config->owner, connection);
}

static void on_accepted(struct lp_channel *channel, struct lp_connection *connection)
{
	struct lp_slot *slot = channel->owner;
	lp_stuck_end(slot);
	lp_histogram_add(&slot->slots->latency, (lp_channel_heard_ns(channel) - connection->ready_ns) / 1000);
	if (slot->slots->config.dialect->keep_until_read)
		lp_unread_keep(&slot->slots->unread, connection);
	else
		settle(slot, connection);
	if (slot->slots->stopping)
		lp_slot_end_if_idle(slot);
}

/* What the kernel proves to be read has an owner, also if that has not come to say so. */
static void on_returned(struct lp_channel *channel, struct lp_connection *connection, enum lp_return_reason reason)
{
	struct lp_slot *slot = channel->owner;
	const struct lp_supervisor_config *config = &slot->slots->config;
	if (reason != LP_RETURN_LOST && reason != LP_RETURN_NO_SERVER) /* Those are no signs of life. */
		lp_stuck_end(slot);
	bool was_sent = connection->state == LP_SENT || connection->state == LP_ARRIVED;
	if (was_sent && lp_tcp_use_since(connection->fd, &connection->baseline) == LP_TCP_USED)
		settle(slot, connection);
	else
		config->events->on_returned(config->owner, connection, slot->worker->id, reason);
	if (slot->slots->stopping)
		lp_slot_end_if_idle(slot);
}

/* Of an id only its beginning is said: whoever knows one has its session. */
static void note_move(struct lp_slot *slot, struct lp_slice key, unsigned before)
{
	struct lp_slots *slots = slot->slots;
	const struct lp_worker *other = before ? lp_workers_find(slots->config.workers, before) : NULL;
	if (!other || other == slot->worker || !other->pid)
		return;
	slots->sessions_moved++;
	lp_log_limited(
		slots->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_SESSION,
		LP_LOG_ABOUT(.worker = slot->worker->id, .pid = slot->worker->pid),
		"worker %u (pid %d) claims the session %.*s… of worker %u (pid %d), which is alive: its clients go "
		"to worker %u now; if the two do not share sessions, one of them is wrong",
		slot->worker->id, slot->worker->pid, (int)(key.length < 4 ? key.length : 4), key.bytes, other->id,
		other->pid, slot->worker->id);
}

void lp_slot_on_session(struct lp_slot *slot, struct lp_slice key, bool bound)
{
	struct lp_slots *slots = slot->slots;
	unsigned before = bound ? lp_sessions_peek(slots->config.sessions, key) : 0;
	if (!bound) {
		lp_sessions_forget(slots->config.sessions, key, slot->worker->id);
		return;
	}
	int status = lp_sessions_bind(slots->config.sessions, key, slot->worker->id);
	if (status)
		lp_log_limited(slots->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = slot->worker->id),
			       "worker %u: a session of %zu bytes cannot be kept: %s", slot->worker->id, key.length,
			       lp_error_words(status));
	else
		note_move(slot, key, before);
	if (!status)
		slots->config.events->on_session(slots->config.owner, key);
}

static void on_session(struct lp_channel *channel, struct lp_slice key, bool bound)
{
	lp_slot_on_session(channel->owner, key, bound);
}

static void on_open(struct lp_channel *channel, uint64_t open)
{
	struct lp_slot *slot = channel->owner;
	if (!slot->reports && slot->slots->count)
		lp_open_count_forget_worker(slot->slots->count, slot->worker->id);
	slot->reports = true;
	slot->worker->connections = (uint32_t)open + slot->worker->waiting; /* Nothing of its is UNREAD. */
}

bool lp_slot_post(void *owner, unsigned worker, struct lp_slice bytes)
{
	struct lp_slots *slots = owner;
	struct lp_slot *slot = &slots->all[worker - 1];
	if (slots->config.dialect->has_node_channel)
		return slot->node && lp_channel_post(&slot->node->channel, bytes);
	return is_open(slot) && lp_channel_post(&slot->channel, bytes);
}

static void on_message(struct lp_channel *channel, const struct lp_message *message)
{
	struct lp_slot *slot = channel->owner;
	lp_broker_handle_message(slot->slots->broker, slot->worker->id, message);
}

static void on_frame(struct lp_channel *channel, const struct lp_frame *frame)
{
	struct lp_slot *slot = channel->owner;
	lp_broker_handle_frame(slot->slots->broker, slot->worker->id, frame);
}

static struct lp_slice on_share(struct lp_channel *channel, struct lp_slice name, struct lp_slice value)
{
	return lp_broker_share(((struct lp_slot *)channel->owner)->slots->broker, name, value);
}

static int on_socket(struct lp_channel *channel, const struct lp_socket_address *address)
{
	return lp_shared_sockets_get(&((struct lp_slot *)channel->owner)->slots->sockets, address);
}

static void on_socket_dropped(struct lp_channel *channel, int fd, bool closed)
{
	lp_shared_sockets_drop(&((struct lp_slot *)channel->owner)->slots->sockets, fd, closed);
}

/* Only in the dialect `node`, over the other channel (node_process.c). */
static int on_placeholder(struct lp_channel *channel, const struct sockaddr *address, unsigned which)
{
	(void)channel;
	(void)address;
	(void)which;
	return UV_ENOTSUP;
}

static void on_answered(struct lp_channel *channel)
{
	lp_session_query_answered(channel->owner);
}

static void on_bounced(struct lp_channel *channel, int fd)
{
	struct lp_slots *slots = ((struct lp_slot *)channel->owner)->slots;
	unsigned worker = slots->count ? lp_open_count_remove(slots->count, fd) : 0;
	if (worker)
		on_connections_closed(slots, worker, 1);
	slots->config.events->on_bounced(slots->config.owner, fd);
}

static void on_sigterm(struct lp_channel *channel, bool handled)
{
	struct lp_slot *slot = channel->owner;
	slot->handles_sigterm = handled;
	lp_slot_end_if_idle(slot);
}

static void on_end(struct lp_channel *channel)
{
	struct lp_slot *slot = channel->owner;
	bool is_cut_off = channel->state == LP_CHANNEL_FAILED;
	lp_slot_close_channel(slot);
	if (is_cut_off)
		lp_slot_cut_off(slot);
}

static const struct lp_channel_events channel_events = {
	.on_ready = on_ready,
	.on_listen = on_listen,
	.on_parents_channel = on_parents_channel,
	.on_sending = on_sending,
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
	.on_bounced = on_bounced,
	.on_sigterm = on_sigterm,
	.on_end = on_end,
};

bool lp_slot_can_hear(const struct lp_slot *slot)
{
	return is_open(slot);
}

void lp_slot_hear(struct lp_slot *slot)
{
	if (is_open(slot))
		lp_channel_hear_for_decision(&slot->channel, slot->slots->turn);
}
