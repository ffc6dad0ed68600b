/**
 * A parcel: a connection on its way to a worker.
 *
 * It lives inside whatever its sender keeps for the connection, so handing over allocates nothing. While a channel has
 * it (from a successful lp_channel_hand_over until one of the two ends below) `link`, `number` and `arrived` are the
 * channel's, and the descriptor stays open: it is what makes a second try possible. A parcel ends exactly once:
 *
 *     acknowledged   the worker has it for good; the receiver of that event closes the descriptor, soon, for the
 *                    client sees no FIN from the worker while a copy is open here (taken.h says how soon)
 *     returned       nothing of it was read; the descriptor and the parcel are the sender's again
 */
#ifndef LP_WORKER_PARCEL_H
#define LP_WORKER_PARCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "worker/tcp_unread.h"

struct lp_parcel {
	struct lp_list link;
	int fd;           /**< The connected socket. */
	uint16_t port;    /**< Of the listener it came through; 0 for a unix path. Some dialects tell the worker. */
	uint16_t address; /**< Of limpet's, as workers number them. */
	bool arrived;     /**< The worker has the descriptor, and has not said yet that it takes the connection. */
	uint16_t worker;  /**< Whom it was handed to. The slot sets it. */
	uint16_t ticks;   /**< Since it was acknowledged; of taken.c. */
	uint64_t number;  /**< Of the hand-over, counted from 1 on each channel. */
	struct lp_tcp_baseline baseline; /**< Of the connection, when it was handed over. */
	uint64_t ready_ns; /**< When its sender had all that it takes to hand it over, on the monotonic clock. */
};

/** Why a parcel came back. */
enum lp_return_reason {
	LP_RETURN_LOST,      /**< The channel closed, mostly with the worker's death. */
	LP_RETURN_REFUSED,   /**< The worker does not take it: its server closed, or it has all it wants. */
	LP_RETURN_NO_ROOM,   /**< The descriptor did not get through: the worker is at its limit of open files. */
	LP_RETURN_NO_SERVER, /**< It was not sent: the worker has no server for the port it came through, now. */
};

#endif
