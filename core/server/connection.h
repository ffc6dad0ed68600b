/**
 * A connection in the waiting room: its data, and the verbs that waiting.c, which has the state table, moves it with.
 * Private to the server layer.
 */
#ifndef LP_SERVER_CONNECTION_H
#define LP_SERVER_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "server/waiting.h"

enum lp_connection_state {
	LP_DECIDING,
	LP_LOOKING,
	LP_AWAITING,
	LP_HELD,
	LP_DUE,
	LP_IN_FLIGHT,
	LP_LINGERING,
};

struct lp_connection {
	struct lp_parcel parcel; /**< Its link is ours, for the lists, while no worker has it. */
	const struct lp_origin *origin;
	uint64_t deadline_ms;  /**< For all waiting. On the loop's clock, like until_ms. */
	uint64_t until_ms;     /**< For the present state. */
	uint64_t begun_ms;     /**< When it was accepted; the same. */
	uint64_t decision;     /**< The number of its record in the decision log; 0: none yet. */
	uint64_t session_hash; /**< AWAITING: of the sid; 0: it only pauses. */
	uint32_t seen;         /**< Bytes that the last look saw. LINGERING: how many may still come. */
	uint32_t generation;   /**< Of the policy that cursor belongs to. */
	lp_policy_cursor cursor;
	uint16_t port; /**< The client's. */
	uint8_t state;
	bool watched;         /**< By epoll. */
	bool session_awaited; /**< Long enough. */
	bool came_back;       /**< From a worker, at least once. */
	bool per_address;     /**< It counts among those of its address that wait. */
	uint16_t refused_by;  /**< The worker that just gave it back; 0: none. */
	uint16_t refusals;    /**< How many have, since it last paused. */
	struct lp_ip ip;
};

/**
 * Take a connection in: it is accepted, and waits.
 *
 * @param waiting  The room.
 * @param fd       Connected. The connection's; closed when there is no memory.
 * @param ip       The client's.
 * @param port     The client's.
 * @param origin   Where it came in. Borrowed; outlives the connection.
 *
 * @return It, to be decided about; NULL without memory, which is logged, and counted as closed early.
 */
struct lp_connection *lp_connection_new(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
					const struct lp_origin *origin);

/** The connection of a link of one of the room's lists. @param link Not a list's head. */
struct lp_connection *lp_connection_of(struct lp_list *link);

/**
 * Put a connection into a list, in the order of deadlines.
 *
 * @param waiting     The room.
 * @param list        Of the room.
 * @param connection  In no list.
 * @param until_ms    Its deadline there; the room's timer is set for it.
 */
void lp_connection_enlist(struct lp_waiting *waiting, struct lp_list *list, struct lp_connection *connection,
			  uint64_t until_ms);

/** Take a connection out of its list, if any: it is being decided about. @param connection No worker's. */
void lp_connection_delist(struct lp_connection *connection);

/** Watch for bytes and for the client's end, each told once. @param waiting The room. @param connection Watched or not.
 * @return 0, or negative errno. */
int lp_connection_watch(struct lp_waiting *waiting, struct lp_connection *connection);

/** End the watch. @param waiting The room. @param connection Watched or not. */
void lp_connection_unwatch(struct lp_waiting *waiting, struct lp_connection *connection);

/** It waits no longer: the counts, but not the connection. @param waiting The room. @param connection Waiting. */
void lp_connection_count_out(struct lp_waiting *waiting, struct lp_connection *connection);

/** Close a connection's descriptor and free it; counts are the caller's. @param waiting The room. @param connection Any. */
void lp_connection_free(struct lp_waiting *waiting, struct lp_connection *connection);

/** End: the client has left, or never said anything. Frees it. @param waiting The room. @param connection Waiting.
 * @param outcome Which. */
void lp_connection_close_early(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome);

/**
 * End: answer with a status. The connection lingers, uncounted, until the client has closed too.
 *
 * @param waiting     The room.
 * @param connection  Waiting. May be freed on return.
 * @param outcome     Why.
 * @param status      400 – 599.
 */
void lp_connection_refuse(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome,
			  int status);

/**
 * Count a connection among those of its address that wait for their heads, until it waits for nothing any more.
 *
 * @param waiting     The room.
 * @param connection  Waiting; counted before or not.
 *
 * @return Whether its address may have one more.
 */
bool lp_connection_count_for_address(struct lp_waiting *waiting, struct lp_connection *connection);

/**
 * End: its address has too many. Closed without an answer, which would keep the descriptor until it was read; it counts
 * as refused.
 *
 * @param waiting     The room.
 * @param connection  Waiting. Freed.
 * @param outcome     Which limit it was.
 * @param why         For the log.
 */
void lp_connection_turn_away(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_outcome outcome,
			     const char *why);

/** A connection as the decision log takes it. @param waiting The room. @param connection Borrowed, for as long as the result. */
struct lp_decision_client lp_connection_client(const struct lp_waiting *waiting,
					       const struct lp_connection *connection);

/** Tell the decision log what became of a connection. @param waiting The room. @param connection Not yet freed.
 * @param outcome What. @param status What it was answered with; 0: nothing. */
void lp_connection_note_end(struct lp_waiting *waiting, const struct lp_connection *connection, enum lp_outcome outcome,
			    int status);

/** Free a connection that was refused. @param waiting The room. @param connection Lingering. */
void lp_connection_end_linger(struct lp_waiting *waiting, struct lp_connection *connection);

/**
 * Count that a worker gave a connection back.
 *
 * @param waiting     The room.
 * @param connection  Whose.
 * @param reason      Why.
 */
void lp_connection_note_return(struct lp_waiting *waiting, struct lp_connection *connection,
			       enum lp_return_reason reason);

/** See to it that the room's timer runs at a time, or before. @param waiting The room. @param until_ms When. */
void lp_waiting_arm_timer(struct lp_waiting *waiting, uint64_t until_ms);

/** Run on_empty if the room is. @param waiting The room. */
void lp_waiting_tell_if_empty(struct lp_waiting *waiting);

#endif
