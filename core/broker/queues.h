/**
 * Work queues by name: strong-mq's, of its native provider. What is pushed goes to one of those that pull, each in turn;
 * while nobody pulls it waits.
 *
 * One that pulls and has no room (its channel is full) is passed over. When none has room what is pushed waits too, and
 * lp_queues_retry offers it again.
 */
#ifndef LP_BROKER_QUEUES_H
#define LP_BROKER_QUEUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/** Bytes that may wait, of all queues together, with what is around them. At that bound what is pushed is dropped. */
#define LP_QUEUES_BYTES_MAX (64u << 20)

/** Pulls on one queue, at most: a worker that pulls twice gets twice as much. */
#define LP_QUEUE_PULLS_MAX 4096

/**
 * Where what is pushed goes. Not to change the queues.
 *
 * @param owner   As lp_queues_new was given it.
 * @param worker  Who pulls.
 * @param name    The queue's.
 * @param msg     What was pushed.
 *
 * @return Whether it was taken; false: no room.
 */
typedef bool (*lp_queues_send_cb)(void *owner, unsigned worker, struct lp_slice name, struct lp_slice msg);

struct lp_queues;

/**
 * Make queues.
 *
 * @param bytes_max  LP_QUEUES_BYTES_MAX, or less in tests.
 * @param seed       Random.
 * @param send       Where things go.
 * @param owner      Passed to it.
 *
 * @return The queues; NULL: no memory. End them with lp_queues_free.
 */
struct lp_queues *lp_queues_new(size_t bytes_max, uint64_t seed, lp_queues_send_cb send, void *owner);

/** Free the queues and all that waits in them. @param queues NULL is allowed. */
void lp_queues_free(struct lp_queues *queues);

/**
 * Push.
 *
 * @param queues  Borrowed.
 * @param name    Any bytes.
 * @param msg     Any bytes.
 *
 * @return 0: sent; 1: it waits; -ENOMEM: dropped.
 */
int lp_queues_push(struct lp_queues *queues, struct lp_slice name, struct lp_slice msg);

/** A worker begins to pull: what waits is sent. @param queues Borrowed. @param name Any. @param worker 1 – LP_WORKERS_MAX.
 * @return 0, or -ENOMEM: it does not pull. */
int lp_queues_pull(struct lp_queues *queues, struct lp_slice name, unsigned worker);

/** A worker ends one of its pulls. @param queues Borrowed. @param name Any. @param worker Its id. */
void lp_queues_stop(struct lp_queues *queues, struct lp_slice name, unsigned worker);

/** A worker has ended: it pulls no more. @param queues Borrowed. @param worker Its id. */
void lp_queues_forget_worker(struct lp_queues *queues, unsigned worker);

/** Offer again what waits. @param queues Borrowed. @return Whether something waits for somebody who pulls to have room. */
bool lp_queues_retry(struct lp_queues *queues);

#endif
