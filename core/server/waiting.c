/*
 * One accepted connection until a worker has acknowledged it.
 *
 *     state       in list    means                                    leaves on
 *     DECIDING    none       its policies are being asked, now        the verdict; its address has too many -> refused
 *     LOOKING     looking    its head is not complete                 bytes -> DECIDING; the client closed -> closed early;
 *                                                                     deadline -> 408, or closed early if it said nothing
 *     AWAITING    awaiting   its sid is unknown as yet; or every      the session is learnt, or session_wait is over
 *                            worker, or its session's, just gave      -> DECIDING
 *                            it back
 *     HELD        held       no worker can take it, or not the one    one can, or ended -> DUE; deadline -> 503
 *                            that has its session
 *     DUE         due        something changed for it                 the loop's next turn -> DECIDING
 *     IN FLIGHT   (worker's) handed over, not acknowledged            acknowledged -> gone; returned -> DUE
 *     LINGERING   lingering  refused; the client may still read       the client closed, or a second is over -> gone
 *
 *     accepted = handed_over (acknowledged + in flight + moved) + refused + closed_early + waiting (DECIDING … DUE)
 *
 * All waiting is for the connection's one deadline, head_timeout after it was accepted (or came back from a worker).
 *
 * Most connections pass from accept to IN FLIGHT in one go: TCP_DEFER_ACCEPT brings them with their first bytes. The
 * others are watched by an epoll of our own, which the loop polls as one descriptor: a watch is then 12 bytes of kernel
 * interface instead of a libuv handle that closes in its own time, and it is edge-triggered. So a partial head wakes us
 * when more has come and never spins, on TCP and unix sockets alike, and no SO_RCVLOWAT is left behind on a socket that
 * goes to somebody else. A watch ends before the descriptor goes: an epoll entry lives as long as any copy of it.
 *
 * What changes through an event from the workers (a death, a session, room, a connection given back) is decided at the
 * loop's next turn, never inside the event, so that no decision runs inside another. connection.h has what a connection
 * holds.
 */
#include "server/waiting.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/connection.h"
#include "server/refusal.h"

/* Events taken from epoll before the loop gets its turn. */
#define EVENTS 64

/* The pause of a connection that every worker has given back. */
#define PAUSE_MS 50

static void decide(struct lp_waiting *waiting, struct lp_connection *connection);

/* Waiting */

/* Its time is over, or it makes room for another. */
static void give_up_looking(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome)
{
	if (connection->seen)
		lp_connection_refuse(waiting, connection, outcome, 408);
	else
		lp_connection_close_early(waiting, connection,
					  outcome == LP_OUTCOME_HEAD_TIMEOUT ? LP_OUTCOME_SILENT : outcome);
}

/* One more is to wait. At the bound the oldest that has not even said what it wants makes room. */
static void make_room(struct lp_waiting *waiting)
{
	if (waiting->counts.waiting <= waiting->config.max_waiting || lp_list_empty(&waiting->looking))
		return;
	lp_log_limited(waiting->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WAITING, NULL,
		       "%u connections wait; the oldest incomplete one is closed (--max-waiting)",
		       waiting->config.max_waiting);
	give_up_looking(waiting, lp_connection_of(waiting->looking.next), LP_OUTCOME_PUSHED_OUT);
}

static void wait_in(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_connection_state state,
		    struct lp_list *list, uint64_t until_ms)
{
	make_room(waiting);
	if (waiting->counts.waiting > waiting->config.max_waiting) {
		lp_connection_refuse(waiting, connection, LP_OUTCOME_NO_ROOM, 503);
		return;
	}
	connection->state = (uint8_t)state;
	lp_connection_enlist(waiting, list, connection, until_ms);
}

static void wait_for_bytes(struct lp_waiting *waiting, struct lp_connection *connection)
{
	if (!lp_connection_count_for_address(waiting, connection)) {
		lp_connection_turn_away(waiting, connection, LP_OUTCOME_PER_ADDRESS,
					"too many from there have not said what they want (--max-per-ip)");
		return;
	}
	int status = lp_connection_watch(waiting, connection);
	if (status) {
		lp_log_limited(waiting->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WAITING,
			       LP_LOG_ABOUT(.listener = connection->origin->name),
			       "a connection cannot be watched: %s; it is closed", lp_error_words(status));
		lp_connection_close_early(waiting, connection, LP_OUTCOME_FAILED);
		return;
	}
	connection->seen = (uint32_t)waiting->look.seen;
	connection->parcel.ready_ns = 0; /* Now it is the client who takes its time. */
	wait_in(waiting, connection, LP_LOOKING, &waiting->looking, connection->deadline_ms);
}

static void await_session(struct lp_waiting *waiting, struct lp_connection *connection, uint64_t session_hash)
{
	connection->session_hash = session_hash;
	wait_in(waiting, connection, LP_AWAITING, &waiting->awaiting,
		uv_now(waiting->config.loop) + waiting->config.session_wait_ms);
}

/* Every worker has given it back just now, or the one that has its session; maybe it is taken a little later. */
static void pause_connection(struct lp_waiting *waiting, struct lp_connection *connection)
{
	connection->refusals = 0;
	connection->refused_by = 0;
	connection->session_hash = 0;
	wait_in(waiting, connection, LP_AWAITING, &waiting->awaiting, uv_now(waiting->config.loop) + PAUSE_MS);
}

/* Deciding */

static int hand_over(struct lp_waiting *waiting, struct lp_connection *connection, unsigned worker)
{
	lp_connection_unwatch(waiting, connection);
	int status = lp_supervisor_hand_over(waiting->supervisor, worker, &connection->parcel);
	if (status)
		return status;
	connection->state = LP_IN_FLIGHT;
	lp_connection_count_out(waiting, connection);
	waiting->counts.handed_over++;
	waiting->counts.in_flight++;
	lp_decisions_sent(waiting->config.decisions, connection->decision, worker);
	return 0;
}

/* Hand over to the worker that was chosen, or to none. Returns false when it has to be chosen again. */
static bool send_to(struct lp_waiting *waiting, struct lp_connection *connection, unsigned worker)
{
	if (connection->refusals && connection->refusals >= waiting->config.workers->usable_count) {
		pause_connection(waiting, connection);
		return true;
	}
	if (worker && worker == connection->refused_by)
		worker = lp_workers_least_but(waiting->config.workers, LP_LEAST_CONNECTIONS, worker);
	if (!worker) {
		wait_in(waiting, connection, LP_HELD, &waiting->held, connection->deadline_ms);
		return true;
	}
	return hand_over(waiting, connection, worker) == 0;
}

/* Returns whether the policies can go on. */
static bool look(struct lp_waiting *waiting, struct lp_connection *connection, struct lp_policy_conn *view)
{
	int status = lp_look(&waiting->look, connection->parcel.fd, connection->seen, view);
	if (status == 0) {
		lp_hints_note(&waiting->hints, waiting->config.log, waiting->policy, view);
		return true;
	}
	if (status == LP_AGAIN)
		wait_for_bytes(waiting, connection);
	else if (status == -E2BIG)
		lp_connection_refuse(waiting, connection, LP_OUTCOME_HEAD_TOO_LONG, 431);
	else
		lp_connection_close_early(waiting, connection, LP_OUTCOME_CLIENT_LEFT);
	return false;
}

static void record(struct lp_waiting *waiting, const struct lp_policy_conn *view, unsigned worker)
{
	lp_recorder_note(waiting->config.recorder, uv_now(waiting->config.loop), view, waiting->look.bytes,
			 waiting->look.length, worker);
}

static void note_decision(struct lp_waiting *waiting, struct lp_connection *connection,
			  const struct lp_policy_conn *view, const struct lp_verdict *verdict, uint64_t errors_before)
{
	struct lp_decision_client client = lp_connection_client(waiting, connection);
	lp_decisions_decided(waiting->config.decisions, &connection->decision, &client, view, verdict,
			     connection->cursor, lp_policy_errors(waiting->policy) != errors_before);
}

static void ask_policies(struct lp_waiting *waiting, struct lp_connection *connection)
{
	struct lp_policy_asked asked;
	struct lp_policy_conn view = {.ip = connection->ip,
				      .port = connection->port,
				      .listener = connection->origin->name,
				      .session_awaited = connection->session_awaited,
				      .unheard = waiting->supervisor,
				      .refused_by = connection->refused_by,
				      .asked = &asked};
	uint64_t errors = lp_policy_errors(waiting->policy);
	asked.length = 0;
	if (connection->generation != waiting->generation) {
		connection->generation = waiting->generation;
		connection->cursor = 0;
	}
	for (;;) {
		struct lp_verdict verdict = lp_policy_decide(waiting->policy, &view, &connection->cursor);
		switch (verdict.kind) {
		case LP_VERDICT_LOOK:
			if (!look(waiting, connection, &view))
				return;
			continue;
		case LP_VERDICT_HEAR:
			lp_supervisor_hear(waiting->supervisor); /* Its worker may have named it already. */
			view.unheard = false;
			continue;
		case LP_VERDICT_AWAIT:
			note_decision(waiting, connection, &view, &verdict, errors);
			await_session(waiting, connection, verdict.session_hash);
			return;
		case LP_VERDICT_HOLD:
			note_decision(waiting, connection, &view, &verdict, errors);
			if (connection->refused_by)
				pause_connection(waiting, connection);
			else
				wait_in(waiting, connection, LP_HELD, &waiting->held, connection->deadline_ms);
			return;
		case LP_VERDICT_REFUSE:
			record(waiting, &view, 0);
			note_decision(waiting, connection, &view, &verdict, errors);
			lp_connection_refuse(waiting, connection, LP_OUTCOME_REFUSED_POLICY, verdict.status);
			return;
		case LP_VERDICT_WORKER:
			break;
		case LP_VERDICT_NONE:
			verdict.worker = lp_workers_least(waiting->config.workers, LP_LEAST_CONNECTIONS);
			break;
		}
		note_decision(waiting, connection, &view, &verdict, errors);
		if (send_to(waiting, connection, verdict.worker)) {
			if (verdict.worker)
				record(waiting, &view, verdict.worker);
			return;
		}
		connection->cursor = 0; /* That worker is usable no longer: ask again, among the others. */
	}
}

static void decide(struct lp_waiting *waiting, struct lp_connection *connection)
{
	if (!connection->parcel.ready_ns && waiting->supervisor)
		connection->parcel.ready_ns = lp_supervisor_turn_ns(waiting->supervisor);
	lp_workers_ask_for(waiting->config.workers, connection->origin->address);
	ask_policies(waiting, connection);
	lp_workers_ask_for(waiting->config.workers, LP_WORKERS_ANYWHERE);
	waiting->config.on_asked(waiting->config.owner);
}

/* The loop's events */

static void on_due(uv_idle_t *idle)
{
	struct lp_waiting *waiting = idle->data;
	struct lp_list due;
	lp_list_init(&due);
	lp_list_splice(&due, &waiting->due);
	while (!lp_list_empty(&due)) {
		struct lp_connection *connection = lp_connection_of(due.next);
		lp_connection_delist(connection);
		decide(waiting, connection);
	}
	if (lp_list_empty(&waiting->due))
		uv_idle_stop(idle);
}

static void decide_soon(struct lp_waiting *waiting, struct lp_connection *connection)
{
	lp_list_remove(&connection->parcel.link);
	connection->state = LP_DUE;
	lp_list_append(&waiting->due, &connection->parcel.link);
	uv_idle_start(&waiting->idle, on_due);
}

static void on_bytes(struct lp_waiting *waiting, struct lp_connection *connection, uint32_t events)
{
	if (connection->state == LP_LINGERING) {
		if (!lp_refusal_discard(connection->parcel.fd, &connection->seen))
			lp_connection_end_linger(waiting, connection);
		return;
	}
	if (connection->state != LP_LOOKING)
		return;
	bool hung_up = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	struct lp_policy_conn view = {0};
	if (hung_up && lp_look(&waiting->look, connection->parcel.fd, connection->seen, &view) == LP_AGAIN) {
		lp_connection_close_early(waiting, connection, LP_OUTCOME_CLIENT_LEFT); /* It will never be complete. */
		return;
	}
	lp_connection_delist(connection);
	decide(waiting, connection);
}

static void on_epoll(uv_poll_t *poll, int status, int uv_events)
{
	struct lp_waiting *waiting = poll->data;
	struct epoll_event event;
	(void)status;
	(void)uv_events;
	/* One at a time: deciding about one can end another (make_room), whose event would be next in a batch. */
	for (int taken = 0; taken < EVENTS && epoll_wait(waiting->epoll, &event, 1, 0) > 0; taken++)
		on_bytes(waiting, event.data.ptr, event.events);
}

static void expire(struct lp_waiting *waiting, struct lp_list *list, uint64_t now,
		   void (*expired)(struct lp_waiting *waiting, struct lp_connection *connection))
{
	while (!lp_list_empty(list) && lp_connection_of(list->next)->until_ms <= now)
		expired(waiting, lp_connection_of(list->next));
	if (!lp_list_empty(list))
		lp_waiting_arm_timer(waiting, lp_connection_of(list->next)->until_ms);
}

/* When we have not run for a while, the rest of a head can be here although nobody has told us yet. */
static void expire_looking(struct lp_waiting *waiting, struct lp_connection *connection)
{
	struct lp_policy_conn view = {0};
	if (lp_look(&waiting->look, connection->parcel.fd, connection->seen, &view) == 0) {
		lp_connection_delist(connection);
		decide(waiting, connection);
	} else {
		if (!connection->seen)
			lp_hints_note_silence(&waiting->hints, waiting->config.log, waiting->policy,
					      connection->origin->name, waiting->config.head_timeout_ms);
		give_up_looking(waiting, connection, LP_OUTCOME_HEAD_TIMEOUT);
	}
}

static void expire_awaiting(struct lp_waiting *waiting, struct lp_connection *connection)
{
	lp_connection_delist(connection);
	if (connection->session_hash)
		connection->session_awaited = true;
	if (connection->deadline_ms <= uv_now(waiting->config.loop))
		lp_connection_refuse(waiting, connection, LP_OUTCOME_NO_WORKER, 503);
	else
		decide(waiting, connection);
}

static void expire_held(struct lp_waiting *waiting, struct lp_connection *connection)
{
	lp_connection_refuse(waiting, connection, LP_OUTCOME_NO_WORKER, 503);
}

static void on_timer(uv_timer_t *timer)
{
	struct lp_waiting *waiting = timer->data;
	uint64_t now = uv_now(waiting->config.loop);
	bool awaited = !lp_list_empty(&waiting->awaiting) && lp_connection_of(waiting->awaiting.next)->until_ms <= now;
	if (awaited && waiting->supervisor)
		lp_supervisor_hear(waiting->supervisor); /* For the same reason: the claim may be here already. */
	expire(waiting, &waiting->looking, now, expire_looking);
	expire(waiting, &waiting->awaiting, now, expire_awaiting);
	expire(waiting, &waiting->held, now, expire_held);
	expire(waiting, &waiting->lingering, now, lp_connection_end_linger);
}

/* For the balancer */

int lp_waiting_open(struct lp_waiting *waiting, const struct lp_waiting_config *config)
{
	*waiting = (struct lp_waiting){.config = *config, .on_timer = on_timer, .open_handles = 3};
	lp_list_init(&waiting->looking);
	lp_list_init(&waiting->awaiting);
	lp_list_init(&waiting->held);
	lp_list_init(&waiting->lingering);
	lp_list_init(&waiting->due);
	waiting->closer = lp_closer_new();
	int status = lp_look_init(&waiting->look, config->max_head_bytes);
	if (!waiting->closer)
		status = -ENOMEM;
	waiting->epoll = status ? -1 : epoll_create1(EPOLL_CLOEXEC);
	if (!status && waiting->epoll < 0)
		status = -errno;
	if (!status)
		status = uv_poll_init(config->loop, &waiting->poll, waiting->epoll);
	if (status) {
		if (waiting->epoll >= 0)
			close(waiting->epoll);
		lp_look_deinit(&waiting->look);
		lp_closer_free(waiting->closer);
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
	close(waiting->epoll);
	lp_look_deinit(&waiting->look);
	lp_closer_free(waiting->closer);
	if (waiting->closed)
		waiting->closed(waiting);
}

void lp_waiting_refuse_all(struct lp_waiting *waiting)
{
	struct lp_list *const lists[] = {&waiting->looking, &waiting->awaiting, &waiting->held, &waiting->due};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		while (!lp_list_empty(lists[i]))
			lp_connection_refuse(waiting, lp_connection_of(lists[i]->next), LP_OUTCOME_STOPPING, 503);
}

void lp_waiting_close(struct lp_waiting *waiting, void (*closed)(struct lp_waiting *waiting))
{
	waiting->closed = closed;
	lp_waiting_refuse_all(waiting);
	while (!lp_list_empty(&waiting->lingering))
		lp_connection_end_linger(waiting, lp_connection_of(waiting->lingering.next));
	uv_close((uv_handle_t *)&waiting->poll, on_handle_closed);
	uv_close((uv_handle_t *)&waiting->timer, on_handle_closed);
	uv_close((uv_handle_t *)&waiting->idle, on_handle_closed);
}

void lp_waiting_admit(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
		      const struct lp_origin *origin)
{
	struct lp_connection *connection = lp_connection_new(waiting, fd, ip, port, origin);
	if (!connection)
		return;
	if (lp_per_address_admit(waiting->config.per_address, ip, uv_now(waiting->config.loop)))
		decide(waiting, connection);
	else
		lp_connection_turn_away(waiting, connection, LP_OUTCOME_ADDRESS_RATE,
					"too many come from there (--max-rate-per-ip)");
}

/* It is no new connection of its address. */
void lp_waiting_readmit(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
			const struct lp_origin *origin)
{
	struct lp_connection *connection = lp_connection_new(waiting, fd, ip, port, origin);
	if (!connection)
		return;
	lp_tcp_baseline_take(fd, &connection->parcel.baseline);
	decide_soon(waiting, connection);
}

void lp_waiting_set_policy(struct lp_waiting *waiting, struct lp_policy *policy)
{
	waiting->policy = policy;
	waiting->generation++;
	lp_decisions_use_policy(waiting->config.decisions, policy);
	if (lp_policy_looks(policy))
		return; /* Those that wait for their heads meet it when they are complete. */
	while (!lp_list_empty(&waiting->looking))
		decide_soon(waiting, lp_connection_of(waiting->looking.next));
}

void lp_waiting_workers_changed(struct lp_waiting *waiting)
{
	while (!lp_list_empty(&waiting->held))
		decide_soon(waiting, lp_connection_of(waiting->held.next));
}

void lp_waiting_session(struct lp_waiting *waiting, struct lp_slice key)
{
	if (lp_list_empty(&waiting->awaiting))
		return;
	uint64_t hash = lp_sessions_hash(waiting->config.sessions, key);
	struct lp_list *next;
	for (struct lp_list *link = waiting->awaiting.next; link != &waiting->awaiting; link = next) {
		next = link->next;
		if (lp_connection_of(link)->session_hash == hash)
			decide_soon(waiting, lp_connection_of(link));
	}
}

void lp_waiting_acknowledged(struct lp_waiting *waiting, struct lp_parcel *parcel)
{
	struct lp_connection *connection = LP_LIST_OWNER(parcel, struct lp_connection, parcel);
	struct lp_worker *worker = lp_workers_find(waiting->config.workers, parcel->worker);
	waiting->counts.in_flight--;
	if (connection->came_back) {
		waiting->counts.moved++;
		worker->moved++;
	} else {
		waiting->counts.acknowledged++;
		worker->acknowledged++;
	}
	lp_connection_note_end(waiting, connection, LP_OUTCOME_ARRIVED, 0);
	lp_connection_free(waiting, connection);
	lp_waiting_tell_if_empty(waiting);
}

void lp_waiting_returned(struct lp_waiting *waiting, struct lp_parcel *parcel, unsigned worker,
			 enum lp_return_reason reason)
{
	struct lp_connection *connection = LP_LIST_OWNER(parcel, struct lp_connection, parcel);
	waiting->counts.in_flight--;
	waiting->counts.handed_over--;
	waiting->counts.waiting++;
	lp_workers_find(waiting->config.workers, worker)->returned++;
	lp_connection_note_return(waiting, connection, reason);
	lp_decisions_returned(waiting->config.decisions, connection->decision, worker, reason);
	if (reason == LP_RETURN_LOST)
		connection->deadline_ms = uv_now(waiting->config.loop) + waiting->config.head_timeout_ms;
	else
		connection->refused_by = (uint16_t)worker;
	connection->refusals += reason != LP_RETURN_LOST;
	connection->cursor = 0;
	decide_soon(waiting, connection);
}

bool lp_waiting_empty(const struct lp_waiting *waiting)
{
	return waiting->counts.waiting == 0 && waiting->counts.in_flight == 0;
}
