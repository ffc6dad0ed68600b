/**
 * How the parts of the library send frames to limpet.
 */
#ifndef LP_CLIENT_OUTGOING_H
#define LP_CLIENT_OUTGOING_H

#include "limpet/worker.h"
#include "wire/frame.h"

/**
 * Send a frame at once, or as soon as there is room.
 *
 * @param worker  Borrowed.
 * @param frame   Copied.
 *
 * @return 0, or negative with nothing changed: -EINVAL (not within frame.h's ranges), -ENOBUFS, -ENOMEM, -EPIPE.
 */
int lp_client_send_frame(struct limpet_worker *worker, const struct lp_frame *frame);

#endif
