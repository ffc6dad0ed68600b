/*
 * What comes over Node's channel of such a process, and who speaks for a slot. No connection ever goes over it.
 */
#include "worker/node_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/node.h"
#include "worker/slot.h"

/* Room for what a process is told first. */
#define GREETING_MAX 32

static struct lp_node_process *owner_of(struct lp_channel *channel)
{
	return channel->owner;
}

static struct lp_node_process *process_of(struct lp_list *link)
{
	return LP_LIST_OWNER(link, struct lp_node_process, link);
}

/* What outlives the balancer */

static void note_survivor(struct lp_node_process *process)
{
	struct lp_surviving_node *record = process->survivor;
	if (!record)
		return;
	record->slot = process->slot->worker->id;
	record->works = process->works;
	record->spoke = process->spoke;
}

/* Its process is written down last: until then nothing of it is believed. */
static void survive(struct lp_node_process *process)
{
	struct lp_slots *slots = process->slot->slots;
	struct lp_surviving_node *all = slots->survivors.nodes;
	uint32_t i = 0;
	while (all && i < LP_SURVIVING_NODES_MAX && all[i].process.pid)
		i++;
	if (!all || i == LP_SURVIVING_NODES_MAX ||
	    lp_lasting_hold(slots->config.lasting, LP_LASTING_NODE_CHANNEL, i, process->channel.fd))
		return;
	all[i].channel = (struct lp_channel_lasting){0};
	lp_channel_outlive(&process->channel, &all[i].channel);
	process->survivor = &all[i];
	note_survivor(process);
	lp_survivors_note(&all[i].process, process->pid);
}

static void drop_survivor(struct lp_node_process *process)
{
	struct lp_slots *slots = process->slot->slots;
	if (!process->survivor)
		return;
	uint32_t number = (uint32_t)(process->survivor - slots->survivors.nodes);
	lp_survivors_note(&process->survivor->process, 0);
	lp_lasting_drop(slots->config.lasting, LP_LASTING_NODE_CHANNEL, number);
	process->survivor = NULL;
}

/* Who speaks for a slot */

static bool is_better(const struct lp_node_process *one, const struct lp_node_process *other)
{
	if (!other || one->works != other->works)
		return !other || one->works;
	if (one->spoke != other->spoke)
		return one->spoke;
	return !one->spoke; /* One looks at the older first: of those that spoke it stays, else the younger is better. */
}

static void choose_speaker(struct lp_slot *slot)
{
	struct lp_list *all = &slot->slots->node_processes;
	struct lp_node_process *before = slot->node;
	slot->node = NULL;
	for (struct lp_list *link = all->next; link != all; link = link->next) {
		struct lp_node_process *process = process_of(link);
		if (process->slot == slot && process->open && is_better(process, slot->node))
			slot->node = process;
	}
	if (slot->node != before && before)
		lp_broker_leave(slot->slots->broker, slot->worker->id);
	if (slot->node != before)
		lp_slot_update_up(slot);
}

static void note_words(struct lp_node_process *process)
{
	if (process->spoke)
		return;
	process->spoke = true;
	note_survivor(process);
	choose_speaker(process->slot);
}

/* Its channel */

static void on_closed(struct lp_channel *channel)
{
	struct lp_node_process *process = owner_of(channel);
	struct lp_slots *slots = process->slot->slots;
	lp_list_remove(&process->link);
	close(process->pidfd);
	free(process);
	if (slots->node_processes_closed && lp_list_empty(&slots->node_processes))
		slots->node_processes_closed(slots);
}

static void close_channel(struct lp_node_process *process)
{
	struct lp_slot *slot = process->slot;
	if (!process->open)
		return;
	process->open = false;
	drop_survivor(process);
	if (process->works)
		lp_slot_hang_up(slot); /* Maybe it has died, and we hear of that in a moment. */
	lp_channel_close(&process->channel, on_closed);
	choose_speaker(slot);
	lp_slot_end_if_idle(slot);
}

static void on_ready(struct lp_channel *channel, bool ready)
{
	(void)ready;
	lp_slot_update_up(owner_of(channel)->slot);
}

static void on_parents_channel(struct lp_channel *channel)
{
	(void)channel;
}

static void on_listen(struct lp_channel *channel, uint64_t address, bool listens)
{
	(void)channel;
	(void)address;
	(void)listens;
}

static void on_connection(struct lp_channel *channel, struct lp_connection *connection)
{
	(void)channel;
	(void)connection;
}

static void on_returned(struct lp_channel *channel, struct lp_connection *connection, enum lp_return_reason reason)
{
	(void)channel;
	(void)connection;
	(void)reason;
}

static void on_session(struct lp_channel *channel, struct lp_slice key, bool bound)
{
	lp_slot_on_session(owner_of(channel)->slot, key, bound);
}

static void on_open(struct lp_channel *channel, uint64_t open)
{
	(void)channel;
	(void)open;
}

static void on_message(struct lp_channel *channel, const struct lp_message *message)
{
	struct lp_node_process *process = owner_of(channel);
	note_words(process);
	lp_broker_handle_message(process->slot->slots->broker, process->slot->worker->id, message);
}

static void on_frame(struct lp_channel *channel, const struct lp_frame *frame)
{
	(void)channel;
	(void)frame;
}

static struct lp_slice on_share(struct lp_channel *channel, struct lp_slice name, struct lp_slice value)
{
	return lp_broker_share(owner_of(channel)->slot->slots->broker, name, value);
}

static int on_socket(struct lp_channel *channel, const struct lp_socket_address *address)
{
	note_words(owner_of(channel));
	return lp_shared_sockets_get(&owner_of(channel)->slot->slots->sockets, address);
}

static void on_socket_dropped(struct lp_channel *channel, int fd, bool closed)
{
	lp_shared_sockets_drop(&owner_of(channel)->slot->slots->sockets, fd, closed);
}

static int on_placeholder(struct lp_channel *channel, const struct sockaddr *address, unsigned which)
{
	note_words(owner_of(channel));
	return lp_registry_make_placeholder(owner_of(channel)->slot->slots->registry, address, which);
}

/* Nobody asks over this channel. */
static void on_answered(struct lp_channel *channel)
{
	(void)channel;
}

static void on_bounced(struct lp_channel *channel, int fd)
{
	lp_closer_close(channel->connections->closer, fd);
}

static void on_sigterm(struct lp_channel *channel, bool handled)
{
	(void)channel;
	(void)handled;
}

static void on_end(struct lp_channel *channel)
{
	struct lp_node_process *process = owner_of(channel);
	bool is_cut_off = channel->state == LP_CHANNEL_FAILED && process->works;
	struct lp_slot *slot = process->slot;
	close_channel(process);
	if (is_cut_off)
		lp_slot_cut_off(slot);
}

static const struct lp_channel_events channel_events = {
	.on_ready = on_ready,
	.on_listen = on_listen,
	.on_parents_channel = on_parents_channel,
	.on_sending = on_connection,
	.on_accepted = on_connection,
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

/* Its life */

/* What is said before Node's protocol begins, so that the process can put it into its environment. */
static void greet(struct lp_node_process *process)
{
	char greeting[GREETING_MAX];
	const struct lp_dialect *dialect = process->slot->slots->config.dialect;
	int length = snprintf(greeting, sizeof(greeting), "%u %s\n", process->slot->worker->id,
			      dialect->language == LP_LANGUAGE_V8 ? "advanced" : "json");
	lp_channel_send(&process->channel, greeting, (size_t)length);
}

/* Returns 0; or negative errno with nothing taken. */
static int make_process(struct lp_slot *slot, const struct lp_registered *who, struct lp_node_process **made)
{
	struct lp_slots *slots = slot->slots;
	struct lp_node_process *process = calloc(1, sizeof(*process));
	int status = process ? lp_channel_adopt(&process->channel, slots->config.loop, slots->config.dialect,
						slots->config.connections, slot->worker->id, &channel_events,
						slots->config.log, who->fd)
			     : -ENOMEM;
	if (status) {
		free(process);
		return status;
	}
	process->slot = slot;
	process->pid = who->pid;
	process->pidfd = who->pidfd;
	process->open = true;
	process->channel.owner = process;
	process->channel.pid = who->pid;
	process->channel.sends_for = 0;
	process->channel.ports = &slots->ports;
	lp_list_append(&slots->node_processes, &process->link);
	*made = process;
	return 0;
}

int lp_node_process_admit(struct lp_slot *slot, const struct lp_registered *who)
{
	struct lp_node_process *process;
	int status = make_process(slot, who, &process);
	if (status)
		return status;
	survive(process);
	greet(process);
	choose_speaker(slot);
	return 0;
}

/* Returns whether it is there; it may be about to close. */
static bool adopt(struct lp_slots *slots, struct lp_surviving_node *record, int fd)
{
	struct lp_node_process *process;
	struct lp_registered who = {.fd = fd, .pid = record->process.pid};
	who.pidfd = fd >= 0 ? lp_survivors_open_process(&record->process) : -ESRCH;
	if (who.pidfd < 0)
		return false;
	if (make_process(&slots->all[record->slot - 1], &who, &process)) {
		close(who.pidfd);
		return false;
	}
	process->works = record->works;
	process->spoke = record->spoke;
	process->survivor = record;
	if (lp_channel_outlive(&process->channel, &record->channel))
		close_channel(process);
	return true;
}

static void adopt_or_drop(struct lp_slots *slots, uint32_t number)
{
	struct lp_surviving_node *record = &slots->survivors.nodes[number];
	int fd = lp_lasting_take(slots->config.lasting, LP_LASTING_NODE_CHANNEL, number);
	bool is_sane = record->process.pid && record->slot && record->slot <= slots->config.workers->count;
	if (is_sane && adopt(slots, record, fd))
		return;
	record->process.pid = 0;
	if (fd < 0)
		return;
	lp_lasting_drop(slots->config.lasting, LP_LASTING_NODE_CHANNEL, number);
	close(fd);
}

void lp_node_process_adopt_all(struct lp_slots *slots)
{
	struct lp_list *all = &slots->node_processes;
	for (uint32_t i = 0; i < LP_SURVIVING_NODES_MAX; i++)
		adopt_or_drop(slots, i);
	for (struct lp_list *link = all->next; link != all; link = link->next) {
		struct lp_node_process *process = process_of(link);
		if (!process->open)
			continue;
		choose_speaker(process->slot);
		lp_channel_resume(&process->channel);
	}
}

struct lp_node_process *lp_node_process_find(struct lp_slots *slots, pid_t pid)
{
	struct lp_list *all = &slots->node_processes;
	for (struct lp_list *link = all->previous; link != all; link = link->previous)
		if (process_of(link)->pid == pid && process_of(link)->open)
			return process_of(link);
	return NULL;
}

void lp_node_process_work(struct lp_node_process *process, struct lp_slot *slot)
{
	struct lp_slot *before = process->slot;
	process->works = true;
	process->slot = slot;
	note_survivor(process);
	if (before != slot)
		choose_speaker(before);
	choose_speaker(slot);
}

bool lp_node_process_has_number(const struct lp_slot *slot)
{
	struct lp_list *all = &slot->slots->node_processes;
	for (struct lp_list *link = all->next; link != all; link = link->next)
		if (process_of(link)->slot == slot && process_of(link)->open)
			return true;
	return false;
}

void lp_node_process_ended(struct lp_slots *slots, pid_t pid)
{
	struct lp_node_process *process = lp_node_process_find(slots, pid);
	if (process && process->open)
		lp_channel_hear_out(&process->channel);
	if (process)
		close_channel(process);
}

void lp_node_process_drain(struct lp_slot *slot)
{
	struct lp_list *all = &slot->slots->node_processes;
	for (struct lp_list *link = all->next; link != all; link = link->next) {
		struct lp_node_process *process = process_of(link);
		if (process->slot == slot && process->open && !(process->works && slot->handles_sigterm))
			lp_channel_drain(&process->channel);
	}
}

void lp_node_process_flush(struct lp_slots *slots)
{
	struct lp_list *all = &slots->node_processes;
	for (struct lp_list *link = all->next; link != all; link = link->next) {
		struct lp_channel *channel = &process_of(link)->channel;
		if (process_of(link)->open && lp_channel_has_work(channel))
			lp_channel_flush(channel);
	}
}

void lp_node_process_close_all(struct lp_slots *slots, void (*closed)(struct lp_slots *slots))
{
	struct lp_list *all = &slots->node_processes;
	slots->node_processes_closed = closed;
	for (struct lp_list *link = all->next; link != all; link = link->next)
		close_channel(process_of(link)); /* It stays in the list until its handles are closed. */
	if (lp_list_empty(all))
		closed(slots);
}
