/*
 * `node`: any Node program. Each of its processes that listens is a worker, and has two channels:
 *
 *     channel          how it is made                           what is said there
 *     Node's own       before main, by the preloaded library    all that a cluster worker can see: who it is, messages of
 *                      (preload/node.c, node_process.c)         its packages, servers it asks for, UDP, TLS keys, the end
 *     the library's    at the first interest in a listener,     connections, sessions, where it listens, that it is ready
 *                      as in the dialect preload (registry.h)   or takes no more
 *
 * This describes Node's own. Two channels of one process have no common order, so nothing that is said on one may depend
 * on what was said on the other before.
 *
 * For a program of a sticky package that never listens a script of ours listens, in the same process, and gives it each
 * connection by that package's message (preload/limpet-node.cjs).
 */
#include <sys/socket.h>

#include "worker/node.h"

const struct lp_dialect lp_dialect_node = {
	.name = "node",
	.sessions = LP_SESSIONS_LEARNT,
	.socket_type = SOCK_STREAM,
	.registers = true,
	.has_node_channel = true,
	.readiness = "listens where limpet does, or waits for the messages of a sticky package",
	.keep_until_read = true,
	.environment = {"NODE_CHANNEL_SERIALIZATION_MODE=json", "NODE_APP_INSTANCE=%i", "pm_id=%i", "instances=%n",
			NULL},
	.open = lp_node_open_by_library,
	.close = lp_node_close,
	.receive = lp_node_receive,
	.outlive = lp_node_outlive,
	.resume = lp_node_resume,
	.drain = lp_node_drain,
};

/* Behind a shell, env or make there may be anything: each process is taken for what it is. */
const struct lp_dialect lp_dialect_any = {
	.name = "preload",
	.socket_type = SOCK_STREAM,
	.registers = true,
	.has_node_channel = true,
	.sessions = LP_SESSIONS_LEARNT,
	.gives_listener = true,
	.readiness = "waits for connections on the port that limpet listens on, or on descriptor 3",
	.keep_until_read = true,
	.environment = {"NODE_CHANNEL_SERIALIZATION_MODE=json", "NODE_APP_INSTANCE=%i", "pm_id=%i", "instances=%n",
			NULL},
	.open = lp_node_open_by_library,
	.close = lp_node_close,
	.receive = lp_node_receive,
	.outlive = lp_node_outlive,
	.resume = lp_node_resume,
	.drain = lp_node_drain,
};
