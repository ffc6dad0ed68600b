/*
 * A slot is a worker's place. Its processes come and go, one at a time; its id, and so its share of the hash, stays.
 *
 *     state     meaning                            leaves on
 *     VACANT    nothing; a process may register    a process registers -> RUNNING; ours is started -> RUNNING
 *     PAUSED    nothing runs; the timer does       timer -> RUNNING, or PAUSED for longer when it cannot be started
 *     RUNNING   a process; mostly with a channel   exit -> CLOSING
 *     CLOSING   handles on their way out           all closed -> PAUSED or VACANT, or ENDED when stopping
 *     ENDED     nothing; the slot is not used again
 *
 * In most dialects the process that we start in a slot is the worker, and has its channel from us. In the preload
 * dialect workers register themselves: the process, or one that it has started, which is then the slot's member. As a
 * program may start many, there are slots without a process of ours, vacant until somebody comes; the first slots, as
 * many as --workers, are those that we start programs in. A program that ends while its member lives on, with all its
 * clients, is started again when the member has ended too.
 *
 * Inside RUNNING: the channel says ready -> up; not ready, or its end -> down. A channel may end long before its process
 * does (a worker that has disconnected finishes its work); the slot then waits for the exit, so there is never one
 * process too many. A channel that has failed, or that we have ended, is another matter: its worker may not even know, so
 * its process is ended when it has had --drain-timeout, unless it has come again. What goes through the channel is delivery.c's.
 *
 * Pauses: none after a process that was ready for STEADY_MS; else FIRST_PAUSE_MS, doubled with every further failure up to
 * LONGEST_PAUSE_MS, a fifth more or less by chance so that slots do not beat in time.
 *
 * While a process runs, the same timer serves for two other things: to say once that it is late to be ready (most likely
 * the dialect is wrong), and to terminate one that has hung up and has no connection left: soon when all is to end, else
 * when it has had as long as it would have had then.
 */
#include "worker/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/not_ready.h"
#include "worker/pidfd.h"
#include "worker/shutdown.h"

#define STEADY_MS 1000

/* How long a worker that is told to end, and has no connection left, may take to do so by itself. */
#define IDLE_MS 500

/* How often it is looked at whether a program that is not ready listens where we do not reach it; and when it is late. */
#define LOOK_MS 2000
#define LATE_MS 10000

#define FIRST_PAUSE_MS 100
#define LONGEST_PAUSE_MS 30000

static void start_process(struct lp_slot *slot);

/* Whether we start programs in it. */
static bool has_programs(const struct lp_slot *slot)
{
	return slot->worker->id <= slot->slots->config.processes;
}

static void on_slot_timer(uv_timer_t *timer)
{
	start_process(timer->data);
}

/* The program as a user knows it: "gunicorn" of "/usr/bin/gunicorn". */
static const char *program_name(const struct lp_slot *slot)
{
	const char *path = slot->slots->config.command[0];
	const char *slash = strrchr(path, '/');
	return slash && slash[1] ? slash + 1 : path;
}

/* "worker 2", or the program if its workers are other processes. */
static void name_process(const struct lp_slot *slot, pid_t pid, char *text, size_t size)
{
	if (slot->slots->registry && slot->worker->pid != pid)
		snprintf(text, size, "%s", program_name(slot));
	else
		snprintf(text, size, "worker %u", slot->worker->id);
}

/* Once for all, as they run the same program; and again when one of them was ready meanwhile. */
static void tell_unready(struct lp_slot *slot, struct lp_not_ready *unready)
{
	char text[LP_NOT_READY_TEXT_MAX];
	char name[64];
	name_process(slot, slot->pid, name, sizeof(name));
	unready->name = name;
	lp_not_ready_describe(unready, text);
	unready->name = NULL;
	slot->slots->unready_told = true;
	lp_log_write(slot->slots->config.log, LP_LOG_WARNING,
		     LP_LOG_ABOUT(.worker = slot->slots->registry ? 0 : slot->worker->id, .pid = slot->pid), "%s",
		     text);
}

/* Whether a program listens elsewhere is looked at again and again; limpet logs one that does not listen when it is late. */
static void on_unready(uv_timer_t *timer)
{
	struct lp_slot *slot = timer->data;
	struct lp_slots *slots = slot->slots;
	struct lp_not_ready unready = {
		.pid = slot->pid, .dialect = slots->config.dialect, .addresses = slots->config.addresses};
	slot->unready_ms += LOOK_MS;
	unready.seconds = slot->unready_ms / 1000;
	bool is_late = slot->unready_ms >= LATE_MS;
	if (!is_late && !slots->registry)
		return;
	lp_not_ready_look(&unready);
	if (is_late || unready.listens.count)
		uv_timer_stop(timer);
	if ((is_late || unready.listens.count) && !slots->unready_told)
		tell_unready(slot, &unready);
}

static void expect_ready(struct lp_slot *slot)
{
	slot->unready_ms = 0;
	uv_timer_start(&slot->timer, on_unready, LOOK_MS, LOOK_MS);
}

static void pause_slot(struct lp_slot *slot, uint64_t pause_ms)
{
	slot->state = LP_SLOT_PAUSED;
	slot->worker->down = true;
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
	slot->worker->down = false;
	uv_close((uv_handle_t *)&slot->timer, on_timer_closed);
}

/* A program that has started its workers is told alone: it ends them as it means to. */
void lp_slot_terminate(struct lp_slot *slot, int signal)
{
	if (slot->slots->registry && slot->process.pid)
		lp_process_signal(&slot->process, signal);
	else
		lp_process_kill(&slot->process, signal);
}

static void on_idle(uv_timer_t *timer)
{
	struct lp_slot *slot = timer->data;
	slot->told = true;
	lp_slot_terminate(slot, SIGTERM);
}

static void on_ignored(uv_timer_t *timer)
{
	lp_slot_kill_worker(timer->data, SIGKILL);
}

/* It has hung up and served its last connection, and something of its own, a timer or a database, keeps it alive. */
static void on_useless(uv_timer_t *timer)
{
	struct lp_slot *slot = timer->data;
	lp_log_write(slot->slots->config.log, LP_LOG_WARNING,
		     LP_LOG_ABOUT(.worker = slot->worker->id, .pid = slot->pid),
		     "worker %u (pid %d) has disconnected, has no connection left, and has not ended in %g s "
		     "(--drain-timeout); limpet ends it and starts another",
		     slot->worker->id, slot->pid, slot->slots->config.useless_ms / 1000.0);
	lp_slot_kill_worker(slot, SIGTERM);
	uv_timer_start(timer, on_ignored, LP_SLOT_TERM_MS, 0);
}

/* Whatever connections it has: no others will ever come to it. */
static void on_cut_off(uv_timer_t *timer)
{
	struct lp_slot *slot = timer->data;
	lp_log_write(slot->slots->config.log, LP_LOG_WARNING,
		     LP_LOG_ABOUT(.worker = slot->worker->id, .pid = slot->worker->pid),
		     "worker %u (pid %d) has closed its channel %g s ago (--drain-timeout), and has neither ended nor "
		     "come back; limpet ends it and starts another",
		     slot->worker->id, slot->worker->pid, slot->slots->config.useless_ms / 1000.0);
	lp_slot_kill_worker(slot, SIGTERM);
	uv_timer_start(timer, on_ignored, LP_SLOT_TERM_MS, 0);
}

void lp_slot_cut_off(struct lp_slot *slot)
{
	if (slot->state != LP_SLOT_RUNNING || slot->slots->stopping || !(slot->has_process || slot->has_member))
		return;
	slot->is_cut_off = true;
	uv_timer_start(&slot->timer, on_cut_off, slot->slots->config.useless_ms, 0);
}

/* Whether workers are told to finish in a way that the user knows them to understand: then they have all their time. */
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
	struct lp_slots *slots = slot->slots;
	bool has_hung_up = slots->registry ? slot->has_hung_up : true;
	bool is_idle = slot->state == LP_SLOT_RUNNING && (slot->has_process || slot->has_member) &&
		       !slot->channel_open && slot->worker->connections == 0;
	if (!slots->stopping) {
		if (is_idle && has_hung_up && !slot->uncounted && !slot->is_cut_off)
			uv_timer_start(&slot->timer, on_useless, slots->config.useless_ms, 0);
	} else if (lp_slots_told_as_wished(slots)) {
		return;
	} else if (slots->registry) {
		lp_shutdown_advance(slots);
	} else if (is_idle) {
		uv_timer_start(&slot->timer, on_idle, IDLE_MS, 0);
	}
}

/* The slot whose program has started the worker, or NULL: it has ended. */
static struct lp_slot *program_of(const struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	for (unsigned i = 0; slot->session && i < slots->config.processes; i++)
		if (slots->all[i].has_process && slots->all[i].process.pid == slot->session)
			return &slots->all[i];
	return NULL;
}

static void tell_to_finish(struct lp_slot *slot)
{
	int signal = slot->slots->config.stop_signal;
	uv_timer_stop(&slot->timer);
	if (slot->channel_open && slot->has_process && signal)
		lp_channel_flush(&slot->channel); /* What it was handed comes first. */
	else if (slot->channel_open)
		lp_channel_drain(&slot->channel);
	if (!signal)
		lp_node_process_drain(slot);
	if (slot->has_process && signal) {
		slot->program_told = true;
		lp_slot_terminate(slot, signal);
	} else if (slot->has_process && !slot->ready_ns && !slot->slots->registry) {
		slot->program_told = true;
		lp_slot_terminate(slot, SIGTERM); /* It has nothing to finish, and maybe does not listen to us. */
	}
	if (slot->has_member && signal && !program_of(slot)) {
		slot->told = true;
		lp_process_kill(&slot->member, signal);
	}
}

void lp_slot_finish(struct lp_slot *slot)
{
	lp_slot_update_usable(slot);
	if (slot->state == LP_SLOT_RUNNING)
		tell_to_finish(slot);
	if (slot->state == LP_SLOT_PAUSED || slot->state == LP_SLOT_VACANT)
		end_slot(slot);
	else if (!slot->slots->registry)
		lp_slot_end_if_idle(slot);
}

void lp_slot_kill_worker(struct lp_slot *slot, int signal)
{
	lp_process_kill(slot->has_member ? &slot->member : &slot->process, signal);
}

/* Processes */

void lp_slot_on_part_closed(struct lp_slot *slot)
{
	if (slot->state != LP_SLOT_CLOSING || slot->has_process || slot->has_member || slot->has_channel ||
	    slot->has_left)
		return;
	if (slot->slots->stopping)
		end_slot(slot);
	else if (has_programs(slot))
		pause_slot(slot, slot->failures ? next_pause_ms(slot) : 0);
	else
		slot->state = LP_SLOT_VACANT;
}

static void on_process_closed(struct lp_process *process)
{
	struct lp_slot *slot = process->owner;
	slot->has_process = false;
	lp_slot_on_part_closed(slot);
}

static void on_member_closed(struct lp_process *member)
{
	struct lp_slot *slot = member->owner;
	slot->has_member = false;
	lp_slot_on_part_closed(slot);
}

static void on_left_ended(struct lp_process_session *session)
{
	struct lp_slot *slot = session->owner;
	slot->has_left = false;
	slot->goes_on = false;
	lp_slot_on_part_closed(slot);
}

/* Whether a process is a worker: those are ended one by one. */
static bool is_worker(void *owner, pid_t pid)
{
	const struct lp_slots *slots = ((const struct lp_slot *)owner)->slots;
	for (unsigned i = 0; i < slots->config.workers->count; i++)
		if (slots->config.workers->slots[i].pid == pid)
			return true;
	return false;
}

/* Whether a process has ended in the way that it was told to. */
static bool is_as_told(const struct lp_slot *slot, int signal)
{
	const struct lp_slots *slots = slot->slots;
	int told_by = slots->config.stop_signal ? slots->config.stop_signal : SIGTERM;
	if (slot->relaunched)
		return signal == 0 || signal == SIGTERM;
	return slots->stopping && (signal == 0 || (signal == told_by && !slots->overdue));
}

/* What of an end is said. */
struct ending {
	char name[64];
	bool is_worker; /* The process was the slot's worker itself. */
	pid_t pid;
	int64_t status;
	int signal;
};

static void describe_ending(const struct lp_slot *slot, const struct ending *ending, char *text, size_t size)
{
	bool as_told = is_as_told(slot, ending->signal);
	if (as_told && !ending->signal && ending->status && ending->status != 128 + SIGTERM)
		snprintf(text, size, "ended, as told, with status %lld", (long long)ending->status);
	else if (as_told)
		snprintf(text, size, "ended, as told");
	else if (slot->process.is_watched)
		snprintf(text, size, "ended");
	else if (ending->signal)
		snprintf(text, size, "was killed by signal %d (%s)", ending->signal, strsignal(ending->signal));
	else
		snprintf(text, size, "ended with status %lld", (long long)ending->status);
}

static void log_ending(const struct lp_slot *slot, const struct ending *ending)
{
	bool stopping = slot->slots->stopping;
	const char *next = stopping         ? ""
			   : slot->goes_on  ? "; what it has started goes on: it is started again when that has ended"
			   : slot->failures ? "; starting another in its place after a pause"
					    : "; starting another in its place";
	char how[96];
	describe_ending(slot, ending, how, sizeof(how));
	lp_log_write(slot->slots->config.log, stopping || slot->goes_on ? LP_LOG_INFO : LP_LOG_WARNING,
		     LP_LOG_ABOUT(.worker = ending->is_worker ? slot->worker->id : 0, .pid = ending->pid),
		     "%s (pid %d) %s%s", ending->name, ending->pid, how, next);
}

/* Whether its own port is taken, by the words of most languages. */
static bool is_about_a_port(const char *words)
{
	return strstr(words, "EADDRINUSE") || strcasestr(words, "address already in use") ||
	       strcasestr(words, "address in use");
}

static void tell_failure(const struct lp_slot *slot, const struct ending *ending, const char *words)
{
	const struct lp_slots *slots = slot->slots;
	char how[96];
	char timeout[64] = "";
	describe_ending(slot, ending, how, sizeof(how));
	if (slots->config.start_timeout_ms && !slots->ever_ready)
		snprintf(timeout, sizeof(timeout), ", up to %g s in all (--start-timeout)",
			 slots->config.start_timeout_ms / 1000.0);
	lp_log_write(slots->config.log, LP_LOG_ERROR, LP_LOG_ABOUT(.worker = slot->worker->id, .pid = ending->pid),
		     "worker %u was never ready: its program has been started %d times, and the last time it %s%s%s%s; "
		     "%s; limpet goes on trying, ever less often%s",
		     slot->worker->id, LP_SLOT_FAILING, how, *words ? ", saying \"" : ", without any output", words,
		     *words ? "\"" : "",
		     is_about_a_port(words) && slots->registry
			     ? "another process has the port that it wants: end that, or give the program another port"
		     : is_about_a_port(words)
			     ? "limpet has that port: leave --dialect out if the program listens by itself"
			     : "run the command behind -- by itself to see why",
		     timeout);
}

/* Of an end before any worker was ready. */
static void note_failure(struct lp_slot *slot, const struct ending *ending)
{
	struct lp_slots *slots = slot->slots;
	char words[512] = "";
	if (slots->stopping || ++slot->unready_exits < LP_SLOT_FAILING)
		return;
	lp_process_last_words(&slot->process, words, sizeof(words));
	if (!slots->failure_told)
		tell_failure(slot, ending, words);
	slots->failure_told = true;
	slots->on_failing(slots);
}

static bool has_workers_left(const struct lp_slots *slots, pid_t session)
{
	for (unsigned i = 0; i < slots->config.workers->count; i++)
		if (slots->all[i].worker->pid && slots->all[i].session == session)
			return true;
	return false;
}

/*
 * What a program has started, and is no worker, ends with limpet at the latest. When a program fails, it ends at once:
 * the next will start its own. One that just ends may have gone into the background.
 */
static void hold_what_is_left(struct lp_slot *slot, const struct ending *ending)
{
	struct lp_slots *slots = slot->slots;
	if (slot->has_left || (!slots->stopping && !slots->registry))
		return;
	slot->has_left =
		lp_process_session_hold(&slot->left, slots->config.loop, ending->pid, is_worker, on_left_ended, slot);
	slot->goes_on = slot->has_left && !slots->stopping &&
			((ending->status == 0 && ending->signal == 0) || has_workers_left(slots, ending->pid));
	bool waits = slots->stopping && slots->registry && !lp_slots_told_as_wished(slots); /* shutdown.c says when. */
	if (slot->has_left && !slot->goes_on && !waits)
		lp_process_session_end(&slot->left, LP_SLOT_TERM_MS);
}

static void on_exit_of(struct lp_process *process, int64_t status, int signal)
{
	struct lp_slot *slot = process->owner;
	struct ending ending = {.pid = slot->pid, .status = status, .signal = signal};
	bool was_ready = slot->ready_ns || slot->relaunched;
	bool steady = slot->ready_ns && lp_clock_ns() - slot->ready_ns >= STEADY_MS * 1000000ull;
	slot->failures = steady || slot->relaunched ? 0 : slot->failures + 1;
	slot->slots->exits++;
	if (slot->slots->registry)
		lp_registry_process_ended(slot->slots->registry, slot->pid);
	slot->state = LP_SLOT_CLOSING;
	slot->ready_ns = 0;
	slot->program_told = false;
	slot->worker->program = 0;
	slot->worker->down = !slot->slots->stopping && !slot->has_member;
	uv_timer_stop(&slot->timer);
	ending.is_worker = slot->worker->pid == slot->pid;
	name_process(slot, slot->pid, ending.name, sizeof(ending.name));
	if (!slot->has_member)
		lp_slot_lose_worker(slot, process);
	hold_what_is_left(slot, &ending);
	log_ending(slot, &ending);
	if (was_ready)
		slot->unready_exits = 0;
	else
		note_failure(slot, &ending);
	slot->relaunched = false;
	lp_process_close(process, on_process_closed);
	if (slot->slots->stopping)
		lp_slot_end_if_idle(slot);
}

/* Which the program that started it may make up for. */
static void on_member_exit(struct lp_process *member, int64_t status, int signal)
{
	struct lp_slot *slot = member->owner;
	(void)status;
	(void)signal;
	lp_log_write(slot->slots->config.log, LP_LOG_INFO,
		     LP_LOG_ABOUT(.worker = slot->worker->id, .pid = slot->worker->pid), "worker %u (pid %d) ended%s",
		     slot->worker->id, slot->worker->pid, slot->slots->stopping ? ", as told" : "");
	if (!slot->has_process)
		slot->state = LP_SLOT_CLOSING;
	lp_registry_process_ended(slot->slots->registry, slot->worker->pid);
	lp_slot_lose_worker(slot, member);
	lp_process_close(member, on_member_closed);
	if (slot->slots->stopping)
		lp_slot_end_if_idle(slot);
}

static void fail_to_start(struct lp_slot *slot, const char *what, int status)
{
	slot->failures++;
	lp_log_write(slot->slots->config.log, LP_LOG_ERROR, LP_LOG_ABOUT(.worker = slot->worker->id),
		     "worker %u cannot be started: %s: %s; trying again", slot->worker->id, what,
		     lp_error_words(status));
}

static void note_ready(struct lp_slot *slot, uint64_t now_ns)
{
	if (!slot->ready_ns)
		slot->ready_ns = now_ns;
	if (!slot->slots->stopping)
		uv_timer_stop(&slot->timer); /* Nothing is to be remarked. */
}

void lp_slot_note_ready(struct lp_slot *slot)
{
	struct lp_slot *program = program_of(slot);
	slot->slots->ever_ready = true;
	slot->slots->failure_told = false;
	slot->slots->unready_told = false;
	note_ready(slot, slot->worker->started_ns);
	if (program)
		note_ready(program, slot->worker->started_ns);
}

/* The last words of a program that fails and fails are heard, once. */
static enum lp_output output_for(const struct lp_slot *slot)
{
	if (slot->slots->config.prefix)
		return LP_OUTPUT_PREFIXED;
	return slot->unready_exits == LP_SLOT_FAILING - 1 && !slot->slots->failure_told ? LP_OUTPUT_HEARD
											: LP_OUTPUT_INHERITED;
}

/* Its workers would have pipes to us for output as long as they live, and lose them with us. */
bool lp_slot_relaunch_heard(struct lp_slot *slot)
{
	struct lp_slot *program = slot->session ? program_of(slot) : slot;
	if (!program || program->process.output != LP_OUTPUT_HEARD || slot->slots->stopping)
		return false;
	if (program->relaunched)
		return true;
	program->relaunched = true;
	lp_process_kill(&program->process, SIGTERM);
	uv_timer_start(&program->timer, on_ignored, LP_SLOT_TERM_MS, 0);
	return true;
}

static void start_process(struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	const struct lp_supervisor_config *config = &slots->config;
	int worker_end = -1;
	int status = 0;
	if (config->dialect->gives_listener)
		worker_end = status = lp_registry_placeholder(slots->registry);
	else if (!slots->registry)
		status = lp_slot_open_channel(slot, -1, &worker_end);
	if (status < 0) {
		fail_to_start(slot, "no channel", status);
		pause_slot(slot, next_pause_ms(slot));
		return;
	}
	slot->state = LP_SLOT_RUNNING;
	slot->worker->down = false;
	slot->has_process = true;
	slot->ready_ns = 0;
	slot->has_hung_up = false;
	struct lp_process_config process = {.command = config->command,
					    .dialect = config->dialect,
					    .more = slots->registry ? lp_registry_environment(slots->registry) : NULL,
					    .variables = config->variables,
					    .variable_count = config->variable_count,
					    .id = slot->worker->id,
					    .count = config->processes,
					    .channel_fd = worker_end,
					    .output = output_for(slot),
					    .limit = &slots->descriptors};
	status = lp_process_start(&slot->process, config->loop, &process, on_exit_of, slot);
	if (worker_end >= 0)
		close(worker_end);
	slot->pid = slot->process.pid;
	if (status == 0) {
		slots->starts++;
		slot->worker->program = slot->pid;
		slot->worker->pid = slots->registry ? 0 : slot->pid;
		slot->channel.pid = slot->worker->pid;
		if (slots->registry)
			lp_registry_program_started(slots->registry, slot->pid, slot->worker->id);
		expect_ready(slot);
		return;
	}
	fail_to_start(slot, config->command[0], status);
	slot->state = LP_SLOT_CLOSING;
	lp_slot_close_channel(slot);
	lp_process_close(&slot->process, on_process_closed);
}

/* Processes that register */

/* A descriptor of the very process, if it still leads its session; or negative errno. */
static int open_heir(const struct lp_known_process *process)
{
	struct lp_process_facts facts;
	int pidfd = lp_pidfd_open(process->pid);
	if (pidfd < 0)
		return pidfd;
	int status = lp_process_facts_read(process->pid, &facts);
	if (!status && facts.started == process->started && facts.session == process->pid)
		return pidfd;
	close(pidfd);
	return -ESRCH;
}

int lp_slot_inherit(struct lp_slot *slot, const struct lp_known_process *process)
{
	int pidfd = open_heir(process);
	if (pidfd < 0)
		return pidfd;
	int status =
		lp_process_watch(&slot->process, slot->slots->config.loop, process->pid, pidfd, true, on_exit_of, slot);
	slot->has_process = true;
	slot->pid = process->pid;
	slot->worker->program = slot->pid;
	slot->state = status ? LP_SLOT_CLOSING : LP_SLOT_RUNNING;
	if (status)
		lp_process_close(&slot->process, on_process_closed);
	else
		expect_ready(slot);
	return status;
}

bool lp_slot_is_free(const struct lp_slot *slot, pid_t pid)
{
	bool is_its = slot->has_member && slot->member.pid == pid;
	bool is_anothers = slot->node && slot->node->works && slot->node->pid != pid;
	if (slot->has_channel || (slot->has_member && !is_its) || is_anothers || slot->slots->stopping)
		return false;
	return slot->state == LP_SLOT_VACANT || slot->state == LP_SLOT_RUNNING;
}

/* Watch a process that is not what we have started in the slot. */
static int watch_member(struct lp_slot *slot, const struct lp_registered *who)
{
	int pidfd = fcntl(who->pidfd, F_DUPFD_CLOEXEC, 0); /* The caller's stays the caller's on every error. */
	if (pidfd < 0)
		return -errno;
	slot->has_member = true;
	int status =
		lp_process_watch(&slot->member, slot->slots->config.loop, who->pid, pidfd, false, on_member_exit, slot);
	if (status)
		lp_process_close(&slot->member, on_member_closed);
	return status;
}

int lp_slot_enter(struct lp_slot *slot, const struct lp_registered *who)
{
	bool is_program = slot->has_process && slot->process.pid == who->pid;
	int status = is_program || slot->has_member ? 0 : watch_member(slot, who);
	if (status)
		return status;
	slot->state = LP_SLOT_RUNNING;
	slot->worker->pid = who->pid;
	slot->has_hung_up = false;
	slot->session = getsid(who->pid);
	status = lp_slot_open_channel(slot, who->fd, NULL); /* Without one it is a member still, and may come again. */
	if (!status)
		close(who->pidfd);
	return status;
}

/* For the supervisor */

void lp_slot_prepare(struct lp_slot *slot, struct lp_slots *slots, unsigned index)
{
	slot->slots = slots;
	slot->worker = &slots->config.workers->slots[index];
	uv_timer_init(slots->config.loop, &slot->timer);
	slot->timer.data = slot;
}

void lp_slot_start(struct lp_slot *slot)
{
	if (has_programs(slot) && slot->state == LP_SLOT_VACANT)
		start_process(slot);
}
