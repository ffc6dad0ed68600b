/**
 * The admin listener: a small HTTP server for monitoring, on loopback or a unix socket.
 *
 * It answers GET and HEAD of a few fixed paths. Who may connect is who may read: there are no users and no passwords. A browser is a way in for any site that its user visits, so a request must name a host that
 * stands for this listener (DNS rebinding), and answers allow other sites nothing.
 *
 * A page can also be a stream, of which a client gets another part every second (server-sent events). A client that does not
 * read gets no further part, and is closed when it has not read one for LP_ADMIN_TIMEOUT_MS.
 *
 * Bounded: clients at a time, a request's size, the time of a request and of its answer. Answers that are asked for again
 * within a moment are not made again.
 */
#ifndef LP_ADMIN_ADMIN_HTTP_H
#define LP_ADMIN_ADMIN_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"

/** Clients at a time. A further one takes the place of the one that has been idle longest, or is closed at once. */
#define LP_ADMIN_CLIENTS_MAX 32

/** A request head, at most. */
#define LP_ADMIN_HEAD_MAX 4096

/** How long a client may take to send a request and to read the answer, in all. */
#define LP_ADMIN_TIMEOUT_MS 5000

/** How long a kept connection may be idle: longer than the usual pause of a scraper. */
#define LP_ADMIN_IDLE_MS 75000

/** Streams at a time: as many as a browser opens. They are clients, too. */
#define LP_ADMIN_STREAMS_MAX 6

/** How often a stream is told what is new. */
#define LP_ADMIN_STREAM_MS 1000

/** For how long an answer is good. */
#define LP_ADMIN_CACHE_MS 250

struct lp_admin;

/**
 * Make the body of an answer.
 *
 * @param owner   As given to lp_admin_open.
 * @param status  The status of the answer; 200 at first.
 * @param length  Set to the body's bytes.
 *
 * @return The body, for free(); NULL when out of memory.
 */
typedef char *(*lp_admin_page_cb)(void *owner, int *status, size_t *length);

/**
 * Make the next part of a stream.
 *
 * @param owner     As given to lp_admin_open.
 * @param position  Where this client is; 0 at first. Kept for the next call.
 * @param length    Set to the part's bytes.
 *
 * @return The part, for free(); NULL when out of memory: the client is told later.
 */
typedef char *(*lp_admin_stream_cb)(void *owner, uint64_t *position, size_t *length);

struct lp_admin_page {
	const char *path; /**< "/metrics". */
	const char *type; /**< Content-Type. */
	lp_admin_page_cb make;
	lp_admin_stream_cb
		next; /**< NULL; or, in place of `make`, for an answer that goes on until the client leaves. */
};

struct lp_admin_config {
	uv_loop_t *loop;
	struct lp_log *log;
	const char *address;      /**< As --admin takes it. */
	const char *const *hosts; /**< Names that requests may say, in addition to the address and localhost. */
	size_t host_count;
	const struct lp_admin_page *pages; /**< Static. */
	size_t page_count;
	void *owner; /**< Passed to pages. */
};

/**
 * Whether an address can be used: it is a unix path or loopback, or hosts are given.
 *
 * @param address     As --admin takes it.
 * @param host_count  How many --admin-host there are.
 * @param error       Filled if it cannot.
 *
 * @return 0, or LP_EUSAGE.
 */
int lp_admin_check(const char *address, size_t host_count, struct lp_error *error);

/**
 * Listen.
 *
 * @param out     Set on success; end it with lp_admin_close.
 * @param config  Copied; what it points to is borrowed.
 * @param error   Filled on failure; names the address.
 *
 * @return 0, or negative.
 */
int lp_admin_open(struct lp_admin **out, const struct lp_admin_config *config, struct lp_error *error);

/**
 * Close clients and socket, remove a unix path, and free it all, later, on the loop.
 *
 * @param admin   Open.
 * @param closed  Runs once.
 * @param owner   Passed to closed.
 */
void lp_admin_close(struct lp_admin *admin, void (*closed)(void *owner), void *owner);

#endif
