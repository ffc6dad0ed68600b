/*
 * A slot is a worker's place. Its processes come and go; its id, and so its share of the hash, stays.
 *
 * Two things live in a slot, each with states of its own: the program, which is what limpet starts (slot_program.c), and the
 * worker, the process that takes connections. In most dialects they are one process, which has its channel from us. In the
 * dialects `preload` and `node` workers register themselves: the program, or a process that it has started, which is then the
 * slot's member. As a program may start many, there are slots without a program, empty until somebody registers; the first
 * slots, as many as --workers, are those that limpet starts programs in. A program that ends while its member lives on, with
 * all its clients, is started again when the member has ended too.
 *
 * The worker:
 *
 *     state    meaning                              timer  leaves on
 *     NONE     nobody                                 –    our process is started with its channel, one registers -> UNREADY;
 *                                                          it cannot be started -> LEAVING
 *     UNREADY  it takes no connections, yet or now    –    its channels say ready -> READY; the channel that it has from us, or
 *                                                          Node's, ends -> HUNG_UP
 *     READY    it takes connections                   –    not ready, or the channel ends that it has registered (then it may
 *                                                          come again) -> UNREADY; as UNREADY
 *     HUNG_UP  it has ended its channel             LEAVE  it has had no connection for --drain-timeout -> TOLD
 *     CUT_OFF  its channel has failed               LEAVE  --drain-timeout is over -> TOLD
 *     TOLD     it was sent SIGTERM                  KILL   (the timer sends SIGKILL)
 *     LEAVING  it has ended; its handles close        –    they are closed -> NONE
 *
 * A channel that fails, and not just ends, leads on from there -> CUT_OFF. From UNREADY to TOLD its process may end -> LEAVING, and it may
 * register (again) -> UNREADY. A channel may end long before its process does (a worker that has disconnected finishes its
 * work); the slot then waits for the exit, so there is never one process too many. A worker whose channel has failed may not
 * even know, so its time runs whatever connections it has.
 *
 * What goes through the channel is delivery.c's. That a worker is stuck is stuck.c's, and how it ends with limpet shutdown.c's:
 * both have states of their own.
 */
#include "worker/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BIT(state) (1u << (state))

/* A worker that lives and may register again. */
#define ALL_PRESENT                                                                                                    \
	(BIT(LP_WORKER_UNREADY) | BIT(LP_WORKER_READY) | BIT(LP_WORKER_HUNG_UP) | BIT(LP_WORKER_CUT_OFF) |             \
	 BIT(LP_WORKER_TOLD))

struct state {
	const char *name;
	unsigned next; /* Those that it may become. */
};

static const struct state states[LP_WORKER_STATES] = {
	[LP_WORKER_NONE] = {"NONE", BIT(LP_WORKER_UNREADY) | BIT(LP_WORKER_LEAVING)},
	[LP_WORKER_UNREADY] = {"UNREADY", BIT(LP_WORKER_READY) | BIT(LP_WORKER_HUNG_UP) | BIT(LP_WORKER_CUT_OFF) |
						  BIT(LP_WORKER_LEAVING)},
	[LP_WORKER_READY] = {"READY", BIT(LP_WORKER_UNREADY) | BIT(LP_WORKER_HUNG_UP) | BIT(LP_WORKER_LEAVING)},
	[LP_WORKER_HUNG_UP] = {"HUNG_UP", BIT(LP_WORKER_UNREADY) | BIT(LP_WORKER_CUT_OFF) | BIT(LP_WORKER_TOLD) |
						  BIT(LP_WORKER_LEAVING)},
	[LP_WORKER_CUT_OFF] = {"CUT_OFF", BIT(LP_WORKER_UNREADY) | BIT(LP_WORKER_TOLD) | BIT(LP_WORKER_LEAVING)},
	[LP_WORKER_TOLD] = {"TOLD", BIT(LP_WORKER_UNREADY) | BIT(LP_WORKER_LEAVING)},
	[LP_WORKER_LEAVING] = {"LEAVING", BIT(LP_WORKER_NONE)},
};

static void reject_move(enum lp_worker_state from, enum lp_worker_state to)
{
	fprintf(stderr, "limpet: a slot's worker that is %s cannot become %s; this is a bug of limpet's\n",
		states[from].name, states[to].name);
	abort();
}

void lp_slot_move_worker(struct lp_slot *slot, enum lp_worker_state to)
{
	enum lp_worker_state from = slot->worker_state;
	if (!(states[from].next & BIT(to)))
		reject_move(from, to);
	uv_timer_stop(&slot->timers[LP_SLOT_TIMER_LEAVE]);
	uv_timer_stop(&slot->timers[LP_SLOT_TIMER_KILL]);
	slot->worker_state = to;
	if (from == LP_WORKER_READY)
		lp_slot_announce_down(slot);
	else if (to == LP_WORKER_READY)
		lp_slot_announce_up(slot);
}

static bool is_present(const struct lp_slot *slot)
{
	return ALL_PRESENT & BIT(slot->worker_state);
}

/* Its end */

static void on_timer_closed(uv_handle_t *handle)
{
	struct lp_slot *slot = handle->data;
	if (--slot->open_timers == 0)
		slot->slots->on_ended(slot->slots);
}

static void end_slot(struct lp_slot *slot)
{
	lp_slot_move_program(slot, LP_PROGRAM_ENDED);
	slot->worker->down = false;
	for (int i = 0; i < LP_SLOT_TIMERS; i++)
		uv_close((uv_handle_t *)&slot->timers[i], on_timer_closed);
}

void lp_slot_on_part_closed(struct lp_slot *slot)
{
	if (slot->worker_state == LP_WORKER_LEAVING && !slot->worker_process &&
	    slot->channel_state == LP_SLOT_CHANNEL_NONE)
		lp_slot_move_worker(slot, LP_WORKER_NONE);
	if (slot->worker_state != LP_WORKER_NONE || slot->program_state != LP_PROGRAM_NONE)
		return;
	if (slot->slots->stopping)
		end_slot(slot);
	else if (lp_slot_has_programs(slot))
		lp_slot_pause_program(slot);
}

static void on_member_closed(struct lp_process *member)
{
	struct lp_slot *slot = member->owner;
	slot->worker_process = NULL;
	lp_slot_on_part_closed(slot);
}

/* Which the program that started it may make up for. */
static void on_member_exit(struct lp_process *member, int64_t status, int signal)
{
	struct lp_slot *slot = member->owner;
	struct lp_slots *slots = slot->slots;
	(void)status;
	(void)signal;
	lp_log_write(slots->config.log, LP_LOG_INFO, LP_LOG_ABOUT(.worker = slot->worker->id, .pid = slot->worker->pid),
		     "worker %u (pid %d) ended%s", slot->worker->id, slot->worker->pid,
		     slots->stopping ? ", as told" : "");
	lp_registry_process_ended(slots->registry, slot->worker->pid);
	lp_slot_lose_worker(slot);
	lp_process_close(member, on_member_closed);
	if (slots->stopping)
		lp_slot_end_if_idle(slot);
}

void lp_slot_kill_worker(struct lp_slot *slot, int signal)
{
	if (slot->worker_process)
		lp_process_kill(slot->worker_process, signal);
}

/* Workers without a channel */

bool lp_slot_is_idle(const struct lp_slot *slot)
{
	return is_present(slot) && slot->channel_state != LP_SLOT_CHANNEL_OPEN && slot->worker->connections == 0 &&
	       !slot->outlived;
}

static void on_kill(uv_timer_t *timer)
{
	lp_slot_kill_worker(timer->data, SIGKILL);
}

static void tell_worker(struct lp_slot *slot)
{
	lp_slot_kill_worker(slot, SIGTERM);
	lp_slot_move_worker(slot, LP_WORKER_TOLD);
	uv_timer_start(&slot->timers[LP_SLOT_TIMER_KILL], on_kill, LP_SLOT_TERM_MS, 0);
}

/* A worker has hung up, and something of its own, a timer or a database, keeps it alive; or it was cut off. */
static void on_leave(uv_timer_t *timer)
{
	struct lp_slot *slot = timer->data;
	struct lp_slots *slots = slot->slots;
	const struct lp_worker *worker = slot->worker;
	double seconds = slots->config.useless_ms / 1000.0;
	if (slot->worker_state == LP_WORKER_HUNG_UP && !lp_slot_is_idle(slot))
		return; /* A connection that was on its way has come; its end is waited for first. */
	if (slot->worker_state == LP_WORKER_CUT_OFF)
		lp_log_write(slots->config.log, LP_LOG_WARNING, LP_LOG_ABOUT(.worker = worker->id, .pid = worker->pid),
			     "worker %u (pid %d) has closed its channel %g s ago (--drain-timeout), and has neither "
			     "ended nor come back; limpet ends it and starts another",
			     worker->id, worker->pid, seconds);
	else
		lp_log_write(slots->config.log, LP_LOG_WARNING, LP_LOG_ABOUT(.worker = worker->id, .pid = worker->pid),
			     "worker %u (pid %d) has disconnected, has no connection left, and has not ended in %g s "
			     "(--drain-timeout); limpet ends it and starts another",
			     worker->id, worker->pid, seconds);
	tell_worker(slot);
}

static void expect_to_leave(struct lp_slot *slot)
{
	uv_timer_start(&slot->timers[LP_SLOT_TIMER_LEAVE], on_leave, slot->slots->config.useless_ms, 0);
}

void lp_slot_hang_up(struct lp_slot *slot)
{
	if (slot->worker_state == LP_WORKER_UNREADY || slot->worker_state == LP_WORKER_READY)
		lp_slot_move_worker(slot, LP_WORKER_HUNG_UP);
}

/* When limpet stops, all are told to end anyway. */
void lp_slot_cut_off(struct lp_slot *slot)
{
	bool can_be = slot->worker_state == LP_WORKER_UNREADY || slot->worker_state == LP_WORKER_HUNG_UP;
	if (!can_be || slot->slots->stopping)
		return;
	lp_slot_move_worker(slot, LP_WORKER_CUT_OFF);
	expect_to_leave(slot);
}

bool lp_slots_told_as_wished(const struct lp_slots *slots)
{
	return slots->config.stop_signal || slots->config.dialect->says_shutdown;
}

/*
 * A worker that has hung up and has no connection left is kept alive by nothing but its own timers. One that registered and
 * closes its listeners may come again; unless it is Node's, and its own channel has ended.
 */
void lp_slot_end_if_idle(struct lp_slot *slot)
{
	if (slot->slots->stopping)
		lp_shutdown_advance_slot(slot);
	else if (slot->worker_state == LP_WORKER_HUNG_UP && lp_slot_is_idle(slot) && !slot->uncounted)
		expect_to_leave(slot);
}

/* The end of all */

static void tell_to_finish(struct lp_slot *slot)
{
	int signal = slot->slots->config.stop_signal;
	bool runs = lp_slot_program_runs(slot);
	if (slot->channel_state == LP_SLOT_CHANNEL_OPEN && runs && signal)
		lp_channel_flush(&slot->channel); /* What it was handed comes first. */
	else if (slot->channel_state == LP_SLOT_CHANNEL_OPEN)
		lp_channel_drain(&slot->channel);
	if (!signal)
		lp_node_process_drain(slot);
	if (runs && signal)
		lp_slot_tell_program(slot, signal);
	else if (runs && !slot->ready_ns && !slot->slots->registry)
		lp_slot_tell_program(slot, SIGTERM); /* It has nothing to finish, and maybe does not listen to us. */
	if (slot->worker_process == &slot->member && signal && !lp_slot_program_of(slot))
		lp_slot_kill_worker(slot, signal);
}

void lp_slot_finish(struct lp_slot *slot)
{
	lp_slot_update_usable(slot);
	for (int i = 0; i < LP_SLOT_TIMERS; i++)
		uv_timer_stop(
			&slot->timers[i]); /* From now on all that ends a process is shutdown.c, and the supervisor. */
	bool is_empty = slot->worker_state == LP_WORKER_NONE &&
			(slot->program_state == LP_PROGRAM_NONE || slot->program_state == LP_PROGRAM_PAUSED);
	if (is_empty) {
		end_slot(slot);
		return;
	}
	tell_to_finish(slot);
	if (!slot->slots->registry)
		lp_slot_end_if_idle(slot);
}

/* Processes that register */

/* Who comes again has its own place. A program's worker may come where the program itself was the worker, and is no longer. */
bool lp_slot_is_free(const struct lp_slot *slot, pid_t pid)
{
	bool is_anothers = slot->node && slot->node->works && slot->node->pid != pid;
	if (slot->channel_state != LP_SLOT_CHANNEL_NONE || is_anothers || slot->slots->stopping)
		return false;
	if (slot->worker_state == LP_WORKER_NONE)
		return slot->program_state == LP_PROGRAM_NONE || lp_slot_program_runs(slot);
	return is_present(slot) && (slot->worker_process == &slot->process || slot->member.pid == pid);
}

static void on_nothing_closed(struct lp_process *process)
{
	(void)process;
}

/* Watch a process that is not the program. */
static int watch_member(struct lp_slot *slot, const struct lp_registered *who)
{
	int pidfd = fcntl(who->pidfd, F_DUPFD_CLOEXEC, 0); /* The caller's stays the caller's on every error. */
	if (pidfd < 0)
		return -errno;
	int status =
		lp_process_watch(&slot->member, slot->slots->config.loop, who->pid, pidfd, false, on_member_exit, slot);
	if (status)
		lp_process_close(&slot->member, on_nothing_closed); /* No handle is open, so this is done at once. */
	return status;
}

int lp_slot_enter(struct lp_slot *slot, const struct lp_registered *who)
{
	bool is_program = slot->process.pid == who->pid;
	bool is_member = slot->worker_process == &slot->member;
	int status = is_program || is_member ? 0 : watch_member(slot, who);
	if (status)
		return status;
	slot->worker_process = is_program ? &slot->process : &slot->member;
	slot->worker->pid = who->pid;
	slot->session = getsid(who->pid);
	lp_survivors_note_worker(slot, who->pid);
	if (slot->worker_state != LP_WORKER_UNREADY)
		lp_slot_move_worker(slot, LP_WORKER_UNREADY);
	if (who->fd >= 0)
		status = lp_slot_open_channel(slot, who->fd,
					      NULL); /* Without one it is a worker still, and may come again. */
	if (!status)
		close(who->pidfd);
	return status;
}

/* For the supervisor */

void lp_slot_prepare(struct lp_slot *slot, struct lp_slots *slots, unsigned index)
{
	slot->slots = slots;
	slot->worker = &slots->config.workers->slots[index];
	slot->open_timers = LP_SLOT_TIMERS;
	for (int i = 0; i < LP_SLOT_TIMERS; i++) {
		uv_timer_init(slots->config.loop, &slot->timers[i]);
		slot->timers[i].data = slot;
	}
}
