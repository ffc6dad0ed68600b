/**
 * Workers outlive a balancer that dies: what the next one has to know of each slot to go on with it.
 *
 *     dialect                  the keeper holds            the next balancer
 *     by channel (cluster …)   the channel                 goes on with it; the worker notices nothing
 *     preload                  the door                    keeps the slot for the worker until it registers again
 *     node                     both doors, Node's channel  does both
 *
 * Everything here lies in lasting memory. A process is believed to be the one that is written down if it began when that one
 * did.
 */
#ifndef LP_WORKER_SURVIVORS_H
#define LP_WORKER_SURVIVORS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker/channel_lasting.h"

struct lp_slot;
struct lp_slots;

/** Node processes whose channels outlive the balancer; those beyond it do not. */
#define LP_SURVIVING_NODES_MAX 128

/** A process. `pid` is written last. */
struct lp_surviving_process {
	pid_t pid; /**< 0: none. */
	uint64_t started;
};

struct lp_surviving_slot {
	struct lp_surviving_process program; /**< What was started in the slot. */
	struct lp_surviving_process worker;  /**< What has registered in it. */
	struct lp_channel_lasting channel;   /**< Of dialects whose workers are given one. */
};

/** A Node process with a channel of Node's own (node_process.h). */
struct lp_surviving_node {
	struct lp_surviving_process process;
	unsigned slot; /**< A worker's id. */
	bool works;
	bool spoke;
	struct lp_channel_lasting channel;
};

/** In struct lp_slots; all zero: nothing outlives. */
struct lp_survivors {
	struct lp_surviving_slot *slots; /**< By id - 1; NULL: none. */
	struct lp_surviving_node *nodes;
};

/** Find what an earlier balancer has left. @param slots Their configuration is set. */
void lp_survivors_open(struct lp_slots *slots);

/** Write a process down. @param process In lasting memory; NULL is allowed. @param pid Its number; 0: it has ended. */
void lp_survivors_note(struct lp_surviving_process *process, pid_t pid);

/** A program was started in the slot, or has ended. @param slot Started. @param pid Its number, or 0. */
void lp_survivors_note_program(struct lp_slot *slot, pid_t pid);

/** A worker has registered in the slot, or has ended. @param slot Started. @param pid Its number, or 0. */
void lp_survivors_note_worker(struct lp_slot *slot, pid_t pid);

/** Let the slot's channel outlive the balancer. @param slot Its channel was made just now, for a program that is yet to be started. */
void lp_survivors_hold_channel(struct lp_slot *slot);

/** The slot's channel closes: the keeper is to close its copy, too. @param slot Its channel is open. */
void lp_survivors_drop_channel(struct lp_slot *slot);

/**
 * A descriptor of the process that is written down.
 *
 * @param process  Borrowed; forgotten if it has ended.
 *
 * @return The caller's, or negative errno.
 */
int lp_survivors_open_process(struct lp_surviving_process *process);

#endif
