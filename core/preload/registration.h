/**
 * This process as limpet's worker: its channel, and its places (accept_queue.h), one for each binding that it takes
 * connections at.
 *
 *     UNREGISTERED --first interest--> REGISTERED --end-of-file--> LOST --a thread connects again--> REGISTERED
 *          ^ fork: the child is unregistered, whatever its parent was      (limpet died; connections live on)
 *
 * Every listener's descriptor names its place's set, in which the channel is: readable when a connection has come. When
 * limpet dies and comes back, another channel is put into the sets, and no event loop of the program notices.
 *
 *     a connection has come, and is for     it goes
 *     the place that is asked               to who asks
 *     another place                         into that one's queue; to another process, if that is full
 *     a listener that takes none here       to another process; limpet waits a while when there is none
 *     nobody: we never listened there       to who asks
 *
 * So each listener's waiters may be woken for a connection that another gets. poll and select do not tell the program
 * (lp_registration_has); behind epoll, accept does not wait.
 *
 * All of it is behind one lock (signal_lock.h), and where a listener is given, it may have been closed meanwhile: -EBADF.
 */
#ifndef LP_PRELOAD_REGISTRATION_H
#define LP_PRELOAD_REGISTRATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "preload/session_learner.h"
#include "wire/frame.h"

/**
 * Begin to be a worker.
 *
 * @param path   Of limpet's registration socket. Copied.
 * @param learn  Rules of session_learner.h, or NULL.
 */
void lp_registration_begin(const char *path, const char *learn);

/**
 * The program shows interest in a listener: register, if this process has not, and make the descriptor name its
 * place's set.
 *
 * @param fd  A listener. Keeps its number, its close-on-exec flag, and O_NONBLOCK.
 *
 * @return 0, or negative errno with nothing changed.
 */
int lp_registration_interest(int fd);

/**
 * No listener is left at a binding: what was queued for it goes to other processes.
 *
 * @param binding  Its number.
 * @param last     None is left anywhere: limpet is told by an end-of-file.
 */
void lp_registration_leave(unsigned binding, bool last);

/** Whether this process takes connections at several bindings. Takes no lock. */
bool lp_registration_shares(void);

/** Whether a connection waits for a listener. @param fd A listener, after lp_registration_interest. */
bool lp_registration_has(int fd);

/**
 * Take the next connection for a listener.
 *
 * @param fd     A listener, after lp_registration_interest.
 * @param flags  Of accept4(2).
 *
 * @return Its descriptor, or -EAGAIN.
 */
int lp_registration_take(int fd, int flags);

/** Whether a descriptor is the channel. Takes no lock. @param fd Any number. */
bool lp_registration_is_channel(int fd);

/**
 * Whether this is the process that this memory belongs to. A child of vfork(2), such as Python's subprocess makes, runs in
 * its parent's memory with descriptors of its own: what it does to those must leave no trace here.
 */
bool lp_registration_is_here(void);

/** Which later requests limpet wants back. Takes no lock. @return LP_EACH_NONE before it said. */
enum lp_frame_each lp_registration_each(void);

/** What is learnt of sessions beside Engine.IO's. Takes no lock. @return Never NULL. */
const struct lp_session_learner *lp_registration_rules(void);

/** A session lives in this process: limpet hears of it now. @param key 1 – 1024 bytes without blanks and control characters. */
void lp_registration_session(struct lp_slice key);

/** Whether a session lives in this process. @param key Any bytes. */
bool lp_registration_knows(struct lp_slice key);

/** Give a connection back. @param fd Borrowed. @return 0: limpet has it; or negative errno with nothing changed. */
int lp_registration_bounce(int fd);

#endif
