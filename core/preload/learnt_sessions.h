/**
 * The sessions that live in this process, as learnt from its responses: the last LP_LEARNT_SESSIONS_MAX of them.
 */
#ifndef LP_PRELOAD_LEARNT_SESSIONS_H
#define LP_PRELOAD_LEARNT_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/** The oldest is forgotten when there are more. */
#define LP_LEARNT_SESSIONS_MAX 65536

/** All zero: none. */
struct lp_learnt_sessions {
	struct lp_learnt_sessions_key **slots; /**< Open addressing, a power of two, at most half full. */
	uint32_t capacity;
	uint32_t count;
	struct lp_learnt_sessions_key *oldest; /**< A list, in the order they came. */
	struct lp_learnt_sessions_key *newest;
};

/** A key. */
struct lp_learnt_sessions_key {
	struct lp_learnt_sessions_key *next;
	uint32_t hash;
	uint16_t length;
	char bytes[];
};

/**
 * Add a key.
 *
 * @param known  The caller's memory.
 * @param key    Copied. At most 65535 bytes.
 *
 * @return Whether it was not there before. Without memory it is not kept, and true.
 */
bool lp_learnt_sessions_add(struct lp_learnt_sessions *known, struct lp_slice key);

/** Whether a key was added and not forgotten since. @param known The caller's. @param key Any bytes. */
bool lp_learnt_sessions_has(const struct lp_learnt_sessions *known, struct lp_slice key);

/** Forget all. @param known The caller's. */
void lp_learnt_sessions_clear(struct lp_learnt_sessions *known);

#endif
