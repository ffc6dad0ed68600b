/*
 * The balancer with workers of the test's: every state of its life, policies that come and go, and what the control socket
 * and the admin listener are asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failing_calls.h"
#include "server/balancer.h"
#include "wire/frame.h"

enum { WORKERS = 2, OPTIONS_MAX = 2 };

#define REQUEST "GET / HTTP/1.1\r\nHost: here\r\n\r\n"
#define TO_FIRST "return { on_request = function(conn, workers) return workers[1] end }\n"
#define TO_SECOND "return { on_request = function(conn, workers) return workers[2] end }\n"
#define BROKEN "return { on_request = 'no function' }\n"
/* What no dry run brings out. */
#define LIVE_REQUEST "GET /live HTTP/1.1\r\n\r\n"
#define FAILS_LIVE "return { on_request = function(conn) if conn.path == '/live' then error('x') end end }\n"

FAILING_CALL(void *, calloc, (size_t count, size_t size), (count, size), NULL, ENOMEM)
FAILING_CALL(int, epoll_create1, (int flags), (flags), -1, EMFILE)
FAILING_CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
FAILING_CALL(FILE *, open_memstream, (char **text, size_t *size), (text, size), NULL, ENOMEM)
FAILING_CALL(int, uv_poll_init, (uv_loop_t * loop, uv_poll_t *poll, int fd), (loop, poll, fd), UV_EPERM, EPERM)
FAILING_CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), -1, EACCES)

struct world {
	uv_loop_t loop;
	char folder[32];
	char policy[64];
	char config[64];
	const char *policies[1];
	const char *listen[OPTIONS_MAX];
	char *command[3];
	struct limpet_options options;
	int log;
	struct limpet_balancer *balancer;
	char error[1024];
	unsigned stopped;
	unsigned hopeless;

	/* The supervisor. */
	struct lp_supervisor_config config_of_workers;
	char run_folder[128]; /* The configuration's, which is for the call. */
	int start_status;
	unsigned started;
	unsigned yielded;
	unsigned stops;
	uint64_t grace_ms;
	unsigned freed;
	unsigned each;
	struct lp_histogram latency;
};

static struct world *here;

int __wrap_lp_supervisor_start(struct lp_supervisor **out, const struct lp_supervisor_config *config,
			       struct lp_error *error);
void __wrap_lp_supervisor_queue(struct lp_supervisor *supervisor, unsigned worker, struct lp_connection *connection);
void __wrap_lp_supervisor_hear(struct lp_supervisor *supervisor);
uint32_t __wrap_lp_supervisor_ask(struct lp_supervisor *supervisor);
uint64_t __wrap_lp_supervisor_turn_ns(struct lp_supervisor *supervisor);
void __wrap_lp_supervisor_set_each(struct lp_supervisor *supervisor, unsigned each);
uint64_t __wrap_lp_supervisor_starts(const struct lp_supervisor *supervisor);
uint64_t __wrap_lp_supervisor_exits(const struct lp_supervisor *supervisor);
uint64_t __wrap_lp_supervisor_ejections(const struct lp_supervisor *supervisor);
uint64_t __wrap_lp_supervisor_kills(const struct lp_supervisor *supervisor);
uint64_t __wrap_lp_supervisor_sessions_moved(const struct lp_supervisor *supervisor);
const struct lp_histogram *__wrap_lp_supervisor_latency(const struct lp_supervisor *supervisor);
void __wrap_lp_supervisor_yield(struct lp_supervisor *supervisor);
void __wrap_lp_supervisor_stop(struct lp_supervisor *supervisor, uint64_t grace_ms);
void __wrap_lp_supervisor_free(struct lp_supervisor *supervisor);

static struct lp_workers *workers_of(const struct world *world)
{
	return world->config_of_workers.workers;
}

static const struct lp_supervisor_events *events_of(const struct world *world)
{
	return world->config_of_workers.events;
}

/* All workers are there at once. */
int __wrap_lp_supervisor_start(struct lp_supervisor **out, const struct lp_supervisor_config *config,
			       struct lp_error *error)
{
	here->config_of_workers = *config;
	snprintf(here->run_folder, sizeof(here->run_folder), "%s", config->folder);
	*out = NULL;
	if (here->start_status)
		return lp_error_set(error, here->start_status, "the workers do not start");
	*out = (struct lp_supervisor *)here;
	here->started++;
	return 0;
}

void __wrap_lp_supervisor_queue(struct lp_supervisor *supervisor, unsigned worker, struct lp_connection *connection)
{
	assert_ptr_equal(supervisor, here);
	lp_connection_move_to(here->config_of_workers.connections, connection, LP_QUEUED, worker);
}

void __wrap_lp_supervisor_hear(struct lp_supervisor *supervisor)
{
	assert_ptr_equal(supervisor, here);
}

uint32_t __wrap_lp_supervisor_ask(struct lp_supervisor *supervisor)
{
	assert_ptr_equal(supervisor, here);
	return 1;
}

uint64_t __wrap_lp_supervisor_turn_ns(struct lp_supervisor *supervisor)
{
	assert_ptr_equal(supervisor, here);
	return 1;
}

void __wrap_lp_supervisor_set_each(struct lp_supervisor *supervisor, unsigned each)
{
	assert_ptr_equal(supervisor, here);
	here->each = each;
}

uint64_t __wrap_lp_supervisor_starts(const struct lp_supervisor *supervisor)
{
	assert_ptr_equal(supervisor, here);
	return 11;
}

uint64_t __wrap_lp_supervisor_exits(const struct lp_supervisor *supervisor)
{
	assert_ptr_equal(supervisor, here);
	return 12;
}

uint64_t __wrap_lp_supervisor_ejections(const struct lp_supervisor *supervisor)
{
	assert_ptr_equal(supervisor, here);
	return 13;
}

uint64_t __wrap_lp_supervisor_kills(const struct lp_supervisor *supervisor)
{
	assert_ptr_equal(supervisor, here);
	return 14;
}

uint64_t __wrap_lp_supervisor_sessions_moved(const struct lp_supervisor *supervisor)
{
	assert_ptr_equal(supervisor, here);
	return 15;
}

const struct lp_histogram *__wrap_lp_supervisor_latency(const struct lp_supervisor *supervisor)
{
	assert_ptr_equal(supervisor, here);
	return &here->latency;
}

void __wrap_lp_supervisor_yield(struct lp_supervisor *supervisor)
{
	assert_ptr_equal(supervisor, here);
	here->yielded++;
}

void __wrap_lp_supervisor_stop(struct lp_supervisor *supervisor, uint64_t grace_ms)
{
	assert_ptr_equal(supervisor, here);
	here->stops++;
	here->grace_ms = grace_ms;
}

void __wrap_lp_supervisor_free(struct lp_supervisor *supervisor)
{
	here->freed += supervisor != NULL;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void write_policy(struct world *world, const char *text)
{
	write_file(world->policy, text);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	FILE *log = tmpfile();
	here = world;
	strcpy(world->folder, "/tmp/limpet-balancer-XXXXXX");
	if (!log || !mkdtemp(world->folder) || uv_loop_init(&world->loop))
		return -1;
	world->log = dup(fileno(log));
	fclose(log);
	setenv("RUNTIME_DIRECTORY", world->folder, 1);
	snprintf(world->policy, sizeof(world->policy), "%s/p.lua", world->folder);
	snprintf(world->config, sizeof(world->config), "%s/limpet.conf", world->folder);
	write_policy(world, TO_FIRST);
	world->policies[0] = world->policy;
	world->listen[0] = "127.0.0.1:0";
	world->command[0] = (char *)"sleep";
	world->command[1] = (char *)"1";
	limpet_options_init(&world->options);
	world->options.listen = world->listen;
	world->options.listen_count = 1;
	world->options.policies = world->policies;
	world->options.policy_count = 1;
	world->options.command = world->command;
	world->options.workers = WORKERS;
	world->options.dialect = "native";
	world->options.log_fd = world->log;
	world->options.log_level = "debug";
	world->options.max_waiting = 100;
	world->options.max_sessions = 100;
	*state = world;
	return 0;
}

static bool is_logged(const struct world *world, const char *text)
{
	static char log[1 << 16];
	ssize_t length = pread(world->log, log, sizeof(log) - 1, 0);
	assert_true(length >= 0);
	log[length] = '\0';
	return strstr(log, text);
}

static void assert_logged(const struct world *world, const char *text)
{
	if (!is_logged(world, text))
		fail_msg("\"%s\" is not in the log", text);
}

static void make(struct world *world)
{
	if (limpet_balancer_new(&world->balancer, &world->loop, &world->options, world->error, sizeof(world->error)))
		fail_msg("%s", world->error);
}

static void start(struct world *world)
{
	make(world);
	if (limpet_balancer_start(world->balancer, world->error, sizeof(world->error)))
		fail_msg("%s", world->error);
	for (unsigned id = 1; id <= WORKERS; id++) {
		struct lp_worker *worker = lp_workers_find(workers_of(world), id);
		worker->pid = 1000 + (int)id;
		lp_workers_set_usable(workers_of(world), id, true);
		events_of(world)->on_worker_up(world->balancer, id);
	}
}

static void on_stopped(struct limpet_balancer *balancer, void *owner)
{
	struct world *world = owner;
	assert_ptr_equal(balancer, world->balancer);
	world->stopped++;
}

/* The loop turns, as often as it takes for all that is due. */
static void turn(struct world *world)
{
	for (int i = 0; i < 6; i++)
		uv_run(&world->loop, UV_RUN_NOWAIT);
}

static void run_until(struct world *world, const unsigned *count, unsigned value)
{
	/* Not UV_RUN_ONCE: what it does first may be what is waited for, and then it waits for something else. */
	for (uv_run(&world->loop, UV_RUN_NOWAIT); *count < value; uv_run(&world->loop, UV_RUN_NOWAIT))
		uv_sleep(1);
}

static void close_balancer(struct world *world)
{
	run_until(world, &world->stopped, 1);
	assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(world->stopped, 1);
	assert_int_equal(world->freed, world->started);
	limpet_balancer_free(world->balancer);
	world->balancer = NULL;
}

/* The last worker has ended. */
static void finish(struct world *world)
{
	assert_true(world->stops);
	events_of(world)->on_stopped(world->balancer);
	close_balancer(world);
}

static void stop_now(struct world *world)
{
	limpet_balancer_stop(world->balancer, 1, on_stopped, world);
	assert_int_equal(world->grace_ms, 0);
	finish(world);
}

static int tear_down(void **state)
{
	struct world *world = *state;
	char command[64];
	limpet_balancer_free(world->balancer);
	int status = uv_loop_close(&world->loop);
	snprintf(command, sizeof(command), "rm -r '%s'", world->folder);
	status |= system(command);
	close(world->log);
	unsetenv("RUNTIME_DIRECTORY");
	free(world);
	return status;
}

/* What a client has said is heard. */
static void hear(struct world *world, int client)
{
	int unheard;
	do
		turn(world);
	while (ioctl(client, SIOCOUTQ, &unheard) == 0 && unheard);
	turn(world);
}

/* A client connects and says something; it is dealt with. */
static int come(struct world *world, const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)limpet_balancer_port(world->balancer, 0)),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct limpet_counts before;
	struct limpet_counts now;
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	limpet_balancer_counts(world->balancer, &before);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	if (*text)
		assert_int_equal(write(client, text, strlen(text)), strlen(text));
	do {
		uv_run(&world->loop, UV_RUN_ONCE);
		limpet_balancer_counts(world->balancer, &now);
	} while (now.accepted == before.accepted);
	hear(world, client);
	return client;
}

static void say(struct world *world, int client, const char *text)
{
	assert_int_equal(write(client, text, strlen(text)), strlen(text));
	hear(world, client);
}

static struct limpet_counts count(const struct world *world)
{
	struct limpet_counts counts;
	limpet_balancer_counts(world->balancer, &counts);
	assert_int_equal(counts.accepted, counts.handed_over + counts.refused + counts.closed_early + counts.waiting);
	return counts;
}

/* A worker takes the first that is queued for it. */
static void settle(struct world *world, unsigned worker)
{
	struct lp_connections *connections = world->config_of_workers.connections;
	struct lp_connection *connection = lp_connections_first(connections, worker, LP_QUEUED);
	if (!connection)
		fail_msg("nothing is queued for worker %u", worker);
	if (connection->watched)
		events_of(world)->on_sending(world->balancer, connection);
	lp_connection_move(connections, connection, LP_SENDING);
	lp_connection_move(connections, connection, LP_SENT);
	events_of(world)->on_settled(world->balancer, connection);
	lp_connection_close(connections, connection);
}

static void assert_status(int client, const char *status)
{
	char answer[16] = "";
	struct pollfd polled = {.fd = client, .events = POLLIN};
	assert_int_equal(poll(&polled, 1, 10000), 1);
	assert_true(read(client, answer, sizeof(answer) - 1) > 12);
	answer[12] = '\0';
	assert_string_equal(answer + 9, status);
}

/* Life */

static void it_serves_and_when_nothing_is_left_its_workers_have_their_time(void **state)
{
	struct world *world = *state;
	start(world);
	assert_true(limpet_balancer_port(world->balancer, 0) > 0);
	assert_int_equal(limpet_balancer_port(world->balancer, 1), 0);
	int client = come(world, REQUEST);
	assert_int_equal(count(world).in_flight, 1);
	settle(world, 1);
	struct limpet_counts counts = count(world);
	assert_int_equal(counts.acknowledged, 1);
	assert_int_equal(counts.worker_starts, 11);
	assert_int_equal(counts.worker_exits, 12);
	assert_int_equal(counts.worker_ejections, 13);
	assert_int_equal(counts.stuck_kills, 14);
	assert_int_equal(counts.sessions_moved, 15);
	limpet_balancer_stop(world->balancer, 0, on_stopped, world);
	assert_int_equal(world->yielded, 1);
	run_until(world, &world->stops, 1);
	assert_in_range(world->grace_ms, 1, world->options.drain_timeout_ms);
	finish(world);
	close(client);
	assert_logged(world, "stopped: accepted=1 handed_over=1 refused=0");
}

static void who_has_begun_to_speak_is_served_before_the_workers_stop(void **state)
{
	struct world *world = *state;
	world->options.defer_accept = 0;
	start(world);
	int silent = come(world, "");
	int speaking = come(world, "GET / HT");
	limpet_balancer_stop(world->balancer, 0, on_stopped, world);
	assert_logged(world, "draining: 2 connections wait for a decision; workers have 30 s");
	turn(world);
	assert_int_equal(count(world).closed_early, 1);
	assert_int_equal(count(world).waiting, 1);
	assert_int_equal(world->stops, 0);
	say(world, speaking, "TP/1.1\r\n\r\n");
	assert_int_equal(count(world).in_flight, 1);
	assert_int_equal(world->stops, 0);
	settle(world, 1);
	assert_int_equal(world->stops, 0); /* Not inside the event. */
	run_until(world, &world->stops, 1);
	finish(world);
	close(silent);
	close(speaking);
}

static void who_takes_too_long_is_told_so(void **state)
{
	struct world *world = *state;
	world->options.drain_timeout_ms = 1;
	start(world);
	int speaking = come(world, "GET / HT");
	limpet_balancer_stop(world->balancer, 0, on_stopped, world);
	assert_logged(world, "draining: 1 connection waits for a decision; workers have 0.001 s");
	run_until(world, &world->stops, 1);
	assert_int_equal(world->grace_ms, 1);
	assert_status(speaking, "503");
	finish(world);
	close(speaking);
}

static void workers_that_register_are_held_up_for_two_seconds_at_most(void **state)
{
	struct world *world = *state;
	world->options.dialect = "preload";
	start(world);
	assert_string_equal(world->run_folder, world->folder);
	int speaking = come(world, "GET / HT");
	limpet_balancer_stop(world->balancer, 0, on_stopped, world);
	assert_in_range(uv_timer_get_due_in(&world->balancer->drain), 1500, 2000);
	limpet_balancer_stop(world->balancer, 0, NULL, NULL);
	finish(world);
	close(speaking);
}

static void a_second_stop_is_at_once_and_a_third_changes_nothing(void **state)
{
	struct world *world = *state;
	start(world);
	int speaking = come(world, "GET / HT");
	limpet_balancer_stop(world->balancer, 0, on_stopped, world);
	limpet_balancer_stop(world->balancer, 0, NULL, NULL);
	assert_int_equal(world->stops, 1);
	assert_int_equal(world->grace_ms, 0);
	assert_status(speaking, "503");
	events_of(world)->on_stopped(world->balancer);
	limpet_balancer_stop(world->balancer, 1, NULL, NULL);
	assert_int_equal(world->stops, 1);
	close_balancer(world);
	close(speaking);
}

static void one_that_has_not_started_stops_too(void **state)
{
	struct world *world = *state;
	make(world);
	assert_int_equal(count(world).accepted, 0);
	limpet_balancer_stop(world->balancer, 0, on_stopped, world);
	close_balancer(world);
	assert_int_equal(world->started, 0);
}

static void on_hopeless(struct limpet_balancer *balancer, void *owner)
{
	struct world *world = owner;
	assert_ptr_equal(balancer, world->balancer);
	world->hopeless++;
}

static void only_while_it_runs_is_there_no_hope(void **state)
{
	struct world *world = *state;
	start(world);
	events_of(world)->on_hopeless(world->balancer); /* Nobody asks. */
	limpet_balancer_on_hopeless(world->balancer, on_hopeless, world);
	events_of(world)->on_hopeless(world->balancer);
	assert_int_equal(world->hopeless, 1);
	limpet_balancer_stop(world->balancer, 0, on_stopped, world);
	events_of(world)->on_hopeless(world->balancer);
	assert_int_equal(world->hopeless, 1);
	limpet_balancer_stop(world->balancer, 1, NULL, NULL);
	finish(world);
}

/* Starting */

static void assert_does_not_start(struct world *world, const char *reason)
{
	make(world);
	assert_true(limpet_balancer_start(world->balancer, world->error, sizeof(world->error)) < 0);
	if (!strstr(world->error, reason))
		fail_msg("\"%s\" is not in: %s", reason, world->error);
	limpet_balancer_stop(world->balancer, 1, on_stopped, world);
	close_balancer(world);
	world->stopped = 0;
}

static void what_keeps_it_from_starting_is_told(void **state)
{
	struct world *world = *state;
	char path[64];
	world->start_status = -ENOENT;
	assert_does_not_start(world, "the workers do not start");
	world->start_status = 0;

	world->listen[1] = "192.0.2.1:0";
	world->options.listen_count = 2;
	assert_does_not_start(world, "192.0.2.1:0");
	world->options.listen_count = 1;

	snprintf(path, sizeof(path), "%s/no/control", world->folder);
	world->options.control = path;
	assert_does_not_start(world, path);
	world->options.control = NULL;

	world->options.admin = "unix:/nowhere/to/be/found/admin";
	assert_does_not_start(world, world->options.admin);
	world->options.admin = NULL;

	world->options.dialect = "preload";
	world->options.preload_dir = world->policy;
	assert_does_not_start(world, "--preload-dir");
}

static void each_call_that_fails_at_the_start_is_told_and_leaves_nothing(void **state)
{
	struct world *world = *state;
	char control[64];
	const char *failed;
	unsigned which = 0;
	snprintf(control, sizeof(control), "%s/control", world->folder);
	world->options.control = control;
	world->options.admin = "127.0.0.1:0";
	write_policy(world, TO_FIRST);
	unsigned open = count_descriptors();
	do {
		*world->error = '\0';
		fail_call(++which);
		int status = limpet_balancer_new(&world->balancer, &world->loop, &world->options, world->error,
						 sizeof(world->error));
		if (!status)
			status = limpet_balancer_start(world->balancer, world->error, sizeof(world->error));
		failed = failed_call();
		/* Without memory for a dry run it starts all the same. */
		assert_true(status ? failed && *world->error : world->balancer->state == LP_BALANCER_RUNNING);
		if (!world->balancer)
			continue;
		limpet_balancer_stop(world->balancer, 1, on_stopped, world);
		if (world->started > world->freed)
			events_of(world)->on_stopped(world->balancer);
		close_balancer(world);
		world->stopped = 0;
		assert_int_equal(count_descriptors(), open);
	} while (failed);
	assert_in_range(which, 20, 500);
}

static void what_is_wrong_with_its_options_is_told_before(void **state)
{
	struct world *world = *state;
	write_policy(world, BROKEN);
	assert_int_not_equal(limpet_balancer_new(&world->balancer, &world->loop, &world->options, world->error,
						 sizeof(world->error)),
			     0);
	assert_null(world->balancer);
	assert_non_null(strstr(world->error, world->policy));
	assert_int_not_equal(limpet_balancer_new(&world->balancer, &world->loop, &world->options, NULL, 0), 0);
	limpet_balancer_free(NULL);
}

static void a_policy_that_fails_its_trial_is_used_all_the_same_at_first(void **state)
{
	struct world *world = *state;
	write_policy(world, "return { on_request = function(conn) error('always') end }\n");
	start(world);
	assert_logged(world, "starting all the same, a reload would be refused");
	stop_now(world);
}

/* The control socket */

static void it_is_called_after_its_first_listener_or_as_it_is_said(void **state)
{
	struct world *world = *state;
	char port[16];
	char path[128];
	world->options.name = "";
	start(world);
	snprintf(port, sizeof(port), "%d", limpet_balancer_port(world->balancer, 0));
	assert_string_equal(world->balancer->name, port);
	snprintf(path, sizeof(path), "%s/%s.control", world->folder, port);
	assert_string_equal(lp_control_where(world->balancer->control), path);
	stop_now(world);
	world->stopped = world->stops = 0;

	snprintf(path, sizeof(path), "%s/control", world->folder);
	world->options.control = path;
	start(world);
	snprintf(port, sizeof(port), "%d", limpet_balancer_port(world->balancer, 0));
	assert_string_equal(world->balancer->name, port);
	assert_string_equal(lp_control_where(world->balancer->control), path);
	stop_now(world);
}

static void a_name_that_is_taken_is_told(void **state)
{
	struct world *world = *state;
	struct limpet_balancer *second;
	world->options.name = "web";
	start(world);
	assert_int_equal(
		limpet_balancer_new(&second, &world->loop, &world->options, world->error, sizeof(world->error)), 0);
	assert_int_equal(limpet_balancer_start(second, world->error, sizeof(world->error)), -EADDRINUSE);
	assert_string_equal(world->error, "another balancer is called web; choose another --name");
	limpet_balancer_stop(second, 0, NULL, NULL);
	turn(world);
	limpet_balancer_free(second);
	stop_now(world);
}

static void without_a_folder_it_runs_without_unless_it_was_named(void **state)
{
	struct world *world = *state;
	setenv("RUNTIME_DIRECTORY", world->policy, 1); /* A file. */
	world->options.name = "";
	start(world);
	assert_null(world->balancer->control);
	assert_logged(world, "there is no control socket");
	stop_now(world);
	world->stopped = world->stops = 0;
	world->options.name = "web";
	assert_does_not_start(world, world->policy);
}

/* Policies */

static void a_reload_uses_the_new_policies_at_once(void **state)
{
	struct world *world = *state;
	start(world);
	write_policy(world, "return { route_each = 'request', on_request = function(conn, workers) return workers[2] "
			    "end }\n");
	assert_int_equal(world->each, 0);
	assert_int_equal(limpet_balancer_reload(world->balancer, world->error, sizeof(world->error)), 0);
	assert_int_equal(world->each, LP_EACH_REQUEST);
	int client = come(world, REQUEST);
	settle(world, 2);
	assert_int_equal(count(world).reloads, 1);
	assert_logged(world, "reloaded the policies; 0 sessions kept");
	close(client);
	stop_now(world);
}

static void one_that_has_not_started_reloads_too(void **state)
{
	struct world *world = *state;
	make(world);
	assert_int_equal(limpet_balancer_reload(world->balancer, NULL, 0), 0);
	limpet_balancer_stop(world->balancer, 0, on_stopped, world);
	close_balancer(world);
}

static void a_broken_policy_never_replaces_a_working_one(void **state)
{
	struct world *world = *state;
	start(world);
	write_policy(world, BROKEN);
	assert_int_not_equal(limpet_balancer_reload(world->balancer, world->error, sizeof(world->error)), 0);
	assert_non_null(strstr(world->error, world->policy));
	assert_true(world->balancer->reload_refused);
	assert_int_equal(count(world).failed_reloads, 1);
	assert_logged(world, "keeping the policies loaded at");
	write_policy(world, "return { on_request = function(conn) error('always') end }\n");
	assert_int_not_equal(limpet_balancer_reload(world->balancer, world->error, sizeof(world->error)), 0);
	assert_memory_equal(world->error, "reload refused: ", 16);
	int client = come(world, REQUEST);
	settle(world, 1);
	close(client);
	stop_now(world);
}

static void one_that_moves_too_many_is_refused(void **state)
{
	struct world *world = *state;
	world->options.max_moved = 10;
	start(world);
	for (int i = 0; i < 25; i++) {
		close(come(world, REQUEST));
		settle(world, 1);
	}
	write_policy(world, TO_SECOND);
	assert_int_not_equal(limpet_balancer_reload(world->balancer, world->error, sizeof(world->error)), 0);
	assert_memory_equal(world->error, "reload refused: ", 16);
	assert_non_null(strstr(world->error, "--max-moved"));
	write_policy(world, TO_FIRST "-- Another text.\n");
	assert_int_equal(limpet_balancer_reload(world->balancer, world->error, sizeof(world->error)), 0);
	stop_now(world);
}

static void one_that_fails_on_its_first_connections_goes_again(void **state)
{
	struct world *world = *state;
	start(world);
	write_policy(world, FAILS_LIVE);
	assert_int_equal(limpet_balancer_reload(world->balancer, world->error, sizeof(world->error)), 0);
	events_of(world)->on_worker_down(world->balancer, 2);
	events_of(world)->on_worker_up(world->balancer, 2);
	for (int i = 0; i < LP_PROBATION_FAILURES; i++)
		close(come(world, LIVE_REQUEST));
	assert_int_equal(count(world).rollbacks, 1);
	assert_int_equal(count(world).policy_errors, LP_PROBATION_FAILURES);
	assert_logged(world, "rolled back: of the new policies' first 3 calls 3 failed");
	close(come(world, LIVE_REQUEST));
	assert_int_equal(count(world).policy_errors, LP_PROBATION_FAILURES);
	stop_now(world);
}

static void one_that_passes_its_probation_stays(void **state)
{
	struct world *world = *state;
	start(world);
	write_policy(world, TO_SECOND);
	assert_int_equal(limpet_balancer_reload(world->balancer, world->error, sizeof(world->error)), 0);
	assert_non_null(world->balancer->data.proven.policy);
	assert_int_equal(count(world).policy_errors, 0); /* Of both. */
	write_policy(world, TO_SECOND "-- And another, while that is on probation.\n");
	assert_int_equal(limpet_balancer_reload(world->balancer, world->error, sizeof(world->error)), 0);
	for (int i = 0; i < LP_PROBATION_CALLS; i++) {
		assert_non_null(world->balancer->data.proven.policy);
		close(come(world, REQUEST));
		settle(world, 2);
	}
	assert_null(world->balancer->data.proven.policy);
	stop_now(world);
}

/* Workers */

static void a_draining_worker_gets_nothing_new_until_it_is_enabled(void **state)
{
	struct world *world = *state;
	start(world);
	write_policy(world, "return { on_request = function() end }\n");
	assert_int_equal(limpet_balancer_reload(world->balancer, NULL, 0), 0);
	assert_int_equal(limpet_balancer_drain(world->balancer, 1, world->error, sizeof(world->error)), 0);
	assert_int_equal(limpet_balancer_drain(world->balancer, 1, world->error, sizeof(world->error)), 0);
	assert_logged(world, "worker 1 drains: it keeps its 0 connections and 0 sessions");
	for (int i = 0; i < 3; i++) {
		close(come(world, REQUEST));
		settle(world, 2);
	}
	assert_int_equal(limpet_balancer_drain(world->balancer, 2, world->error, sizeof(world->error)), -EBUSY);
	assert_string_equal(world->error, "no other worker takes connections, so worker 2 is not drained");
	assert_int_equal(limpet_balancer_enable(world->balancer, 1, world->error, sizeof(world->error)), 0);
	assert_logged(world, "worker 1 gets new connections again");
	assert_int_equal(limpet_balancer_enable(world->balancer, 1, world->error, sizeof(world->error)), 0);
	assert_int_equal(limpet_balancer_drain(world->balancer, 2, world->error, sizeof(world->error)), 0);
	close(come(world, REQUEST));
	settle(world, 1);
	stop_now(world);
}

static void there_is_no_worker_of_another_number(void **state)
{
	struct world *world = *state;
	start(world);
	lp_workers_find(workers_of(world), 2)->pid = 0;
	for (unsigned id = 0; id <= WORKERS + 1; id++) {
		if (id == 1)
			continue;
		assert_int_equal(limpet_balancer_drain(world->balancer, id, world->error, sizeof(world->error)),
				 -ESRCH);
		assert_int_equal(limpet_balancer_enable(world->balancer, id, world->error, sizeof(world->error)),
				 -ESRCH);
		assert_non_null(strstr(world->error, "no worker of that number"));
	}
	stop_now(world);
}

static void what_a_worker_loses_refuses_and_says_is_the_waiting_rooms(void **state)
{
	struct world *world = *state;
	struct lp_connections *connections;
	write_policy(world,
		     "return { on_request = function(conn, workers) return conn.sid and workers:session(conn.sid) "
		     "end }\n");
	start(world);
	connections = world->config_of_workers.connections;
	int client = come(world, "GET /?EIO=4&sid=s HTTP/1.1\r\n\r\n");
	assert_int_equal(connections->counts[LP_AWAITING], 1);
	assert_int_equal(lp_sessions_bind(world->config_of_workers.sessions, LP_SLICE("s"), 2), 0);
	events_of(world)->on_session(world->balancer, LP_SLICE("s"));
	turn(world);
	struct lp_connection *connection = lp_connections_first(connections, 2, LP_QUEUED);
	assert_non_null(connection);
	events_of(world)->on_blocked(world->balancer, 2);
	assert_true(connection->watched);
	events_of(world)->on_sending(world->balancer, connection);
	assert_false(connection->watched);
	lp_connection_move(connections, connection, LP_SENDING);
	lp_connection_move(connections, connection, LP_SENT);
	lp_workers_set_usable(workers_of(world), 2, false);
	events_of(world)->on_worker_down(world->balancer, 2);
	events_of(world)->on_returned(world->balancer, connection, 2, LP_RETURN_LOST);
	turn(world);
	settle(world, 1);
	assert_int_equal(count(world).moved, 1);
	close(client);

	client = come(world, "GET /?EIO=4&sid=nobodys HTTP/1.1\r\n\r\n");
	assert_int_equal(connections->counts[LP_AWAITING], 1);
	events_of(world)->on_answered(world->balancer, 1);
	turn(world);
	settle(world, 1);
	close(client);

	lp_workers_set_usable(workers_of(world), 1, false);
	client = come(world, REQUEST);
	assert_int_equal(connections->counts[LP_HELD], 1);
	lp_workers_set_usable(workers_of(world), 1, true);
	events_of(world)->on_room(world->balancer, 1);
	turn(world);
	settle(world, 1);
	close(client);
	stop_now(world);
}

/* A connection that a worker has, and its client. */
static int serve(struct world *world, int *client)
{
	struct lp_connections *connections = world->config_of_workers.connections;
	*client = come(world, REQUEST);
	int served = dup(lp_connections_first(connections, 1, LP_QUEUED)->fd);
	settle(world, 1);
	return served;
}

static void what_a_worker_gives_back_is_decided_anew(void **state)
{
	struct world *world = *state;
	int client;
	int pair[2];
	start(world);
	int served = serve(world, &client);
	events_of(world)->on_bounced(world->balancer, served);
	assert_int_equal(count(world).bounced, 1);
	turn(world);
	settle(world, 1);
	assert_int_equal(count(world).accepted, 2);
	assert_int_equal(pipe(pair), 0);
	events_of(world)->on_bounced(world->balancer, pair[0]);
	assert_int_equal(count(world).bounced, 1);
	assert_logged(world, "a descriptor that is not one of limpet's connections");
	close(pair[1]);
	close(client);

	served = serve(world, &client);
	limpet_balancer_stop(world->balancer, 1, on_stopped, world);
	char byte[16];
	assert_int_equal(recv(served, byte, sizeof(byte), MSG_DONTWAIT), sizeof(byte));
	events_of(world)->on_bounced(world->balancer, served);
	assert_status(client, "503"); /* The workers end: it would find nobody. */
	finish(world);
	close(client);
}

/* Requests */

static char *ask(struct world *world, const char *request)
{
	char *answer = NULL;
	size_t length = 0;
	int status = lp_balancer_answer(world->balancer, request, &answer, &length);
	assert_int_equal(status, 0);
	assert_int_equal(strlen(answer), length);
	return answer;
}

static void assert_answer(struct world *world, const char *request, const char *part)
{
	char *answer = ask(world, request);
	if (!strstr(answer, part))
		fail_msg("%s: \"%s\" is not in: %s", request, part, answer);
	free(answer);
}

static void each_request_has_its_answer(void **state)
{
	struct world *world = *state;
	char *answer;
	size_t length;
	start(world);
	close(come(world, REQUEST));
	settle(world, 1);
	assert_answer(world, "status", "\"state\": \"running\"");
	assert_answer(world, "drain 1", "{\"ok\":true}");
	assert_answer(world, "drain 2", "no other worker takes connections");
	assert_answer(world, "enable 1", "{\"ok\":true}");
	static const char *const none[] = {"drain", "drain x", "drain -1", "drain 1x", "drain 99999999999", "enable 9"};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_answer(world, none[i], "no worker of that number");
	assert_answer(world, "record", "GET / HTTP/1.1");
	assert_answer(world, "record raw", "Host: here");
	assert_answer(world, "why", "127.0.0.");
	assert_answer(world, "why 1 1 127.0.0.1", "127.0.0.1");
	assert_answer(world, "why 0 1 192.0.2.77", "[]");
	assert_answer(world, "tail 0 1", "127.0.0.1");
	assert_answer(world, "tail now 1", "[]");
	assert_answer(world, "tail now", "[]");
	static const char *const unknown[] = {"", "stat", "statuses", " status", "fly away"};
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		assert_int_equal(lp_balancer_answer(world->balancer, unknown[i], &answer, &length), -ENOENT);
	stop_now(world);
}

static void a_reload_is_answered_with_what_has_changed(void **state)
{
	struct world *world = *state;
	world->options.config = world->config;
	write_file(world->config, "workers 2\n");
	start(world);
	assert_answer(world, "reload", "\"needs_restart\":null");
	write_file(world->config, "workers 3\n");
	char part[128];
	snprintf(part, sizeof(part), "\"needs_restart\":\"%s\"", world->config);
	assert_answer(world, "reload", part);
	unlink(world->config);
	assert_answer(world, "reload", part);
	write_policy(world, BROKEN);
	assert_answer(world, "reload", "\"ok\":false");
	assert_answer(world, "status", "\"last_refused_reload\": {");
	stop_now(world);
}

static void only_who_may_stop_it_stops_it(void **state)
{
	struct world *world = *state;
	start(world);
	assert_answer(world, "stop", "\"ok\":false");
	limpet_balancer_allow_stop(world->balancer, on_stopped, world);
	char pid[32];
	snprintf(pid, sizeof(pid), "\"pid\":%d", (int)getpid());
	assert_answer(world, "stop", pid);
	assert_answer(world, "status", "\"state\": \"draining\"");
	assert_int_equal(world->stops, 0);
	assert_answer(world, "stop now", pid);
	assert_answer(world, "status", "\"state\": \"stopping\"");
	finish(world);
}

static unsigned allocations_left;

static void *allocate(size_t size)
{
	return allocations_left ? allocations_left--, malloc(size) : NULL;
}

static void without_memory_there_is_no_answer_and_nothing_stops(void **state)
{
	struct world *world = *state;
	static const char *const requests[] = {"status", "reload", "drain 1", "enable 1", "stop"};
	static const char *const texts[] = {"why", "tail", "record"};
	start(world);
	limpet_balancer_allow_stop(world->balancer, on_stopped, world);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		char *answer = NULL;
		size_t length;
		json_set_alloc_funcs(allocate, free);
		int status = lp_balancer_answer(world->balancer, requests[i], &answer, &length);
		json_set_alloc_funcs(malloc, free);
		assert_int_equal(status, -ENOMEM);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *failed;
		unsigned which = 0;
		do {
			char *answer = NULL;
			size_t length;
			fail_call(++which);
			int status = lp_balancer_answer(world->balancer, texts[i], &answer, &length);
			failed = failed_call();
			assert_int_equal(status, failed ? -ENOMEM : 0);
			free(answer);
		} while (failed);
		assert_true(which > 1);
	}
	assert_int_equal(world->balancer->state, LP_BALANCER_RUNNING);
	stop_now(world);
}

/* Pages */

static void assert_page(struct world *world, const char *path, int wanted, const char *part)
{
	const struct lp_admin_page *pages = lp_balancer_pages;
	for (size_t i = 0; i < LP_BALANCER_PAGES; i++) {
		if (strcmp(pages[i].path, path) != 0)
			continue;
		int code = 200;
		size_t length = 0;
		char *text = pages[i].make(world->balancer, &code, &length);
		assert_non_null(text);
		assert_int_equal(code, wanted);
		if (!memmem(text, length, part, strlen(part)))
			fail_msg("%s: \"%s\" is not there", path, part);
		free(text);
		return;
	}
	fail_msg("there is no page %s", path);
}

static void the_pages_say_how_it_is(void **state)
{
	struct world *world = *state;
	make(world);
	assert_page(world, "/status.json", 200, "\"accepted\": 0");
	assert_int_equal(limpet_balancer_start(world->balancer, world->error, sizeof(world->error)), 0);
	assert_page(world, "/healthz", 200, "ok\n");
	assert_page(world, "/readyz", 503, "no worker takes connections\n");
	lp_workers_set_usable(workers_of(world), 1, true);
	assert_page(world, "/readyz", 200, "ok\n");
	assert_page(world, "/metrics", 200, "limpet_config_last_reload_successful 1\n");
	write_policy(world, BROKEN);
	assert_int_not_equal(limpet_balancer_reload(world->balancer, NULL, 0), 0);
	assert_page(world, "/metrics", 200, "limpet_config_last_reload_successful 0\n");
	assert_page(world, "/status.json", 200, "\"state\": \"running\"");
	limpet_balancer_stop(world->balancer, 1, on_stopped, world);
	assert_page(world, "/readyz", 503, "stopping\n");
	assert_page(world, "/healthz", 200, "ok\n");
	finish(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_serves_and_when_nothing_is_left_its_workers_have_their_time),
		TEST(who_has_begun_to_speak_is_served_before_the_workers_stop),
		TEST(who_takes_too_long_is_told_so),
		TEST(workers_that_register_are_held_up_for_two_seconds_at_most),
		TEST(a_second_stop_is_at_once_and_a_third_changes_nothing),
		TEST(one_that_has_not_started_stops_too),
		TEST(only_while_it_runs_is_there_no_hope),
		TEST(what_keeps_it_from_starting_is_told),
		TEST(each_call_that_fails_at_the_start_is_told_and_leaves_nothing),
		TEST(what_is_wrong_with_its_options_is_told_before),
		TEST(a_policy_that_fails_its_trial_is_used_all_the_same_at_first),
		TEST(it_is_called_after_its_first_listener_or_as_it_is_said),
		TEST(a_name_that_is_taken_is_told),
		TEST(without_a_folder_it_runs_without_unless_it_was_named),
		TEST(a_reload_uses_the_new_policies_at_once),
		TEST(one_that_has_not_started_reloads_too),
		TEST(a_broken_policy_never_replaces_a_working_one),
		TEST(one_that_moves_too_many_is_refused),
		TEST(one_that_fails_on_its_first_connections_goes_again),
		TEST(one_that_passes_its_probation_stays),
		TEST(a_draining_worker_gets_nothing_new_until_it_is_enabled),
		TEST(there_is_no_worker_of_another_number),
		TEST(what_a_worker_loses_refuses_and_says_is_the_waiting_rooms),
		TEST(what_a_worker_gives_back_is_decided_anew),
		TEST(each_request_has_its_answer),
		TEST(a_reload_is_answered_with_what_has_changed),
		TEST(only_who_may_stop_it_stops_it),
		TEST(without_memory_there_is_no_answer_and_nothing_stops),
		TEST(the_pages_say_how_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
