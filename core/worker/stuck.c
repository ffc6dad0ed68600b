/*
 * Time is counted in ticks of one timer for all workers, and a worker's patience is the tick of its last sign of life:
 * nothing is kept for a connection, and nothing is done for one but to note that tick. A tick passes only while limpet
 * runs, so a balancer that was stopped itself, or held up, does not blame its workers for that time.
 *
 *     state      meaning                                          leaves on
 *     FINE       nothing to take, or took one lately              eject_ticks without a sign while READY -> EJECTED; kill_ticks
 *                                                                 -> KILLED
 *     EJECTED    not usable (struct lp_worker: stuck, busy)       it takes one, or gives one back -> FINE; its end -> FINE;
 *                                                                 kill_ticks without a sign -> KILLED
 *     KILLED     SIGKILL was sent                                 its end -> FINE
 *
 * Before a worker is judged it is heard: when it was we who were slow, its word is here and unread.
 *
 * Any acknowledgement is a sign, also one of a younger connection: a worker that goes on taking is slow, not stuck.
 */
#include "worker/stuck.h"

#include <signal.h>

#include "worker/slot.h"

/* A limit is met a tick late at most; this many ticks make that an eighth of it. */
#define TICKS_A_LIMIT 8
#define SHORTEST_TICK_MS 5
#define LONGEST_TICK_MS 250

static uint32_t ticks_of(const struct lp_stuck *stuck, uint32_t limit_ms)
{
	if (limit_ms == 0)
		return 0;
	return (limit_ms + stuck->tick_ms - 1) / stuck->tick_ms + 1; /* One has begun before the connection came. */
}

void lp_stuck_set_limits(struct lp_stuck *stuck, uint32_t eject_ms, uint32_t kill_ms)
{
	uint32_t nearest_ms = eject_ms && (eject_ms < kill_ms || !kill_ms) ? eject_ms : kill_ms;
	stuck->tick_ms = nearest_ms / TICKS_A_LIMIT;
	if (stuck->tick_ms < SHORTEST_TICK_MS)
		stuck->tick_ms = SHORTEST_TICK_MS;
	if (stuck->tick_ms > LONGEST_TICK_MS)
		stuck->tick_ms = LONGEST_TICK_MS;
	stuck->eject_ticks = ticks_of(stuck, eject_ms);
	stuck->kill_ticks = ticks_of(stuck, kill_ms);
}

enum lp_stuck_verdict lp_stuck_judge(const struct lp_stuck *stuck, const struct lp_patience *patience)
{
	uint32_t waited = stuck->tick - patience->since;
	if (stuck->kill_ticks && waited >= stuck->kill_ticks)
		return LP_STUCK_KILL;
	if (stuck->eject_ticks && waited >= stuck->eject_ticks)
		return LP_STUCK_EJECT;
	return LP_STUCK_NOT;
}

/* From FINE to EJECTED or KILLED, from EJECTED to FINE or KILLED, and from KILLED, with its end, to FINE. */
static void move_patience(struct lp_slot *slot, enum lp_patience_state to)
{
	slot->patience.state = to;
	slot->worker->stuck = to != LP_PATIENCE_FINE;
}

static void eject(struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	if (slot->worker_state != LP_WORKER_READY || slot->patience.state != LP_PATIENCE_FINE)
		return;
	move_patience(slot, LP_PATIENCE_EJECTED);
	slots->stuck.ejections++;
	lp_slot_update_usable(slot);
	lp_log_limited(slots->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_STUCK,
		       LP_LOG_ABOUT(.worker = slot->worker->id, .pid = slot->worker->pid),
		       "worker %u (pid %d) has not taken a connection for %g s: no new ones go to it until it does "
		       "(--ack-timeout); %u wait for it",
		       slot->worker->id, slot->worker->pid, slots->config.ack_timeout_ms / 1000.0,
		       slot->worker->waiting);
}

static void kill_worker(struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	if (slot->patience.state == LP_PATIENCE_KILLED)
		return;
	move_patience(slot, LP_PATIENCE_KILLED);
	slots->stuck.kills++;
	lp_slot_update_usable(slot);
	lp_log_write(slots->config.log, LP_LOG_WARNING,
		     LP_LOG_ABOUT(.worker = slot->worker->id, .pid = slot->worker->pid),
		     "worker %u (pid %d) has not taken a connection for %g s: it is killed (--kill-stuck), and the %u "
		     "that wait for it go to others",
		     slot->worker->id, slot->worker->pid, slots->config.kill_stuck_ms / 1000.0, slot->worker->waiting);
	lp_slot_kill_worker(slot, SIGKILL);
}

/* Returns whether the worker has something to take. */
static bool look_at(struct lp_slot *slot)
{
	const struct lp_stuck *stuck = &slot->slots->stuck;
	if (!lp_slot_can_hear(slot) || slot->worker->waiting == 0)
		return false;
	if (lp_stuck_judge(stuck, &slot->patience) == LP_STUCK_NOT)
		return true;
	lp_slot_hear(slot);
	if (!lp_slot_can_hear(slot) || slot->worker->waiting == 0)
		return false;
	enum lp_stuck_verdict verdict = lp_stuck_judge(stuck, &slot->patience);
	if (verdict == LP_STUCK_KILL)
		kill_worker(slot);
	else if (verdict == LP_STUCK_EJECT)
		eject(slot);
	return true;
}

static void on_tick(uv_timer_t *timer)
{
	struct lp_slots *slots = timer->data;
	bool any = false;
	slots->stuck.tick++;
	for (unsigned i = 0; i < slots->config.workers->count; i++)
		any |= look_at(&slots->all[i]);
	if (!any)
		uv_timer_stop(timer);
}

void lp_stuck_open(struct lp_slots *slots)
{
	uv_timer_init(slots->config.loop, &slots->stuck.timer);
	slots->stuck.timer.data = slots;
	lp_stuck_set_limits(&slots->stuck, slots->config.ack_timeout_ms, slots->config.kill_stuck_ms);
}

void lp_stuck_begin(struct lp_slot *slot)
{
	struct lp_stuck *stuck = &slot->slots->stuck;
	slot->patience.since = stuck->tick;
	if ((stuck->eject_ticks || stuck->kill_ticks) && !uv_is_active((uv_handle_t *)&stuck->timer))
		uv_timer_start(&stuck->timer, on_tick, stuck->tick_ms, stuck->tick_ms);
}

void lp_stuck_end(struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	slot->patience.since = slots->stuck.tick;
	if (slot->patience.state != LP_PATIENCE_EJECTED)
		return;
	move_patience(slot, LP_PATIENCE_FINE);
	lp_slot_update_usable(slot);
	lp_log_limited(slots->config.log, LP_LOG_INFO, LP_LOG_TOPIC_STUCK,
		       LP_LOG_ABOUT(.worker = slot->worker->id, .pid = slot->worker->pid),
		       "worker %u (pid %d) takes connections again", slot->worker->id, slot->worker->pid);
	slots->config.events->on_room(slots->config.owner, slot->worker->id);
}

bool lp_stuck_suspected(const struct lp_slot *slot)
{
	return slot->worker->waiting > 0 && slot->slots->stuck.tick - slot->patience.since >= 2;
}

void lp_stuck_forget(struct lp_slot *slot)
{
	move_patience(slot, LP_PATIENCE_FINE);
	slot->patience.since = 0;
}
