/**
 * A connection: one record, in one table, from accept until its descriptor is closed.
 *
 * A record is in one state. Only lp_connection_move changes it, and with it the list that the record is in and every
 * count; so the counts are right by construction. connection.c has the table of states.
 *
 *     DECIDING ─▶ LOOKING · AWAITING · PAUSED · HELD · DUE ─▶ DECIDING ─▶ QUEUED ─▶ SENDING ─▶ SENT ─▶ ARRIVED ─▶ UNREAD ─▶ CLOSING
 *         └─────▶ LINGERING ─▶ CLOSING                            ▲            (returned unread) │
 *                                                                 └─────────────── DUE ◀─────────┘
 */
#ifndef LP_CONNECTION_CONNECTION_H
#define LP_CONNECTION_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/list.h"
#include "base/region.h"
#include "connection/closer.h"
#include "connection/tcp_unread.h"
#include "route/workers.h"

enum lp_connection_state {
	LP_GONE,     /**< There is none; the record is free. */
	LP_DECIDING, /**< Its policies are being asked, now. */
	LP_LOOKING,  /**< Its head is not complete. */
	LP_AWAITING, /**< Its session is unknown as yet: a worker may be about to name it. */
	LP_PAUSED,   /**< A worker gave it back just now, and no other can have it: it is tried again a little later. */
	LP_HELD,     /**< No worker can take it, or not the one that has its session. */
	LP_DUE,      /**< Something has changed for it: it is decided at the loop's next turn. */
	LP_QUEUED,   /**< For a worker, and not sent yet. */
	LP_SENDING,  /**< It is being sent, now. */
	LP_SENT,     /**< In the worker's channel; the worker has said nothing yet. */
	LP_ARRIVED,  /**< The worker has the descriptor, and has not said yet whether it takes the connection. */
	LP_UNREAD, /**< The worker has taken it, and what the client sent is unread: our copy is kept until it is read. */
	LP_LINGERING, /**< Refused; the client may still read its answer. */
	LP_CLOSING,   /**< Its descriptor is being closed, now. */
	LP_CONNECTION_STATES,
};

/** How a connection ends. */
enum lp_connection_end {
	LP_END_CLOSED_EARLY, /**< The client left, or said nothing until its deadline. */
	LP_END_REFUSED,      /**< Answered with a status, or closed as its address has too many. */
	LP_END_SETTLED,      /**< It is a worker's for good, the first that it was sent to. */
	LP_END_MOVED,        /**< It is a worker's for good, after it came back from one. */
	LP_CONNECTION_ENDS,
};

/** Why a connection came back from a worker. */
enum lp_return_reason {
	LP_RETURN_LOST,      /**< The channel closed, mostly with the worker's death. */
	LP_RETURN_REFUSED,   /**< The worker does not take it: its server closed, or it has all it wants. */
	LP_RETURN_NO_ROOM,   /**< The descriptor did not get through: the worker is at its limit of open files. */
	LP_RETURN_NO_SERVER, /**< It was not sent: the worker has no server for the port it came through, now. */
};

/** Where a connection came in. Outlives its connections. */
struct lp_origin {
	const char *name; /**< As --listen names it. */
	uint16_t port;    /**< 0 for a unix path. */
	int address;      /**< As workers number it: listeners at the same port or path have one number. */
};

struct lp_connection {
	struct lp_list link;        /**< In the list of its group and state. */
	struct lp_list side_link;   /**< AWAITING: among those that await a session; HELD: among those that leave. */
	struct lp_list excess_link; /**< Among those that their address has beyond its share. */
	const struct lp_origin *origin; /**< Borrowed. */
	uint64_t deadline_ms;           /**< For all waiting. On the loop's clock, like until_ms. */
	uint64_t until_ms;              /**< For the present state. */
	uint64_t begun_ms;              /**< When it was accepted; the same. */
	uint64_t decision;              /**< The number of its record in the decision log; 0: none yet. */
	uint64_t session_hash;          /**< AWAITING: of its session's key. */
	uint64_t number;                /**< Of the hand-over, counted from 1 on each channel. */
	uint64_t ready_ns; /**< When all was there that it takes to hand it over; on the monotonic clock. */
	struct lp_tcp_baseline baseline; /**< What had been done with it when it was handed over. */
	int fd;                          /**< Connected. */
	uint32_t place;                  /**< Among the deadlines; 0: it has none. */
	uint32_t seen;                   /**< Bytes that the last look saw. LINGERING: how many may still come. */
	uint32_t generation;             /**< Of the policy that cursor belongs to. */
	uint32_t round;                  /**< AWAITING: the workers' answers that tell (lp_supervisor_ask). */
	uint32_t cursor;                 /**< How far it has walked through the policies. */
	uint16_t client_port;            /**< The client's; 0 for a unix peer. */
	uint16_t group;                  /**< Whose list it is in: a worker's, or lp_connections_anywhere, or 0. */
	uint16_t refused_by;             /**< The worker that just gave it back; 0: none. */
	uint16_t refusals;               /**< How many have, since it last paused. */
	uint16_t ticks;                  /**< UNREAD: for how long. */
	uint8_t state;                   /**< enum lp_connection_state. */
	uint8_t end;                     /**< enum lp_connection_end: of one that waits, if it were to end now. */
	bool watched;                    /**< By epoll. */
	bool met;                        /**< The watch has reported for the first time. */
	bool half_closed;                /**< The client had ended its side when the wait began. */
	bool session_awaited;            /**< Long enough. */
	bool came_back;                  /**< From a worker, at least once. */
	bool was_lost;                   /**< … with the worker's death. */
	bool per_address;                /**< It counts among those of its address that wait; and so, */
	bool looks_per_address;          /**< … for their heads. */
	struct lp_ip ip;                 /**< The client's. */
};

/** Records that the table takes from its region at a time. */
#define LP_CHUNK_RECORDS 64

struct lp_chunk {
	struct lp_chunk *next;
	struct lp_connection records[LP_CHUNK_RECORDS];
};

/** The table. All members are for reading only. What is not a record can be made anew from the records. */
struct lp_connections {
	struct lp_workers *workers; /**< Whose `connections` and `waiting` it keeps right. */
	struct lp_region *region;   /**< Where the records lie. */
	struct lp_chunk *chunks;    /**< All records. */
	uint32_t capacity;          /**< How many there are. */
	struct lp_list free;        /**< Those that are GONE. */
	struct lp_list *lists;      /**< By group and state. */
	unsigned groups;
	uint32_t counts[LP_CONNECTION_STATES];
	uint32_t (*by_state)[LP_CONNECTION_STATES]; /**< By worker's id. */
	uint32_t live; /**< Connections that have not ended: neither LINGERING nor CLOSING. */
	uint64_t ended[LP_CONNECTION_ENDS];
	struct lp_closer *closer;
	void (*on_empty)(void *owner); /**< NULL, or runs whenever the last connection has ended. May not move one. */
	void *owner;
};

/**
 * Make an empty table.
 *
 * @param connections  The caller's memory.
 * @param region       Where its records are to lie. Borrowed.
 * @param workers      Borrowed.
 *
 * @return 0, or -ENOMEM.
 */
int lp_connections_open(struct lp_connections *connections, struct lp_region *region, struct lp_workers *workers);

/** Free what lies outside of the region. @param connections Open, or all zero. */
void lp_connections_close(struct lp_connections *connections);

/**
 * Take a connection in: it is DECIDING.
 *
 * @param connections  The table.
 * @param fd           The connection's.
 * @param origin       Borrowed; outlives the connection.
 *
 * @return The record, all else zero; NULL when out of memory, with the connection counted as closed early.
 */
struct lp_connection *lp_connections_add(struct lp_connections *connections, int fd, const struct lp_origin *origin);

/**
 * Move a connection to another state. To a state with a worker, and to HELD, use lp_connection_move_to.
 *
 * The record leaves its list and joins the end of another (from SENDING back to QUEUED: its beginning). A move that the
 * table of states does not have ends the process: going on could lose a connection, or give it to two.
 *
 * @param connections  The table.
 * @param connection   Of the table.
 * @param to           Where to. LP_GONE: the record is free afterwards.
 */
void lp_connection_move(struct lp_connections *connections, struct lp_connection *connection,
			enum lp_connection_state to);

/** The same into another group. @param connections The table. @param connection Of the table. @param to Where to.
 * @param group A worker's id; or, of HELD, lp_connections_anywhere. */
void lp_connection_move_to(struct lp_connections *connections, struct lp_connection *connection,
			   enum lp_connection_state to, unsigned group);

/** Close the descriptor and free the record. @param connections The table. @param connection Of the table, and not watched; in a
 * state from which CLOSING is a move. */
void lp_connection_close(struct lp_connections *connections, struct lp_connection *connection);

/** The group of connections that are HELD for any worker that takes what comes to an address. @param connections The
 * table. @param address Of an origin. @return A group. */
unsigned lp_connections_anywhere(const struct lp_connections *connections, int address);

/** The connection that has been in a state for longest. @param connections The table. @param group Whose.
 * @param state Which. @return It, or NULL. */
struct lp_connection *lp_connections_first(const struct lp_connections *connections, unsigned group,
					   enum lp_connection_state state);

/** The one that has been in a state for the shortest time. @param connections The table. @param group Whose.
 * @param state Which. @return It, or NULL. */
struct lp_connection *lp_connections_last(const struct lp_connections *connections, unsigned group,
					  enum lp_connection_state state);

/** The one before it in its list. @param connections The table. @param connection In a list. @return It, or NULL. */
struct lp_connection *lp_connections_previous(const struct lp_connections *connections,
					      const struct lp_connection *connection);

/** The one after it in its list. @param connections The table. @param connection In a list. @return It, or NULL. */
struct lp_connection *lp_connections_next(const struct lp_connections *connections,
					  const struct lp_connection *connection);

/** Connections that wait: DECIDING to DUE. @param connections The table. */
uint64_t lp_connections_waiting(const struct lp_connections *connections);

/** Connections that are with a worker, and of which we have a copy: QUEUED to UNREAD. @param connections The table. */
uint64_t lp_connections_in_flight(const struct lp_connections *connections);

/** Connections that are with a worker, QUEUED to UNREAD. @param connections The table. @param worker Its id. */
uint64_t lp_connections_in_flight_at(const struct lp_connections *connections, unsigned worker);

/** A state's name, for messages. @param state Any. @return Static. */
const char *lp_connection_state_name(enum lp_connection_state state);

#endif
