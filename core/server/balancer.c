/*
 * The balancer owns everything: workers and sessions (data), policies (decisions), the supervisor (processes), the
 * waiting room (connections), the listeners and the control socket (doors). Nothing here is about one connection.
 *
 *     state      meaning                                        leaves on
 *     NEW        made; nothing listens                          start -> RUNNING; stop -> CLOSING
 *     RUNNING    accepts and hands over                         stop -> DRAINING; stop now -> STOPPING
 *     DRAINING   accepts no more; what waits is handed over     nothing left, its time is over, stop -> STOPPING
 *     STOPPING   the workers finish, then are ended             the last worker gone -> CLOSING
 *     CLOSING    handles close                                  the last one -> CLOSED, stopped runs
 *     CLOSED     may be freed
 *
 * drain_timeout spans DRAINING and STOPPING together; where workers register, DRAINING has HELD_UP_MS of it, for they drain by
 * rules of their own and are to be told. A policy is replaced between two decisions, never inside one:
 * nothing that calls reload runs inside one, and one that fails on probation goes when the failing decision is over.
 */
#include "server/balancer.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config_file.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/run_folder.h"
#include "keeper/keeper.h"
#include "server/give_up_root.h"
#include "wire/frame.h"

/* How long clients that have begun to speak, and workers that have yet to take what was sent, hold up the stop of workers that
 * register. */
#define HELD_UP_MS 2000

/* Of lasting memory, without the sessions. */
#define LASTING_BYTES ((size_t)128 << 20)

static int copy_error(const struct lp_error *error, char *text, size_t size)
{
	if (text && size)
		snprintf(text, size, "%s", error->text);
	return error->code;
}

int limpet_balancer_new(struct limpet_balancer **out, uv_loop_t *loop, const struct limpet_options *options,
			char *error_text, size_t error_size)
{
	struct lp_error error = {0};
	*out = NULL;
	struct limpet_balancer *balancer = calloc(1, sizeof(*balancer));
	if (!balancer) {
		lp_error_set(&error, -ENOMEM, "no memory for a balancer");
		return copy_error(&error, error_text, error_size);
	}
	balancer->loop = loop;
	if (lp_data_init(&balancer->data, options, &error)) {
		limpet_balancer_free(balancer);
		return copy_error(&error, error_text, error_size);
	}
	if (options->config)
		lp_config_file_digest(options->config, balancer->config); /* If that fails, it has changed. */
	*out = balancer;
	return 0;
}

void limpet_balancer_free(struct limpet_balancer *balancer)
{
	if (!balancer)
		return;
	lp_connections_close(&balancer->connections);
	lp_region_close(&balancer->region);
	lp_data_deinit(&balancer->data);
	free(balancer->listeners);
	free(balancer->addresses);
	free(balancer);
}

size_t lp_balancer_lasting_bytes(const struct limpet_options *options)
{
	return LASTING_BYTES + ((size_t)options->max_sessions + 1) * LP_SESSION_LASTING_BYTES;
}

void lp_balancer_inherit(struct limpet_balancer *balancer, struct lp_lasting *lasting)
{
	balancer->lasting = lasting;
}

/* Closing, part by part */

static void part_closed(struct limpet_balancer *balancer)
{
	if (--balancer->closing)
		return;
	lp_supervisor_free(balancer->supervisor);
	balancer->supervisor = NULL;
	balancer->state = LP_BALANCER_CLOSED;
	struct limpet_counts counts;
	limpet_balancer_counts(balancer, &counts);
	lp_log_write(&balancer->data.log, LP_LOG_INFO, NULL,
		     "stopped: accepted=%llu handed_over=%llu refused=%llu closed_early=%llu waiting=%llu "
		     "acknowledged=%llu in_flight=%llu moved=%llu",
		     (unsigned long long)counts.accepted, (unsigned long long)counts.handed_over,
		     (unsigned long long)counts.refused, (unsigned long long)counts.closed_early,
		     (unsigned long long)counts.waiting, (unsigned long long)counts.acknowledged,
		     (unsigned long long)counts.in_flight, (unsigned long long)counts.moved);
	if (balancer->stopped)
		balancer->stopped(balancer, balancer->owner);
}

static void on_admin_closed(void *owner)
{
	part_closed(owner);
}

static void on_control_closed(void *owner)
{
	part_closed(owner);
}

static void on_waiting_closed(struct lp_waiting *waiting)
{
	part_closed(waiting->config.owner);
}

static void on_listener_closed(struct lp_listener *listener)
{
	part_closed(listener->owner);
}

static void on_drain_closed(uv_handle_t *handle)
{
	part_closed(handle->data);
}

static void close_parts(struct limpet_balancer *balancer)
{
	struct lp_control *control = balancer->control;
	struct lp_admin *admin = balancer->admin;
	balancer->state = LP_BALANCER_CLOSING;
	balancer->closing = 1; /* Ours, until all have been told. */
	balancer->control = NULL;
	balancer->admin = NULL;
	if (admin) {
		balancer->closing++;
		lp_admin_close(admin, on_admin_closed, balancer);
	}
	if (control) {
		balancer->closing++;
		lp_control_close(control, on_control_closed, balancer);
	}
	for (size_t i = 0; i < balancer->listener_count; i++) {
		balancer->closing++;
		lp_listener_close(&balancer->listeners[i], on_listener_closed);
	}
	if (balancer->waiting_open) {
		balancer->closing++;
		lp_waiting_close(&balancer->waiting, on_waiting_closed);
	}
	if (balancer->drain_open) {
		balancer->closing++;
		uv_close((uv_handle_t *)&balancer->drain, on_drain_closed);
	}
	part_closed(balancer);
}

/* Stopping */

static void stop_workers(struct limpet_balancer *balancer, uint64_t grace_ms)
{
	balancer->state = LP_BALANCER_STOPPING;
	uv_timer_stop(&balancer->drain);
	lp_waiting_refuse_all(&balancer->waiting);
	lp_supervisor_stop(balancer->supervisor, grace_ms);
}

static uint64_t time_left_ms(const struct limpet_balancer *balancer)
{
	uint64_t now = uv_now(balancer->loop);
	return balancer->stop_by_ms > now ? balancer->stop_by_ms - now : 1;
}

/* Either nothing waits any more, or it has had its time. */
static void on_drained(uv_timer_t *timer)
{
	struct limpet_balancer *balancer = timer->data;
	if (balancer->state == LP_BALANCER_DRAINING)
		stop_workers(balancer, time_left_ms(balancer));
}

static void on_empty(void *owner)
{
	struct limpet_balancer *balancer = owner;
	if (balancer->state == LP_BALANCER_DRAINING)
		uv_timer_start(&balancer->drain, on_drained, 0, 0); /* Not here: a decision may be under way. */
}

static void log_draining(struct limpet_balancer *balancer)
{
	unsigned long long waiting = lp_connections_waiting(&balancer->connections);
	char waits[64] = "";
	if (waiting)
		snprintf(waits, sizeof(waits), "%llu connection%s for a decision; ", waiting,
			 waiting == 1 ? " waits" : "s wait");
	lp_log_write(&balancer->data.log, LP_LOG_INFO, NULL,
		     "draining: %sworkers have %g s to finish (--drain-timeout)", waits,
		     balancer->data.options.drain_timeout_ms / 1000.0);
}

/* How long what waits may hold the workers up. One that handles SIGTERM is told by others at once. */
static uint64_t draining_ms(const struct limpet_balancer *balancer)
{
	uint32_t timeout_ms = balancer->data.options.drain_timeout_ms;
	if (balancer->connections.live == 0)
		return 0;
	return balancer->data.dialect->registers && timeout_ms > HELD_UP_MS ? HELD_UP_MS : timeout_ms;
}

void limpet_balancer_stop(struct limpet_balancer *balancer, int now, limpet_stopped_cb stopped, void *owner)
{
	if (balancer->state >= LP_BALANCER_CLOSING)
		return;
	if (balancer->state < LP_BALANCER_DRAINING) {
		balancer->stopped = stopped;
		balancer->owner = owner;
	} else {
		now = 1;
	}
	for (size_t i = 0; i < balancer->listener_count; i++)
		lp_listener_stop(&balancer->listeners[i]);
	if (balancer->supervisor)
		lp_supervisor_yield(balancer->supervisor);
	if (!balancer->supervisor) {
		close_parts(balancer);
	} else if (now) {
		stop_workers(balancer, 0);
	} else {
		log_draining(balancer);
		balancer->state = LP_BALANCER_DRAINING;
		balancer->stop_by_ms = uv_now(balancer->loop) + balancer->data.options.drain_timeout_ms;
		lp_waiting_leave_silent(&balancer->waiting);
		uv_timer_start(&balancer->drain, on_drained, draining_ms(balancer), 0);
	}
}

/* News from the workers */

static void on_worker_up(void *owner, unsigned worker)
{
	struct limpet_balancer *balancer = owner;
	lp_data_worker_up(&balancer->data, worker);
	lp_waiting_worker_usable(&balancer->waiting, worker);
	limpet_ready_cb ready = balancer->ready;
	balancer->ready = NULL;
	if (ready)
		ready(balancer, balancer->ready_owner);
}

static void on_worker_down(void *owner, unsigned worker)
{
	struct limpet_balancer *balancer = owner;
	lp_data_worker_down(&balancer->data, worker);
	lp_waiting_worker_lost(&balancer->waiting, worker);
}

static void on_room(void *owner, unsigned worker)
{
	struct limpet_balancer *balancer = owner;
	lp_waiting_worker_usable(&balancer->waiting, worker);
}

static void on_blocked(void *owner, unsigned group)
{
	struct limpet_balancer *balancer = owner;
	lp_waiting_blocked(&balancer->waiting, group);
}

static void on_sending(void *owner, struct lp_connection *connection)
{
	struct limpet_balancer *balancer = owner;
	lp_waiting_sending(&balancer->waiting, connection);
}

static void on_settled(void *owner, struct lp_connection *connection)
{
	struct limpet_balancer *balancer = owner;
	lp_waiting_settled(&balancer->waiting, connection);
}

static void on_returned(void *owner, struct lp_connection *connection, unsigned worker, enum lp_return_reason reason)
{
	struct limpet_balancer *balancer = owner;
	lp_waiting_returned(&balancer->waiting, connection, worker, reason);
}

static void on_answered(void *owner, uint32_t round)
{
	struct limpet_balancer *balancer = owner;
	lp_waiting_answered(&balancer->waiting, round);
}

static void on_session(void *owner, struct lp_slice key)
{
	struct limpet_balancer *balancer = owner;
	lp_waiting_session(&balancer->waiting, key);
}

/* It is decided like a new connection, by its next request. */
static void on_bounced(void *owner, int fd)
{
	struct limpet_balancer *balancer = owner;
	if (lp_listener_readmit(balancer->listeners, balancer->listener_count, fd)) {
		balancer->bounced++;
	} else {
		lp_closer_close(balancer->connections.closer, fd);
		lp_log_limited(
			&balancer->data.log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, NULL,
			"a worker gave back a descriptor that is not one of limpet's connections; it was closed");
	}
	if (balancer->state >= LP_BALANCER_STOPPING)
		lp_waiting_refuse_all(&balancer->waiting);
}

static void on_hopeless(void *owner)
{
	struct limpet_balancer *balancer = owner;
	if (balancer->hopeless && balancer->state == LP_BALANCER_RUNNING)
		balancer->hopeless(balancer, balancer->hopeless_owner);
}

void limpet_balancer_on_hopeless(struct limpet_balancer *balancer, limpet_hopeless_cb hopeless, void *owner)
{
	balancer->hopeless = hopeless;
	balancer->hopeless_owner = owner;
}

void limpet_balancer_on_ready(struct limpet_balancer *balancer, limpet_ready_cb ready, void *owner)
{
	balancer->ready = ready;
	balancer->ready_owner = owner;
}

static void on_workers_stopped(void *owner)
{
	close_parts(owner);
}

static const struct lp_supervisor_events supervisor_events = {
	.on_worker_up = on_worker_up,
	.on_worker_down = on_worker_down,
	.on_room = on_room,
	.on_blocked = on_blocked,
	.on_sending = on_sending,
	.on_settled = on_settled,
	.on_returned = on_returned,
	.on_answered = on_answered,
	.on_session = on_session,
	.on_bounced = on_bounced,
	.on_hopeless = on_hopeless,
	.on_stopped = on_workers_stopped,
};

/* Starting */

_Static_assert(LP_EACH_SESSION == (int)LP_ROUTE_SESSION && LP_EACH_REQUEST == (int)LP_ROUTE_REQUEST,
	       "what policies want is what workers are told");

static void use_policy(struct limpet_balancer *balancer)
{
	struct lp_policy *policy = balancer->data.current.policy;
	lp_waiting_set_policy(&balancer->waiting, policy);
	if (balancer->supervisor)
		lp_supervisor_set_each(balancer->supervisor, lp_policy_route_each(policy));
}

/* A dry run does not meet everything: policies that fail on their first connections go again. */
static void on_asked(void *owner)
{
	struct limpet_balancer *balancer = owner;
	struct lp_data *data = &balancer->data;
	if (!lp_data_asked(data))
		return;
	use_policy(balancer);
	balancer->rollbacks++;
	lp_log_write(&data->log, LP_LOG_ERROR, NULL,
		     "rolled back: of the new policies' first %u calls %u failed; using those loaded at %s again",
		     data->probation.calls, data->probation.failed, data->current.at);
}

static int open_connections(struct limpet_balancer *balancer, struct lp_error *error)
{
	int status = lp_connections_open(&balancer->connections, &balancer->region, &balancer->data.workers);
	if (status)
		return lp_error_set(error, status, "no memory for connections");
	balancer->connections.on_empty = on_empty;
	balancer->connections.owner = balancer;
	return 0;
}

static int open_waiting(struct limpet_balancer *balancer, struct lp_error *error)
{
	const struct limpet_options *options = &balancer->data.options;
	struct lp_waiting_config config = {.loop = balancer->loop,
					   .log = &balancer->data.log,
					   .connections = &balancer->connections,
					   .workers = &balancer->data.workers,
					   .sessions = balancer->data.sessions,
					   .head_timeout_ms = options->head_timeout_ms,
					   .session_wait_ms = options->session_wait_ms,
					   .max_head_bytes = options->max_head_bytes,
					   .max_waiting = options->max_waiting,
					   .per_address = balancer->data.per_address,
					   .recorder = balancer->data.recorder,
					   .decisions = balancer->data.decisions,
					   .on_asked = on_asked,
					   .owner = balancer};
	int status = lp_waiting_open(&balancer->waiting, &config);
	if (status)
		return lp_error_set(error, status, "cannot wait for connections: %s", lp_error_words(status));
	balancer->waiting_open = true;
	use_policy(balancer);
	return 0;
}

static int open_listeners(struct limpet_balancer *balancer, struct lp_error *error)
{
	const struct limpet_options *options = &balancer->data.options;
	struct lp_listener_config config = {.loop = balancer->loop,
					    .log = &balancer->data.log,
					    .waiting = &balancer->waiting,
					    .backlog = options->backlog,
					    .defer_accept = options->defer_accept,
					    .lasting = balancer->lasting};
	balancer->listeners = calloc(options->listen_count, sizeof(*balancer->listeners));
	if (!balancer->listeners)
		return lp_error_set(error, -ENOMEM, "no memory for %zu listeners", options->listen_count);
	for (size_t i = 0; i < options->listen_count; i++) {
		struct lp_listener *listener = &balancer->listeners[i];
		config.index = (uint32_t)i;
		int status = lp_listener_open(listener, &config, options->listen[i], error);
		if (status)
			return status;
		listener->owner = balancer;
		balancer->listener_count++;
	}
	return 0;
}

/* Who waits for these lines may ask the control and the admin socket. A successor has the listeners that were there. */
static void log_listeners(struct limpet_balancer *balancer)
{
	enum lp_log_level level = lp_lasting_is_successor(balancer->lasting) ? LP_LOG_DEBUG : LP_LOG_INFO;

	for (size_t i = 0; i < balancer->listener_count; i++) {
		char bound[LP_LISTEN_TEXT_SIZE];
		lp_listen_address_format(&balancer->listeners[i].address, bound);
		lp_log_write(&balancer->data.log, level, LP_LOG_ABOUT(.listener = bound), "listening on %s", bound);
	}
}

/* Nobody asked for a socket at the place that suits us, so a balancer that cannot have it runs without. */
static int open_control(struct limpet_balancer *balancer, struct lp_error *error)
{
	const struct limpet_options *options = &balancer->data.options;
	struct lp_log *log = &balancer->data.log;
	struct lp_error reason = {0};
	char *name = balancer->name;
	snprintf(name, sizeof(balancer->name), "%s", options->name ? options->name : "");
	if (options->control && !*name)
		lp_control_name_listener(&balancer->listeners[0].address, false, name);
	if (options->control)
		return lp_control_open(&balancer->control, balancer->loop, log, options->control, lp_balancer_answer,
				       balancer, error);
	if (!options->name)
		return 0;
	int status = lp_control_open_named(&balancer->control, balancer->loop, log, name,
					   &balancer->listeners[0].address, lp_balancer_answer, balancer, &reason);
	if (status && *options->name)
		return status == -EADDRINUSE
			       ? lp_error_set(error, status, "another balancer is called %s; choose another --name",
					      name)
			       : lp_error_set(error, status, "%s", reason.text);
	if (status)
		lp_log_write(log, LP_LOG_WARNING, NULL,
			     "there is no control socket, so limpet status, reload and the like do not find this "
			     "balancer: %s; --control PATH puts it elsewhere",
			     reason.text);
	return 0;
}

static int open_admin(struct limpet_balancer *balancer, struct lp_error *error)
{
	const struct limpet_options *options = &balancer->data.options;
	struct lp_admin_config config = {.loop = balancer->loop,
					 .log = &balancer->data.log,
					 .address = options->admin,
					 .hosts = options->admin_hosts,
					 .host_count = options->admin_host_count,
					 .pages = lp_balancer_pages,
					 .page_count = LP_BALANCER_PAGES,
					 .owner = balancer};
	return options->admin ? lp_admin_open(&balancer->admin, &config, error) : 0;
}

/* What each listener is, for the call. NULL when out of memory. */
static struct lp_listener_identity *identify_listeners(const struct limpet_balancer *balancer)
{
	struct lp_listener_identity *all = calloc(balancer->listener_count, sizeof(*all));
	for (size_t i = 0; all && i < balancer->listener_count; i++)
		lp_listener_identify(&balancer->listeners[i], &all[i]);
	return all;
}

static int start_workers(struct limpet_balancer *balancer, const char *folder, struct lp_error *error)
{
	struct lp_listener_identity *identities = identify_listeners(balancer);
	balancer->addresses = lp_listener_addresses(balancer->listeners, balancer->listener_count);
	if (!balancer->addresses || !identities) {
		free(identities);
		return lp_error_set(error, -ENOMEM, "no memory for the names of listeners");
	}
	struct lp_supervisor_config config = {.loop = balancer->loop,
					      .workers = &balancer->data.workers,
					      .sessions = balancer->data.sessions,
					      .connections = &balancer->connections,
					      .log = &balancer->data.log,
					      .command = balancer->data.options.command,
					      .dialect = balancer->data.dialect,
					      .processes = balancer->data.processes,
					      .folder = folder,
					      .listeners = identities,
					      .listener_count = balancer->listener_count,
					      .adopts = balancer->data.options.adopt_orphans != 0,
					      .addresses = balancer->addresses,
					      .learn = balancer->data.learnt,
					      .variables = balancer->data.options.worker_env,
					      .variable_count = balancer->data.options.worker_env_count,
					      .prefix = balancer->data.options.worker_prefix != 0,
					      .ack_timeout_ms = balancer->data.options.ack_timeout_ms,
					      .kill_stuck_ms = balancer->data.options.kill_stuck_ms,
					      .descriptors = balancer->data.options.worker_descriptors,
					      .stop_signal = balancer->data.stop_signal,
					      .start_timeout_ms = balancer->data.options.start_timeout_ms,
					      .useless_ms = balancer->data.options.drain_timeout_ms,
					      .lasting = balancer->lasting,
					      .events = &supervisor_events,
					      .owner = balancer};
	void *memory = lp_lasting_area(balancer->lasting, "sessions",
				       ((size_t)balancer->data.options.max_sessions + 1) * LP_SESSION_LASTING_BYTES);
	if (memory)
		lp_sessions_outlive(balancer->data.sessions, memory);
	int status = lp_supervisor_start(&balancer->supervisor, &config, error);
	free(identities);
	balancer->waiting.supervisor = balancer->supervisor;
	if (balancer->supervisor)
		use_policy(balancer);
	return status;
}

/* The keeper becomes the user, too, and so a successor is that user from its beginning. */
static int give_up_root(struct limpet_balancer *balancer, struct lp_error *error)
{
	bool had_root = geteuid() == 0;
	if (!had_root && lp_lasting_is_successor(balancer->lasting))
		return 0;
	int status = lp_give_up_root(&balancer->data, balancer->listeners, balancer->listener_count,
				     balancer->control ? lp_control_where(balancer->control) : NULL, error);
	if (status || !had_root || geteuid() == 0)
		return status;
	lp_keeper_die_with(balancer->lasting);
	status = lp_lasting_become(balancer->lasting, geteuid(), getegid());
	return status ? lp_error_set(error, status, "the keeper cannot give up root: %s", lp_error_words(status)) : 0;
}

/* What nobody has taken over belongs to what is no more. */
static void begin_to_serve(struct limpet_balancer *balancer)
{
	struct lp_lasting *lasting = balancer->lasting;
	lp_lasting_drop_untaken(lasting);
	lp_lasting_serve(lasting);
	if (!lp_lasting_is_successor(lasting))
		return;
	const struct lp_lasting_head *head = lasting->head;
	char how[64];
	if (head->last_signal)
		snprintf(how, sizeof(how), "was killed by signal %d (%s)", head->last_signal,
			 strsignal(head->last_signal));
	else
		snprintf(how, sizeof(how), "ended with status %d", head->last_status);
	lp_log_write(&balancer->data.log, LP_LOG_WARNING, LP_LOG_ABOUT(.pid = head->balancer),
		     "the balancer (pid %d) %s; another one (pid %d) has taken its place, %u in all: workers and their "
		     "clients go on",
		     (int)head->last_balancer, how, (int)head->balancer, head->deaths);
	if (head->begins_empty)
		lp_log_write(&balancer->data.log, LP_LOG_ERROR, NULL,
			     "balancers died %d times in %d seconds by errors of their own: this one has begun with an "
			     "empty "
			     "table, and with new workers where those cannot register again",
			     LP_KEEPER_DEATHS, LP_KEEPER_WINDOW_MS / 1000);
	lasting->head->begins_empty = false;
}

static int abandon_start(struct limpet_balancer *balancer, const struct lp_error *error, char *text, size_t size)
{
	for (size_t i = 0; i < balancer->listener_count; i++)
		lp_listener_stop(&balancer->listeners[i]);
	return copy_error(error, text, size);
}

int limpet_balancer_start(struct limpet_balancer *balancer, char *error_text, size_t error_size)
{
	struct lp_error error = {0};
	balancer->started = time(NULL);
	char folder[LP_RUN_FOLDER_SIZE] = "";
	uv_timer_init(balancer->loop, &balancer->drain);
	balancer->drain.data = balancer;
	balancer->drain_open = true;
	if (open_connections(balancer, &error) || open_waiting(balancer, &error) || open_listeners(balancer, &error) ||
	    open_control(balancer, &error) || open_admin(balancer, &error) ||
	    lp_make_run_folder(&balancer->data, folder, &error) || give_up_root(balancer, &error))
		return abandon_start(balancer, &error, error_text, error_size);
	log_listeners(balancer);
	if (start_workers(balancer, folder, &error))
		return abandon_start(balancer, &error, error_text, error_size);
	lp_descriptors_report(&balancer->data.log, balancer->data.options.max_waiting, balancer->data.workers.count,
			      balancer->data.options.worker_descriptors);
	balancer->state = LP_BALANCER_RUNNING;
	begin_to_serve(balancer);
	return 0;
}

/* Running */

int limpet_balancer_reload(struct limpet_balancer *balancer, char *error_text, size_t error_size)
{
	struct lp_data *data = &balancer->data;
	struct lp_error error = {0};
	int status = lp_data_reload(data, &error);
	/* Two Lua states and a trial came and went; what glibc keeps of that grows from reload to reload. */
	malloc_trim(0);
	balancer->reload_refused = status != 0;
	if (status) {
		balancer->failed_reloads++;
		lp_clock_format(time(NULL), balancer->refused.at);
		balancer->refused.error = error;
		lp_log_write(&data->log, LP_LOG_ERROR, NULL, "%s; keeping the policies loaded at %s", error.text,
			     data->current.at);
		return copy_error(&error, error_text, error_size);
	}
	if (balancer->waiting_open)
		use_policy(balancer);
	balancer->reloads++;
	lp_log_write(&data->log, LP_LOG_INFO, NULL, "reloaded the policies; %zu sessions kept",
		     lp_sessions_count(data->sessions));
	return 0;
}

static int find_worker(const struct limpet_balancer *balancer, unsigned id, struct lp_worker **worker,
		       struct lp_error *error)
{
	*worker = lp_workers_find(&balancer->data.workers, id);
	if (*worker && (*worker)->pid)
		return 0;
	return lp_error_set(error, -ESRCH, "there is no worker of that number; limpet status shows which there are");
}

int limpet_balancer_drain(struct limpet_balancer *balancer, unsigned id, char *error_text, size_t error_size)
{
	const struct lp_workers *workers = &balancer->data.workers;
	struct lp_worker *worker;
	struct lp_error error = {0};
	unsigned others = 0;
	if (find_worker(balancer, id, &worker, &error))
		return copy_error(&error, error_text, error_size);
	for (unsigned i = 0; i < workers->count; i++)
		others += workers->slots[i].takes && !workers->slots[i].draining && &workers->slots[i] != worker;
	if (!others) {
		lp_error_set(&error, -EBUSY, "no other worker takes connections, so worker %u is not drained", id);
		return copy_error(&error, error_text, error_size);
	}
	if (!worker->draining)
		lp_log_write(&balancer->data.log, LP_LOG_INFO, LP_LOG_ABOUT(.worker = id, .pid = worker->pid),
			     "worker %u drains: it keeps its %u connections and %u sessions, and gets no new ones", id,
			     worker->connections, worker->sessions);
	lp_workers_set_draining(&balancer->data.workers, id, true);
	return 0;
}

int limpet_balancer_enable(struct limpet_balancer *balancer, unsigned id, char *error_text, size_t error_size)
{
	struct lp_worker *worker;
	struct lp_error error = {0};
	if (find_worker(balancer, id, &worker, &error))
		return copy_error(&error, error_text, error_size);
	if (worker->draining)
		lp_log_write(&balancer->data.log, LP_LOG_INFO, LP_LOG_ABOUT(.worker = id, .pid = worker->pid),
			     "worker %u gets new connections again", id);
	lp_workers_set_draining(&balancer->data.workers, id, false);
	lp_waiting_worker_usable(&balancer->waiting, id);
	return 0;
}

void limpet_balancer_allow_stop(struct limpet_balancer *balancer, limpet_stopped_cb stopped, void *owner)
{
	balancer->may_stop = stopped;
	balancer->may_stop_owner = owner;
}

void limpet_balancer_counts(const struct limpet_balancer *balancer, struct limpet_counts *counts)
{
	*counts = (struct limpet_counts){0};
	if (balancer->waiting_open)
		lp_waiting_count(&balancer->waiting, counts);
	counts->policy_errors = lp_data_policy_errors(&balancer->data);
	counts->policy_kills = lp_data_policy_kills(&balancer->data);
	counts->policy_benched_ms = lp_policy_benched_ms(balancer->data.current.policy);
	counts->reloads = balancer->reloads;
	counts->failed_reloads = balancer->failed_reloads;
	counts->rollbacks = balancer->rollbacks;
	counts->bounced = balancer->bounced;
	counts->sessions = lp_sessions_count(balancer->data.sessions);
	counts->sessions_evicted = lp_sessions_evicted(balancer->data.sessions);
	if (balancer->supervisor) {
		counts->worker_starts = lp_supervisor_starts(balancer->supervisor);
		counts->worker_exits = lp_supervisor_exits(balancer->supervisor);
		counts->worker_ejections = lp_supervisor_ejections(balancer->supervisor);
		counts->stuck_kills = lp_supervisor_kills(balancer->supervisor);
		counts->sessions_moved = lp_supervisor_sessions_moved(balancer->supervisor);
	}
}

int limpet_balancer_port(const struct limpet_balancer *balancer, size_t index)
{
	return index < balancer->listener_count ? balancer->listeners[index].origin.port : 0;
}
