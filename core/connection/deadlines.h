/**
 * Which connection's time is up next: those that wait until a time, in a heap.
 *
 * A connection that waits for the same time as all who came before it, which is the rule, is added in constant time. Others,
 * and those that leave, take a logarithm of how many there are. One whose deadline does not change is not moved at all.
 */
#ifndef LP_CONNECTION_DEADLINES_H
#define LP_CONNECTION_DEADLINES_H

#include <stdint.h>

#include "connection/connection.h"

struct lp_deadlines {
	struct lp_connection **all; /**< From 1 on; the first is due before all others. */
	uint32_t count;
	uint32_t capacity;
};

/**
 * Reserve room for a number of connections.
 *
 * @param deadlines  All zero, or in use.
 * @param capacity   Connections, at least.
 *
 * @return 0, or -ENOMEM with nothing changed.
 */
int lp_deadlines_reserve(struct lp_deadlines *deadlines, uint32_t capacity);

/** Free it. @param deadlines All zero afterwards. */
void lp_deadlines_free(struct lp_deadlines *deadlines);

/** Set when a connection's time is up. @param deadlines Has room, or has it. @param connection Its until_ms is changed.
 * @param until_ms On the loop's clock. */
void lp_deadlines_set(struct lp_deadlines *deadlines, struct lp_connection *connection, uint64_t until_ms);

/** Let a connection have no deadline. @param deadlines Open. @param connection With one or without. */
void lp_deadlines_remove(struct lp_deadlines *deadlines, struct lp_connection *connection);

/** The connection whose time is up first. @param deadlines Open. @return It, or NULL. */
struct lp_connection *lp_deadlines_first(const struct lp_deadlines *deadlines);

#endif
