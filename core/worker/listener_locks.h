/**
 * One lock for each listener, held for as long as limpet has workers for it: whoever has it is the only limpet that workers
 * of that listener register with. A limpet that comes second learns who was first, and leaves its workers alone.
 */
#ifndef LP_WORKER_LISTENER_LOCKS_H
#define LP_WORKER_LISTENER_LOCKS_H

#include <stddef.h>

#include "base/address.h"
#include "base/error.h"
#include "base/file_lock.h"

/** Room for a listener's identity. */
#define LP_LISTENER_IDENTITY_SIZE 160

/** Behind a listener's identity, the name of its lock's file. */
#define LP_LISTENER_LOCK_SUFFIX ".lock"

/** A listener as others are to tell it from all listeners of the machine. */
struct lp_listener_identity {
	char name[LP_LISTEN_TEXT_SIZE]; /**< For people: "127.0.0.1:5000". */
	/** Of what is bound, whatever it is called: a file name, the same after a restart. */
	char identity[LP_LISTENER_IDENTITY_SIZE];
};

struct lp_listener_locks {
	struct lp_file_lock *all; /**< Owned. */
	size_t count;
};

/**
 * Take the locks of all listeners, or none.
 *
 * @param locks      The caller's memory. Held on success; end them with lp_listener_locks_release.
 * @param folder     The run-time folder.
 * @param listeners  Borrowed for the call.
 * @param count      How many.
 * @param error      Filled on failure: names the listener, and the process that has its lock.
 *
 * @return 0; -EBUSY: another limpet has one; or another negative errno.
 */
int lp_listener_locks_take(struct lp_listener_locks *locks, const char *folder,
			   const struct lp_listener_identity *listeners, size_t count, struct lp_error *error);

/** Let go of all. @param locks Held, or all zero; all zero afterwards. */
void lp_listener_locks_release(struct lp_listener_locks *locks);

#endif
