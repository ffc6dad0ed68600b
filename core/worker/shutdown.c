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
 *
 * In dialects whose workers have their channel from us, all are told by that to finish. One that has ended its channel, has no
 * connection left, and lives on for HURRY_MS, is sent SIGTERM.
 *
 * A worker:
 *
 *     state     meaning                                     timer   leaves on
 *     UNTOLD    limpet does not stop, or it goes on           –     only something that passes keeps it from being told, or it
 *                                                                   could end by itself -> HURRYING
 *     HURRYING  that has HURRY_MS                           FINISH  the timer -> HURRIED
 *     HURRIED   that has had its time                         –
 *     TOLD      it was sent SIGTERM                           –
 *
 * From all three it may be told -> TOLD, and from all four its end -> UNTOLD. The user's own --stop-signal, and the dialect's
 * message, replace all this: then nothing else is tried before the time is over.
 */
#include "worker/shutdown.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "worker/slot.h"

/* How long what is on the way to a worker may keep it from being told, and how long one that has hung up may take to end. */
#define HURRY_MS 500

#define BIT(state) (1u << (state))

struct state {
	const char *name;
	unsigned next; /* Those that it may become. */
};

static const struct state states[LP_FINISH_STATES] = {
	[LP_FINISH_UNTOLD] = {"UNTOLD", BIT(LP_FINISH_UNTOLD) | BIT(LP_FINISH_HURRYING) | BIT(LP_FINISH_TOLD)},
	[LP_FINISH_HURRYING] = {"HURRYING", BIT(LP_FINISH_UNTOLD) | BIT(LP_FINISH_HURRYING) | BIT(LP_FINISH_HURRIED) |
						    BIT(LP_FINISH_TOLD)},
	[LP_FINISH_HURRIED] = {"HURRIED", BIT(LP_FINISH_UNTOLD) | BIT(LP_FINISH_TOLD)},
	[LP_FINISH_TOLD] = {"TOLD", BIT(LP_FINISH_UNTOLD)},
};

static void move_finish(struct lp_slot *slot, enum lp_finish to)
{
	enum lp_finish from = slot->finish;
	if (!(states[from].next & BIT(to))) {
		fprintf(stderr, "limpet: a stopping worker that is %s cannot become %s; this is a bug of limpet's\n",
			states[from].name, states[to].name);
		abort();
	}
	uv_timer_stop(&slot->timers[LP_SLOT_TIMER_FINISH]);
	slot->finish = to;
}

void lp_shutdown_forget(struct lp_slot *slot)
{
	move_finish(slot, LP_FINISH_UNTOLD);
}

static void on_hurried(uv_timer_t *timer)
{
	struct lp_slot *slot = timer->data;
	move_finish(slot, LP_FINISH_HURRIED);
	if (slot->slots->registry) {
		lp_shutdown_advance(slot->slots);
		return;
	}
	move_finish(slot, LP_FINISH_TOLD);
	lp_slot_terminate(slot, SIGTERM);
}

static void hurry(struct lp_slot *slot)
{
	move_finish(slot, LP_FINISH_HURRYING);
	uv_timer_start(&slot->timers[LP_SLOT_TIMER_FINISH], on_hurried, HURRY_MS, 0);
}

static bool has_worker(const struct lp_slot *slot)
{
	return slot->worker->pid != 0;
}

/* Whether a worker has had its time; that begins now, if it has not. */
static bool has_had_time(struct lp_slot *slot)
{
	if (slot->finish == LP_FINISH_UNTOLD)
		hurry(slot);
	return slot->finish == LP_FINISH_HURRIED;
}

static bool can_tell_worker(struct lp_slot *slot)
{
	if (slot->finish == LP_FINISH_TOLD)
		return true;
	if (slot->handles_sigterm)
		return slot->worker->waiting == 0 || has_had_time(slot);
	if (slot->worker->connections || (slot->node && slot->node->works))
		return false;
	return slot->worker_state != LP_WORKER_HUNG_UP || has_had_time(slot);
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
	if (is_worker_itself(program) && program->finish != LP_FINISH_TOLD)
		move_finish(program, LP_FINISH_TOLD);
	lp_slot_tell_program(program, SIGTERM);
}

static void tell_worker(struct lp_slot *slot)
{
	move_finish(slot, LP_FINISH_TOLD);
	lp_slot_kill_worker(slot, SIGTERM);
}

void lp_shutdown_advance(struct lp_slots *slots)
{
	if (!slots->registry || lp_slots_told_as_wished(slots))
		return;
	for (unsigned i = 0; i < slots->config.processes; i++) {
		struct lp_slot *program = &slots->all[i];
		if (lp_slot_program_runs(program) && program->program_state != LP_PROGRAM_TOLD &&
		    can_tell_program(slots, program))
			tell_program(program);
		if (lp_process_session_is_held(&program->left) && can_tell_workers_of(slots, program->left.id))
			lp_process_session_end(&program->left, LP_SLOT_TERM_MS);
	}
	for (unsigned i = 0; i < slots->config.workers->count; i++) {
		struct lp_slot *slot = &slots->all[i];
		if (has_worker(slot) && slot->finish != LP_FINISH_TOLD && can_tell_worker(slot))
			tell_worker(slot);
	}
}

void lp_shutdown_advance_slot(struct lp_slot *slot)
{
	if (lp_slots_told_as_wished(slot->slots))
		return;
	if (slot->slots->registry)
		lp_shutdown_advance(slot->slots);
	else if (lp_slot_is_idle(slot) && slot->finish != LP_FINISH_TOLD)
		hurry(slot);
}
