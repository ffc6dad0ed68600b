#include "server/closing.h"

#include <sys/socket.h>

#include "server/refusal.h"
#include "server/waiting_list.h"

/* How long a refused client may take to read its answer and close. */
#define LINGER_MS 1000

/* No worker has it. */
static void close_connection(struct lp_waiting *waiting, struct lp_connection *connection)
{
	if (connection->ip.family == LP_FAMILY_UNIX)
		shutdown(connection->fd, SHUT_RDWR); /* Nothing comes any more, and no descriptors with it. */
	lp_deadlines_remove(&waiting->deadlines, connection);
	lp_list_remove(&connection->side_link);
	lp_wait_release(waiting, connection);
	lp_connection_close(waiting->connections, connection);
}

void lp_closing_note(struct lp_waiting *waiting, const struct lp_connection *connection, enum lp_outcome outcome,
		     int status)
{
	struct lp_decision_client client = lp_closing_client(waiting, connection);
	lp_decisions_ended(waiting->config.decisions, connection->decision, &client, outcome, status);
}

void lp_closing_early(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome)
{
	lp_closing_note(waiting, connection, outcome, 0);
	connection->end = LP_END_CLOSED_EARLY;
	close_connection(waiting, connection);
}

void lp_closing_over_limit(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome,
			   const char *why)
{
	char client[LP_IP_TEXT_SIZE];
	lp_closing_note(waiting, connection, outcome, 0);
	lp_ip_format(&connection->ip, client);
	lp_log_limited(waiting->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_ADDRESS,
		       LP_LOG_ABOUT(.client = client, .listener = connection->origin->name),
		       "a connection from %s is closed: %s", client, why);
	waiting->over_limit++;
	connection->end = LP_END_REFUSED;
	close_connection(waiting, connection);
}

void lp_closing_linger(struct lp_waiting *waiting, struct lp_connection *connection)
{
	close_connection(waiting, connection);
}

void lp_closing_refused(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome,
			int status)
{
	char client[LP_IP_TEXT_SIZE];
	lp_closing_note(waiting, connection, outcome, status);
	lp_ip_format(&connection->ip, client);
	lp_log_limited(waiting->config.log, LP_LOG_DEBUG, LP_LOG_TOPIC_WAITING,
		       LP_LOG_ABOUT(.client = client, .listener = connection->origin->name), "refused %s with %d",
		       client, status);
	lp_refusal_send(connection->fd, status);
	lp_list_remove(&connection->side_link);
	lp_wait_release(waiting, connection);
	connection->end = LP_END_REFUSED;
	bool may_linger = waiting->connections->counts[LP_LINGERING] < waiting->config.max_waiting;
	if (!may_linger || lp_wait_watch(waiting, connection)) {
		close_connection(waiting, connection);
		return;
	}
	connection->seen = LP_REFUSAL_DISCARD_BYTES;
	lp_connection_move(waiting->connections, connection, LP_LINGERING);
	lp_deadlines_set(&waiting->deadlines, connection, uv_now(waiting->config.loop) + LINGER_MS);
	lp_wait_arm_timer(waiting);
}
