/**
 * The workers' meeting place: what Node workers' packages say through their primary, to each other or to it; and the same
 * store and bus for native workers.
 *
 *     @socket.io/cluster-adapter, @socket.io/cluster-engine   adapter.h
 *     strong-store-cluster                                    store.h
 *     strong-mq, native: publish and subscribe                here: to every worker, each picks what it wants
 *     strong-mq, native: push and pull                        queues.h
 *     native workers' frames                                  store.h, topics.h, queues.h
 *
 * A worker that does not read what it is sent holds nobody up: its letters wait in its channel up to
 * LP_CHANNEL_OUT_MAX, past which they are dropped and that is logged.
 */
#ifndef LP_WORKER_MEETING_H
#define LP_WORKER_MEETING_H

#include <uv.h>

#include "worker/frame.h"
#include "worker/meeting/adapter.h"
#include "worker/meeting/letter.h"

struct lp_meeting;

/**
 * Make a meeting place.
 *
 * @param post  Copied, without letters; its log and owner are borrowed.
 *
 * @return It, to be started or freed; NULL: no memory.
 */
struct lp_meeting *lp_meeting_new(const struct lp_post *post);

/** Free one that was never started. @param meeting NULL is allowed. */
void lp_meeting_free(struct lp_meeting *meeting);

/** Open it. @param meeting Made. @param loop Borrowed. */
void lp_meeting_start(struct lp_meeting *meeting, uv_loop_t *loop);

/**
 * Close and free it; what is in it is gone.
 *
 * @param meeting  Started.
 * @param closed   Runs once, later, on the loop.
 * @param owner    Passed to it.
 */
void lp_meeting_close(struct lp_meeting *meeting, void (*closed)(void *owner), void *owner);

/** Do what a letter asks for; one that is none of these packages' is ignored. @param meeting Started.
 * @param worker Who sent it. @param letter Borrowed. */
void lp_meeting_take(struct lp_meeting *meeting, unsigned worker, const struct lp_letter *letter);

/** Do what a native worker's frame asks for; any that does not ask is ignored. @param meeting Started.
 * @param worker Who sent it. @param frame Borrowed. */
void lp_meeting_hear(struct lp_meeting *meeting, unsigned worker, const struct lp_frame *frame);

/**
 * What workers' servers have in common, such as the keys of TLS sessions: what the first has said under a name is said to
 * all, for as long as limpet runs.
 *
 * @param meeting  Started.
 * @param name     Which servers.
 * @param value    This worker's.
 *
 * @return The first's, valid until the meeting place ends; or value, when there is no room to remember another.
 */
struct lp_slice lp_meeting_share(struct lp_meeting *meeting, struct lp_slice name, struct lp_slice value);

/** A worker has ended, or will say nothing any more. @param meeting Started. @param worker Its id. */
void lp_meeting_leave(struct lp_meeting *meeting, unsigned worker);

#endif
