/**
 * The waiting room: every accepted connection from accept until a worker has acknowledged it, or it ended otherwise.
 */
#ifndef LP_SERVER_WAITING_H
#define LP_SERVER_WAITING_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "base/list.h"
#include "base/log.h"
#include "limpet/balancer.h"
#include "route/policy.h"
#include "server/closer.h"
#include "server/decisions.h"
#include "server/hints.h"
#include "server/look.h"
#include "server/per_address.h"
#include "server/recorder.h"
#include "worker/supervisor.h"

/** Where a connection came in. Outlives its connections. */
struct lp_origin {
	const char *name; /**< As --listen names it. */
	uint16_t port;    /**< 0 for a unix path. */
	int address;      /**< As workers number it: listeners at the same port or path have one number. */
};

struct lp_waiting_config {
	uv_loop_t *loop;
	struct lp_log *log;
	struct lp_workers *workers;
	struct lp_sessions *sessions;
	uint32_t head_timeout_ms;
	uint32_t session_wait_ms;
	uint32_t max_head_bytes;
	uint32_t max_waiting;
	struct lp_per_address *per_address; /**< NULL: addresses have no limits. */
	struct lp_recorder *recorder;
	struct lp_decisions *decisions;
	void (*on_empty)(void *owner); /**< Nothing waits and nothing is in flight any more. */
	/** Policies were asked about a connection. It may be freed by now; lp_waiting_set_policy is allowed. */
	void (*on_asked)(void *owner);
	void *owner;
};

struct lp_waiting {
	struct lp_waiting_config config;
	struct lp_policy *policy;         /**< Borrowed. */
	struct lp_supervisor *supervisor; /**< Borrowed; NULL until there is one: then all are held. */
	uint32_t generation;              /**< Of the policy: cursors of an older one start again. */
	struct lp_look look;
	struct lp_hints hints;
	struct lp_closer *closer; /**< Of descriptors. */

	int epoll;
	uv_poll_t poll;   /**< Of epoll. */
	uv_timer_t timer; /**< The earliest deadline. */
	uv_timer_cb on_timer;
	uv_idle_t idle; /**< Runs while `due` has members. */

	struct lp_list looking; /**< By state, each in the order of its deadlines. */
	struct lp_list awaiting;
	struct lp_list held;
	struct lp_list lingering;
	struct lp_list due; /**< To be decided at the loop's next turn. */
	unsigned lingering_count;

	struct limpet_counts counts; /**< Those of connections. */
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
 * Take a connection in and, mostly, hand it over at once.
 *
 * @param waiting  Open.
 * @param fd       Connected, nothing read. Taken; closed when there is no memory for it.
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
 * @param fd       Connected, its next request unread. Taken; closed when there is no memory for it.
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

/** A worker can take connections (again), or has ended: those that are held are decided anew, soon. @param waiting Open. */
void lp_waiting_workers_changed(struct lp_waiting *waiting);

/** A session was learnt: those that await it are decided anew, soon. @param waiting Open. @param key Its key. */
void lp_waiting_session(struct lp_waiting *waiting, struct lp_slice key);

/** A worker has a connection for good. @param waiting Open. @param parcel A connection's; its descriptor is closed here. */
void lp_waiting_acknowledged(struct lp_waiting *waiting, struct lp_parcel *parcel);

/**
 * A connection came back unread; it is decided anew, soon.
 *
 * @param waiting  Open.
 * @param parcel   A connection's.
 * @param worker   Who had it.
 * @param reason   Why it came back.
 */
void lp_waiting_returned(struct lp_waiting *waiting, struct lp_parcel *parcel, unsigned worker,
			 enum lp_return_reason reason);

/** Refuse all that wait with 503, now. @param waiting Open. */
void lp_waiting_refuse_all(struct lp_waiting *waiting);

/** Whether nothing waits and nothing is in flight. @param waiting Open. */
bool lp_waiting_empty(const struct lp_waiting *waiting);

#endif
