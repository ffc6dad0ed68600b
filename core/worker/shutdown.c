/*
 * A server that handles SIGTERM drains by rules of its own: it closes its listener, finishes what it has, tells its clients
 * to come back. It is told as soon as limpet has nothing on the way to it, so it takes as long as it does alone. One that
 * does not handle SIGTERM (plain Node, php -S, http.server) would drop its clients. It is told when the last of them has
 * gone; until then it gets no new ones.
 *
 *     who                                     is told when
 *     a worker that handles SIGTERM           nothing is on the way to it, or HURRY_MS after that began
 *     a worker that does not                  it has no open connection
 *     one with a channel of Node's            it has hung up as well, as it was told to, HURRY_MS before
 *     a program whose workers are others      all its workers can be told; at once if it has none
 *     what else a program has left behind     the same
 *
 * A program is told before its workers, so that it does not start others in their places. Its workers are told all the
 * same: a shell or npm just ends, and would leave them. So a worker may hear of it twice. Servers that have a master are
 * used to that.
 */
#include "worker/shutdown.h"

#include <signal.h>

#include "worker/slot.h"

/* How long what is on the way to a worker may keep it from being told, and how long one that has hung up may take to end. */
#define HURRY_MS 500

static void on_hurry(uv_timer_t *timer)
{
	struct lp_slot *slot = timer->data;
	slot->hurried = true;
	lp_shutdown_advance(slot->slots);
}

static bool has_worker(const struct lp_slot *slot)
{
	return slot->worker->pid != 0;
}

/* Whether a worker has had its time; that begins now, if it has not. */
static bool has_had_time(struct lp_slot *slot)
{
	if (!slot->hurried && !uv_is_active((uv_handle_t *)&slot->timer))
		uv_timer_start(&slot->timer, on_hurry, HURRY_MS, 0);
	return slot->hurried;
}

static bool can_tell_worker(struct lp_slot *slot)
{
	if (slot->told)
		return true;
	if (slot->handles_sigterm)
		return slot->worker->waiting == 0 || has_had_time(slot);
	if (slot->worker->connections || (slot->node && slot->node->works))
		return false;
	return !slot->has_hung_up || has_had_time(slot);
}

static bool is_worker_itself(const struct lp_slot *slot)
{
	return slot->worker->pid == slot->process.pid;
}

/* Whether all workers that a program has started can be told. */
static bool can_tell_workers_of(struct lp_slots *slots, pid_t program)
{
	for (unsigned i = 0; i < slots->config.workers->count; i++) {
		struct lp_slot *slot = &slots->all[i];
		if (has_worker(slot) && slot->session == program && !can_tell_worker(slot))
			return false;
	}
	return true;
}

static bool can_tell_program(struct lp_slots *slots, struct lp_slot *program)
{
	return is_worker_itself(program) ? can_tell_worker(program) : can_tell_workers_of(slots, program->process.pid);
}

static void tell_program(struct lp_slot *program)
{
	program->program_told = true;
	program->told |= is_worker_itself(program);
	lp_slot_terminate(program, SIGTERM);
}

static void tell_worker(struct lp_slot *slot)
{
	slot->told = true;
	lp_slot_kill_worker(slot, SIGTERM);
}

void lp_shutdown_advance(struct lp_slots *slots)
{
	if (!slots->registry || lp_slots_told_as_wished(slots))
		return;
	for (unsigned i = 0; i < slots->config.processes; i++) {
		struct lp_slot *program = &slots->all[i];
		if (program->has_process && program->process.pid && !program->program_told &&
		    can_tell_program(slots, program))
			tell_program(program);
		if (program->has_left && can_tell_workers_of(slots, program->left.id))
			lp_process_session_end(&program->left, LP_SLOT_TERM_MS);
	}
	for (unsigned i = 0; i < slots->config.workers->count; i++) {
		struct lp_slot *slot = &slots->all[i];
		if (has_worker(slot) && !slot->told && can_tell_worker(slot))
			tell_worker(slot);
	}
}
