/**
 * Slots whose processes, channels, timers, registry and clock are the test's: nothing is started, nothing is waited for.
 *
 * A program that includes this is linked with --wrap for each function below (tests/CMakeLists.txt). A fake process ends when
 * the test says so (end_process), and its handles are closed when the test says that (close_handles). A fake channel runs the
 * events that the test calls. A timer that was started is fired by fire().
 */
#ifndef SLOT_FIXTURE_H
#define SLOT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "table_fixture.h"
#include "worker/not_ready.h"
#include "worker/pidfd.h"
#include "worker/process_facts.h"
#include "worker/slot.h"

enum {
	SLOTS = 3,
	PROGRAMS = 2, /* Slots that limpet starts programs in. */
	FIRST_PID = 1000,
	MEMBER_PID = 2000,
	USELESS_MS = 10000,
	TIMERS_MAX = 64,
};

struct fake_timer {
	const uv_timer_t *timer;
	uv_timer_cb callback;
	uint64_t timeout_ms;
	uint64_t repeat_ms;
	bool active;
};

/* What was done to a fake process. */
struct signals {
	int pid;
	int signal;
	bool group;
	unsigned count;
};

struct house {
	uv_loop_t loop;
	struct table table;
	struct lp_log log;
	int log_fd;
	struct lp_slots slots;
	struct lp_slot all[SLOTS];
	uint64_t now_ns;
	pid_t next_pid;
	int start_status;   /* Of the next lp_process_start. */
	int watch_status;   /* Of the next lp_process_watch. */
	int channel_status; /* Of the next channel. */
	int placeholder_status;
	enum lp_output output; /* The last process's. */
	struct fake_timer timers[TIMERS_MAX];
	struct signals last;
	unsigned rests_killed;
	bool is_stopped;
	const char *last_words;
	struct lp_listening_ports listens; /* What the next look finds. */
	unsigned looks;
	pid_t sid;               /* As getsid says. */
	enum lp_tcp_use tcp_use; /* Of all connections. */
	int bytes_waiting;
	/* The channel. */
	unsigned channels_opened;
	unsigned channels_closed;
	unsigned drains;
	unsigned flushes;
	unsigned node_drains;
	void (*say_last)(struct lp_slot *slot); /* What a worker says when it is heard out. */
	void (*say)(struct lp_slot *slot);      /* What it says when it is heard. */
	struct lp_slot *heard;                  /* Set for both. */
	/* What is left of programs. */
	bool has_left;
	unsigned sessions_ended;
	unsigned sessions_killed;
	/* The broker and the count. */
	unsigned broker_leaves;
	unsigned broker_words;
	unsigned forgotten;
	int count_start_status;
	int count_add_status;
	void (*counted)(void *owner, unsigned worker, unsigned how_many);
	unsigned removed_of; /* The worker whose connection a removed one was. */
	/* Events. */
	unsigned up[SLOTS + 1];
	unsigned down[SLOTS + 1];
	unsigned rooms;
	unsigned blocked;
	unsigned sending;
	unsigned settled;
	unsigned returned;
	enum lp_return_reason reason;
	unsigned answered;
	unsigned sessions_named;
	unsigned bounced;
	unsigned hopeless;
	unsigned failing;
	unsigned ended;
	unsigned stopped;
};

/* The house that the fakes belong to. */
static struct house *here;

/* Time */

static inline struct fake_timer *find_timer(const uv_timer_t *timer)
{
	struct fake_timer *found = here->timers;
	while (found->timer && found->timer != timer)
		found++;
	assert_true(found < here->timers + TIMERS_MAX);
	return found;
}

int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t timeout_ms, uint64_t repeat_ms);
int __wrap_uv_timer_stop(uv_timer_t *timer);
int __wrap_uv_is_active(const uv_handle_t *handle);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t timeout_ms, uint64_t repeat_ms)
{
	*find_timer(timer) = (struct fake_timer){timer, callback, timeout_ms, repeat_ms, true};
	return 0;
}

int __wrap_uv_timer_stop(uv_timer_t *timer)
{
	find_timer(timer)->active = false;
	return 0;
}

int __wrap_uv_is_active(const uv_handle_t *handle)
{
	return find_timer((const uv_timer_t *)handle)->active;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	now->tv_sec = (time_t)(here->now_ns / 1000000000u);
	now->tv_nsec = (long)(here->now_ns % 1000000000u);
	return 0;
}

static inline bool runs(const uv_timer_t *timer)
{
	return find_timer(timer)->active;
}

static inline bool slot_timer_runs(const struct lp_slot *slot, enum lp_slot_timer which)
{
	return runs(&slot->timers[which]);
}

static inline void fire(uv_timer_t *timer)
{
	struct fake_timer *fake = find_timer(timer);
	assert_true(fake->active);
	fake->active = fake->repeat_ms != 0;
	here->now_ns += fake->timeout_ms * 1000000u;
	fake->callback(timer);
}

/* Processes */

int __wrap_lp_process_start(struct lp_process *process, uv_loop_t *loop, const struct lp_process_config *config,
			    void (*exited)(struct lp_process *process, int64_t status, int signal), void *owner);
int __wrap_lp_process_watch(struct lp_process *process, uv_loop_t *loop, int pid, int pidfd, bool leader,
			    void (*exited)(struct lp_process *process, int64_t status, int signal), void *owner);
void __wrap_lp_process_kill(struct lp_process *process, int signal);
void __wrap_lp_process_signal(struct lp_process *process, int signal);
void __wrap_lp_process_kill_rest(struct lp_process *process);
bool __wrap_lp_process_is_stopped(const struct lp_process *process);
bool __wrap_lp_process_last_words(struct lp_process *process, char *text, size_t size);
void __wrap_lp_process_close(struct lp_process *process, void (*closed)(struct lp_process *process));
bool __wrap_lp_process_session_hold(struct lp_process_session *session, uv_loop_t *loop, pid_t id,
				    bool (*spares)(void *owner, pid_t pid),
				    void (*ended)(struct lp_process_session *session), void *owner);
void __wrap_lp_process_session_end(struct lp_process_session *session, uint64_t patience_ms);
void __wrap_lp_process_session_kill(struct lp_process_session *session);
bool __wrap_lp_process_session_is_held(const struct lp_process_session *session);
pid_t __wrap_getsid(pid_t pid);
int __wrap_lp_pidfd_open(pid_t pid);
int __wrap_lp_process_facts_read(pid_t pid, struct lp_process_facts *facts);
void __wrap_lp_not_ready_look(struct lp_not_ready *unready);

int __wrap_lp_process_start(struct lp_process *process, uv_loop_t *loop, const struct lp_process_config *config,
			    void (*exited)(struct lp_process *process, int64_t status, int signal), void *owner)
{
	(void)loop;
	*process = (struct lp_process){.id = config->id, .is_leader = true, .exited = exited, .owner = owner};
	here->output = process->output = config->output;
	if (here->start_status)
		return here->start_status;
	process->pid = here->next_pid++;
	return 0;
}

int __wrap_lp_process_watch(struct lp_process *process, uv_loop_t *loop, int pid, int pidfd, bool leader,
			    void (*exited)(struct lp_process *process, int64_t status, int signal), void *owner)
{
	(void)loop;
	*process = (struct lp_process){
		.is_leader = leader, .exited = exited, .owner = owner, .is_watched = true, .watched_fd = pidfd};
	if (here->watch_status)
		return here->watch_status;
	process->pid = pid;
	return 0;
}

static inline void note_signal(const struct lp_process *process, int signal, bool group)
{
	if (process->pid)
		here->last = (struct signals){process->pid, signal, group, here->last.count + 1};
}

void __wrap_lp_process_kill(struct lp_process *process, int signal)
{
	note_signal(process, signal, true);
}

void __wrap_lp_process_signal(struct lp_process *process, int signal)
{
	note_signal(process, signal, false);
}

void __wrap_lp_process_kill_rest(struct lp_process *process)
{
	assert_int_equal(process->pid, 0);
	here->rests_killed++;
}

bool __wrap_lp_process_is_stopped(const struct lp_process *process)
{
	(void)process;
	return here->is_stopped;
}

bool __wrap_lp_process_last_words(struct lp_process *process, char *text, size_t size)
{
	(void)process;
	if (here->last_words)
		snprintf(text, size, "%s", here->last_words);
	return here->last_words;
}

/* One that could not be watched has no handle; all others are closed by close_handles. */
void __wrap_lp_process_close(struct lp_process *process, void (*closed)(struct lp_process *process))
{
	assert_int_equal(process->pid, 0);
	if (process->is_watched)
		close(process->watched_fd);
	process->closed = closed;
	if (process->is_watched && here->watch_status)
		closed(process);
}

bool __wrap_lp_process_session_hold(struct lp_process_session *session, uv_loop_t *loop, pid_t id,
				    bool (*spares)(void *owner, pid_t pid),
				    void (*ended)(struct lp_process_session *session), void *owner)
{
	assert_int_equal(session->count, 0);
	*session = (struct lp_process_session){
		.id = id, .loop = loop, .count = here->has_left, .spares = spares, .ended = ended, .owner = owner};
	return here->has_left;
}

void __wrap_lp_process_session_end(struct lp_process_session *session, uint64_t patience_ms)
{
	assert_int_equal(patience_ms, LP_SLOT_TERM_MS);
	if (session->count && !session->ending)
		here->sessions_ended++;
	session->ending = true;
}

void __wrap_lp_process_session_kill(struct lp_process_session *session)
{
	here->sessions_killed += session->count > 0;
}

bool __wrap_lp_process_session_is_held(const struct lp_process_session *session)
{
	return session->count > 0;
}

pid_t __wrap_getsid(pid_t pid)
{
	(void)pid;
	return here->sid;
}

int __wrap_lp_pidfd_open(pid_t pid)
{
	return pid == MEMBER_PID ? -ESRCH : dup(STDERR_FILENO);
}

int __wrap_lp_process_facts_read(pid_t pid, struct lp_process_facts *facts)
{
	*facts = (struct lp_process_facts){.session = pid, .started = 7};
	return 0;
}

void __wrap_lp_not_ready_look(struct lp_not_ready *unready)
{
	here->looks++;
	unready->listens = here->listens;
	unready->has_library = true;
	unready->path[0] = '\0';
}

/* Channels */

int __wrap_lp_channel_open(struct lp_channel *channel, uv_loop_t *loop, const struct lp_dialect *dialect,
			   struct lp_connections *connections, unsigned worker, const struct lp_channel_events *events,
			   struct lp_log *log, int *worker_end);
int __wrap_lp_channel_adopt(struct lp_channel *channel, uv_loop_t *loop, const struct lp_dialect *dialect,
			    struct lp_connections *connections, unsigned worker, const struct lp_channel_events *events,
			    struct lp_log *log, int fd);
void __wrap_lp_channel_close(struct lp_channel *channel, void (*closed)(struct lp_channel *channel));
void __wrap_lp_channel_drain(struct lp_channel *channel);
void __wrap_lp_channel_flush(struct lp_channel *channel);
bool __wrap_lp_channel_has_work(const struct lp_channel *channel);
void __wrap_lp_channel_hear_for_decision(struct lp_channel *channel, uint64_t turn);
void __wrap_lp_channel_hear_out(struct lp_channel *channel);
void __wrap_lp_node_process_drain(struct lp_slot *slot);

int __wrap_lp_channel_adopt(struct lp_channel *channel, uv_loop_t *loop, const struct lp_dialect *dialect,
			    struct lp_connections *connections, unsigned worker, const struct lp_channel_events *events,
			    struct lp_log *log, int fd)
{
	(void)loop;
	if (here->channel_status)
		return here->channel_status;
	here->channels_opened++;
	*channel = (struct lp_channel){.fd = fd,
				       .worker = worker,
				       .sends_for = worker,
				       .dialect = dialect,
				       .connections = connections,
				       .events = events,
				       .log = log};
	return 0;
}

int __wrap_lp_channel_open(struct lp_channel *channel, uv_loop_t *loop, const struct lp_dialect *dialect,
			   struct lp_connections *connections, unsigned worker, const struct lp_channel_events *events,
			   struct lp_log *log, int *worker_end)
{
	int status = __wrap_lp_channel_adopt(channel, loop, dialect, connections, worker, events, log, -1);
	*worker_end = status ? -1 : dup(STDERR_FILENO);
	return status;
}

/* Returns what was sent, as the real one does. */
void __wrap_lp_channel_close(struct lp_channel *channel, void (*closed)(struct lp_channel *channel))
{
	struct lp_connection *connection;
	here->channels_closed++;
	channel->closed = closed;
	while ((connection = lp_connections_first(channel->connections, channel->sends_for, LP_SENT)) ||
	       (connection = lp_connections_first(channel->connections, channel->sends_for, LP_QUEUED)))
		channel->events->on_returned(channel, connection, LP_RETURN_LOST);
}

void __wrap_lp_channel_drain(struct lp_channel *channel)
{
	(void)channel;
	here->drains++;
}

void __wrap_lp_channel_flush(struct lp_channel *channel)
{
	(void)channel;
	here->flushes++;
}

bool __wrap_lp_channel_has_work(const struct lp_channel *channel)
{
	return lp_connections_first(channel->connections, channel->sends_for, LP_QUEUED);
}

void __wrap_lp_channel_hear_for_decision(struct lp_channel *channel, uint64_t turn)
{
	(void)channel;
	(void)turn;
	if (here->say)
		here->say(here->heard);
}

void __wrap_lp_channel_hear_out(struct lp_channel *channel)
{
	(void)channel;
	if (here->say_last)
		here->say_last(here->heard);
}

void __wrap_lp_node_process_drain(struct lp_slot *slot)
{
	(void)slot;
	here->node_drains++;
}

/* Connections */

enum lp_tcp_use __wrap_lp_tcp_use_since(int fd, const struct lp_tcp_baseline *baseline);
int __wrap_lp_bytes_waiting(int fd);

enum lp_tcp_use __wrap_lp_tcp_use_since(int fd, const struct lp_tcp_baseline *baseline)
{
	(void)fd;
	(void)baseline;
	return here->tcp_use;
}

int __wrap_lp_bytes_waiting(int fd)
{
	(void)fd;
	return here->bytes_waiting;
}

/* The registry, the broker and the count */

char *const *__wrap_lp_registry_environment(const struct lp_registry *registry);
int __wrap_lp_registry_placeholder(struct lp_registry *registry);
void __wrap_lp_registry_program_started(struct lp_registry *registry, pid_t pid, unsigned slot);
void __wrap_lp_registry_process_ended(struct lp_registry *registry, pid_t pid);
void __wrap_lp_broker_leave(struct lp_broker *broker, unsigned worker);
void __wrap_lp_broker_handle_message(struct lp_broker *broker, unsigned worker, const struct lp_message *message);
void __wrap_lp_broker_handle_frame(struct lp_broker *broker, unsigned worker, const struct lp_frame *frame);
struct lp_slice __wrap_lp_broker_share(struct lp_broker *broker, struct lp_slice name, struct lp_slice value);
int __wrap_lp_open_count_start(struct lp_open_count **started, uv_loop_t *loop, struct lp_log *log, bool ask_only,
			       lp_open_count_closed_cb on_closed, void *owner);
int __wrap_lp_open_count_add(struct lp_open_count *count, int fd, unsigned worker, uint16_t port);
unsigned __wrap_lp_open_count_remove(struct lp_open_count *count, int fd);
void __wrap_lp_open_count_forget_worker(struct lp_open_count *count, unsigned worker);

char *const *__wrap_lp_registry_environment(const struct lp_registry *registry)
{
	static char *const nothing[] = {NULL};
	(void)registry;
	return nothing;
}

int __wrap_lp_registry_placeholder(struct lp_registry *registry)
{
	(void)registry;
	return here->placeholder_status ? here->placeholder_status : dup(STDERR_FILENO);
}

void __wrap_lp_registry_program_started(struct lp_registry *registry, pid_t pid, unsigned slot)
{
	(void)registry;
	assert_int_equal(here->all[slot - 1].process.pid, pid);
}

void __wrap_lp_registry_process_ended(struct lp_registry *registry, pid_t pid)
{
	(void)registry;
	assert_int_not_equal(pid, 0);
}

void __wrap_lp_broker_leave(struct lp_broker *broker, unsigned worker)
{
	(void)broker;
	(void)worker;
	here->broker_leaves++;
}

void __wrap_lp_broker_handle_message(struct lp_broker *broker, unsigned worker, const struct lp_message *message)
{
	(void)broker;
	(void)worker;
	(void)message;
	here->broker_words++;
}

void __wrap_lp_broker_handle_frame(struct lp_broker *broker, unsigned worker, const struct lp_frame *frame)
{
	(void)broker;
	(void)worker;
	(void)frame;
	here->broker_words++;
}

struct lp_slice __wrap_lp_broker_share(struct lp_broker *broker, struct lp_slice name, struct lp_slice value)
{
	(void)broker;
	(void)name;
	here->broker_words++;
	return value;
}

int __wrap_lp_open_count_start(struct lp_open_count **started, uv_loop_t *loop, struct lp_log *log, bool ask_only,
			       lp_open_count_closed_cb on_closed, void *owner)
{
	(void)loop;
	(void)log;
	(void)ask_only;
	assert_ptr_equal(owner, &here->slots);
	here->counted = on_closed;
	if (!here->count_start_status)
		*started = (struct lp_open_count *)here; /* Nobody looks into it. */
	return here->count_start_status;
}

int __wrap_lp_open_count_add(struct lp_open_count *count, int fd, unsigned worker, uint16_t port)
{
	(void)count;
	(void)fd;
	(void)worker;
	(void)port;
	return here->count_add_status;
}

unsigned __wrap_lp_open_count_remove(struct lp_open_count *count, int fd)
{
	(void)count;
	(void)fd;
	return here->removed_of;
}

void __wrap_lp_open_count_forget_worker(struct lp_open_count *count, unsigned worker)
{
	(void)count;
	(void)worker;
	here->forgotten++;
}

/* Events */

static inline void on_worker_up(void *owner, unsigned worker)
{
	((struct house *)owner)->up[worker]++;
}

static inline void on_worker_down(void *owner, unsigned worker)
{
	((struct house *)owner)->down[worker]++;
}

static inline void on_room(void *owner, unsigned worker)
{
	(void)worker;
	((struct house *)owner)->rooms++;
}

static inline void on_blocked(void *owner, unsigned carrier)
{
	(void)carrier;
	((struct house *)owner)->blocked++;
}

static inline void on_sending(void *owner, struct lp_connection *connection)
{
	(void)connection;
	((struct house *)owner)->sending++;
}

static inline void on_settled(void *owner, struct lp_connection *connection)
{
	(void)connection;
	((struct house *)owner)->settled++;
}

static inline void on_returned(void *owner, struct lp_connection *connection, unsigned worker,
			       enum lp_return_reason reason)
{
	struct house *house = owner;
	(void)worker;
	house->returned++;
	house->reason = reason;
	lp_connection_move(&house->table.connections, connection, LP_DUE);
	lp_connection_close(&house->table.connections, connection);
}

static inline void on_answered(void *owner, uint32_t round)
{
	(void)round;
	((struct house *)owner)->answered++;
}

static inline void on_session(void *owner, struct lp_slice key)
{
	(void)key;
	((struct house *)owner)->sessions_named++;
}

static inline void on_bounced(void *owner, int fd)
{
	(void)fd;
	((struct house *)owner)->bounced++;
}

static inline void on_hopeless(void *owner)
{
	((struct house *)owner)->hopeless++;
}

static inline void on_stopped(void *owner)
{
	((struct house *)owner)->stopped++;
}

static const struct lp_supervisor_events house_events = {
	.on_worker_up = on_worker_up,
	.on_worker_down = on_worker_down,
	.on_room = on_room,
	.on_settled = on_settled,
	.on_returned = on_returned,
	.on_blocked = on_blocked,
	.on_sending = on_sending,
	.on_answered = on_answered,
	.on_session = on_session,
	.on_bounced = on_bounced,
	.on_hopeless = on_hopeless,
	.on_stopped = on_stopped,
};

static inline void on_house_failing(struct lp_slots *slots)
{
	(void)slots;
	here->failing++;
}

static inline void on_house_ended(struct lp_slots *slots)
{
	(void)slots;
	here->ended++;
}

/* The house */

static char house_program[] = "/usr/bin/server";
static char *const house_command[] = {house_program, NULL};

/* @param dialect lp_dialect_native: workers are given their channel; lp_dialect_preload: they register. */
static inline void open_house(struct house *house, const struct lp_dialect *dialect)
{
	*house = (struct house){
		.tcp_use = LP_TCP_UNREAD, .now_ns = 1000000000000u, .next_pid = FIRST_PID, .heard = house->all};
	here = house;
	uv_loop_init(&house->loop);
	open_table(&house->table, SLOTS);
	house->log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(house->log_fd >= 0);
	lp_log_init(&house->log, house->log_fd, LP_LOG_DEBUG, LP_LOG_TEXT);
	house->slots = (struct lp_slots){.config = {.loop = &house->loop,
						    .workers = &house->table.workers,
						    .sessions = lp_sessions_new(100, &house->table.workers, 1),
						    .connections = &house->table.connections,
						    .log = &house->log,
						    .command = house_command,
						    .dialect = dialect,
						    .processes = PROGRAMS,
						    .addresses = "8080",
						    .ack_timeout_ms = 1000,
						    .kill_stuck_ms = 5000,
						    .useless_ms = USELESS_MS,
						    .events = &house_events,
						    .owner = house},
					 .all = house->all,
					 .asking = {.told = true, .fd = -1},
					 .registry = dialect->registers ? (struct lp_registry *)house
									: NULL, /* Nobody looks into it. */
					 .on_failing = on_house_failing,
					 .on_ended = on_house_ended};
	lp_list_init(&house->slots.node_processes);
	lp_unread_init(&house->slots.unread, &house->loop, &house->table.connections, lp_slot_settle, lp_slot_leave,
		       lp_slot_is_silent, &house->slots);
	lp_stuck_open(&house->slots);
	for (unsigned i = 0; i < SLOTS; i++)
		lp_slot_prepare(&house->all[i], &house->slots, i);
}

static inline void on_nothing(uv_handle_t *handle)
{
	(void)handle;
}

static inline void close_timer(uv_handle_t *handle, void *owner)
{
	(void)owner;
	if (!uv_is_closing(handle))
		uv_close(handle, on_nothing);
}

static inline void close_house(struct house *house)
{
	uv_walk(&house->loop, close_timer, NULL);
	uv_run(&house->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&house->loop), 0);
	lp_sessions_free(house->slots.config.sessions);
	close_table(&house->table);
	close(house->log_fd);
}

/* What has been logged since the last call. */
static inline const char *logged(struct house *house)
{
	static char text[8192];
	ssize_t length = pread(house->log_fd, text, sizeof(text) - 1, 0);
	assert_true(length >= 0);
	text[length] = '\0';
	assert_int_equal(ftruncate(house->log_fd, 0), 0);
	assert_int_equal(lseek(house->log_fd, 0, SEEK_SET), 0);
	return text;
}

static inline void assert_logged(struct house *house, const char *words)
{
	const char *text = logged(house);
	if (!strstr(text, words))
		fail_msg("\"%s\" is not in: %s", words, text);
}

static inline void end_process(struct lp_process *process, int64_t status, int signal)
{
	assert_int_not_equal(process->pid, 0);
	process->pid = 0;
	process->exited(process, status, signal);
}

static inline void close_one(struct lp_process *process)
{
	void (*closed)(struct lp_process * process) = process->closed;
	process->closed = NULL;
	if (closed)
		closed(process);
}

/* The handles of all that has ended in a slot. */
static inline void close_handles(struct lp_slot *slot)
{
	void (*closed)(struct lp_channel * channel) = slot->channel.closed;
	slot->channel.closed = NULL;
	if (closed)
		closed(&slot->channel);
	close_one(&slot->member);
	close_one(&slot->process);
}

static inline void end_session(struct lp_slot *slot)
{
	assert_true(slot->left.count > 0);
	slot->left.count = 0;
	slot->left.ended(&slot->left);
}

/* What its channel says */

static inline void say_ready(struct lp_slot *slot, bool ready)
{
	slot->channel.ready = ready;
	slot->channel.events->on_ready(&slot->channel, ready);
}

static inline void end_channel(struct lp_slot *slot, bool failed)
{
	slot->channel.state = failed ? LP_CHANNEL_FAILED : LP_CHANNEL_ENDED;
	slot->channel.events->on_end(&slot->channel);
}

/* A process registers. */
static inline int register_worker(struct lp_slot *slot, pid_t pid, int fd)
{
	struct lp_registered who = {.fd = fd, .pid = pid, .pidfd = dup(STDERR_FILENO), .slot = slot->worker->id};
	int status = lp_slot_enter(slot, &who);
	if (status)
		close(who.pidfd);
	return status;
}

/* A connection that its worker has been sent. */
static inline struct lp_connection *send_connection(struct lp_slot *slot)
{
	struct lp_connection *connection = queue_connection(&here->table, dup(STDERR_FILENO), 8080, slot->worker->id);
	lp_connection_move(&here->table.connections, connection, LP_SENDING);
	lp_connection_move(&here->table.connections, connection, LP_SENT);
	return connection;
}

#endif
