/*
 * A slot is a worker's place. Its processes come and go, one at a time; its id, and so its share of the hash, stays.
 *
 *     state     meaning                            leaves on
 *     PAUSED    nothing runs; the timer does       timer -> RUNNING, or PAUSED for longer when it cannot be started
 *     RUNNING   a process; mostly with a channel   exit -> CLOSING
 *     CLOSING   handles of both on their way out   both closed -> PAUSED, or ENDED when stopping
 *     ENDED     nothing; the slot is not used again
 *
 * Inside RUNNING: the channel says ready -> up; not ready, or its end -> down. A worker is usable (struct lp_worker) while
 * it is up, its queue has room, it takes what it is given (stuck.c) and nobody stops us. A channel may end long before
 * its process does (a worker that has disconnected finishes its work); the slot then waits for the exit, so there is
 * never one process too many.
 *
 * Pauses: none after a process that was ready for STEADY_MS; else FIRST_PAUSE_MS, doubled with every further failure up to
 * LONGEST_PAUSE_MS, a fifth more or less by chance so that slots do not beat in time.
 *
 * While a process runs, the same timer serves for two other things: to say once that it is late to be ready (most likely
 * the dialect is wrong), and, when all is to end, to terminate one that has hung up and has no connection left.
 *
 * Open connections: a worker that tells (native) is believed. For the others the kernel is asked (count.h); that starts
 * with the first connection such a worker takes, and ends for a worker with its first report.
 */
#include "worker/slot.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define STEADY_MS 1000

/* How long a worker that is told to end, and has no connection left, may take to do so by itself. */
#define IDLE_MS 500

/* When a worker that is not ready is wondered about. */
#define LATE_MS 10000

#define FIRST_PAUSE_MS 100
#define LONGEST_PAUSE_MS 30000

/* Rounds of hearing a dead worker out; the kernel holds less than that. */
#define LAST_WORDS 8

static const struct lp_channel_events channel_events;

static void start_process(struct lp_slot *slot);

void lp_slot_update_usable(struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	bool takes = slot->up && !slots->stopping;
	bool late = slot->full || slot->worker->stuck;
	slot->worker->busy = takes && late;
	lp_workers_set_usable(slots->config.workers, slot->worker->id, takes && !late);
}

static void set_up(struct lp_slot *slot, bool up)
{
	struct lp_slots *slots = slot->slots;
	const struct lp_supervisor_events *events = slots->config.events;
	if (slot->up == up)
		return;
	slot->up = up;
	lp_slot_update_usable(slot);
	if (up) {
		uv_timer_stop(&slot->timer);
		if (!slot->worker->started_ns)
			slot->worker->started_ns = lp_clock_ns();
		lp_log_write(slots->config.log, LP_LOG_INFO, "worker %u is ready (pid %d)", slot->worker->id,
			     slot->process.pid);
		events->on_worker_up(slots->config.owner, slot->worker->id);
	} else {
		events->on_worker_down(slots->config.owner, slot->worker->id);
	}
}

static void on_slot_timer(uv_timer_t *timer)
{
	start_process(timer->data);
}

static void on_late(uv_timer_t *timer)
{
	struct lp_slot *slot = timer->data;
	const struct lp_dialect *dialect = slot->slots->config.dialect;
	lp_log_write(slot->slots->config.log, LP_LOG_WARNING,
		     "worker %u (pid %d) has run for %d s and is not ready: in the dialect %s it is once it %s; is "
		     "--dialect "
		     "right for it?",
		     slot->worker->id, slot->worker->pid, LATE_MS / 1000, dialect->name, dialect->readiness);
}

static void pause_slot(struct lp_slot *slot, uint64_t pause_ms)
{
	slot->state = LP_SLOT_PAUSED;
	uv_timer_start(&slot->timer, on_slot_timer, pause_ms, 0);
}

/* How long to wait after one more failure. */
static uint64_t next_pause_ms(struct lp_slot *slot)
{
	uint64_t pause_ms = FIRST_PAUSE_MS;
	for (unsigned i = 1; i < slot->failures && pause_ms < LONGEST_PAUSE_MS; i++)
		pause_ms *= 2;
	if (pause_ms > LONGEST_PAUSE_MS)
		pause_ms = LONGEST_PAUSE_MS;
	uint64_t fifth = pause_ms / 5;
	return pause_ms - fifth + lp_clock_ns() / 1000 % (2 * fifth + 1);
}

/* Ending */

static void on_timer_closed(uv_handle_t *handle)
{
	struct lp_slot *slot = handle->data;
	slot->slots->on_ended(slot->slots);
}

static void end_slot(struct lp_slot *slot)
{
	slot->state = LP_SLOT_ENDED;
	uv_close((uv_handle_t *)&slot->timer, on_timer_closed);
}

static void on_idle(uv_timer_t *timer)
{
	struct lp_slot *slot = timer->data;
	lp_process_kill(&slot->process, SIGTERM);
}

/* While stopping: a worker that has hung up and has no connection left is kept alive by nothing but its own timers. */
static void end_if_idle(struct lp_slot *slot)
{
	if (slot->slots->stopping && slot->state == LP_SLOT_RUNNING && !slot->channel_open &&
	    slot->worker->connections == 0)
		uv_timer_start(&slot->timer, on_idle, IDLE_MS, 0);
}

void lp_slot_finish(struct lp_slot *slot)
{
	lp_slot_update_usable(slot);
	if (slot->channel_open)
		lp_channel_drain(&slot->channel);
	if (slot->state == LP_SLOT_PAUSED)
		end_slot(slot);
	else if (slot->state == LP_SLOT_RUNNING && !slot->worker->started_ns)
		lp_process_kill(&slot->process,
				SIGTERM); /* It has nothing to finish, and maybe does not listen to us. */
}

/* Processes */

static void on_part_closed(struct lp_slot *slot)
{
	if (--slot->closing)
		return;
	if (slot->slots->stopping)
		end_slot(slot);
	else
		pause_slot(slot, slot->failures ? next_pause_ms(slot) : 0);
}

static void on_process_closed(struct lp_process *process)
{
	on_part_closed(process->owner);
}

static void on_channel_closed(struct lp_channel *channel)
{
	on_part_closed(channel->owner);
}

static void close_channel(struct lp_slot *slot)
{
	if (!slot->channel_open)
		return;
	slot->channel_open = false;
	lp_stuck_forget(slot);
	set_up(slot, false);
	lp_channel_close(&slot->channel, on_channel_closed);
	end_if_idle(slot);
}

static void log_exit(const struct lp_slot *slot, int64_t status, int signal)
{
	const char *next = slot->slots->stopping ? ""
			   : slot->failures      ? "; starting another in its place after a pause"
						 : "; starting another in its place";
	enum lp_log_level level = slot->slots->stopping ? LP_LOG_INFO : LP_LOG_WARNING;
	struct lp_log *log = slot->slots->config.log;
	if (signal)
		lp_log_write(log, level, "worker %u (pid %d) was killed by signal %d (%s)%s", slot->worker->id,
			     slot->worker->pid, signal, strsignal(signal), next);
	else
		lp_log_write(log, level, "worker %u (pid %d) ended with status %lld%s", slot->worker->id,
			     slot->worker->pid, (long long)status, next);
}

/*
 * A dead worker's last acknowledgements and sessions count before its parcels are given up. A channel that does not end
 * then is still held by somebody: the process was a shell, and the server lives. It must not take what others get now.
 */
static void hear_out(struct lp_slot *slot, struct lp_process *process)
{
	for (int i = 0; i < LAST_WORDS && slot->channel_open; i++)
		lp_channel_hear(&slot->channel);
	if (slot->channel_open)
		lp_process_kill_rest(process);
	close_channel(slot);
}

/* Of what it had acknowledged, the dead worker leaves what it never read. */
static void return_untouched(struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	struct lp_list untouched;
	lp_list_init(&untouched);
	lp_taken_leave(&slots->taken, slot->worker->id, &untouched);
	while (!lp_list_empty(&untouched)) {
		struct lp_parcel *parcel = LP_LIST_OWNER(untouched.next, struct lp_parcel, link);
		lp_list_remove(&parcel->link);
		slots->config.events->on_returned(slots->config.owner, parcel, slot->worker->id, LP_RETURN_LOST);
	}
}

static void on_exit_of(struct lp_process *process, int64_t status, int signal)
{
	struct lp_slot *slot = process->owner;
	struct lp_slots *slots = slot->slots;
	struct lp_worker *worker = slot->worker;
	bool steady = worker->started_ns && lp_clock_ns() - worker->started_ns >= STEADY_MS * 1000000ull;
	slot->failures = steady ? 0 : slot->failures + 1;
	slots->exits++;
	log_exit(slot, status, signal);
	slot->state = LP_SLOT_CLOSING;
	uv_timer_stop(&slot->timer);
	hear_out(slot, process);
	return_untouched(slot);
	lp_sessions_forget_worker(slots->config.sessions, worker->id);
	if (slots->count)
		lp_count_forget_worker(slots->count, worker->id);
	worker->pid = 0;
	worker->connections = 0;
	worker->waiting = 0;
	worker->started_ns = 0;
	lp_process_close(process, on_process_closed);
}

static void start_process(struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	const struct lp_supervisor_config *config = &slots->config;
	int worker_end;
	int status = lp_channel_open(&slot->channel, config->loop, config->dialect, slot->worker->id, &channel_events,
				     config->log, &worker_end);
	if (status) {
		slot->failures++;
		lp_log_write(config->log, LP_LOG_ERROR, "worker %u cannot be started: no channel: %s; trying again",
			     slot->worker->id, lp_error_words(status));
		pause_slot(slot, next_pause_ms(slot));
		return;
	}
	slot->channel.owner = slot;
	slot->channel_open = true;
	slot->state = LP_SLOT_RUNNING;
	slot->full = false;
	slot->reports = false;
	slot->closing = 2;
	status = lp_process_start(&slot->process, config->loop, config->command, config->dialect, slot->worker->id,
				  worker_end, config->prefix, &slots->descriptors, on_exit_of, slot);
	close(worker_end);
	if (status == 0) {
		slots->starts++;
		slot->worker->pid = slot->process.pid;
		uv_timer_start(&slot->timer, on_late, LATE_MS, 0);
		return;
	}
	slot->failures++;
	lp_log_write(config->log, LP_LOG_ERROR, "worker %u cannot be started: %s: %s; trying again", slot->worker->id,
		     config->command[0], lp_error_words(status));
	slot->state = LP_SLOT_CLOSING;
	close_channel(slot);
	lp_process_close(&slot->process, on_process_closed);
}

/* What channels say */

static void on_ready(struct lp_channel *channel, bool ready)
{
	set_up(channel->owner, ready);
}

static void on_room(struct lp_channel *channel)
{
	struct lp_slot *slot = channel->owner;
	slot->full = false;
	lp_slot_update_usable(slot);
	slot->slots->config.events->on_room(slot->slots->config.owner);
}

static void on_connections_closed(void *owner, unsigned worker, unsigned how_many)
{
	struct lp_slots *slots = owner;
	struct lp_worker *of = lp_workers_find(slots->config.workers, worker);
	of->connections -= how_many < of->connections ? how_many : of->connections;
	end_if_idle(&slots->all[worker - 1]);
}

/* Remember a connection whose end its worker will not tell. */
static void count_connection(struct lp_slot *slot, const struct lp_parcel *parcel)
{
	struct lp_slots *slots = slot->slots;
	if (!slots->count_tried) {
		slots->count_tried = true;
		int status = lp_count_start(&slots->count, slots->config.loop, slots->config.log, false,
					    on_connections_closed, slots);
		if (status)
			lp_log_write(slots->config.log, LP_LOG_WARNING,
				     "open connections cannot be counted (%s): workers that do not report them are "
				     "balanced by what is on the way to them",
				     lp_error_words(status));
	}
	if (!slots->count || lp_count_add(slots->count, parcel->fd, slot->worker->id, parcel->port) != 0)
		slot->worker->connections--;
}

/* The connection is its worker's for good. */
static void settle(struct lp_slot *slot, struct lp_parcel *parcel)
{
	if (!slot->reports)
		count_connection(slot, parcel);
	close(parcel->fd);
	parcel->fd = -1;
	slot->slots->config.events->on_acknowledged(slot->slots->config.owner, parcel);
}

bool lp_slot_is_silent(struct lp_taken *taken, unsigned worker)
{
	struct lp_slots *slots = taken->owner;
	const struct lp_slot *slot = &slots->all[worker - 1];
	return lp_stuck_suspected(slot) || lp_process_is_stopped(&slot->process);
}

void lp_slot_settle(struct lp_taken *taken, struct lp_parcel *parcel)
{
	struct lp_slots *slots = taken->owner;
	settle(&slots->all[parcel->worker - 1], parcel);
}

static void on_acknowledged(struct lp_channel *channel, struct lp_parcel *parcel)
{
	struct lp_slot *slot = channel->owner;
	slot->worker->waiting--;
	lp_stuck_end(slot);
	lp_histogram_add(&slot->slots->latency, (lp_channel_heard_ns(channel) - parcel->ready_ns) / 1000);
	if (slot->slots->config.dialect->keep_until_read)
		lp_taken_add(&slot->slots->taken, parcel);
	else
		settle(slot, parcel);
}

static void on_returned(struct lp_channel *channel, struct lp_parcel *parcel, enum lp_return_reason reason)
{
	struct lp_slot *slot = channel->owner;
	slot->worker->waiting--;
	slot->worker->connections--;
	if (reason != LP_RETURN_LOST)
		lp_stuck_end(slot);
	slot->slots->config.events->on_returned(slot->slots->config.owner, parcel, slot->worker->id, reason);
}

static void on_session(struct lp_channel *channel, struct lp_slice key, bool bound)
{
	struct lp_slot *slot = channel->owner;
	struct lp_slots *slots = slot->slots;
	if (!bound) {
		lp_sessions_forget(slots->config.sessions, key, slot->worker->id);
		return;
	}
	int status = lp_sessions_bind(slots->config.sessions, key, slot->worker->id);
	if (status)
		lp_log_limited(slots->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       "worker %u: a session of %zu bytes cannot be kept: %s", slot->worker->id, key.length,
			       lp_error_words(status));
	else
		slots->config.events->on_session(slots->config.owner, key);
}

static void on_open(struct lp_channel *channel, uint64_t open)
{
	struct lp_slot *slot = channel->owner;
	if (!slot->reports && slot->slots->count)
		lp_count_forget_worker(slot->slots->count, slot->worker->id);
	slot->reports = true;
	slot->worker->connections = (uint32_t)open + slot->worker->waiting;
}

static void on_broadcast(struct lp_channel *channel, const char *bytes, size_t length)
{
	struct lp_slots *slots = ((struct lp_slot *)channel->owner)->slots;
	for (unsigned i = 0; i < slots->config.workers->count; i++) {
		struct lp_slot *slot = &slots->all[i];
		if (slot->channel_open && &slot->channel != channel)
			lp_channel_send(&slot->channel, bytes, length);
	}
}

static void on_end(struct lp_channel *channel)
{
	close_channel(channel->owner);
}

static const struct lp_channel_events channel_events = {
	.on_ready = on_ready,
	.on_room = on_room,
	.on_acknowledged = on_acknowledged,
	.on_returned = on_returned,
	.on_session = on_session,
	.on_open = on_open,
	.on_broadcast = on_broadcast,
	.on_end = on_end,
};

/* For the supervisor */

void lp_slot_start(struct lp_slot *slot, struct lp_slots *slots, unsigned index)
{
	slot->slots = slots;
	slot->worker = &slots->config.workers->slots[index];
	uv_timer_init(slots->config.loop, &slot->timer);
	slot->timer.data = slot;
	start_process(slot);
}

int lp_slot_hand_over(struct lp_slot *slot, struct lp_parcel *parcel)
{
	int status = slot->channel_open ? lp_channel_hand_over(&slot->channel, parcel) : UV_EPIPE;
	if (status == 0) {
		parcel->worker = (uint16_t)slot->worker->id;
		slot->worker->connections++;
		if (slot->worker->waiting++ == 0)
			lp_stuck_begin(slot);
	} else if (status == UV_ENOBUFS) {
		slot->full = true;
		lp_slot_update_usable(slot);
	} else {
		set_up(slot, false);
	}
	return status;
}
