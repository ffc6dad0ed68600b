/**
 * Connections that a worker has acknowledged and not yet read from.
 *
 * Node acknowledges a connection when it arrives and reads it a moment later; a worker killed in between takes it along,
 * although nobody has seen a byte of it. So our copy is kept until the bytes are gone, and when the worker dies first
 * and the kernel can prove that not one was read, the connection is still whole and goes to another.
 *
 * The price is that a worker which closes without shutdown(2) inside that moment ends the connection for its client a
 * few milliseconds later than it meant to.
 */
#ifndef LP_WORKER_TAKEN_H
#define LP_WORKER_TAKEN_H

#include <stdbool.h>
#include <uv.h>

#include "base/list.h"
#include "worker/parcel.h"

/** How often it is looked whether the bytes are gone. */
#define LP_TAKEN_TICK_MS 5

/** After so many looks a connection is let go of all the same, if its worker runs: a second. */
#define LP_TAKEN_TICKS_MAX 200

struct lp_taken;

/** The worker has read from a connection, or has had its time. */
typedef void (*lp_taken_settled_cb)(struct lp_taken *taken, struct lp_parcel *parcel);

/** Whether a worker gives no sign that it runs: it is stopped, or hangs. */
typedef bool (*lp_taken_silent_cb)(struct lp_taken *taken, unsigned worker);

struct lp_taken {
	struct lp_list parcels; /**< Of all workers, oldest first. */
	uv_timer_t timer;       /**< Runs while there are any. */
	lp_taken_settled_cb settled;
	lp_taken_silent_cb silent;
	void *owner; /**< The user's. */
};

/**
 * Prepare.
 *
 * @param taken    The caller's memory, until its timer is closed, which is the caller's to do once it is empty.
 * @param loop     Borrowed.
 * @param settled  Runs for each connection but those that lp_taken_leave gives back. It is in no list then.
 * @param silent   Asked once a second about the worker of a connection that is not read; if so, its time begins anew.
 * @param owner    Kept in taken->owner.
 */
void lp_taken_init(struct lp_taken *taken, uv_loop_t *loop, lp_taken_settled_cb settled, lp_taken_silent_cb silent,
		   void *owner);

/**
 * Keep a connection until it is read from.
 *
 * @param taken   Prepared.
 * @param parcel  In no list; its worker is set. Ours until settled, or lp_taken_leave.
 */
void lp_taken_add(struct lp_taken *taken, struct lp_parcel *parcel);

/**
 * A worker's process has ended: sort what it had taken.
 *
 * @param taken      Prepared.
 * @param worker     Its id. Nobody else holds its connections any more.
 * @param unread  Gets those that nobody has read from or written to. The others are settled, before this returns.
 */
void lp_taken_leave(struct lp_taken *taken, unsigned worker, struct lp_list *unread);

#endif
