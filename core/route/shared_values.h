/**
 * `limpet.shared`: a small dictionary for policies that outlives them.
 *
 * Kept by the core, so that reloads and stopped policies lose nothing of it. Bounded by entries and by bytes; at the
 * bound a new key is refused and existing ones stay. A value can have a time to live, counted from when it was set;
 * expired keys are gone for every reader and make room for new ones.
 */
#ifndef LP_ROUTE_SHARED_VALUES_H
#define LP_ROUTE_SHARED_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum lp_shared_kind { LP_SHARED_NUMBER, LP_SHARED_STRING, LP_SHARED_BOOLEAN };

struct lp_shared_value {
	enum lp_shared_kind kind;
	double number;          /**< LP_SHARED_NUMBER. */
	bool boolean;           /**< LP_SHARED_BOOLEAN. */
	struct lp_slice string; /**< LP_SHARED_STRING. As found: the dictionary's, until it next changes. */
};

struct lp_shared;

/**
 * Make an empty dictionary.
 *
 * @param max_entries  1 and up.
 * @param max_bytes    Of all keys and string values together.
 * @param seed         For hashing; random.
 *
 * @return A dictionary for lp_shared_free, or NULL when out of memory.
 */
struct lp_shared *lp_shared_new(size_t max_entries, size_t max_bytes, uint64_t seed);

/** Free a dictionary. @param shared NULL is allowed. */
void lp_shared_free(struct lp_shared *shared);

/**
 * Look a key up.
 *
 * @param shared  Borrowed.
 * @param key     Any bytes.
 * @param now_ms  The monotonic time.
 * @param value   Filled when found.
 *
 * @return Whether there is such a key that has not expired.
 */
bool lp_shared_find(struct lp_shared *shared, struct lp_slice key, uint64_t now_ms, struct lp_shared_value *value);

/**
 * Set a key.
 *
 * @param shared  Borrowed.
 * @param key     Any bytes, copied.
 * @param value   A string is copied.
 * @param ttl_ms  How long it lives; 0: until it is deleted.
 * @param now_ms  The monotonic time.
 *
 * @return 0, or with nothing changed: -ENOSPC at a bound, -ENOMEM.
 */
int lp_shared_set(struct lp_shared *shared, struct lp_slice key, const struct lp_shared_value *value, uint64_t ttl_ms,
		  uint64_t now_ms);

/**
 * Add to a number; a key that is not there, or expired, starts at 0. The time to live counts from that start and is
 * not renewed by later additions, which is what a rate limit needs.
 *
 * @param shared  Borrowed.
 * @param key     Any bytes, copied.
 * @param by      Added.
 * @param ttl_ms  For a key that starts; 0: until it is deleted.
 * @param now_ms  The monotonic time.
 * @param result  The sum.
 *
 * @return 0, or with nothing changed: -EINVAL when the key holds no number, -ENOSPC at a bound, -ENOMEM.
 */
int lp_shared_add(struct lp_shared *shared, struct lp_slice key, double by, uint64_t ttl_ms, uint64_t now_ms,
		  double *result);

/** Forget a key; none is no error. @param shared Borrowed. @param key Any bytes. */
void lp_shared_delete(struct lp_shared *shared, struct lp_slice key);

/** Keys held, expired ones that were not yet met included. @param shared Borrowed. */
size_t lp_shared_count(const struct lp_shared *shared);

#endif
