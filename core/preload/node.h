/**
 * Node processes of limpet's dialect `node`: each that has no channel from its parent gets one, before main.
 */
#ifndef LP_PRELOAD_NODE_H
#define LP_PRELOAD_NODE_H

#include <stdbool.h>

/**
 * If this is a Node process, and none that its parent has given a channel to: ask limpet who it is, and put that into the
 * environment as a Node primary would, NODE_CHANNEL_FD and all. Waits for limpet's answer, a few seconds at most; without
 * one the process goes on as if it was started by hand.
 *
 * @param door  Path of the socket where Node processes come to (node_door.h); NULL: nothing is done.
 */
void lp_node_begin(const char *door);

/** Whether this is a Node process that its parent has given a channel to. */
bool lp_node_has_parents_channel(void);

#endif
