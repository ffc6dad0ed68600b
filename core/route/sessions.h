/**
 * Sessions: which worker a key belongs to.
 *
 * A bounded table. Past its bound the least recently used key is forgotten; finding and binding both count as use.
 * Each worker's keys are linked, so that its death costs only its own. Those of dead workers stay until their room is needed:
 * nobody has to be asked for them. A key of up to LP_SESSION_KEY_INLINE bytes
 * (Engine.IO's have 20) lives in its entry. Memory grows with use, up to LP_SESSION_BYTES for each of the most keys,
 * plus the keys that are longer; it is kept for new keys when some are forgotten.
 */
#ifndef LP_ROUTE_SESSIONS_H
#define LP_ROUTE_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "route/workers.h"

#define LP_SESSION_KEY_INLINE 24
#define LP_SESSION_KEY_MAX 1024
#define LP_SESSION_BYTES 66

/** Of memory that outlives the table, for each of the most keys. */
#define LP_SESSION_LASTING_BYTES 128

struct lp_sessions;

/**
 * Make an empty table.
 *
 * @param max      The most keys, 1 – 100,000,000.
 * @param workers  Whose `sessions` counts it keeps right. Borrowed; must outlive the table.
 * @param seed     Random, so that nobody can choose keys that collide.
 *
 * @return A table for lp_sessions_free, or NULL when out of memory.
 */
struct lp_sessions *lp_sessions_new(uint32_t max, struct lp_workers *workers, uint64_t seed);

/**
 * Make a table that sees another one's keys, to try things in: what is bound in it is bound in it alone, only that can be
 * forgotten in it, and finding one of the other's keys there does not count as use.
 *
 * @param of       No view itself. Borrowed; must outlive this one.
 * @param max      The most keys of its own, as for lp_sessions_new.
 * @param workers  As many as of's; of's `sessions` counts are not touched. Borrowed; must outlive the view.
 *
 * @return A table for lp_sessions_free, or NULL when out of memory. Equal keys hash as in `of`.
 */
struct lp_sessions *lp_sessions_new_view(const struct lp_sessions *of, uint32_t max, struct lp_workers *workers);

/**
 * Let the table outlive its process: it finds what an earlier one has kept in that memory, and keeps its keys there from now on.
 * Keys of more than LP_SESSION_LASTING_BYTES - 4 bytes do not last; in which order keys were used does not, either.
 *
 * @param sessions  Empty.
 * @param memory    LP_SESSION_LASTING_BYTES for each of the most keys, and as much again; zeroed, or as an earlier table of the
 *                  same size has left it. Borrowed for as long as the table lives.
 *
 * @return How many keys were found.
 */
size_t lp_sessions_outlive(struct lp_sessions *sessions, void *memory);

/** Free a table. @param sessions NULL is allowed. */
void lp_sessions_free(struct lp_sessions *sessions);

/**
 * Bind a key to a worker, moving it if it was another's. When the table is full, the least recently used key goes.
 *
 * @param sessions  Borrowed.
 * @param key       1 – LP_SESSION_KEY_MAX bytes, copied.
 * @param worker    An id, 1 – workers' count.
 *
 * @return 0; -EINVAL for a key or id out of range, or -ENOMEM, with nothing changed.
 */
int lp_sessions_bind(struct lp_sessions *sessions, struct lp_slice key, unsigned worker);

/** The id of a key's worker, or 0; counts as use. @param sessions Borrowed. @param key Any bytes. */
unsigned lp_sessions_find(struct lp_sessions *sessions, struct lp_slice key);

/** The id of a key's worker, or 0, without using it. @param sessions Borrowed. @param key Any bytes. */
unsigned lp_sessions_peek(const struct lp_sessions *sessions, struct lp_slice key);

/**
 * Forget a key.
 *
 * @param sessions  Borrowed.
 * @param key       Any bytes.
 * @param worker    Only if it is this worker's; 0: whoever's.
 */
void lp_sessions_forget(struct lp_sessions *sessions, struct lp_slice key, unsigned worker);

/**
 * Forget all keys of a worker, which has ended. That they are dead stays known, as long as there is room.
 *
 * @param sessions  Borrowed.
 * @param worker    An id.
 *
 * @return How many.
 */
size_t lp_sessions_forget_worker(struct lp_sessions *sessions, unsigned worker);

/** Whether a key was of a worker that has ended, and nobody has bound it since. @param sessions Borrowed. @param key Any bytes. */
bool lp_sessions_is_dead(const struct lp_sessions *sessions, struct lp_slice key);

/** Keys known now. @param sessions Borrowed. */
size_t lp_sessions_count(const struct lp_sessions *sessions);

/**
 * Walk through the keys from the most recently used on. Nothing may be bound, found or forgotten meanwhile.
 *
 * @param sessions  Borrowed.
 * @param at        Where the walk is; 0 at first. Moved on.
 * @param worker    Set to the id of the key's worker.
 *
 * @return The key, the table's; absent at the end.
 */
struct lp_slice lp_sessions_walk(const struct lp_sessions *sessions, uint32_t *at, unsigned *worker);

/** Keys forgotten so far to make room. @param sessions Borrowed. */
uint64_t lp_sessions_evicted(const struct lp_sessions *sessions);

/** The hash of a key in this table; equal keys have equal hashes. @param sessions Borrowed. @param key Any bytes. */
uint64_t lp_sessions_hash(const struct lp_sessions *sessions, struct lp_slice key);

#endif
