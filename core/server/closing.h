/**
 * How a connection ends that no worker has. Private to the server layer.
 */
#ifndef LP_SERVER_CLOSING_H
#define LP_SERVER_CLOSING_H

#include "server/waiting.h"

/** Closed without an answer. @param waiting The room. @param connection Waiting, or QUEUED. It is gone. @param outcome Why. */
void lp_closing_early(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome);

/**
 * Answer with a status. The connection lingers, uncounted, until the client has closed too.
 *
 * @param waiting     The room.
 * @param connection  Waiting. It may be gone on return.
 * @param outcome     Why.
 * @param status      400 – 599.
 */
void lp_closing_refused(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome,
			int status);

/**
 * The client's address has too many. Closed without an answer, which would keep the descriptor until it was read; it counts
 * as refused.
 *
 * @param waiting     The room.
 * @param connection  Waiting. It is gone.
 * @param outcome     Which limit it was.
 * @param why         For the log.
 */
void lp_closing_over_limit(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome,
			   const char *why);

/** A connection as the decision log takes it; in line, as each connection needs it twice. @param waiting The room.
 * @param connection Borrowed, for as long as the result. */
static inline struct lp_decision_client lp_closing_client(const struct lp_waiting *waiting,
							  const struct lp_connection *connection)
{
	return (struct lp_decision_client){.ip = &connection->ip,
					   .port = connection->client_port,
					   .listener = connection->origin->name,
					   .begun_ms = connection->begun_ms,
					   .now_ms = uv_now(waiting->config.loop)};
}

/** Tell the decision log what became of a connection. @param waiting The room. @param connection Not yet gone.
 * @param outcome What. @param status What it was answered with; 0: nothing. */
void lp_closing_note(struct lp_waiting *waiting, const struct lp_connection *connection, enum lp_outcome outcome,
		     int status);

/** A refused client has closed, or had its time. @param waiting The room. @param connection LINGERING. It is gone. */
void lp_closing_linger(struct lp_waiting *waiting, struct lp_connection *connection);

#endif
