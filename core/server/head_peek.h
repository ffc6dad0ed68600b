/**
 * A look at a connection's first bytes, without taking any.
 */
#ifndef LP_SERVER_HEAD_PEEK_H
#define LP_SERVER_HEAD_PEEK_H

#include <stddef.h>

#include "policy/policy.h"

/** Where looks are taken: one for all connections, so that a waiting one costs no buffer. */
struct lp_head_peek {
	char *bytes;   /**< What the last look saw; head and hello point into it. */
	size_t size;   /**< The longest head. */
	size_t seen;   /**< How many bytes the last look saw. */
	size_t length; /**< How many of them were the head or the hello, after a look that found one. */
	struct lp_head *head;
	struct lp_hello hello;
};

/**
 * Prepare.
 *
 * @param look            The caller's memory; lp_head_peek_deinit it, also after an error.
 * @param max_head_bytes  The longest request head or ClientHello that is waited for.
 *
 * @return 0, or -ENOMEM.
 */
int lp_head_peek_init(struct lp_head_peek *look, size_t max_head_bytes);

/** Free what lp_head_peek_init allocated. @param look All zero is fine too. */
void lp_head_peek_deinit(struct lp_head_peek *look);

/**
 * Look at what has come, and tell what it is.
 *
 * @param look  Overwritten; conn's head and hello are good until the next look.
 * @param fd    The connection. Every byte stays in it.
 * @param seen  Bytes that an earlier look saw; 0 at first. Saves parsing again what cannot be complete yet.
 * @param conn  Its protocol is set on success, with head or hello.
 *
 * @return 0; or with conn untouched:
 *         LP_AGAIN   not complete; look->seen tells how much is there
 *         -E2BIG     a request head that does not fit
 *         UV_EOF     the client has closed, and sent nothing
 *         negative errno of recv(2): the connection is broken
 */
int lp_head_peek(struct lp_head_peek *look, int fd, size_t seen, struct lp_policy_conn *conn);

#endif
