/**
 * Connections that are UNREAD: a worker has accepted them, and has not read from them yet.
 *
 * Node acknowledges a connection when it arrives and reads it a moment later; a worker killed in between takes it along,
 * although nobody has seen a byte of it. So our copy is kept until the bytes are gone, and when the worker dies first
 * and the kernel can prove that not one was read, the connection is still whole and goes to another.
 *
 * The price is that a worker which closes without shutdown(2) inside that moment ends the connection for its client a
 * few milliseconds later than it meant to.
 */
#ifndef LP_WORKER_UNREAD_H
#define LP_WORKER_UNREAD_H

#include <stdbool.h>
#include <uv.h>

#include "connection/connection.h"

/** How often it is looked whether the bytes are gone. */
#define LP_UNREAD_TICK_MS 5

/** After this number of looks (a second) limpet closes its copy anyway, if the worker runs. */
#define LP_UNREAD_TICKS_MAX 200

struct lp_unread;

/** A worker has read from a connection, or has had its time: closes it. Or it died before: moves it to DUE. */
typedef void (*lp_unread_cb)(struct lp_unread *unread, struct lp_connection *connection);

/** Whether a worker gives no sign that it runs: it is stopped, or hangs. */
typedef bool (*lp_unread_silent_cb)(struct lp_unread *unread, unsigned worker);

struct lp_unread {
	uv_timer_t timer; /**< Runs while there are any. */
	struct lp_connections *connections;
	lp_unread_cb settled;
	lp_unread_cb left;
	lp_unread_silent_cb silent;
	void *owner; /**< The user's. */
};

/**
 * Prepare.
 *
 * @param unread       The caller's memory, until its timer is closed, which is the caller's to do.
 * @param loop         Borrowed.
 * @param connections  The table. Borrowed.
 * @param settled      Runs for a connection that was read from, or has had its time.
 * @param left         Runs for a connection that a dead worker leaves unread.
 * @param silent       Asked once a second about the worker of a connection that is not read; if so, its time begins anew.
 * @param owner        Kept in unread->owner.
 */
void lp_unread_init(struct lp_unread *unread, uv_loop_t *loop, struct lp_connections *connections, lp_unread_cb settled,
		    lp_unread_cb left, lp_unread_silent_cb silent, void *owner);

/** Keep a connection until it is read from. @param unread Prepared. @param connection SENT or ARRIVED; it is UNREAD then. */
void lp_unread_keep(struct lp_unread *unread, struct lp_connection *connection);

/** A worker's process has ended, and nobody else holds its connections any more: each is settled or left. @param unread Prepared.
 * @param worker Its id. */
void lp_unread_worker_ended(struct lp_unread *unread, unsigned worker);

#endif
