/**
 * How a connection waits: among those of its address, watched, and until a deadline. Private to the server layer; waiting.c
 * decides who waits.
 */
#ifndef LP_SERVER_WAITING_LIST_H
#define LP_SERVER_WAITING_LIST_H

#include "server/waiting.h"

/**
 * Let a connection wait.
 *
 * It may end instead: refused when there are too many, or too many of its address; closed when its client has gone.
 *
 * @param waiting     The room.
 * @param connection  DECIDING.
 * @param state       LP_LOOKING, LP_AWAITING, LP_PAUSED or LP_HELD.
 * @param group       HELD: for whom. Else 0.
 * @param until_ms    On the loop's clock.
 */
void lp_wait_begin(struct lp_waiting *waiting, struct lp_connection *connection, enum lp_connection_state state,
		   unsigned group, uint64_t until_ms);

/** A connection waits no longer: it is DECIDING. @param waiting The room. @param connection LOOKING to DUE. */
void lp_wait_end(struct lp_waiting *waiting, struct lp_connection *connection);

/** A connection is decided at the loop's next turn: it is DUE. @param waiting The room. @param connection Any that DUE is a
 * move from. */
void lp_wait_decide_soon(struct lp_waiting *waiting, struct lp_connection *connection);

/** Watch for bytes and for the client's end, each told once. @param waiting The room. @param connection Watched or not.
 * @return 0, or negative errno. */
int lp_wait_watch(struct lp_waiting *waiting, struct lp_connection *connection);

/** End the watch, and count it no more among those of its address that wait. @param waiting The room. @param connection Any. */
void lp_wait_release(struct lp_waiting *waiting, struct lp_connection *connection);

/** Set the room's timer for the earliest deadline. @param waiting The room. */
void lp_wait_arm_timer(struct lp_waiting *waiting);

#endif
