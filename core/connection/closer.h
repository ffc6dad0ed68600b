/**
 * Closes descriptors that others have had in their hands, without waiting.
 *
 * A worker can set SO_LINGER on a connection. The last close of it then waits until the client has taken all that was
 * written, for as long as the option says, also on a non-blocking descriptor; and a worker that has closed its copy first
 * leaves the last close to us. The option must stay as it is: it belongs to the worker, whose own close may be yet to come.
 *
 * Whoever can write to a unix socket of ours can put such a connection into it, as a descriptor that nobody has received
 * yet. Closing the unix socket closes that as well, and waits for it.
 *
 * So both are closed by a thread of their own.
 */
#ifndef LP_CONNECTION_CLOSER_H
#define LP_CONNECTION_CLOSER_H

/** Descriptors that may wait for that thread. */
#define LP_CLOSER_MAX 256

/** How long one more waits for room then, in milliseconds. Past it the option is cleared, and the descriptor closed at once. */
#define LP_CLOSER_ROOM_MS 100

struct lp_closer;

/** Make a closer. It starts its thread when one is needed. @return A closer, or NULL when out of memory. */
struct lp_closer *lp_closer_new(void);

/**
 * Free a closer. Does not wait: what its thread is closing, and has yet to close, it closes before it ends.
 *
 * @param closer  NULL is allowed.
 */
void lp_closer_free(struct lp_closer *closer);

/**
 * Close a descriptor.
 *
 * A unix stream at which no bytes wait is closed at once. Where its other end is not known to be harmless, shut it down for
 * reading before, so that nothing comes in between.
 *
 * @param closer  Borrowed.
 * @param fd      Taken. A descriptor that somebody else has had, or may still have, or can write to.
 */
void lp_closer_close(struct lp_closer *closer, int fd);

#endif
