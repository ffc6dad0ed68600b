/**
 * What Socket.IO's servers in the workers say to each other, passed on as their packages' own primaries do:
 * @socket.io/cluster-adapter 0.1 to 0.2 and 0.3, @socket.io/cluster-engine 0.1.
 *
 * An answer goes to its addressee, everything else to all other workers that understand it; no message is changed. When a
 * worker ends, the workers that would wait for it are told, so that a fetchSockets() answers at once, not after its time-out.
 */
#ifndef LP_BROKER_ADAPTER_H
#define LP_BROKER_ADAPTER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/adapter_nodes.h"
#include "broker/message.h"
#include "broker/message_writer.h"

/** The owner's memory. */
struct lp_adapter {
	const struct lp_message_writer *writer;
	struct lp_adapter_nodes adapters; /**< By uid: those of 0.3. */
	struct lp_adapter_nodes engines;  /**< By senderId. */
	uint8_t *speaks;                  /**< By the worker's id: bits for the versions of its adapters. */
	unsigned speakers[3];             /**< By such a bit: workers that have it. */
};

/**
 * Prepare.
 *
 * @param adapter  Filled; lp_adapter_deinit it.
 * @param writer     Borrowed.
 * @param seed     Random.
 *
 * @return 0; or -ENOMEM with nothing to deinit.
 */
int lp_adapter_init(struct lp_adapter *adapter, const struct lp_message_writer *writer, uint64_t seed);

/** Free what it has. @param adapter Prepared, or all zero. */
void lp_adapter_deinit(struct lp_adapter *adapter);

/**
 * Pass a message on, if it is one of these packages'.
 *
 * @param adapter  Prepared.
 * @param worker   Who sent it.
 * @param message   Borrowed.
 *
 * @return Whether it was.
 */
bool lp_adapter_handle(struct lp_adapter *adapter, unsigned worker, const struct lp_message *message);

/** A worker has ended: tell the others. @param adapter Prepared. @param worker Its id. */
void lp_adapter_leave(struct lp_adapter *adapter, unsigned worker);

#endif
