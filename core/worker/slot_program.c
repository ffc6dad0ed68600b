/*
 * The program of a slot: the process that limpet starts there, again and again. slot.c has the worker, which may be another
 * process.
 *
 *     state       meaning                               timer     leaves on
 *     NONE        nothing is started here, or not yet     –       it is started, or taken over from an earlier limpet ->
 *                                                                 STARTING; that fails -> PAUSED or CLOSING; the slot's last
 *                                                                 process has ended -> PAUSED, or ENDED if limpet stops
 *     PAUSED      the next one starts after a pause     START     the pause is over -> STARTING; it cannot be started -> PAUSED
 *                                                                 again, or CLOSING; limpet stops -> ENDED
 *     STARTING    it runs; no worker was ready yet      LOOK      a worker is ready -> READY, or RELAUNCHED if its output is
 *                                                                 heard
 *     READY       it runs; a worker has been ready        –
 *     RELAUNCHED  it was told to end                    RELAUNCH  (the timer sends SIGKILL)
 *     TOLD        the same, because limpet stops          –       (the supervisor sends SIGKILL)
 *     CLOSING     it has ended; its handles close         –       they are closed -> LEFT if processes of its session live,
 *                                                                 else NONE
 *     LEFT        what it has started goes on             –       all of that has ended -> NONE
 *     ENDED       limpet stops; nothing more is started   –
 *
 * From STARTING, READY and RELAUNCHED limpet's stop may lead to TOLD, and from all four its end to CLOSING.
 *
 * Pauses: none after a program that was ready for STEADY_MS; else FIRST_PAUSE_MS, doubled with every further failure up to
 * LONGEST_PAUSE_MS, a fifth more or less by chance so that slots do not beat in time.
 */
#include "worker/slot.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/not_ready.h"
#include "worker/pidfd.h"

#define STEADY_MS 1000

/* How often limpet looks whether a program that is not ready listens where it is not reached; and when it is late. */
#define LOOK_MS 2000
#define LATE_MS 10000

#define FIRST_PAUSE_MS 100
#define LONGEST_PAUSE_MS 30000

#define BIT(state) (1u << (state))

#define ALL_RUNNING                                                                                                    \
	(BIT(LP_PROGRAM_STARTING) | BIT(LP_PROGRAM_READY) | BIT(LP_PROGRAM_RELAUNCHED) | BIT(LP_PROGRAM_TOLD))

struct state {
	const char *name;
	unsigned next; /* Those that it may become. */
};

static const struct state states[LP_PROGRAM_STATES] = {
	[LP_PROGRAM_NONE] = {"NONE", BIT(LP_PROGRAM_PAUSED) | BIT(LP_PROGRAM_STARTING) | BIT(LP_PROGRAM_CLOSING) |
					     BIT(LP_PROGRAM_ENDED)},
	[LP_PROGRAM_PAUSED] = {"PAUSED", BIT(LP_PROGRAM_PAUSED) | BIT(LP_PROGRAM_STARTING) | BIT(LP_PROGRAM_CLOSING) |
						 BIT(LP_PROGRAM_ENDED)},
	[LP_PROGRAM_STARTING] = {"STARTING", BIT(LP_PROGRAM_READY) | BIT(LP_PROGRAM_RELAUNCHED) | BIT(LP_PROGRAM_TOLD) |
						     BIT(LP_PROGRAM_CLOSING)},
	[LP_PROGRAM_READY] = {"READY", BIT(LP_PROGRAM_TOLD) | BIT(LP_PROGRAM_CLOSING)},
	[LP_PROGRAM_RELAUNCHED] = {"RELAUNCHED", BIT(LP_PROGRAM_TOLD) | BIT(LP_PROGRAM_CLOSING)},
	[LP_PROGRAM_TOLD] = {"TOLD", BIT(LP_PROGRAM_CLOSING)},
	[LP_PROGRAM_CLOSING] = {"CLOSING", BIT(LP_PROGRAM_LEFT) | BIT(LP_PROGRAM_NONE)},
	[LP_PROGRAM_LEFT] = {"LEFT", BIT(LP_PROGRAM_NONE)},
	[LP_PROGRAM_ENDED] = {"ENDED", 0},
};

static void reject_move(enum lp_program_state from, enum lp_program_state to)
{
	fprintf(stderr, "limpet: a slot's program that is %s cannot become %s; this is a bug of limpet's\n",
		states[from].name, states[to].name);
	abort();
}

void lp_slot_move_program(struct lp_slot *slot, enum lp_program_state to)
{
	enum lp_program_state from = slot->program_state;
	if (!(states[from].next & BIT(to)))
		reject_move(from, to);
	uv_timer_stop(&slot->timers[LP_SLOT_TIMER_START]);
	uv_timer_stop(&slot->timers[LP_SLOT_TIMER_LOOK]);
	uv_timer_stop(&slot->timers[LP_SLOT_TIMER_RELAUNCH]);
	slot->program_state = to;
}

bool lp_slot_has_programs(const struct lp_slot *slot)
{
	return slot->worker->id <= slot->slots->config.processes;
}

bool lp_slot_program_runs(const struct lp_slot *slot)
{
	return ALL_RUNNING & BIT(slot->program_state);
}

struct lp_slot *lp_slot_program_of(const struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	for (unsigned i = 0; slot->session && i < slots->config.processes; i++)
		if (slots->all[i].process.pid == slot->session)
			return &slots->all[i];
	return NULL;
}

/* Not ready yet */

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

/* Limpet looks again and again for a program that listens elsewhere, and logs one that does not listen when it is late. */
static void on_look(uv_timer_t *timer)
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
	uv_timer_start(&slot->timers[LP_SLOT_TIMER_LOOK], on_look, LOOK_MS, LOOK_MS);
}

static void note_ready(struct lp_slot *program, uint64_t now_ns)
{
	if (program->program_state != LP_PROGRAM_STARTING)
		return;
	program->ready_ns = now_ns;
	lp_slot_move_program(program, LP_PROGRAM_READY);
}

void lp_slot_note_ready(struct lp_slot *slot)
{
	struct lp_slot *program = lp_slot_program_of(slot);
	slot->slots->ever_ready = true;
	slot->slots->failure_told = false;
	slot->slots->unready_told = false;
	note_ready(slot, slot->worker->started_ns);
	if (program)
		note_ready(program, slot->worker->started_ns);
}

/* Being told to end */

/* A program that has started its workers is told alone: it ends them as it means to. */
void lp_slot_terminate(struct lp_slot *slot, int signal)
{
	if (slot->slots->registry)
		lp_process_signal(&slot->process, signal);
	else
		lp_process_kill(&slot->process, signal);
}

void lp_slot_tell_program(struct lp_slot *slot, int signal)
{
	lp_slot_move_program(slot, LP_PROGRAM_TOLD);
	lp_slot_terminate(slot, signal);
}

static void on_relaunch(uv_timer_t *timer)
{
	struct lp_slot *slot = timer->data;
	lp_process_kill(&slot->process, SIGKILL);
}

/* Its workers would have pipes to us for output as long as they live, and lose them with us. */
bool lp_slot_relaunch_heard(struct lp_slot *slot)
{
	struct lp_slot *program = slot->session ? lp_slot_program_of(slot) : slot;
	if (!program || slot->slots->stopping)
		return false;
	if (program->program_state == LP_PROGRAM_RELAUNCHED)
		return true;
	if (program->program_state != LP_PROGRAM_STARTING || program->process.output != LP_OUTPUT_HEARD)
		return false;
	lp_slot_move_program(program, LP_PROGRAM_RELAUNCHED);
	lp_process_kill(&program->process, SIGTERM);
	uv_timer_start(&program->timers[LP_SLOT_TIMER_RELAUNCH], on_relaunch, LP_SLOT_TERM_MS, 0);
	return true;
}

/* Its end */

/* What of an end is said. */
struct ending {
	char name[64];
	bool is_worker;      /* The process was the slot's worker itself. */
	bool was_relaunched; /* It was told to end, for the next one. */
	bool goes_on;        /* What it has started is what it is about, as far as we know. */
	pid_t pid;
	int64_t status;
	int signal;
};

/* Whether a process has ended in the way that it was told to. */
static bool is_as_told(const struct lp_slot *slot, const struct ending *ending)
{
	const struct lp_slots *slots = slot->slots;
	int signal = ending->signal;
	int told_by = slots->config.stop_signal ? slots->config.stop_signal : SIGTERM;
	if (ending->was_relaunched)
		return signal == 0 || signal == SIGTERM;
	return slots->stopping && (signal == 0 || (signal == told_by && !slots->overdue));
}

static void describe_ending(const struct lp_slot *slot, const struct ending *ending, char *text, size_t size)
{
	bool as_told = is_as_told(slot, ending);
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
	const char *next = stopping          ? ""
			   : ending->goes_on ? "; what it has started goes on: it is started again when that has ended"
			   : slot->failures  ? "; starting another in its place after a pause"
					     : "; starting another in its place";
	char how[96];
	describe_ending(slot, ending, how, sizeof(how));
	lp_log_write(slot->slots->config.log, stopping || ending->goes_on ? LP_LOG_INFO : LP_LOG_WARNING,
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

/* Whether a process is a worker: those are ended one by one. */
static bool is_worker(void *owner, pid_t pid)
{
	const struct lp_slots *slots = ((const struct lp_slot *)owner)->slots;
	for (unsigned i = 0; i < slots->config.workers->count; i++)
		if (slots->config.workers->slots[i].pid == pid)
			return true;
	return false;
}

static void on_left_ended(struct lp_process_session *session)
{
	struct lp_slot *slot = session->owner;
	if (slot->program_state != LP_PROGRAM_LEFT)
		return; /* Its own handles are not closed yet. */
	lp_slot_move_program(slot, LP_PROGRAM_NONE);
	lp_slot_on_part_closed(slot);
}

/*
 * What a program has started, and is no worker, ends with limpet at the latest. When a program fails, it ends at once:
 * the next will start its own. One that just ends may have gone into the background.
 */
static void hold_what_is_left(struct lp_slot *slot, struct ending *ending)
{
	struct lp_slots *slots = slot->slots;
	if (!slots->stopping && !slots->registry)
		return;
	if (!lp_process_session_hold(&slot->left, slots->config.loop, ending->pid, is_worker, on_left_ended, slot))
		return;
	ending->goes_on = !slots->stopping &&
			  ((ending->status == 0 && ending->signal == 0) || has_workers_left(slots, ending->pid));
	bool waits = slots->stopping && slots->registry && !lp_slots_told_as_wished(slots); /* shutdown.c says when. */
	if (!ending->goes_on && !waits)
		lp_process_session_end(&slot->left, LP_SLOT_TERM_MS);
}

static void on_process_closed(struct lp_process *process)
{
	struct lp_slot *slot = process->owner;
	lp_slot_move_program(slot, lp_process_session_is_held(&slot->left) ? LP_PROGRAM_LEFT : LP_PROGRAM_NONE);
	lp_slot_on_part_closed(slot);
}

static void on_exit_of(struct lp_process *process, int64_t status, int signal)
{
	struct lp_slot *slot = process->owner;
	struct lp_slots *slots = slot->slots;
	struct ending ending = {.was_relaunched = slot->program_state == LP_PROGRAM_RELAUNCHED,
				.is_worker = slot->worker->pid == slot->pid,
				.pid = slot->pid,
				.status = status,
				.signal = signal};
	bool was_ready = slot->ready_ns || ending.was_relaunched;
	bool steady = slot->ready_ns && lp_clock_ns() - slot->ready_ns >= STEADY_MS * 1000000ull;
	slot->failures = steady || ending.was_relaunched ? 0 : slot->failures + 1;
	slots->exits++;
	if (slots->registry)
		lp_registry_process_ended(slots->registry, slot->pid);
	lp_slot_move_program(slot, LP_PROGRAM_CLOSING);
	lp_survivors_note_program(slot, 0);
	slot->ready_ns = 0;
	slot->worker->program = 0;
	slot->worker->down = !slots->stopping && slot->worker_process != &slot->member;
	name_process(slot, slot->pid, ending.name, sizeof(ending.name));
	if (slot->worker_process == process)
		lp_slot_lose_worker(slot);
	hold_what_is_left(slot, &ending);
	log_ending(slot, &ending);
	if (was_ready)
		slot->unready_exits = 0;
	else
		note_failure(slot, &ending);
	lp_process_close(process, on_process_closed);
	if (slots->stopping)
		lp_slot_end_if_idle(slot);
}

/* Its start */

static void start_process(struct lp_slot *slot);

static void on_start(uv_timer_t *timer)
{
	start_process(timer->data);
}

static void pause_for(struct lp_slot *slot, uint64_t pause_ms)
{
	lp_slot_move_program(slot, LP_PROGRAM_PAUSED);
	slot->worker->down = true;
	uv_timer_start(&slot->timers[LP_SLOT_TIMER_START], on_start, pause_ms, 0);
}

void lp_slot_pause_program(struct lp_slot *slot)
{
	uint64_t pause_ms = slot->failures ? FIRST_PAUSE_MS : 0;
	for (unsigned i = 1; i < slot->failures && pause_ms < LONGEST_PAUSE_MS; i++)
		pause_ms *= 2;
	if (pause_ms > LONGEST_PAUSE_MS)
		pause_ms = LONGEST_PAUSE_MS;
	uint64_t fifth = pause_ms / 5;
	pause_for(slot, pause_ms - fifth + lp_clock_ns() / 1000 % (2 * fifth + 1));
}

static void fail_to_start(struct lp_slot *slot, const char *what, int status)
{
	slot->failures++;
	lp_log_write(slot->slots->config.log, LP_LOG_ERROR, LP_LOG_ABOUT(.worker = slot->worker->id),
		     "worker %u cannot be started: %s: %s; trying again", slot->worker->id, what,
		     lp_error_words(status));
}

/* The last words of a program that fails and fails are heard, once. */
static enum lp_output output_for(const struct lp_slot *slot)
{
	if (slot->slots->config.prefix)
		return LP_OUTPUT_PREFIXED;
	return slot->unready_exits == LP_SLOT_FAILING - 1 && !slot->slots->failure_told ? LP_OUTPUT_HEARD
											: LP_OUTPUT_INHERITED;
}

/* What the process gets as LP_CHANNEL_FD: -1, if nothing; or negative errno in *status. */
static int open_worker_end(struct lp_slot *slot, int *status)
{
	struct lp_slots *slots = slot->slots;
	int worker_end = -1;
	*status = 0;
	if (slots->config.dialect->gives_listener)
		worker_end = *status = lp_registry_placeholder(slots->registry);
	else if (!slots->registry)
		*status = lp_slot_open_channel(slot, -1, &worker_end);
	return worker_end;
}

static void note_started(struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	lp_slot_move_program(slot, LP_PROGRAM_STARTING);
	slots->starts++;
	lp_survivors_note_program(slot, slot->pid);
	slot->worker->program = slot->pid;
	slot->worker->pid = slots->registry ? 0 : slot->pid;
	slot->channel.pid = slot->worker->pid;
	expect_ready(slot);
	if (slots->registry) {
		lp_registry_program_started(slots->registry, slot->pid, slot->worker->id);
		return;
	}
	slot->worker_process = &slot->process;
	lp_slot_move_worker(slot, LP_WORKER_UNREADY);
}

static void start_process(struct lp_slot *slot)
{
	struct lp_slots *slots = slot->slots;
	const struct lp_supervisor_config *config = &slots->config;
	int status;
	int worker_end = open_worker_end(slot, &status);
	if (status < 0) {
		fail_to_start(slot, "no channel", status);
		lp_slot_pause_program(slot);
		return;
	}
	slot->worker->down = false;
	slot->ready_ns = 0;
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
		note_started(slot);
		return;
	}
	fail_to_start(slot, config->command[0], status);
	lp_slot_move_program(slot, LP_PROGRAM_CLOSING);
	if (slot->channel_state == LP_SLOT_CHANNEL_OPEN) {
		lp_slot_move_worker(slot, LP_WORKER_LEAVING);
		lp_slot_close_channel(slot);
	}
	lp_process_close(&slot->process, on_process_closed);
}

void lp_slot_start(struct lp_slot *slot)
{
	if (lp_slot_has_programs(slot) && slot->program_state == LP_PROGRAM_NONE)
		start_process(slot);
}

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
	slot->pid = process->pid;
	slot->worker->program = slot->pid;
	lp_slot_move_program(slot, status ? LP_PROGRAM_CLOSING : LP_PROGRAM_STARTING);
	if (status)
		lp_process_close(&slot->process, on_process_closed);
	else
		expect_ready(slot);
	return status;
}
