/*
 * One epoll of our own watches the clients of all that wait, and the loop polls it as one descriptor: a watch is then 12
 * bytes of kernel interface instead of a libuv handle that closes in its own time, and it is edge-triggered. So a partial
 * head wakes us when more has come and never spins, on TCP and unix sockets alike, and no SO_RCVLOWAT is left behind on a
 * socket that goes to somebody else. A watch ends before the descriptor goes to a worker: an epoll entry lives as long as any
 * copy of it.
 *
 * One timer serves all deadlines.
 */
#include "server/waiting_list.h"

#include <errno.h>
#include <sys/epoll.h>

#include "server/closing.h"

/* How long one is held whose client has ended its side, and has most likely left: about as long as a worker's successor
 * takes to be there. */
#define LEAVING_MS 1000

/* The timer */

void lp_wait_arm_timer(struct lp_waiting *waiting)
{
	const struct lp_connection *first = lp_deadlines_first(&waiting->deadlines);
	uint64_t now = uv_now(waiting->config.loop);
	if (!first)
		return;
	uint64_t in_ms = first->until_ms > now ? first->until_ms - now : 0;
	if (!uv_is_active((uv_handle_t *)&waiting->timer) || uv_timer_get_due_in(&waiting->timer) > in_ms)
		uv_timer_start(&waiting->timer, waiting->on_timer, in_ms, 0);
}

/* Watching */

int lp_wait_watch(struct lp_waiting *waiting, struct lp_connection *connection)
{
	if (connection->watched)
		return 0;
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = connection};
	if (epoll_ctl(waiting->epoll, EPOLL_CTL_ADD, connection->fd, &event))
		return -errno;
	connection->watched = true;
	connection->met = false;
	return 0;
}

static void stop_watching(struct lp_waiting *waiting, struct lp_connection *connection)
{
	if (!connection->watched)
		return;
	epoll_ctl(waiting->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
	connection->watched = false;
}

/* Addresses */

/* Returns whether its address may have one more that waits for its head. */
static bool count_head(struct lp_waiting *waiting, struct lp_connection *connection)
{
	if (connection->looks_per_address)
		return true;
	enum lp_per_address_answer answer =
		lp_per_address_enter(waiting->config.per_address, &connection->ip, uv_now(waiting->config.loop));
	connection->looks_per_address = answer == LP_PER_ADDRESS_COUNTED;
	return answer != LP_PER_ADDRESS_OVER;
}

/* What waits for its head has a limit of its own, and its own order in which it makes room. */
static void count_wait(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_connection_state state)
{
	if (!connection->per_address)
		connection->per_address = lp_per_address_begin_wait(waiting->config.per_address, &connection->ip,
								    uv_now(waiting->config.loop));
	lp_list_remove(&connection->excess_link);
	if (connection->per_address && state != LP_LOOKING &&
	    lp_per_address_is_over(waiting->config.per_address, &connection->ip))
		lp_list_append(&waiting->excess, &connection->excess_link);
}

void lp_wait_release(struct lp_waiting *waiting, struct lp_connection *connection)
{
	stop_watching(waiting, connection);
	lp_list_remove(&connection->excess_link);
	if (connection->looks_per_address)
		lp_per_address_leave(waiting->config.per_address, &connection->ip);
	if (connection->per_address)
		lp_per_address_end_wait(waiting->config.per_address, &connection->ip);
	connection->looks_per_address = false;
	connection->per_address = false;
}

/* Waiting */

static bool is_waiting(const struct lp_connection *connection)
{
	return connection->state >= LP_LOOKING && connection->state <= LP_DUE;
}

/* The first that waits of those that an address has beyond its share; others of them are queued, and wait for no place. */
static struct lp_connection *find_excess(struct lp_waiting *waiting)
{
	while (!lp_list_empty(&waiting->excess)) {
		struct lp_connection *first = LP_LIST_OWNER(waiting->excess.next, struct lp_connection, excess_link);
		if (is_waiting(first))
			return first;
		lp_list_remove(&first->excess_link);
	}
	return NULL;
}

/* Who makes room for others: one whose client may have left; one of an address that has more than its share; else the one
 * that has waited longest for its head. */
static struct lp_connection *find_dispensable(struct lp_waiting *waiting)
{
	if (!lp_list_empty(&waiting->leaving))
		return LP_LIST_OWNER(waiting->leaving.next, struct lp_connection, side_link);
	struct lp_connection *excess = find_excess(waiting);
	return excess ? excess : lp_connections_first(waiting->connections, 0, LP_LOOKING);
}

static void dispense_with(struct lp_waiting *waiting, struct lp_connection *connection)
{
	char client[LP_IP_TEXT_SIZE];
	lp_ip_format(&connection->ip, client);
	lp_log_limited(waiting->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WAITING,
		       LP_LOG_ABOUT(.client = client, .listener = connection->origin->name),
		       "%u connections wait (--max-waiting); one from %s is closed to make room",
		       waiting->config.max_waiting, client);
	if (connection->half_closed || (connection->state == LP_LOOKING && !connection->seen))
		lp_closing_early(waiting, connection, LP_OUTCOME_CLOSED_FOR_ROOM);
	else
		lp_closing_refused(waiting, connection, LP_OUTCOME_PUSHED_OUT,
				   connection->state == LP_LOOKING ? 408 : 503);
}

/* Returns whether there is room for one more that waits. It is among those that wait already. */
static bool make_room(struct lp_waiting *waiting)
{
	if (lp_connections_waiting(waiting->connections) <= waiting->config.max_waiting)
		return true;
	struct lp_connection *other = find_dispensable(waiting);
	if (other)
		dispense_with(waiting, other);
	return other;
}

void lp_wait_begin(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_connection_state state,
		   unsigned group, uint64_t until_ms)
{
	uint64_t now = uv_now(waiting->config.loop);
	bool is_leaving = state == LP_HELD && connection->half_closed && !connection->was_lost;
	if (state == LP_LOOKING && !count_head(waiting, connection)) {
		lp_closing_over_limit(waiting, connection, LP_OUTCOME_PER_ADDRESS,
				      "too many from there have not said what they want (--max-per-ip)");
		return;
	}
	int status = lp_wait_watch(waiting, connection);
	if (status) {
		lp_log_limited(waiting->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WAITING,
			       LP_LOG_ABOUT(.listener = connection->origin->name),
			       "a connection cannot be watched: %s; it is closed", lp_error_words(status));
		lp_closing_early(waiting, connection, LP_OUTCOME_FAILED);
		return;
	}
	if (!make_room(waiting)) {
		lp_closing_refused(waiting, connection, LP_OUTCOME_NO_ROOM, 503);
		return;
	}
	count_wait(waiting, connection, state);
	lp_connection_move_to(waiting->connections, connection, state, group);
	if (is_leaving) {
		lp_list_append(&waiting->leaving, &connection->side_link);
		until_ms = until_ms < now + LEAVING_MS ? until_ms : now + LEAVING_MS;
	}
	lp_deadlines_set(&waiting->deadlines, connection, until_ms);
	lp_wait_arm_timer(waiting);
}

void lp_wait_end(struct lp_waiting *waiting, struct lp_connection *connection)
{
	lp_deadlines_remove(&waiting->deadlines, connection);
	lp_list_remove(&connection->side_link);
	lp_connection_move(waiting->connections, connection, LP_DECIDING);
}

void lp_wait_decide_soon(struct lp_waiting *waiting, struct lp_connection *connection)
{
	lp_deadlines_remove(&waiting->deadlines, connection);
	lp_list_remove(&connection->side_link);
	lp_connection_move(waiting->connections, connection, LP_DUE);
	uv_idle_start(&waiting->idle, waiting->on_due);
}

/* Queued for a worker whose channel is full */

void lp_waiting_blocked(struct lp_waiting *waiting, unsigned worker)
{
	struct lp_connection *connection = lp_connections_last(waiting->connections, worker, LP_QUEUED);
	while (connection && !connection->watched) {
		struct lp_connection *before = lp_connections_previous(waiting->connections, connection);
		count_wait(waiting, connection, LP_QUEUED);
		if (lp_wait_watch(waiting, connection))
			return;
		connection = before;
	}
}

void lp_waiting_sending(struct lp_waiting *waiting, struct lp_connection *connection)
{
	lp_wait_release(waiting, connection);
}
