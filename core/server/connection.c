/*
 * Lists, deadlines, watches and ends of a connection; waiting.c says when.
 *
 * One timer serves all lists: each is in the order of its deadlines, so the earliest of all is one of their firsts.
 */
#include "server/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "server/refusal.h"

/* How long a refused client may take to read its answer and close. */
#define LINGER_MS 1000

struct lp_connection *lp_connection_new(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
					const struct lp_origin *origin)
{
	struct lp_connection *connection = malloc(sizeof(*connection));
	waiting->counts.accepted++;
	if (!connection) {
		lp_log_limited(waiting->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WAITING,
			       LP_LOG_ABOUT(.listener = origin->name), "no memory for a connection; it is closed");
		waiting->counts.closed_early++;
		lp_decisions_ended(waiting->config.decisions, 0,
				   &(struct lp_decision_client){.ip = ip,
								.port = port,
								.listener = origin->name,
								.begun_ms = uv_now(waiting->config.loop),
								.now_ms = uv_now(waiting->config.loop)},
				   LP_OUTCOME_FAILED, 0);
		close(fd);
		return NULL;
	}
	*connection =
		(struct lp_connection){.parcel = {.fd = fd, .port = origin->port, .address = (uint16_t)origin->address},
				       .origin = origin,
				       .begun_ms = uv_now(waiting->config.loop),
				       .deadline_ms = uv_now(waiting->config.loop) + waiting->config.head_timeout_ms,
				       .generation = waiting->generation,
				       .port = port,
				       .state = LP_DECIDING,
				       .ip = *ip};
	lp_list_init(&connection->parcel.link);
	waiting->counts.waiting++;
	return connection;
}

struct lp_connection *lp_connection_of(struct lp_list *link)
{
	return LP_LIST_OWNER(link, struct lp_connection, parcel.link);
}

/* Lists and deadlines */

void lp_waiting_arm_timer(struct lp_waiting *waiting, uint64_t until_ms)
{
	uint64_t now = uv_now(waiting->config.loop);
	uint64_t in_ms = until_ms > now ? until_ms - now : 0;
	if (!uv_is_active((uv_handle_t *)&waiting->timer) || uv_timer_get_due_in(&waiting->timer) > in_ms)
		uv_timer_start(&waiting->timer, waiting->on_timer, in_ms, 0);
}

/* Put a connection into a list that is ordered by deadline; nearly always that is its end. */
void lp_connection_enlist(struct lp_waiting *waiting, struct lp_list *list, struct lp_connection *connection,
			  uint64_t until_ms)
{
	struct lp_list *before = list->previous;
	connection->until_ms = until_ms;
	while (before != list && lp_connection_of(before)->until_ms > until_ms)
		before = before->previous;
	lp_list_prepend(before, &connection->parcel.link);
	lp_waiting_arm_timer(waiting, until_ms);
}

/* Take a connection out of whatever list of ours it is in. */
void lp_connection_delist(struct lp_connection *connection)
{
	lp_list_remove(&connection->parcel.link);
	connection->state = LP_DECIDING;
}

/* Limits of addresses */

bool lp_connection_count_for_address(struct lp_waiting *waiting, struct lp_connection *connection)
{
	if (connection->per_address)
		return true;
	enum lp_per_address_answer answer =
		lp_per_address_enter(waiting->config.per_address, &connection->ip, uv_now(waiting->config.loop));
	connection->per_address = answer == LP_PER_ADDRESS_COUNTED;
	return answer != LP_PER_ADDRESS_OVER;
}

/* Watching */

int lp_connection_watch(struct lp_waiting *waiting, struct lp_connection *connection)
{
	if (connection->watched)
		return 0;
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = connection};
	if (epoll_ctl(waiting->epoll, EPOLL_CTL_ADD, connection->parcel.fd, &event))
		return -errno;
	connection->watched = true;
	return 0;
}

void lp_connection_unwatch(struct lp_waiting *waiting, struct lp_connection *connection)
{
	if (!connection->watched)
		return;
	epoll_ctl(waiting->epoll, EPOLL_CTL_DEL, connection->parcel.fd, NULL);
	connection->watched = false;
}

/* Returns */

void lp_connection_note_return(struct lp_waiting *waiting, struct lp_connection *connection,
			       enum lp_return_reason reason)
{
	connection->came_back = true;
	switch (reason) {
	case LP_RETURN_LOST:
		waiting->counts.returned_lost++;
		break;
	case LP_RETURN_REFUSED:
	case LP_RETURN_NO_SERVER:
		waiting->counts.returned_refused++;
		break;
	case LP_RETURN_NO_ROOM:
		waiting->counts.returned_no_room++;
		break;
	}
}

/* Ends */

void lp_waiting_tell_if_empty(struct lp_waiting *waiting)
{
	if (lp_waiting_empty(waiting))
		waiting->config.on_empty(waiting->config.owner);
}

void lp_connection_free(struct lp_waiting *waiting, struct lp_connection *connection)
{
	lp_list_remove(&connection->parcel.link);
	lp_connection_unwatch(waiting, connection);
	lp_closer_close(waiting->closer, connection->parcel.fd);
	free(connection);
}

void lp_connection_count_out(struct lp_waiting *waiting, struct lp_connection *connection)
{
	waiting->counts.waiting--;
	if (connection->per_address)
		lp_per_address_leave(waiting->config.per_address, &connection->ip);
	connection->per_address = false;
}

struct lp_decision_client lp_connection_client(const struct lp_waiting *waiting, const struct lp_connection *connection)
{
	return (struct lp_decision_client){.ip = &connection->ip,
					   .port = connection->port,
					   .listener = connection->origin->name,
					   .begun_ms = connection->begun_ms,
					   .now_ms = uv_now(waiting->config.loop)};
}

void lp_connection_note_end(struct lp_waiting *waiting, const struct lp_connection *connection, enum lp_outcome outcome,
			    int status)
{
	struct lp_decision_client client = lp_connection_client(waiting, connection);
	lp_decisions_ended(waiting->config.decisions, connection->decision, &client, outcome, status);
}

void lp_connection_close_early(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome)
{
	lp_connection_note_end(waiting, connection, outcome, 0);
	lp_connection_count_out(waiting, connection);
	waiting->counts.closed_early++;
	lp_connection_free(waiting, connection);
	lp_waiting_tell_if_empty(waiting);
}

void lp_connection_turn_away(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome,
			     const char *why)
{
	char client[LP_IP_TEXT_SIZE];
	lp_connection_note_end(waiting, connection, outcome, 0);
	lp_ip_format(&connection->ip, client);
	lp_log_limited(waiting->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_ADDRESS,
		       LP_LOG_ABOUT(.client = client, .listener = connection->origin->name),
		       "a connection from %s is closed: %s", client, why);
	lp_connection_count_out(waiting, connection);
	waiting->counts.refused++;
	waiting->counts.over_limit++;
	lp_connection_free(waiting, connection);
	lp_waiting_tell_if_empty(waiting);
}

void lp_connection_end_linger(struct lp_waiting *waiting, struct lp_connection *connection)
{
	waiting->lingering_count--;
	lp_connection_free(waiting, connection);
}

void lp_connection_refuse(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome,
			  int status)
{
	char client[LP_IP_TEXT_SIZE];
	lp_connection_note_end(waiting, connection, outcome, status);
	lp_connection_delist(connection);
	lp_connection_count_out(waiting, connection);
	waiting->counts.refused++;
	lp_ip_format(&connection->ip, client);
	lp_log_limited(waiting->config.log, LP_LOG_DEBUG, LP_LOG_TOPIC_WAITING,
		       LP_LOG_ABOUT(.client = client, .listener = connection->origin->name), "refused %s with %d",
		       client, status);
	lp_refusal_send(connection->parcel.fd, status);
	if (waiting->lingering_count >= waiting->config.max_waiting || lp_connection_watch(waiting, connection)) {
		lp_connection_free(waiting, connection);
	} else {
		connection->state = LP_LINGERING;
		connection->seen = LP_REFUSAL_DISCARD_BYTES;
		waiting->lingering_count++;
		lp_connection_enlist(waiting, &waiting->lingering, connection,
				     uv_now(waiting->config.loop) + LINGER_MS);
	}
	lp_waiting_tell_if_empty(waiting);
}
