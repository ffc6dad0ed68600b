/**
 * The workers' broker: what Node workers' packages say through their primary, to each other or to it; and the same
 * store and bus for native workers.
 *
 *     @socket.io/cluster-adapter, @socket.io/cluster-engine   adapter.h
 *     strong-store-cluster                                    store.h
 *     strong-mq, native: publish and subscribe                here: to every worker, each picks what it wants
 *     strong-mq, native: push and pull                        queues.h
 *     native workers' frames                                  store.h, topics.h, queues.h
 *
 * A worker that does not read what it is sent holds nobody up: its messages wait in its channel up to
 * LP_CHANNEL_OUT_MAX, past which they are dropped and that is logged.
 */
#ifndef LP_BROKER_BROKER_H
#define LP_BROKER_BROKER_H

#include <uv.h>

#include "broker/adapter.h"
#include "broker/message.h"
#include "wire/frame.h"

struct lp_broker;

/**
 * Make a broker.
 *
 * @param writer  Copied, without messages; its log and owner are borrowed.
 *
 * @return It, to be started or freed; NULL: no memory.
 */
struct lp_broker *lp_broker_new(const struct lp_message_writer *writer);

/** Free one that was never started. @param broker NULL is allowed. */
void lp_broker_free(struct lp_broker *broker);

/** Open it. @param broker Made. @param loop Borrowed. */
void lp_broker_start(struct lp_broker *broker, uv_loop_t *loop);

/**
 * Close and free it; what is in it is gone.
 *
 * @param broker  Started.
 * @param closed   Runs once, later, on the loop.
 * @param owner    Passed to it.
 */
void lp_broker_close(struct lp_broker *broker, void (*closed)(void *owner), void *owner);

/** Do what a message asks for. A message of another package is ignored. @param broker Started.
 * @param worker Who sent it. @param message Borrowed. */
void lp_broker_handle_message(struct lp_broker *broker, unsigned worker, const struct lp_message *message);

/** Do what a native worker's frame asks for. A frame that asks for nothing is ignored. @param broker Started.
 * @param worker Who sent it. @param frame Borrowed. */
void lp_broker_handle_frame(struct lp_broker *broker, unsigned worker, const struct lp_frame *frame);

/**
 * What workers' servers have in common, such as the keys of TLS sessions: what the first has said under a name is said to
 * all, for as long as limpet runs.
 *
 * @param broker  Started.
 * @param name     Which servers.
 * @param value    This worker's.
 *
 * @return The first's, valid until the broker ends; or value, when there is no room to remember another.
 */
struct lp_slice lp_broker_share(struct lp_broker *broker, struct lp_slice name, struct lp_slice value);

/** A worker has ended, or will say nothing any more. @param broker Started. @param worker Its id. */
void lp_broker_leave(struct lp_broker *broker, unsigned worker);

#endif
