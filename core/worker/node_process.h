/**
 * Node processes of the dialect `node`: those that have a channel of Node's own. Private to the worker layer.
 *
 * Every Node process that a program of ours starts, and that has no channel from its parent, comes to the door (registry.h)
 * before its main: npm, a script that migrates a database, and the server. Each is told a number and is a cluster worker as
 * far as it can see. The one that listens is the worker: it registers by its library (registry.h), in a slot.
 *
 *     state    means                                            leaves on
 *     TOLD     it has its slot's number                         it registers -> WORKING; its end
 *     WORKING  it is its slot's worker                          its end
 *
 * Its end is that of its channel (it disconnected, or died) or, if we hear of that before, of the process.
 *
 * Several processes may have one slot's number, as long as none is the slot's worker: npm, its shell's `node migrate.js`,
 * the server. One of them speaks for the slot, and hears what is said to it: the worker; before there is one, the first that
 * has said something; else the youngest.
 */
#ifndef LP_WORKER_NODE_PROCESS_H
#define LP_WORKER_NODE_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/list.h"
#include "worker/channel.h"
#include "worker/registry.h"

struct lp_slot;
struct lp_slots;
struct lp_surviving_node;

struct lp_node_process {
	struct lp_list link;                /**< Of slots->node_processes, the youngest last. */
	struct lp_slot *slot;               /**< Whose number it was told; of a worker, the one that it is in. */
	pid_t pid;                          /**< Of the process. */
	int pidfd;                          /**< The same, for good. */
	struct lp_channel channel;          /**< Node's. */
	bool open;                          /**< The channel is. */
	bool spoke;                         /**< It has said something of its own. */
	bool works;                         /**< WORKING. */
	struct lp_surviving_node *survivor; /**< What of it outlives the balancer; NULL: nothing does. */
};

/**
 * A process has come to the door: tell it its number.
 *
 * @param slot  Whose number.
 * @param who   Its channel and its descriptor are ours on success.
 *
 * @return 0; or negative errno: it gets no channel, and goes on without.
 */
int lp_node_process_admit(struct lp_slot *slot, const struct lp_registered *who);

/** The process of a number, if it has a channel of Node's; or NULL. @param slots All. @param pid Its number. */
struct lp_node_process *lp_node_process_find(struct lp_slots *slots, pid_t pid);

/** It is a slot's worker now. @param process Open. @param slot Any. */
void lp_node_process_work(struct lp_node_process *process, struct lp_slot *slot);

/** Whether any process that is no worker was told a slot's number. @param slot Any. */
bool lp_node_process_has_number(const struct lp_slot *slot);

/** A process has ended: hear its last words, and close its channel. @param slots All. @param pid Its number; any. */
void lp_node_process_ended(struct lp_slots *slots, pid_t pid);

/** Tell all processes that have a slot's number to finish; but not a worker that handles SIGTERM, which it gets instead.
 * @param slot Any. */
void lp_node_process_drain(struct lp_slot *slot);

/** Send what waits for each. @param slots All. */
void lp_node_process_flush(struct lp_slots *slots);

/** Close what is left. @param slots All. @param closed Runs once, on the loop, maybe before this returns. */
void lp_node_process_close_all(struct lp_slots *slots, void (*closed)(struct lp_slots *slots));

/** Go on with those of an earlier balancer. @param slots Prepared; workers are in their slots. */
void lp_node_process_adopt_all(struct lp_slots *slots);

#endif
