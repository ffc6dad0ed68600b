/**
 * A listener: one listening socket, whose connections go to the waiting room.
 */
#ifndef LP_SERVER_LISTENER_H
#define LP_SERVER_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "base/error.h"
#include "base/log.h"
#include "base/unix_path.h"
#include "keeper/lasting.h"
#include "server/waiting.h"
#include "worker/acceptor.h"
#include "worker/listener_locks.h"

struct lp_listener_config {
	uv_loop_t *loop;
	struct lp_log *log;
	struct lp_waiting *waiting; /**< Admits what is accepted. */
	int backlog;
	bool defer_accept;
	struct lp_lasting *lasting; /**< Has the socket of an earlier balancer, and holds ours; NULL: nothing does. */
	uint32_t index;             /**< Which of all listeners it is. */
};

struct lp_listener {
	struct lp_listener_config config;
	struct lp_acceptor acceptor;
	struct lp_origin origin;
	char name[LP_LISTEN_TEXT_SIZE];   /**< origin's. */
	struct lp_listen_address address; /**< As bound: with the port that the kernel chose. */
	uint64_t accepted;                /**< Connections, those that workers gave back included. */
	struct lp_unix_path unix_path;    /**< The path that was made; only that one is removed. */
	void (*closed)(struct lp_listener *listener);
	void *owner;
};

/**
 * Bind and listen; connections are accepted from the next turn of the loop on.
 *
 * @param listener  The caller's memory, until lp_listener_close has ended. Connections point into it: it must outlive
 *                  the waiting room.
 * @param config    Copied; what it points to is borrowed.
 * @param text      As --listen takes it. Borrowed like the listener.
 * @param error     Filled on failure; names the address.
 *
 * @return 0; or negative with nothing to close: LP_EUSAGE, UV_EADDRINUSE, UV_EACCES …
 */
int lp_listener_open(struct lp_listener *listener, const struct lp_listener_config *config, const char *text,
		     struct lp_error *error);

/**
 * What a listener is, whatever it is called: by the network namespace and the address that are bound, or by the folder that
 * the path is in. The same after a restart.
 *
 * @param listener  Open.
 * @param identity  Filled.
 */
void lp_listener_identify(const struct lp_listener *listener, struct lp_listener_identity *identity);

/** Stop: what is in the backlog is accepted, then the socket closed and a unix path removed. @param listener Open. Twice is once. */
void lp_listener_stop(struct lp_listener *listener);

/**
 * The listener that a connection came through.
 *
 * @param listeners  All that are open.
 * @param count      How many.
 * @param local      The connection's own address, as getsockname fills it.
 * @param length     Its length.
 *
 * @return The one at that address, else one at the wildcard of that family and port; NULL if there is none.
 */
const struct lp_listener *lp_listener_find(const struct lp_listener *listeners, size_t count,
					   const union lp_peer *local, socklen_t length);

/**
 * Take back a connection from a worker: its last request is answered, its next one is unread.
 *
 * @param listeners  All that are open.
 * @param count      How many.
 * @param fd         Taken when it is a connection that came through one of the listeners; else the caller's.
 *
 * @return Whether it was one.
 */
bool lp_listener_readmit(struct lp_listener *listeners, size_t count, int fd);

/**
 * The addresses as workers mean them when they bind: "5000,unix:/run/x"; and number the listeners as workers will.
 *
 * @param listeners  Open. Borrowed; their origins' addresses are set.
 * @param count      How many.
 *
 * @return The caller's to free, or NULL when out of memory.
 */
char *lp_listener_addresses(struct lp_listener *listeners, size_t count);

/**
 * Stop, and close the handles.
 *
 * @param listener  Open.
 * @param closed    Runs once, later, on the loop.
 */
void lp_listener_close(struct lp_listener *listener, void (*closed)(struct lp_listener *listener));

#endif
