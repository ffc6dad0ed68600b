/**
 * An acceptor: takes connections from one listening socket in small batches, and pauses when none can be taken.
 */
#ifndef LP_WORKER_ACCEPTOR_H
#define LP_WORKER_ACCEPTOR_H

#include <netinet/in.h>
#include <sys/un.h>
#include <uv.h>

#include "base/log.h"

struct lp_acceptor;

/** Where a connection is from. */
union lp_peer {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

/**
 * A connection was accepted.
 *
 * @param acceptor  May be stopped.
 * @param fd        Blocking, close-on-exec. Taken.
 * @param peer      Borrowed.
 */
typedef void (*lp_accepted_cb)(struct lp_acceptor *acceptor, int fd, const union lp_peer *peer);

struct lp_acceptor {
	uv_poll_t poll;
	uv_timer_t resume; /**< Runs while accepting pauses. */
	int fd;            /**< -1 once stopped. */
	struct lp_log *log;
	const char *name;
	lp_accepted_cb accepted;
	void (*closed)(struct lp_acceptor *acceptor);
	unsigned open_handles;
	uint64_t
		turn_ns; /**< For its owner to set: how long accepting may take before the loop gets its turn; 0: no matter. */
	void *owner;
};

/**
 * Accept from the next turn of the loop on.
 *
 * @param acceptor  The caller's memory, until lp_acceptor_close has ended.
 * @param loop      Borrowed.
 * @param log       Borrowed.
 * @param name      Of what is listened on, for the log. Borrowed.
 * @param fd        Listening, non-blocking. Taken on success; the caller's on error.
 * @param accepted  Runs for each connection, on the loop.
 * @param owner     For the user of accepted and closed.
 *
 * @return 0, or negative UV_E* with nothing to close.
 */
int lp_acceptor_start(struct lp_acceptor *acceptor, uv_loop_t *loop, struct lp_log *log, const char *name, int fd,
		      lp_accepted_cb accepted, void *owner);

/**
 * Accept what is in the backlog now, as far as that succeeds, and close the socket.
 *
 * @param acceptor  Started. Twice is once.
 */
void lp_acceptor_stop(struct lp_acceptor *acceptor);

/**
 * Stop, and close the handles.
 *
 * @param acceptor  Started.
 * @param closed    Runs once, later, on the loop.
 */
void lp_acceptor_close(struct lp_acceptor *acceptor, void (*closed)(struct lp_acceptor *acceptor));

#endif
