/**
 * Topics: which workers want to hear what is published under a name. A topic exists while somebody is subscribed to it.
 */
#ifndef LP_BROKER_TOPICS_H
#define LP_BROKER_TOPICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"
#include "broker/name_table.h"

/** Bytes that topics may take, all together. At that bound no new one is made. */
#define LP_TOPICS_BYTES_MAX (16u << 20)

/** The owner's memory. */
struct lp_topics {
	struct lp_name_table table;
	struct lp_list all; /**< The same. */
	unsigned workers;   /**< Their ids are 1 to this. */
	size_t bytes;
	size_t bytes_max;
};

/**
 * Begin without any topic.
 *
 * @param topics     Filled; end it with lp_topics_deinit.
 * @param workers    Their ids are 1 to this.
 * @param bytes_max  LP_TOPICS_BYTES_MAX, or less in tests.
 * @param seed       Random.
 */
void lp_topics_init(struct lp_topics *topics, unsigned workers, size_t bytes_max, uint64_t seed);

/** Free all topics. @param topics Begun, or all zero. */
void lp_topics_deinit(struct lp_topics *topics);

/** Subscribe a worker to a topic. @param topics Begun. @param name Any bytes. @param worker Its id; twice is once.
 * @return 0, or -ENOMEM: there are too many, or there is no memory. */
int lp_topics_subscribe(struct lp_topics *topics, struct lp_slice name, unsigned worker);

/** It does not any more. @param topics Begun. @param name Any bytes. @param worker Its id. */
void lp_topics_unsubscribe(struct lp_topics *topics, struct lp_slice name, unsigned worker);

/** A worker has ended: it is subscribed to nothing. @param topics Begun. @param worker Its id. */
void lp_topics_forget_worker(struct lp_topics *topics, unsigned worker);

/**
 * Who is subscribed: for (unsigned id = 0; (id = lp_topics_next(topics, name, id));) …
 *
 * @param topics  Begun.
 * @param name    Any bytes.
 * @param after   0 for the first.
 *
 * @return The next worker's id; 0: no more.
 */
unsigned lp_topics_next(const struct lp_topics *topics, struct lp_slice name, unsigned after);

#endif
