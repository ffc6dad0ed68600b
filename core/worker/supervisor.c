/*
 * The supervisor keeps the slots (slot.c has their life) and ends them all in steps:
 *
 *     stop      every worker is told to finish, as soon as it can be told (shutdown.c); empty slots end
 *     grace     SIGTERM to those that are left
 *     2 s later SIGKILL
 *     the last slot has ended -> the kernel's count ends -> on_stopped
 *
 * Meanwhile the log says whom it waits for: soon, and again when that has changed, but ever less often.
 */
#include "worker/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/adoption.h"
#include "worker/orphans.h"
#include "worker/program.h"
#include "worker/shutdown.h"
#include "worker/slot.h"

/* How soon the log says whom it waits for, and how soon again; that doubles. */
#define FIRST_REPORT_MS 200
#define NEXT_REPORT_MS 1000
#define LONGEST_REPORT_MS 8000

/* Whom stopping waits for. */
struct tally {
	unsigned processes; /* That have not ended. */
	unsigned workers;   /* Those with clients. */
	unsigned clients;
};

struct lp_supervisor {
	struct lp_slots slots; /* First: on_ended gets it. */
	unsigned left;         /* Slots that have not ended. */
	struct lp_orphans orphans;
	uint64_t grace_ms;  /* From the beginning of stopping to SIGTERM. */
	uv_timer_t timer;   /* To the next step of stopping. */
	uv_timer_t start;   /* To giving up on the start. */
	bool start_over;    /* The time for it is over. */
	uv_timer_t report;  /* To the next report of whom it waits for. */
	uint64_t report_ms; /* From this one to the next. */
	struct tally reported;
};

/* Stopping */

static void on_count_stopped(void *owner)
{
	struct lp_supervisor *supervisor = owner;
	supervisor->slots.config.events->on_stopped(supervisor->slots.config.owner);
}

static void on_broker_closed(void *owner)
{
	struct lp_supervisor *supervisor = owner;
	struct lp_open_count *count = supervisor->slots.count;
	supervisor->slots.count = NULL;
	lp_open_count_stop(count, on_count_stopped, supervisor);
}

static void on_stuck_closed(uv_handle_t *handle)
{
	struct lp_supervisor *supervisor = handle->data;
	lp_broker_close(supervisor->slots.broker, on_broker_closed, supervisor);
}

static void on_unread_closed(uv_handle_t *handle)
{
	struct lp_unread *unread = handle->data;
	struct lp_slots *slots = unread->owner;
	uv_close((uv_handle_t *)&slots->stuck.timer, on_stuck_closed);
}

static void on_after_closed(uv_handle_t *handle)
{
	struct lp_supervisor *supervisor = handle->data;
	uv_close((uv_handle_t *)&supervisor->slots.unread.timer, on_unread_closed);
}

static void on_before_closed(uv_handle_t *handle)
{
	struct lp_supervisor *supervisor = handle->data;
	uv_close((uv_handle_t *)&supervisor->slots.after, on_after_closed);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct lp_supervisor *supervisor = handle->data;
	uv_close((uv_handle_t *)&supervisor->slots.before, on_before_closed);
}

static void on_orphans_closed(void *owner)
{
	struct lp_supervisor *supervisor = owner;
	uv_close((uv_handle_t *)&supervisor->timer, on_timer_closed);
}

static void on_start_closed(uv_handle_t *handle)
{
	struct lp_supervisor *supervisor = handle->data;
	lp_orphans_close(&supervisor->orphans, on_orphans_closed, supervisor);
}

static void on_report_closed(uv_handle_t *handle)
{
	struct lp_supervisor *supervisor = handle->data;
	uv_close((uv_handle_t *)&supervisor->start, on_start_closed);
}

static void on_registry_closed(void *owner)
{
	struct lp_supervisor *supervisor = owner;
	supervisor->slots.registry = NULL;
	uv_close((uv_handle_t *)&supervisor->report, on_report_closed);
}

static void on_node_processes_closed(struct lp_slots *slots)
{
	slots->node_processes_closed = NULL;
	lp_registry_close(slots->registry, on_registry_closed, slots);
}

static void on_slot_ended(struct lp_slots *slots)
{
	struct lp_supervisor *supervisor = (struct lp_supervisor *)slots;
	if (--supervisor->left)
		return;
	if (slots->registry)
		lp_node_process_close_all(slots, on_node_processes_closed);
	else
		uv_close((uv_handle_t *)&supervisor->report, on_report_closed);
}

static void signal_all(struct lp_supervisor *supervisor, int signal)
{
	for (unsigned i = 0; i < supervisor->slots.config.processes; i++) {
		struct lp_slot *slot = &supervisor->slots.all[i];
		if (signal == SIGTERM)
			lp_slot_terminate(slot, SIGTERM);
		else
			lp_process_kill(&slot->process, signal);
	}
	for (unsigned i = 0; i < supervisor->slots.config.workers->count; i++) {
		struct lp_slot *slot = &supervisor->slots.all[i];
		lp_process_kill(&slot->member, signal);
		if (signal == SIGKILL)
			lp_process_session_kill(&slot->left);
	}
}

static struct tally count_left(const struct lp_slots *slots)
{
	struct tally tally = {0};
	for (unsigned i = 0; i < slots->config.workers->count; i++) {
		const struct lp_slot *slot = &slots->all[i];
		tally.processes += (slot->process.pid != 0) + (slot->member.pid != 0);
		tally.workers += slot->worker->connections > 0;
		tally.clients += slot->worker->connections;
	}
	return tally;
}

static const char *plural(unsigned count)
{
	return count == 1 ? "" : "s";
}

static void report(struct lp_supervisor *supervisor, struct tally tally)
{
	struct lp_log *log = supervisor->slots.config.log;
	supervisor->reported = tally;
	if (tally.clients)
		lp_log_write(log, LP_LOG_INFO, NULL,
			     "%u worker%s %s %u client%s; press again to stop at once (or send SIGTERM again)",
			     tally.workers, plural(tally.workers), tally.workers == 1 ? "has" : "have", tally.clients,
			     plural(tally.clients));
	else
		lp_log_write(
			log, LP_LOG_INFO, NULL,
			"no clients are left, but %u process%s %s not ended yet; press again to stop at once (or send "
			"SIGTERM again)",
			tally.processes, tally.processes == 1 ? "" : "es", tally.processes == 1 ? "has" : "have");
}

static void on_report(uv_timer_t *timer)
{
	struct lp_supervisor *supervisor = timer->data;
	struct tally tally = count_left(&supervisor->slots);
	if (tally.clients)
		tally.processes = 0; /* Of which nothing is said then. */
	if (memcmp(&tally, &supervisor->reported, sizeof(tally)) != 0) {
		report(supervisor, tally);
		supervisor->report_ms *= 2;
	}
	if (supervisor->report_ms > LONGEST_REPORT_MS)
		supervisor->report_ms = LONGEST_REPORT_MS;
	uv_timer_start(timer, on_report, supervisor->report_ms, 0);
}

/* Not at once: who has just left may be counted still, and nobody wonders about a moment. */
static void begin_reports(struct lp_supervisor *supervisor)
{
	supervisor->report_ms = NEXT_REPORT_MS;
	uv_timer_start(&supervisor->report, on_report, FIRST_REPORT_MS, 0);
}

static void on_stop_timer(uv_timer_t *timer)
{
	struct lp_supervisor *supervisor = timer->data;
	struct tally left = count_left(&supervisor->slots);
	if (supervisor->slots.overdue) {
		signal_all(supervisor, SIGKILL);
		return;
	}
	supervisor->slots.overdue = true;
	lp_log_write(supervisor->slots.config.log, LP_LOG_WARNING, NULL,
		     "%u process%s (with %u client%s) %s not finished in time (--drain-timeout %g s): SIGTERM now, "
		     "SIGKILL in %d s",
		     left.processes, left.processes == 1 ? "" : "es", left.clients, plural(left.clients),
		     left.processes == 1 ? "has" : "have", (double)supervisor->grace_ms / 1000, LP_SLOT_TERM_MS / 1000);
	signal_all(supervisor, SIGTERM);
	uv_timer_start(timer, on_stop_timer, LP_SLOT_TERM_MS, 0);
}

void lp_supervisor_yield(struct lp_supervisor *supervisor)
{
	if (supervisor->slots.registry)
		lp_registry_yield(supervisor->slots.registry);
}

/* Giving up on the start */

static bool is_hopeless(const struct lp_slots *slots)
{
	for (unsigned i = 0; i < slots->config.processes; i++)
		if (slots->all[i].unready_exits < LP_SLOT_FAILING)
			return false;
	return !slots->ever_ready && !slots->stopping;
}

static void on_start_timer(uv_timer_t *timer)
{
	struct lp_supervisor *supervisor = timer->data;
	const struct lp_supervisor_config *config = &supervisor->slots.config;
	supervisor->start_over = true;
	if (!is_hopeless(&supervisor->slots))
		return;
	lp_log_write(
		config->log, LP_LOG_ERROR, NULL,
		"no worker was ever ready in %g s (--start-timeout), and each was started %d times at least: giving up",
		config->start_timeout_ms / 1000.0, LP_SLOT_FAILING);
	config->events->on_hopeless(config->owner);
}

/* Not at once: an end is being dealt with. */
static void on_failing(struct lp_slots *slots)
{
	struct lp_supervisor *supervisor = (struct lp_supervisor *)slots;
	if (supervisor->start_over && is_hopeless(slots))
		uv_timer_start(&supervisor->start, on_start_timer, 0, 0);
}

void lp_supervisor_stop(struct lp_supervisor *supervisor, uint64_t grace_ms)
{
	if (!supervisor->slots.stopping) {
		supervisor->slots.stopping = true;
		for (unsigned i = 0; i < supervisor->slots.config.workers->count; i++)
			lp_slot_finish(&supervisor->slots.all[i]);
		lp_shutdown_advance(&supervisor->slots);
	}
	if (supervisor->left == 0)
		return;
	if (grace_ms == 0) {
		supervisor->slots.overdue = true;
		uv_timer_stop(&supervisor->report);
		signal_all(supervisor, SIGKILL);
	} else if (!supervisor->slots.overdue) {
		supervisor->grace_ms = grace_ms;
		uv_timer_start(&supervisor->timer, on_stop_timer, grace_ms, 0);
		begin_reports(supervisor);
	}
}

/* Starting */

static void flush_all(struct lp_supervisor *supervisor)
{
	lp_session_query_flush(&supervisor->slots);
	lp_node_process_flush(&supervisor->slots);
	for (unsigned i = 0; i < supervisor->slots.config.workers->count; i++)
		lp_slot_flush(&supervisor->slots.all[i]);
}

static void on_before(uv_prepare_t *before)
{
	struct lp_supervisor *supervisor = before->data;
	flush_all(supervisor);
	supervisor->slots.turn_ns = 0;
	supervisor->slots.turn++;
}

static void on_after(uv_check_t *after)
{
	struct lp_supervisor *supervisor = after->data;
	flush_all(supervisor);
	supervisor->slots.turn_ns = 0;
	supervisor->slots.turn++;
}

/* What timers and idle handles decide goes out before the loop waits, what it woke up for right behind. */
static void watch_turns(struct lp_supervisor *supervisor)
{
	struct lp_slots *slots = &supervisor->slots;
	uv_prepare_init(slots->config.loop, &slots->before);
	uv_check_init(slots->config.loop, &slots->after);
	slots->before.data = supervisor;
	slots->after.data = supervisor;
	uv_prepare_start(&slots->before, on_before);
	uv_check_start(&slots->after, on_after);
}

/* A limpet before us was killed, and its workers live. */
static void on_heir(void *owner, const struct lp_known_process *process)
{
	struct lp_slots *slots = owner;
	unsigned slot = process->slot;
	if (slot > slots->config.processes)
		lp_log_write(slots->config.log, LP_LOG_WARNING, LP_LOG_ABOUT(.pid = process->pid),
			     "process %d was started by an earlier limpet that had more workers; end it when its "
			     "clients have left, or start limpet with --workers %u",
			     (int)process->pid, slot);
	else if (slot && slots->all[slot - 1].program_state == LP_PROGRAM_NONE &&
		 lp_slot_inherit(&slots->all[slot - 1], process) == 0)
		lp_log_write(slots->config.log, LP_LOG_INFO, LP_LOG_ABOUT(.worker = slot, .pid = process->pid),
			     "process %d was started by an earlier limpet; it goes on as the program of worker %u",
			     (int)process->pid, slot);
}

/* The slot that a process is in already, or NULL. */
static struct lp_slot *find_slot_of(struct lp_slots *slots, pid_t pid)
{
	for (unsigned i = 0; i < slots->config.workers->count; i++) {
		struct lp_slot *slot = &slots->all[i];
		bool has_member = slot->worker_process == &slot->member;
		if (has_member ? slot->member.pid == pid : slot->process.pid == pid)
			return slot;
	}
	return NULL;
}

/* A process has one place, also if it comes twice. One that comes again may have hung up before, unheard as yet. */
static struct lp_slot *find_its_place(struct lp_slot *slot, pid_t pid)
{
	if (slot->channel_state == LP_SLOT_CHANNEL_OPEN)
		lp_channel_hear_some(&slot->channel);
	return lp_slot_is_free(slot, pid) ? slot : NULL;
}

/* The slot whose number it was told, if it is Node's; its program's slot, so that an only worker has its slot's number; else
 * one that no program of ours will need. */
static struct lp_slot *find_place(struct lp_slots *slots, const struct lp_registered *who)
{
	struct lp_node_process *node = lp_node_process_find(slots, who->pid);
	struct lp_slot *present = find_slot_of(slots, who->pid);
	struct lp_slot *own = who->slot && who->slot <= slots->config.processes ? &slots->all[who->slot - 1] : NULL;
	if (present && present->channel_state != LP_SLOT_CHANNEL_NONE)
		return find_its_place(present, who->pid);
	if (present && lp_slot_is_free(present, who->pid))
		return present;
	if (node && lp_slot_is_free(node->slot, who->pid))
		return node->slot;
	if (own && lp_slot_program_runs(own) && lp_slot_is_free(own, who->pid))
		return own;
	for (unsigned i = slots->config.processes; i < slots->config.workers->count; i++)
		if (lp_slot_is_free(&slots->all[i], who->pid))
			return &slots->all[i];
	return NULL;
}

/* Returns 0, or negative errno, which is logged. */
static int place_worker(struct lp_slots *slots, const struct lp_registered *who)
{
	struct lp_node_process *node = lp_node_process_find(slots, who->pid);
	struct lp_slot *place = find_place(slots, who);
	int status = place ? lp_slot_enter(place, who) : -ENOENT;
	if (!status && node)
		lp_node_process_work(node, place);
	if (status && !slots->stopping && !find_slot_of(slots, who->pid))
		lp_log_limited(slots->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.pid = who->pid),
			       "process %d cannot become a worker: %s", (int)who->pid,
			       place ? lp_error_words(status) : "there are as many workers as limpet can have");
	return status;
}

static void on_registered(void *owner, const struct lp_registered *who)
{
	const struct lp_slots *slots = owner;
	if (place_worker(owner, who) == 0)
		return;
	lp_closer_close(slots->config.connections->closer, who->fd);
	close(who->pidfd);
}

/*
 * Which number a Node process is told. All that a program starts have its slot's, for nobody knows yet which of them will
 * listen, as long as that one has not come; who comes later has one of its own. It may still turn out that two have the
 * same, when the first begins to listen after the second has come: then the second is in another slot, with the number
 * that it was told. A process has one channel.
 */
static struct lp_slot *find_number(struct lp_slots *slots, const struct lp_registered *who)
{
	struct lp_slot *own = who->slot && who->slot <= slots->config.processes ? &slots->all[who->slot - 1] : NULL;
	struct lp_node_process *before = lp_node_process_find(slots, who->pid);
	if (before)
		lp_channel_hear_some(&before->channel); /* A program may become another, and keeps its number. */
	if (lp_node_process_find(slots, who->pid))
		return NULL;
	if (own && lp_slot_program_runs(own) && lp_slot_is_free(own, who->pid))
		return own;
	for (unsigned i = slots->config.processes; i < slots->config.workers->count; i++)
		if (lp_slot_is_free(&slots->all[i], who->pid) && !lp_node_process_has_number(&slots->all[i]))
			return &slots->all[i];
	return NULL;
}

/* Without a number it goes on as if it was started by hand; if it listens, it registers, and is logged then. */
static void on_node_process(void *owner, const struct lp_registered *who)
{
	struct lp_slots *slots = owner;
	struct lp_slot *number = find_number(slots, who);
	int status = number ? lp_node_process_admit(number, who) : -ENOENT;
	if (!status)
		return;
	lp_closer_close(slots->config.connections->closer, who->fd);
	close(who->pidfd);
	if (status != -ENOENT)
		lp_log_limited(slots->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.pid = who->pid),
			       "process %d gets no Node channel: %s", (int)who->pid, lp_error_words(status));
}

static int open_registry(struct lp_slots *slots, struct lp_error *error)
{
	const struct lp_supervisor_config *config = &slots->config;
	struct lp_registry_config registry = {.loop = config->loop,
					      .log = config->log,
					      .folder = config->folder,
					      .listeners = config->listeners,
					      .listener_count = config->listener_count,
					      .addresses = config->addresses,
					      .learn = config->learn,
					      .closer = config->connections->closer,
					      .adopts = config->adopts,
					      .lasting = config->lasting,
					      .gives_listener = config->dialect->gives_listener,
					      .node_process =
						      config->dialect->has_node_channel ? on_node_process : NULL,
					      .registered = on_registered,
					      .owner = slots};
	return lp_registry_open(&slots->registry, &registry, error);
}

static bool is_child_of_ours(void *owner, int pid)
{
	const struct lp_slots *slots = owner;
	for (unsigned i = 0; i < slots->config.processes; i++)
		if (slots->all[i].process.pid == pid && !slots->all[i].process.is_watched)
			return true;
	return false;
}

/* Without it, workers that leave their program's tree are strangers. */
static void adopt_orphans(struct lp_supervisor *supervisor)
{
	struct lp_slots *slots = &supervisor->slots;
	int status = lp_orphans_adopt(&supervisor->orphans, slots->config.loop, is_child_of_ours, slots);
	if (status)
		lp_log_write(
			slots->config.log, LP_LOG_WARNING, NULL,
			"orphaned processes cannot be adopted (%s): workers that run as daemons are not recognised",
			lp_error_words(status));
}

int lp_supervisor_start(struct lp_supervisor **out, const struct lp_supervisor_config *config, struct lp_error *error)
{
	unsigned count = config->workers->count;
	*out = NULL;
	int status = lp_program_check(config->command[0], error); /* Now, rather than again and again for ever. */
	if (status)
		return status;
	struct lp_supervisor *supervisor = calloc(1, sizeof(*supervisor));
	struct lp_slot *all = calloc(count, sizeof(*all));
	struct lp_message_writer writer = {.workers = count,
					   .language = config->dialect->language,
					   .log = config->log,
					   .send = lp_slot_post,
					   .owner = supervisor};
	struct lp_broker *broker = lp_broker_new(&writer);
	status = supervisor && all && broker ? 0 : UV_ENOMEM;
	if (status)
		lp_error_set(error, status, "no memory for %u workers", count);
	else
		supervisor->slots = (struct lp_slots){.config = *config,
						      .all = all,
						      .broker = broker,
						      .ports = {.ours = config->addresses},
						      .asking = {.told = true, .fd = -1},
						      .on_failing = on_failing,
						      .on_ended = on_slot_ended};
	if (!status)
		lp_list_init(&supervisor->slots.node_processes);
	if (!status)
		lp_survivors_open(&supervisor->slots);
	if (!status && config->dialect->registers)
		status = open_registry(&supervisor->slots, error);
	if (status) {
		lp_broker_free(broker);
		free(supervisor);
		free(all);
		return status;
	}
	if (config->dialect->ask)
		lp_session_query_open(
			&supervisor->slots.asking); /* From the start, so that a busy hour needs no descriptor more. */
	lp_broker_start(broker, config->loop);
	supervisor->left = count;
	lp_descriptors_for_programs_init(&supervisor->slots.descriptors, config->descriptors);
	lp_unread_init(&supervisor->slots.unread, config->loop, config->connections, lp_slot_settle, lp_slot_leave,
		       lp_slot_is_silent, &supervisor->slots);
	lp_stuck_open(&supervisor->slots);
	watch_turns(supervisor);
	uv_timer_init(config->loop, &supervisor->timer);
	supervisor->timer.data = supervisor;
	uv_timer_init(config->loop, &supervisor->start);
	supervisor->start.data = supervisor;
	if (config->start_timeout_ms)
		uv_timer_start(&supervisor->start, on_start_timer, config->start_timeout_ms, 0);
	uv_timer_init(config->loop, &supervisor->report);
	supervisor->report.data = supervisor;
	for (unsigned i = 0; i < count; i++)
		lp_slot_prepare(&all[i], &supervisor->slots, i);
	if (supervisor->slots.registry && config->adopts)
		adopt_orphans(supervisor);
	if (supervisor->slots.registry)
		lp_registry_find_heirs(supervisor->slots.registry, on_heir, &supervisor->slots);
	lp_adopt_survivors(&supervisor->slots);
	for (unsigned i = 0; i < count; i++)
		lp_slot_start(&all[i]);
	*out = supervisor;
	return 0;
}

/* Running */

void lp_supervisor_queue(struct lp_supervisor *supervisor, unsigned worker, struct lp_connection *connection)
{
	struct lp_connections *connections = supervisor->slots.config.connections;
	struct lp_slot *slot = &supervisor->slots.all[worker - 1];
	lp_connection_move_to(connections, connection, LP_QUEUED, worker);
	if (slot->worker->waiting == 1)
		lp_stuck_begin(slot);
	slot->is_full = connections->by_state[worker][LP_QUEUED] >= LP_SUPERVISOR_BACKLOG;
	if (slot->is_full)
		lp_slot_update_usable(slot);
}

uint64_t lp_supervisor_turn_ns(struct lp_supervisor *supervisor)
{
	if (!supervisor->slots.turn_ns)
		supervisor->slots.turn_ns = lp_clock_ns();
	return supervisor->slots.turn_ns;
}

void lp_supervisor_set_each(struct lp_supervisor *supervisor, unsigned each)
{
	struct lp_slots *slots = &supervisor->slots;
	if (slots->each == each)
		return;
	slots->each = each;
	for (unsigned i = 0; i < slots->config.workers->count; i++) {
		struct lp_channel *channel = &slots->all[i].channel;
		if (slots->all[i].channel_state == LP_SLOT_CHANNEL_OPEN && channel->dialect->tell_each)
			channel->dialect->tell_each(channel, each);
	}
}

uint32_t lp_supervisor_ask(struct lp_supervisor *supervisor)
{
	return lp_session_query_begin(&supervisor->slots);
}

void lp_supervisor_hear(struct lp_supervisor *supervisor)
{
	for (unsigned i = 0; i < supervisor->slots.config.workers->count; i++)
		if (lp_slot_can_hear(&supervisor->slots.all[i]))
			lp_slot_hear(&supervisor->slots.all[i]);
}

uint64_t lp_supervisor_starts(const struct lp_supervisor *supervisor)
{
	return supervisor->slots.starts;
}

uint64_t lp_supervisor_exits(const struct lp_supervisor *supervisor)
{
	return supervisor->slots.exits;
}

uint64_t lp_supervisor_ejections(const struct lp_supervisor *supervisor)
{
	return supervisor->slots.stuck.ejections;
}

uint64_t lp_supervisor_kills(const struct lp_supervisor *supervisor)
{
	return supervisor->slots.stuck.kills;
}

uint64_t lp_supervisor_sessions_moved(const struct lp_supervisor *supervisor)
{
	return supervisor->slots.sessions_moved;
}

const struct lp_histogram *lp_supervisor_latency(const struct lp_supervisor *supervisor)
{
	return &supervisor->slots.latency;
}

void lp_supervisor_free(struct lp_supervisor *supervisor)
{
	if (!supervisor)
		return;
	lp_descriptors_for_programs_deinit(&supervisor->slots.descriptors);
	lp_shared_sockets_close(&supervisor->slots.sockets);
	lp_session_query_close(&supervisor->slots.asking);
	free(supervisor->slots.all);
	free(supervisor);
}
