/**
 * Hashes: one for tables (seeded), one for choosing a worker (the same on every run and machine).
 */
#ifndef LP_ROUTE_HASH_H
#define LP_ROUTE_HASH_H

#include <stdint.h>

#include "base/slice.h"

/**
 * Hash bytes to 64 well-spread bits: short and similar keys (addresses, counters) spread as well as long ones.
 *
 * @param key   Borrowed; may be empty.
 * @param seed  Random for tables that strangers fill; 0 where the same key must always hash the same.
 */
uint64_t lp_hash(struct lp_slice key, uint64_t seed);

/**
 * How much a key belongs to a worker, for rendezvous hashing: the usable worker with the highest weight has the key.
 * So a worker's death moves only its own keys, and its return brings them home.
 *
 * @param key_hash   lp_hash(key, 0).
 * @param worker_id  1 and up.
 */
uint64_t lp_hash_weight(uint64_t key_hash, unsigned worker_id);

#endif
