/**
 * What each client address has at the moment, and may have: connections that wait for their heads, connections that wait for
 * anything, and new connections a second. For the flood that one machine can make, not for one from thousands of addresses,
 * which --max-waiting bounds.
 *
 * What waits for its head says nothing of itself: past the limit it is closed. What waits for a session or a worker has
 * said what it wants, and may be one of many behind one address (an office, a proxy): what an address has beyond its share
 * waits as well, and makes room when others need it.
 *
 * An IPv6 client has a whole /64 to take addresses from, so a /64 counts as one. Unix peers have no address and are
 * exempt, and so are trusted proxies, who bring everybody's connections.
 */
#ifndef LP_SERVER_PER_ADDRESS_H
#define LP_SERVER_PER_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "route/forwarded.h"

struct lp_per_address_config {
	uint32_t max_waiting;  /**< Of one address, for their heads. 0: any, and nothing is counted but rates. */
	uint32_t share;        /**< Of one address, for anything. */
	uint32_t max_rate;     /**< Of one address, a second; as many may come at once. 0: any. */
	uint32_t room;         /**< For about how many addresses at a time; those beyond are not limited. */
	uint64_t seed;         /**< Random, so that strangers cannot choose whom they collide with. */
	struct lp_trust trust; /**< Borrowed. */
};

struct lp_per_address;

/**
 * Make a table.
 *
 * @param config  Copied.
 *
 * @return A table of 24 bytes for each of room (rounded up to a power of two); NULL when out of memory.
 */
struct lp_per_address *lp_per_address_new(const struct lp_per_address_config *config);

/** Free a table. @param table NULL is allowed. */
void lp_per_address_free(struct lp_per_address *table);

/**
 * An address opens a connection.
 *
 * @param table   Borrowed. NULL: nobody is limited.
 * @param ip      The client's.
 * @param now_ms  On a monotonic clock.
 *
 * @return Whether it may: its rate is not past the bound.
 */
bool lp_per_address_admit(struct lp_per_address *table, const struct lp_ip *ip, uint64_t now_ms);

enum lp_per_address_answer {
	LP_PER_ADDRESS_COUNTED, /**< To be ended with lp_per_address_leave. */
	LP_PER_ADDRESS_EXEMPT,  /**< It may wait and is not counted. */
	LP_PER_ADDRESS_OVER,    /**< The address has too many that wait. */
};

/** A connection is to wait for its head. @param table NULL: nobody is limited. @param ip The client's. @param now_ms As above. */
enum lp_per_address_answer lp_per_address_enter(struct lp_per_address *table, const struct lp_ip *ip, uint64_t now_ms);

/** One that was counted waits for its head no longer. @param table As it was. @param ip The client's. */
void lp_per_address_leave(struct lp_per_address *table, const struct lp_ip *ip);

/**
 * A connection is to wait, for whatever it may be.
 *
 * @param table   NULL: nobody is counted.
 * @param ip      The client's.
 * @param now_ms  As above.
 *
 * @return Whether it is counted: to be ended with lp_per_address_end_wait.
 */
bool lp_per_address_begin_wait(struct lp_per_address *table, const struct lp_ip *ip, uint64_t now_ms);

/** Whether an address has more that wait than its share. @param table As it was. @param ip Of one that was counted. */
bool lp_per_address_is_over(struct lp_per_address *table, const struct lp_ip *ip);

/** One that was counted waits no longer. @param table As it was. @param ip The client's. */
void lp_per_address_end_wait(struct lp_per_address *table, const struct lp_ip *ip);

#endif
