/*
 * Who waits, for what, and who is decided about; connection.c has the table of states, waiting_list.c what all waiting has in
 * common.
 *
 * Most connections pass from accept to QUEUED in one go: TCP_DEFER_ACCEPT brings them with their first bytes. All waiting is
 * for the connection's one deadline, head_timeout after it was accepted (or a worker's death gave it back).
 *
 * What changes through an event from the workers (a death, a session, room, a connection given back) is decided at the
 * loop's next turn, never inside the event, so that no decision runs inside another. An event costs the connections that it
 * concerns, and no others: they are found by their worker, their session, or the address they came to. A turn decides about
 * DECISIONS_A_TURN; the others follow in the next.
 *
 * An unknown session may be one that its worker has told its client and not yet us. Some workers always tell us first: it is
 * enough to read what they have said. The others are asked, once for all who wait, and answer behind what they had to say
 * (session_query.h); session_wait is for those that do not answer.
 *
 * A client that ends its side may have left, or may only have said all that it will: TCP does not tell. One whose end came
 * with its request is taken for the second: it is served as any other, but does not wait for an unknown session, and is
 * the first to go, or goes soon, when it is held. One that ends while it waits is taken for the first, and closed.
 */
#include "server/waiting.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "server/closing.h"
#include "server/refusal.h"
#include "server/waiting_list.h"

/* Events taken from epoll, and decisions about those that waited, before the loop gets its turn. */
#define EVENTS_A_TURN 64
#define DECISIONS_A_TURN 128

/* The pause of a connection that every worker has given back. */
#define PAUSE_MS 50

/* Lists of those that await sessions; one is 16 bytes. */
#define SESSION_LISTS_MIN 64u
#define SESSION_LISTS_MAX 16384u

/* Waiting for something */

static void wait_for_bytes(struct lp_waiting *waiting, struct lp_connection *connection)
{
	connection->seen = (uint32_t)waiting->look.seen;
	connection->ready_ns = 0; /* Now it is the client who takes its time. */
	lp_wait_begin(waiting, connection, LP_LOOKING, 0, connection->deadline_ms);
}

/* Its worker may be about to name it; or it says, by answering, that it is not. */
static void await_session(struct lp_waiting *waiting, struct lp_connection *connection, uint64_t session_hash,
			  uint32_t round)
{
	connection->session_hash = session_hash;
	connection->round = round;
	lp_wait_begin(waiting, connection, LP_AWAITING, 0,
		      uv_now(waiting->config.loop) + waiting->config.session_wait_ms);
	if (connection->state == LP_AWAITING)
		lp_list_append(&waiting->by_session[session_hash & waiting->by_session_mask], &connection->side_link);
}

/* Every worker has given it back just now, or the one that has its session; maybe it is taken a little later. */
static void pause_connection(struct lp_waiting *waiting, struct lp_connection *connection)
{
	connection->refusals = 0;
	connection->refused_by = 0;
	lp_wait_begin(waiting, connection, LP_PAUSED, 0, uv_now(waiting->config.loop) + PAUSE_MS);
}

static void hold_for(struct lp_waiting *waiting, struct lp_connection *connection, unsigned worker)
{
	lp_wait_begin(waiting, connection, LP_HELD, worker, connection->deadline_ms);
}

static void hold_for_any(struct lp_waiting *waiting, struct lp_connection *connection)
{
	unsigned group = lp_connections_anywhere(waiting->connections, connection->origin->address);
	lp_wait_begin(waiting, connection, LP_HELD, group, connection->deadline_ms);
}

/* Deciding */

/* Queue it for the worker that was chosen, or hold it. */
static void send_to(struct lp_waiting *waiting, struct lp_connection *connection, unsigned worker)
{
	if (connection->refusals && connection->refusals >= waiting->config.workers->usable_count) {
		pause_connection(waiting, connection);
		return;
	}
	if (worker && worker == connection->refused_by)
		worker = lp_workers_least_except(waiting->config.workers, LP_LEAST_CONNECTIONS, worker);
	if (!worker) {
		hold_for_any(waiting, connection);
		return;
	}
	lp_wait_release(waiting, connection);
	lp_decisions_sent(waiting->config.decisions, connection->decision, worker);
	lp_supervisor_queue(waiting->supervisor, worker, connection);
}

/* What a look has told. Returns whether the policies can go on. */
static bool can_decide(struct lp_waiting *waiting, struct lp_connection *connection, int status)
{
	if (status == 0)
		return true;
	if (status == LP_AGAIN)
		wait_for_bytes(waiting, connection);
	else if (status == -E2BIG)
		lp_closing_refused(waiting, connection, LP_OUTCOME_HEAD_TOO_LONG, 431);
	else
		lp_closing_early(waiting, connection, LP_OUTCOME_CLIENT_LEFT);
	return false;
}

static void record_connection(struct lp_waiting *waiting, const struct lp_policy_conn *view, unsigned worker)
{
	lp_recorder_note(waiting->config.recorder, uv_now(waiting->config.loop), view, waiting->look.bytes,
			 waiting->look.length, worker);
}

static void note_decision(struct lp_waiting *waiting, struct lp_connection *connection,
			  const struct lp_policy_conn *view, const struct lp_verdict *verdict, uint64_t errors_before)
{
	struct lp_decision_client client = lp_closing_client(waiting, connection);
	lp_decisions_decided(waiting->config.decisions, &connection->decision, &client, view, verdict,
			     connection->cursor, lp_policy_errors(waiting->policy) != errors_before);
}

static int look_at_head(struct lp_waiting *waiting, struct lp_connection *connection, struct lp_policy_conn *view)
{
	int status = lp_head_peek(&waiting->look, connection->fd, connection->seen, view);
	if (status == 0)
		lp_hints_note(&waiting->hints, waiting->config.log, waiting->policy, view);
	return status;
}

static void hold_connection(struct lp_waiting *waiting, struct lp_connection *connection, unsigned worker)
{
	if (connection->refused_by)
		pause_connection(waiting, connection);
	else
		hold_for(waiting, connection, worker);
}

/* The round to wait for; 0: none. */
static uint32_t ask_workers(struct lp_waiting *waiting, const struct lp_connection *connection)
{
	bool may_wait = waiting->supervisor && waiting->config.session_wait_ms && !connection->half_closed;
	return may_wait ? lp_supervisor_ask(waiting->supervisor) : 0;
}

static void ask_policies(struct lp_waiting *waiting, struct lp_connection *connection, struct lp_policy_conn *view)
{
	uint64_t errors = lp_policy_errors(waiting->policy);
	uint32_t round;
	for (;;) {
		struct lp_verdict verdict = lp_policy_decide(waiting->policy, view, &connection->cursor);
		switch (verdict.kind) {
		case LP_VERDICT_LOOK:
			if (!can_decide(waiting, connection, look_at_head(waiting, connection, view)))
				return;
			continue;
		case LP_VERDICT_HEAR:
			lp_supervisor_hear(waiting->supervisor); /* Its worker may have named it already. */
			view->unheard = false;
			continue;
		case LP_VERDICT_AWAIT:
			round = verdict.may_be_new ? ask_workers(waiting, connection) : 0;
			if (!round) {
				view->session_awaited = true;
				continue;
			}
			note_decision(waiting, connection, view, &verdict, errors);
			await_session(waiting, connection, verdict.session_hash, round);
			return;
		case LP_VERDICT_HOLD:
			note_decision(waiting, connection, view, &verdict, errors);
			hold_connection(waiting, connection, verdict.worker);
			return;
		case LP_VERDICT_REFUSE:
			record_connection(waiting, view, 0);
			note_decision(waiting, connection, view, &verdict, errors);
			lp_closing_refused(waiting, connection, LP_OUTCOME_REFUSED_POLICY, verdict.status);
			return;
		case LP_VERDICT_WORKER:
			record_connection(waiting, view, verdict.worker);
			break;
		case LP_VERDICT_NONE:
			verdict.worker = lp_workers_least(waiting->config.workers, LP_LEAST_CONNECTIONS);
			if (verdict.worker)
				record_connection(waiting, view, verdict.worker);
			break;
		}
		note_decision(waiting, connection, view, &verdict, errors);
		send_to(waiting, connection, verdict.worker);
		return;
	}
}

/* looked: what is known of its first bytes, as a look has filled it; or all zero. */
static void decide_connection(struct lp_waiting *waiting, struct lp_connection *connection,
			      const struct lp_policy_conn *looked)
{
	struct lp_policy_asked asked = {0};
	struct lp_policy_conn view = *looked;
	if (connection->generation != waiting->generation) {
		connection->generation = waiting->generation;
		connection->cursor = 0;
		view = (struct lp_policy_conn){0}; /* Other policies may have hooks that look at nothing. */
	}
	view.ip = connection->ip;
	view.port = connection->client_port;
	view.listener = connection->origin->name;
	view.session_awaited = connection->session_awaited;
	view.unheard = waiting->supervisor;
	view.refused_by = connection->refused_by;
	view.asked = &asked;
	if (!connection->ready_ns && waiting->supervisor)
		connection->ready_ns = lp_supervisor_turn_ns(waiting->supervisor);
	lp_workers_set_address(waiting->config.workers, connection->origin->address);
	ask_policies(waiting, connection, &view);
	lp_workers_set_address(waiting->config.workers, LP_WORKERS_ANYWHERE);
	waiting->config.on_asked(waiting->config.owner);
}

static void decide_waiting(struct lp_waiting *waiting, struct lp_connection *connection)
{
	static const struct lp_policy_conn nothing;
	lp_wait_end(waiting, connection);
	decide_connection(waiting, connection, &nothing);
}

/* The loop's next turn */

static bool can_go_anywhere(struct lp_waiting *waiting, const struct lp_connection *connection)
{
	lp_workers_set_address(waiting->config.workers, connection->origin->address);
	bool can = waiting->config.workers->usable_count > 0;
	lp_workers_set_address(waiting->config.workers, LP_WORKERS_ANYWHERE);
	return can;
}

/* Decide about those that are held for any worker at an address, while one can take them. Returns how many of budget are left. */
static unsigned decide_held(struct lp_waiting *waiting, unsigned group, unsigned budget)
{
	struct lp_connection *last = lp_connections_last(waiting->connections, group, LP_HELD);
	struct lp_connection *connection;
	while (budget && last && (connection = lp_connections_first(waiting->connections, group, LP_HELD)) &&
	       can_go_anywhere(waiting, connection)) {
		decide_waiting(waiting, connection);
		budget--;
		if (connection == last)
			break; /* Behind it are those that were held again. */
	}
	return budget;
}

static unsigned decide_all_held(struct lp_waiting *waiting, unsigned budget)
{
	unsigned anywhere = lp_connections_anywhere(waiting->connections, 0);
	for (unsigned group = anywhere; budget && group < waiting->connections->groups; group++)
		budget = decide_held(waiting, group, budget);
	waiting->retry_held = budget == 0;
	return budget;
}

static void on_due(uv_idle_t *idle)
{
	struct lp_waiting *waiting = idle->data;
	struct lp_connection *last = lp_connections_last(waiting->connections, 0, LP_DUE);
	struct lp_connection *connection = NULL;
	unsigned budget = DECISIONS_A_TURN;
	while (budget && connection != last && (connection = lp_connections_first(waiting->connections, 0, LP_DUE))) {
		decide_waiting(waiting, connection);
		budget--;
	}
	if (budget && waiting->retry_held)
		decide_all_held(waiting, budget);
	if (!waiting->connections->counts[LP_DUE] && !waiting->retry_held)
		uv_idle_stop(idle);
}

/* Clients */

static void on_head(struct lp_waiting *waiting, struct lp_connection *connection, bool has_ended)
{
	struct lp_policy_conn view = {0};
	int status = look_at_head(waiting, connection, &view);
	if (status == LP_AGAIN && !has_ended) {
		connection->seen = (uint32_t)waiting->look.seen; /* It stays where it is, in each list. */
		return;
	}
	if (status == LP_AGAIN) {
		lp_closing_early(waiting, connection, LP_OUTCOME_CLIENT_LEFT); /* It will never be complete. */
		return;
	}
	connection->half_closed = has_ended;
	lp_wait_end(waiting, connection);
	if (can_decide(waiting, connection, status))
		decide_connection(waiting, connection, &view);
}

/* Its end was there when it began to wait. */
static void on_half_closed(struct lp_waiting *waiting, struct lp_connection *connection)
{
	connection->half_closed = true;
	if (connection->state == LP_AWAITING)
		lp_wait_decide_soon(waiting, connection);
	else if (connection->state == LP_HELD) /* Held again, it is among those that leave. */
		decide_waiting(waiting, connection);
}

static void on_client(struct lp_waiting *waiting, struct lp_connection *connection, uint32_t events)
{
	bool is_first = !connection->met;
	bool is_gone = events & (EPOLLHUP | EPOLLERR);
	bool has_ended = events & EPOLLRDHUP;
	connection->met = true;
	switch (connection->state) {
	case LP_LINGERING:
		if (!lp_refusal_discard(connection->fd, &connection->seen))
			lp_closing_linger(waiting, connection);
		break;
	case LP_LOOKING:
		on_head(waiting, connection, is_gone || has_ended);
		break;
	default:
		if (is_gone || (has_ended && !is_first && !connection->half_closed))
			lp_closing_early(waiting, connection, LP_OUTCOME_CLIENT_LEFT);
		else if (has_ended)
			on_half_closed(waiting, connection);
		break;
	}
}

static void on_epoll(uv_poll_t *poll, int status, int uv_events)
{
	struct lp_waiting *waiting = poll->data;
	struct epoll_event event;
	(void)status;
	(void)uv_events;
	/* One at a time: deciding about one can end another (make_room), whose event would be next in a batch. */
	for (int taken = 0; taken < EVENTS_A_TURN && epoll_wait(waiting->epoll, &event, 1, 0) > 0; taken++)
		on_client(waiting, event.data.ptr, event.events);
}

/* Deadlines */

static void give_up_looking(struct lp_waiting *waiting, struct lp_connection *connection)
{
	if (connection->seen) {
		lp_closing_refused(waiting, connection, LP_OUTCOME_HEAD_TIMEOUT, 408);
		return;
	}
	lp_hints_note_silence(&waiting->hints, waiting->config.log, waiting->policy, connection->origin->name,
			      waiting->config.head_timeout_ms);
	lp_closing_early(waiting, connection, LP_OUTCOME_SILENT);
}

/* When we have not run for a while, the rest of a head can be here although nobody has told us yet. */
static void expire_looking(struct lp_waiting *waiting, struct lp_connection *connection)
{
	struct lp_policy_conn view = {0};
	if (look_at_head(waiting, connection, &view)) {
		give_up_looking(waiting, connection);
		return;
	}
	lp_wait_end(waiting, connection);
	decide_connection(waiting, connection, &view);
}

static void try_again(struct lp_waiting *waiting, struct lp_connection *connection)
{
	if (connection->deadline_ms <= uv_now(waiting->config.loop))
		lp_closing_refused(waiting, connection, LP_OUTCOME_NO_WORKER, 503);
	else
		decide_waiting(waiting, connection);
}

static void expire_held(struct lp_waiting *waiting, struct lp_connection *connection)
{
	if (connection->deadline_ms <= uv_now(waiting->config.loop))
		lp_closing_refused(waiting, connection, LP_OUTCOME_NO_WORKER, 503);
	else
		lp_closing_early(waiting, connection, LP_OUTCOME_CLIENT_LEFT); /* Its client has most likely left. */
}

static void expire_connection(struct lp_waiting *waiting, struct lp_connection *connection)
{
	switch (connection->state) {
	case LP_LOOKING:
		expire_looking(waiting, connection);
		break;
	case LP_AWAITING:
		connection->session_awaited = true;
		try_again(waiting, connection);
		break;
	case LP_PAUSED:
		try_again(waiting, connection);
		break;
	case LP_HELD:
		expire_held(waiting, connection);
		break;
	default:
		lp_closing_linger(waiting, connection);
		break;
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct lp_waiting *waiting = timer->data;
	uint64_t now = uv_now(waiting->config.loop);
	bool heard = !waiting->supervisor;
	struct lp_connection *connection;
	while ((connection = lp_deadlines_first(&waiting->deadlines)) && connection->until_ms <= now) {
		if (connection->state == LP_AWAITING && !heard) {
			lp_supervisor_hear(
				waiting->supervisor); /* If we have not run for a while, the claim may be here. */
			heard = true;
		} else {
			expire_connection(waiting, connection);
		}
	}
	lp_wait_arm_timer(waiting);
}

/* For the balancer */

static int open_lists(struct lp_waiting *waiting)
{
	uint32_t lists = SESSION_LISTS_MIN;
	while (lists < waiting->config.max_waiting && lists < SESSION_LISTS_MAX)
		lists *= 2;
	lp_list_init(&waiting->leaving);
	lp_list_init(&waiting->excess);
	waiting->by_session_mask = lists - 1;
	waiting->by_session = malloc(lists * sizeof(*waiting->by_session));
	for (uint32_t i = 0; waiting->by_session && i < lists; i++)
		lp_list_init(&waiting->by_session[i]);
	return waiting->by_session ? 0 : -ENOMEM;
}

static void close_lists(struct lp_waiting *waiting)
{
	if (waiting->epoll >= 0)
		close(waiting->epoll);
	lp_deadlines_free(&waiting->deadlines);
	lp_head_peek_deinit(&waiting->look);
	free(waiting->by_session);
}

int lp_waiting_open(struct lp_waiting *waiting, const struct lp_waiting_config *config)
{
	*waiting = (struct lp_waiting){.config = *config,
				       .connections = config->connections,
				       .epoll = -1,
				       .on_timer = on_timer,
				       .on_due = on_due,
				       .open_handles = 3};
	int status = open_lists(waiting);
	if (!status)
		status = lp_head_peek_init(&waiting->look, config->max_head_bytes);
	if (!status && (waiting->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
		status = -errno;
	if (!status)
		status = uv_poll_init(config->loop, &waiting->poll, waiting->epoll);
	if (status) {
		close_lists(waiting);
		return status;
	}
	uv_timer_init(config->loop, &waiting->timer);
	uv_idle_init(config->loop, &waiting->idle);
	waiting->poll.data = waiting;
	waiting->timer.data = waiting;
	waiting->idle.data = waiting;
	uv_poll_start(&waiting->poll, UV_READABLE, on_epoll);
	return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct lp_waiting *waiting = handle->data;
	if (--waiting->open_handles)
		return;
	close_lists(waiting);
	if (waiting->closed)
		waiting->closed(waiting);
}

void lp_waiting_leave_silent(struct lp_waiting *waiting)
{
	struct lp_connection *connection = lp_connections_first(waiting->connections, 0, LP_LOOKING);
	while (connection) {
		struct lp_connection *next = lp_connections_next(waiting->connections, connection);
		if (!connection->seen)
			lp_closing_early(waiting, connection, LP_OUTCOME_STOPPING);
		connection = next;
	}
}

static void refuse_all_of(struct lp_waiting *waiting, unsigned group, enum lp_connection_state state)
{
	struct lp_connection *connection;
	while ((connection = lp_connections_first(waiting->connections, group, state)))
		lp_closing_refused(waiting, connection, LP_OUTCOME_STOPPING, 503);
}

void lp_waiting_refuse_all(struct lp_waiting *waiting)
{
	refuse_all_of(waiting, 0, LP_LOOKING);
	refuse_all_of(waiting, 0, LP_AWAITING);
	refuse_all_of(waiting, 0, LP_PAUSED);
	refuse_all_of(waiting, 0, LP_DUE);
	for (unsigned group = 1; group < waiting->connections->groups; group++)
		refuse_all_of(waiting, group, LP_HELD);
}

void lp_waiting_close(struct lp_waiting *waiting, void (*closed)(struct lp_waiting *waiting))
{
	struct lp_connection *connection;
	waiting->closed = closed;
	lp_waiting_refuse_all(waiting);
	while ((connection = lp_connections_first(waiting->connections, 0, LP_LINGERING)))
		lp_closing_linger(waiting, connection);
	uv_close((uv_handle_t *)&waiting->poll, on_handle_closed);
	uv_close((uv_handle_t *)&waiting->timer, on_handle_closed);
	uv_close((uv_handle_t *)&waiting->idle, on_handle_closed);
}

static struct lp_connection *take_in(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
				     const struct lp_origin *origin)
{
	uint64_t now = uv_now(waiting->config.loop);
	struct lp_connection *connection = lp_connections_add(waiting->connections, fd, origin);
	if (!connection) {
		lp_log_limited(waiting->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WAITING,
			       LP_LOG_ABOUT(.listener = origin->name), "no memory for a connection; it is closed");
		lp_decisions_ended(
			waiting->config.decisions, 0,
			&(struct lp_decision_client){
				.ip = ip, .port = port, .listener = origin->name, .begun_ms = now, .now_ms = now},
			LP_OUTCOME_FAILED, 0);
		lp_closer_close(waiting->connections->closer, fd);
		return NULL;
	}
	connection->ip = *ip;
	connection->client_port = port;
	connection->begun_ms = now;
	connection->deadline_ms = now + waiting->config.head_timeout_ms;
	connection->generation = waiting->generation;
	if (lp_deadlines_reserve(&waiting->deadlines, waiting->connections->capacity) == 0)
		return connection;
	lp_closing_early(waiting, connection, LP_OUTCOME_FAILED);
	return NULL;
}

void lp_waiting_admit(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
		      const struct lp_origin *origin)
{
	static const struct lp_policy_conn nothing;
	struct lp_connection *connection = take_in(waiting, fd, ip, port, origin);
	if (!connection)
		return;
	if (lp_per_address_admit(waiting->config.per_address, ip, uv_now(waiting->config.loop)))
		decide_connection(waiting, connection, &nothing);
	else
		lp_closing_over_limit(waiting, connection, LP_OUTCOME_ADDRESS_RATE,
				      "too many come from there (--max-rate-per-ip)");
}

/* It is no new connection of its address. */
void lp_waiting_readmit(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
			const struct lp_origin *origin)
{
	struct lp_connection *connection = take_in(waiting, fd, ip, port, origin);
	if (!connection)
		return;
	lp_tcp_baseline_take(fd, &connection->baseline);
	lp_wait_decide_soon(waiting, connection);
}

void lp_waiting_set_policy(struct lp_waiting *waiting, struct lp_policy *policy)
{
	struct lp_connection *connection;
	waiting->policy = policy;
	waiting->generation++;
	lp_decisions_use_policy(waiting->config.decisions, policy);
	if (lp_policy_needs_bytes(policy))
		return; /* Those that wait for their heads meet it when they are complete. */
	while ((connection = lp_connections_first(waiting->connections, 0, LP_LOOKING)))
		lp_wait_decide_soon(waiting, connection);
}

void lp_waiting_worker_lost(struct lp_waiting *waiting, unsigned worker)
{
	struct lp_connection *connection;
	while ((connection = lp_connections_first(waiting->connections, worker, LP_HELD)))
		lp_wait_decide_soon(waiting, connection);
}

void lp_waiting_worker_usable(struct lp_waiting *waiting, unsigned worker)
{
	lp_waiting_worker_lost(waiting, worker); /* What is held for it need not wait in either case. */
	waiting->retry_held = true;
	uv_idle_start(&waiting->idle, on_due);
}

void lp_waiting_session(struct lp_waiting *waiting, struct lp_slice key)
{
	if (!waiting->connections->counts[LP_AWAITING])
		return;
	uint64_t hash = lp_sessions_hash(waiting->config.sessions, key);
	struct lp_list *list = &waiting->by_session[hash & waiting->by_session_mask];
	struct lp_list *next;
	for (struct lp_list *link = list->next; link != list; link = next) {
		struct lp_connection *connection = LP_LIST_OWNER(link, struct lp_connection, side_link);
		next = link->next;
		if (connection->session_hash == hash)
			lp_wait_decide_soon(waiting, connection);
	}
}

void lp_waiting_answered(struct lp_waiting *waiting, uint32_t round)
{
	struct lp_connection *connection;
	while ((connection = lp_connections_first(waiting->connections, 0, LP_AWAITING)) &&
	       (int32_t)(round - connection->round) >= 0) {
		connection->session_awaited = true;
		lp_wait_decide_soon(waiting, connection);
	}
}

void lp_waiting_settled(struct lp_waiting *waiting, const struct lp_connection *connection)
{
	lp_closing_note(waiting, connection, LP_OUTCOME_ARRIVED, 0);
}

void lp_waiting_returned(struct lp_waiting *waiting, struct lp_connection *connection, unsigned worker,
			 enum lp_return_reason reason)
{
	lp_decisions_returned(waiting->config.decisions, connection->decision, worker, reason);
	waiting->returned[reason]++;
	lp_workers_find(waiting->config.workers, worker)->returned++;
	connection->came_back = true;
	if (reason == LP_RETURN_LOST) {
		connection->was_lost = true;
		connection->deadline_ms = uv_now(waiting->config.loop) + waiting->config.head_timeout_ms;
	} else {
		connection->refused_by = (uint16_t)worker;
		connection->refusals++;
	}
	connection->cursor = 0;
	lp_wait_decide_soon(waiting, connection);
}

void lp_waiting_count(const struct lp_waiting *waiting, struct limpet_counts *counts)
{
	const struct lp_connections *connections = waiting->connections;
	counts->waiting = lp_connections_waiting(connections);
	counts->in_flight = lp_connections_in_flight(connections);
	counts->acknowledged = connections->ended[LP_END_SETTLED];
	counts->moved = connections->ended[LP_END_MOVED];
	counts->handed_over = counts->acknowledged + counts->in_flight + counts->moved;
	counts->refused = connections->ended[LP_END_REFUSED];
	counts->over_limit = waiting->over_limit;
	counts->closed_early = connections->ended[LP_END_CLOSED_EARLY];
	counts->accepted = counts->handed_over + counts->refused + counts->closed_early + counts->waiting;
	counts->returned_lost = waiting->returned[LP_RETURN_LOST];
	counts->returned_refused = waiting->returned[LP_RETURN_REFUSED] + waiting->returned[LP_RETURN_NO_SERVER];
	counts->returned_no_room = waiting->returned[LP_RETURN_NO_ROOM];
}
