/**
 * Who speaks from which worker: Socket.IO's adapters and engines call themselves by an id of their own choice, which is
 * learnt from what they say and forgotten with their worker.
 */
#ifndef LP_BROKER_ADAPTER_NODES_H
#define LP_BROKER_ADAPTER_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"
#include "broker/name_table.h"

/** Ids that are known at a time. More are not learnt, and the directory is incomplete from then on. */
#define LP_ADAPTER_NODES_MAX 65536

/** Bytes of an id, and of a namespace, as they are written. A longer one is not learnt. */
#define LP_NODE_ID_MAX 512

/** One that speaks. Read it; it is the directory's. */
struct lp_speaker {
	struct lp_named named; /**< First. By its id, as it is written. */
	struct lp_list link;   /**< Of its worker. */
	unsigned worker;
	struct lp_slice nsp; /**< Its namespace, as it is written; absent if it has none. */
};

/** The owner's memory. */
struct lp_adapter_nodes {
	struct lp_name_table table;
	struct lp_list *of_worker; /**< By the worker's id. */
	bool incomplete;           /**< One was not learnt: an id that is not found may be somebody's. */
};

/**
 * Make an empty directory.
 *
 * @param nodes    Filled; lp_adapter_nodes_deinit it.
 * @param workers  Their ids are 1 to this.
 * @param seed     Random.
 *
 * @return 0, or -ENOMEM.
 */
int lp_adapter_nodes_init(struct lp_adapter_nodes *nodes, unsigned workers, uint64_t seed);

/** Free it. @param nodes Made, or all zero. */
void lp_adapter_nodes_deinit(struct lp_adapter_nodes *nodes);

/** Who has an id, or NULL. @param nodes Made. @param id As it is written; absent is fine. */
struct lp_speaker *lp_adapter_nodes_find(const struct lp_adapter_nodes *nodes, struct lp_slice id);

/**
 * Learn an id, if it is new. There may be too many already, it may be too long, or there is no memory: the directory is
 * incomplete then.
 *
 * @param nodes   Made.
 * @param id      As it is written; absent is fine.
 * @param nsp     As it is written; absent for none.
 * @param worker  Whose. An id that is another worker's stays that one's.
 */
void lp_adapter_nodes_learn(struct lp_adapter_nodes *nodes, struct lp_slice id, struct lp_slice nsp, unsigned worker);

/** Forget one. @param nodes Made. @param speaker Known. */
void lp_adapter_nodes_forget(struct lp_adapter_nodes *nodes, struct lp_speaker *speaker);

/** Forget an id, if it is this worker's. @param nodes Made. @param id As it is written; absent is fine.
 * @param worker Who says so. */
void lp_adapter_nodes_forget_id(struct lp_adapter_nodes *nodes, struct lp_slice id, unsigned worker);

/** One of a worker's, or NULL when it has none. @param nodes Made. @param worker Its id. */
struct lp_speaker *lp_adapter_nodes_of(const struct lp_adapter_nodes *nodes, unsigned worker);

#endif
