/**
 * How many of the connections handed to each worker are still open, asked of the kernel: for workers that never say.
 *
 * Each connection that a worker took is remembered by its socket cookie: 24 – 48 bytes each (16 in a table that is one
 * to two thirds full). The kernel helps in one of two ways:
 *
 *     told    it reports every TCP socket of our listeners that is destroyed: exact within milliseconds
 *     asked   it lists the open sockets of our listeners, at an interval of at least 250 ms, and longer where needed to
 *             keep the cost of all lists under 2 % of one processor: exact after two lists, about 2 s in practice
 *
 * Told is used wherever the kernel permits it (Linux 6.18 asks for no privilege); a list now and then finds what was
 * missed. Unix sockets are only ever counted by asking.
 */
#ifndef LP_WORKER_COUNTS_OPEN_COUNT_H
#define LP_WORKER_COUNTS_OPEN_COUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/log.h"

struct lp_open_count;

/** Connections of a worker have closed. Runs on the loop; may call anything here. */
typedef void (*lp_open_count_closed_cb)(void *owner, unsigned worker, unsigned how_many);

/**
 * Start counting.
 *
 * @param started    Set on success; end it with lp_open_count_stop.
 * @param loop       Borrowed.
 * @param log        Borrowed. Says once, at info, which way is used.
 * @param ask_only   Do not try to be told (tests; kernels that get it wrong).
 * @param on_closed  Runs whenever some have closed.
 * @param owner      Passed to on_closed.
 *
 * @return 0; or negative errno when the kernel has no sock_diag.
 */
int lp_open_count_start(struct lp_open_count **started, uv_loop_t *loop, struct lp_log *log, bool ask_only,
			lp_open_count_closed_cb on_closed, void *owner);

/**
 * Remember a connection that a worker has just taken. The worker may have closed it already: while our own descriptor
 * is open nothing is missed.
 *
 * @param count   Started.
 * @param fd      Our descriptor of it, still open. Borrowed.
 * @param worker  1 – 256.
 * @param port    Of the listener it came through; 0 for a unix path. The kernel is asked about these ports only.
 *
 * @return 0; or negative errno: then it will not be counted. EEXIST: it is remembered already, as the worker's named
 *         first.
 */
int lp_open_count_add(struct lp_open_count *count, int fd, unsigned worker, uint16_t port);

/**
 * Forget a connection that leaves its worker open; on_closed does not run for it.
 *
 * @param count  Started.
 * @param fd     Our descriptor of it. Borrowed.
 *
 * @return The worker that it was remembered of; 0 when it was not.
 */
unsigned lp_open_count_remove(struct lp_open_count *count, int fd);

/** Forget a dead worker's connections; on_closed does not run for them. @param count Started. @param worker Its id. */
void lp_open_count_forget_worker(struct lp_open_count *count, unsigned worker);

/** Connections remembered now. @param count Started. */
size_t lp_open_count_size(const struct lp_open_count *count);

/**
 * End counting and free it, later, on the loop. on_closed runs no more.
 *
 * @param count   Started. NULL is allowed: then stopped runs at once.
 * @param stopped Runs once. NULL is allowed.
 * @param owner   Passed to stopped.
 */
void lp_open_count_stop(struct lp_open_count *count, void (*stopped)(void *owner), void *owner);

#endif
