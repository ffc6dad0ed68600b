/**
 * The waiting room: every accepted connection until it is queued for a worker, and again when it comes back from one.
 */
#ifndef LP_SERVER_WAITING_H
#define LP_SERVER_WAITING_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "admin/decisions.h"
#include "base/address.h"
#include "base/list.h"
#include "base/log.h"
#include "connection/connection.h"
#include "connection/deadlines.h"
#include "limpet/balancer.h"
#include "policy/policy.h"
#include "server/head_peek.h"
#include "server/hints.h"
#include "server/per_address.h"
#include "server/recorder.h"
#include "worker/supervisor.h"

struct lp_waiting_config {
	uv_loop_t *loop;
	struct lp_log *log;
	struct lp_connections *connections;
	struct lp_workers *workers;
	struct lp_sessions *sessions;
	uint32_t head_timeout_ms;
	uint32_t session_wait_ms;
	uint32_t max_head_bytes;
	uint32_t max_waiting;
	struct lp_per_address *per_address; /**< NULL: addresses have no limits. */
	struct lp_recorder *recorder;
	struct lp_decisions *decisions;
	/** Policies were asked about a connection. It may have ended by now; lp_waiting_set_policy is allowed. */
	void (*on_asked)(void *owner);
	void *owner;
};

struct lp_waiting {
	struct lp_waiting_config config;
	struct lp_connections *connections; /**< The config's. */
	struct lp_policy *policy;           /**< Borrowed. */
	struct lp_supervisor *supervisor;   /**< Borrowed; NULL until there is one: then all are held. */
	uint32_t generation;                /**< Of the policy: cursors of an older one start again. */
	struct lp_head_peek look;
	struct lp_hints hints;

	int epoll;        /**< Watches the clients of all that wait. */
	uv_poll_t poll;   /**< Of epoll. */
	uv_timer_t timer; /**< The earliest deadline. */
	uv_timer_cb on_timer;
	uv_idle_t idle; /**< Runs while there is somebody to decide about in the next turn. */
	uv_idle_cb on_due;

	struct lp_deadlines deadlines;
	struct lp_list *by_session; /**< AWAITING, by the hash of the session's key. */
	uint32_t by_session_mask;   /**< Lists in there, less one. */
	struct lp_list leaving;     /**< HELD whose client may have left: the first to go; and then */
	struct lp_list excess;      /**< … what an address has beyond its share, in any state, the oldest first. */
	bool retry_held;            /**< HELD for any worker: one may be able to take them. */

	uint64_t returned[LP_RETURN_NO_SERVER + 1]; /**< How often connections came back, by reason. */
	uint64_t over_limit;                        /**< Refused because their address has too many. */
	unsigned open_handles;
	void (*closed)(struct lp_waiting *waiting);
};

/**
 * Prepare an empty room.
 *
 * @param waiting  The caller's memory, until lp_waiting_close has ended.
 * @param config   Copied; what it points to is borrowed.
 *
 * @return 0; or negative errno with nothing to close.
 */
int lp_waiting_open(struct lp_waiting *waiting, const struct lp_waiting_config *config);

/**
 * Close: all that wait are refused with 503, at once.
 *
 * @param waiting  Open. Its supervisor has stopped, or never was.
 * @param closed   Runs once, later, on the loop; the memory is free to go then.
 */
void lp_waiting_close(struct lp_waiting *waiting, void (*closed)(struct lp_waiting *waiting));

/**
 * Take a connection in and, mostly, queue it for a worker at once.
 *
 * @param waiting  Open.
 * @param fd       Connected, nothing read. Taken; closed when there is no record for it.
 * @param ip       The client's.
 * @param port     The client's.
 * @param origin   Where it came in. Borrowed; outlives the connection.
 */
void lp_waiting_admit(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
		      const struct lp_origin *origin);

/**
 * Take in a connection that a worker has given back, from inside that worker's event: it is decided at the loop's next
 * turn. The arguments are lp_waiting_admit's.
 *
 * @param waiting  Open.
 * @param fd       Connected, its next request unread. Taken; closed when there is no record for it.
 * @param ip       The client's.
 * @param port     The client's.
 * @param origin   Where it came in. Borrowed; outlives the connection.
 */
void lp_waiting_readmit(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
			const struct lp_origin *origin);

/**
 * Use another policy from now on, for those that wait too.
 *
 * @param waiting  Open.
 * @param policy   Borrowed. The one before is not used any more once this returns.
 */
void lp_waiting_set_policy(struct lp_waiting *waiting, struct lp_policy *policy);

/** A worker can take connections (again): what is held for it, or for any, is decided anew, soon. @param waiting Open.
 * @param worker Its id. */
void lp_waiting_worker_usable(struct lp_waiting *waiting, unsigned worker);

/** A worker takes no more, or has ended: what is held for it is decided anew, soon. @param waiting Open. @param worker Its id. */
void lp_waiting_worker_lost(struct lp_waiting *waiting, unsigned worker);

/** A session was learnt: those that await it are decided anew, soon. @param waiting Open. @param key Its key. */
void lp_waiting_session(struct lp_waiting *waiting, struct lp_slice key);

/** All workers have answered what they were asked up to a round: who awaits a session still awaits one that there is not.
 * @param waiting Open. @param round As lp_supervisor_ask gave it. */
void lp_waiting_answered(struct lp_waiting *waiting, uint32_t round);

/** A worker has a connection for good. @param waiting Open. @param connection In flight. */
void lp_waiting_settled(struct lp_waiting *waiting, const struct lp_connection *connection);

/**
 * A connection came back unread; it is decided anew, soon.
 *
 * @param waiting     Open.
 * @param connection  In flight.
 * @param worker      Who had it.
 * @param reason      Why it came back.
 */
void lp_waiting_returned(struct lp_waiting *waiting, struct lp_connection *connection, unsigned worker,
			 enum lp_return_reason reason);

/** There was no room to send all that is QUEUED for a worker: watch those clients, too. @param waiting Open. @param worker Its id. */
void lp_waiting_blocked(struct lp_waiting *waiting, unsigned worker);

/** A watched connection is about to be sent: watch it no longer. @param waiting Open. @param connection QUEUED or SENDING. */
void lp_waiting_sending(struct lp_waiting *waiting, struct lp_connection *connection);

/** Close connections of clients that have said nothing so far. @param waiting Open. */
void lp_waiting_leave_silent(struct lp_waiting *waiting);

/** Refuse all that wait with 503, now. @param waiting Open. */
void lp_waiting_refuse_all(struct lp_waiting *waiting);

/** What became of connections. @param waiting Open. @param counts Those of connections are set. */
void lp_waiting_count(const struct lp_waiting *waiting, struct limpet_counts *counts);

#endif
