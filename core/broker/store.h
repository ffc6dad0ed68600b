/**
 * The store that workers share: strong-store-cluster's, by key in named collections, with a lock for each key.
 *
 * A key that somebody holds has a queue. get, set and acquire wait in it for their turn, release and setRelease end the
 * holder's. Replies may thus come much later than requests; a worker's death gives up what it holds and asks for, but
 * what it has set is set. Where strong-store-cluster's own primary fails, this one does not:
 *
 *     a worker dies with a lock                 the lock goes to the next in the queue
 *     a locked key is deleted                   those after it in the queue are served
 *     a key is deleted, then set, and expires   nothing special
 *     a release by somebody else                refused by a reply
 *
 * A collection is there while it has a key, or is configured.
 *
 * Nothing here knows of channels or time: requests come with both.
 */
#ifndef LP_BROKER_STORE_H
#define LP_BROKER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/** Bytes that keys, values and those who wait may take, all together and with what is around them. At that bound what
 * needs more is refused, by a reply to those that want one; nothing is ever dropped to make room. */
#define LP_STORE_BYTES_MAX (256u << 20)

/** Bytes of the longest request number. */
#define LP_STORE_ID_MAX 24

enum lp_store_method {
	LP_STORE_GET,
	LP_STORE_SET, /**< Without a value: delete. */
	LP_STORE_ACQUIRE,
	LP_STORE_RELEASE,
	LP_STORE_SET_RELEASE, /**< Without a value: delete. */
	LP_STORE_CONFIGURE,
	LP_STORE_METHODS
};

/** A request. Its slices are borrowed for the call. */
struct lp_store_request {
	enum lp_store_method method;
	unsigned worker;            /**< Who asks. */
	struct lp_slice id;         /**< As it is written, at most LP_STORE_ID_MAX bytes; absent: no reply is wanted. */
	struct lp_slice collection; /**< Any bytes. */
	struct lp_slice key;        /**< Any bytes. */
	struct lp_slice json;       /**< The value, whatever it is; absent: none. */
	struct lp_slice config;     /**< A JSON object: {"expireKeys": SECONDS}. */
	uint64_t now_ms;
};

/**
 * Where replies go. Not to change the store.
 *
 * @param owner   As lp_store_new was given it.
 * @param worker  Who asked.
 * @param id      Which request.
 * @param json    The value; absent if there is none, or if it is not wanted.
 * @param error   NULL, or what is wrong.
 *
 * @return Whether it will arrive. If not, the lock goes to the next worker.
 */
typedef bool (*lp_store_reply_cb)(void *owner, unsigned worker, struct lp_slice id, struct lp_slice json,
				  const char *error);

struct lp_store;

/**
 * Make a store.
 *
 * @param workers    Their ids are 1 to this.
 * @param bytes_max  LP_STORE_BYTES_MAX, or less in tests.
 * @param seed       Random.
 * @param reply      Where replies go.
 * @param owner      Passed to it.
 *
 * @return The store; NULL: no memory. End it with lp_store_free.
 */
struct lp_store *lp_store_new(unsigned workers, size_t bytes_max, uint64_t seed, lp_store_reply_cb reply, void *owner);

/** Free a store and all that is in it; nobody is replied to. @param store NULL is allowed. */
void lp_store_free(struct lp_store *store);

/**
 * Serve a request: replies run, to this and maybe to others that have waited.
 *
 * @param store    Borrowed.
 * @param request  Borrowed.
 *
 * @return 0; or the error that its reply also has: -ENOMEM (at the bound, or no memory), -EPERM (a release by who has no lock),
 *         -EINVAL (an invalid configuration).
 */
int lp_store_request(struct lp_store *store, const struct lp_store_request *request);

/** A worker has ended: its locks are released, its waiting requests forgotten. @param store Borrowed. @param worker Its id. */
void lp_store_forget_worker(struct lp_store *store, unsigned worker);

/**
 * Take out keys that were not used for as long as their collection is configured to keep them: at the third look, of
 * which there are two in that time. Locked keys stay.
 *
 * @param store   Borrowed.
 * @param now_ms  Now.
 *
 * @return When to come again; 0: not before a request.
 */
uint64_t lp_store_sweep(struct lp_store *store, uint64_t now_ms);

/** Keys in it. @param store Borrowed. */
size_t lp_store_keys(const struct lp_store *store);

#endif
