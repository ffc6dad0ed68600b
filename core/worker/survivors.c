/*
 * A worker's start is written down when it has been started. A balancer that dies in between leaves a process whose channel is
 * nobody's: the next one has the keeper close it, and the process ends by that, or comes to the door as an orphan.
 */
#include "worker/survivors.h"

#include <errno.h>
#include <unistd.h>

#include "worker/pidfd.h"
#include "worker/process_facts.h"
#include "worker/slot.h"

void lp_survivors_open(struct lp_slots *slots)
{
	struct lp_lasting *lasting = slots->config.lasting;
	size_t count = slots->config.workers->count;
	slots->survivors = (struct lp_survivors){
		.slots = lp_lasting_area(lasting, "slots", count * sizeof(*slots->survivors.slots)),
		.nodes = slots->config.dialect->has_node_channel
				 ? lp_lasting_area(lasting, "node processes",
						   LP_SURVIVING_NODES_MAX * sizeof(*slots->survivors.nodes))
				 : NULL};
	if (lasting && !slots->survivors.slots)
		lp_log_write(slots->config.log, LP_LOG_WARNING, NULL,
			     "there is no lasting memory for workers: they end if the balancer dies");
}

void lp_survivors_note(struct lp_surviving_process *process, pid_t pid)
{
	struct lp_process_facts facts;
	if (!process)
		return;
	process->pid = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (!pid || lp_process_facts_read(pid, &facts))
		return;
	process->started = facts.started;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	process->pid = pid;
}

static struct lp_surviving_slot *record_of(const struct lp_slot *slot)
{
	struct lp_surviving_slot *all = slot->slots->survivors.slots;
	return all ? &all[slot->worker->id - 1] : NULL;
}

void lp_survivors_note_program(struct lp_slot *slot, pid_t pid)
{
	struct lp_surviving_slot *record = record_of(slot);
	if (record)
		lp_survivors_note(&record->program, pid);
}

void lp_survivors_note_worker(struct lp_slot *slot, pid_t pid)
{
	struct lp_surviving_slot *record = record_of(slot);
	if (record)
		lp_survivors_note(&record->worker, pid);
}

void lp_survivors_hold_channel(struct lp_slot *slot)
{
	struct lp_surviving_slot *record = record_of(slot);
	if (!record)
		return;
	int status =
		lp_lasting_hold(slot->slots->config.lasting, LP_LASTING_CHANNEL, slot->worker->id, slot->channel.fd);
	if (!status)
		status = lp_channel_outlive(&slot->channel, &record->channel);
	if (status)
		lp_log_limited(slot->slots->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = slot->worker->id),
			       "worker %u ends if the balancer dies: the keeper cannot hold its channel: %s",
			       slot->worker->id, lp_error_words(status));
}

void lp_survivors_drop_channel(struct lp_slot *slot)
{
	if (slot->channel.lasting)
		lp_lasting_drop(slot->slots->config.lasting, LP_LASTING_CHANNEL, slot->worker->id);
}

int lp_survivors_open_process(struct lp_surviving_process *process)
{
	struct lp_process_facts facts;
	int pidfd = process->pid ? lp_pidfd_open(process->pid) : -ESRCH;
	if (pidfd < 0)
		return pidfd;
	if (lp_process_facts_read(process->pid, &facts) == 0 && facts.started == process->started && facts.state != 'Z')
		return pidfd;
	close(pidfd);
	process->pid = 0;
	return -ESRCH;
}
