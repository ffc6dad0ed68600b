/**
 * This process as limpet's worker: its channel, and the set that its listeners name.
 *
 *     UNREGISTERED --first interest--> REGISTERED --end-of-file--> LOST --a thread connects again--> REGISTERED
 *          ^ fork: the child is unregistered, whatever its parent was      (limpet died; connections live on)
 *
 * The set is an epoll instance with the channel in it, and every listener's descriptor names it: readable when a
 * connection has come. When limpet dies and comes back, another channel is put into the set, and no event loop of the
 * program notices.
 *
 * All of it is behind one lock; none of these functions is called with it held.
 */
#ifndef LP_PRELOAD_SELF_H
#define LP_PRELOAD_SELF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "worker/frame.h"

/**
 * Begin to be a worker.
 *
 * @param path   Of limpet's registration socket. Copied.
 * @param learn  Rules of learn.h, or NULL.
 */
void lp_self_begin(const char *path, const char *learn);

/**
 * The program shows interest in a listener: register, if this process has not, and make the descriptor name the set.
 *
 * @param fd  A listener. Keeps its number, its close-on-exec flag, and O_NONBLOCK.
 *
 * @return 0, or negative errno with nothing changed.
 */
int lp_self_interest(int fd);

/** No listener is left: limpet is told by an end-of-file, and gives what was queued to others. */
void lp_self_leave(void);

/**
 * Take the next connection.
 *
 * @param flags  Of accept4(2).
 *
 * @return Its descriptor, or -EAGAIN.
 */
int lp_self_take(int flags);

/** Which later requests limpet wants back. Takes no lock. @return LP_EACH_NONE before it said. */
enum lp_frame_each lp_self_each(void);

/**
 * Learn sessions from a piece of a response.
 *
 * @param bytes  Borrowed.
 * @param head   Whether the piece begins in the response's head.
 *
 * @return Whether the next piece begins there, too.
 */
bool lp_self_learn(struct lp_slice bytes, bool head);

/** Whether a session lives in this process. @param key Any bytes. */
bool lp_self_knows(struct lp_slice key);

/** Give a connection back. @param fd Borrowed. @return 0: limpet has it; or negative errno with nothing changed. */
int lp_self_bounce(int fd);

#endif
