/*
 * First all are found, then they are heard: what one says may be about another.
 */
#include "worker/adoption.h"

#include <unistd.h>

#include "base/clock.h"
#include "worker/known_processes.h"
#include "worker/slot.h"

/* By channel: what was started is the worker. */
static bool adopt_program(struct lp_slot *slot, struct lp_surviving_slot *record)
{
	const struct lp_known_process known = {.pid = record->program.pid, .started = record->program.started};
	int fd = lp_lasting_take(slot->slots->config.lasting, LP_LASTING_CHANNEL, slot->worker->id);
	bool lives = known.pid && lp_slot_inherit(slot, &known) == 0;
	if (lives) {
		slot->outlived = true;
		slot->worker->pid = known.pid;
		slot->session = known.pid;
		slot->worker_process = &slot->process;
		slot->ready_ns =
			lp_clock_ns(); /* It may have clients: it is told to finish as one that has been ready. */
		lp_slot_move_program(slot, LP_PROGRAM_READY);
		lp_slot_move_worker(slot, LP_WORKER_UNREADY);
	}
	if (lives && fd >= 0 && lp_slot_open_channel(slot, fd, NULL) == 0) {
		if (lp_channel_outlive(&slot->channel, &record->channel))
			lp_slot_close_channel(slot);
		return true;
	}
	if (fd >= 0) {
		lp_lasting_drop(slot->slots->config.lasting, LP_LASTING_CHANNEL, slot->worker->id);
		close(fd);
	}
	record->channel = (struct lp_channel_lasting){0};
	if (lives)
		lp_slot_hang_up(slot); /* Its channel had ended before. */
	return lives;
}

/* The slot stays its own until it comes again. */
static bool adopt_worker(struct lp_slot *slot, struct lp_surviving_slot *record)
{
	struct lp_registered who = {.fd = -1, .pid = record->worker.pid, .slot = slot->worker->id};
	who.pidfd = lp_survivors_open_process(&record->worker);
	if (who.pidfd < 0)
		return false;
	if (lp_slot_enter(slot, &who) == 0) {
		slot->outlived = true;
		return true;
	}
	close(who.pidfd);
	return false;
}

void lp_adopt_survivors(struct lp_slots *slots)
{
	for (unsigned i = 0; slots->survivors.slots && i < slots->config.workers->count; i++) {
		struct lp_slot *slot = &slots->all[i];
		struct lp_surviving_slot *record = &slots->survivors.slots[i];
		bool lives = slots->registry ? adopt_worker(slot, record) : adopt_program(slot, record);
		if (!lives)
			lp_sessions_forget_worker(slots->config.sessions, slot->worker->id);
	}
	if (slots->survivors.nodes)
		lp_node_process_adopt_all(slots);
	for (unsigned i = 0; slots->survivors.slots && i < slots->config.workers->count; i++)
		if (slots->all[i].channel_state == LP_SLOT_CHANNEL_OPEN && slots->all[i].channel.lasting)
			lp_channel_resume(&slots->all[i].channel);
}
