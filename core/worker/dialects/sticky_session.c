/*
 * `sticky-session`: workers of sticky-session 1.x. They take a socket with the message "sticky:balance" and resume it
 * themselves; a worker that begins to close says so (node.c) and gets no more.
 */
#include <sys/socket.h>

#include "worker/node.h"

const struct lp_dialect lp_dialect_sticky_session = {
	.name = "sticky-session",
	.socket_type = SOCK_STREAM,
	.readiness = "speaks on Node's channel, which npm, npx and shells do not pass on",
	.keep_until_read = true,
	.close_ends = true,
	.environment = LP_NODE_ENVIRONMENT(NULL),
	.message = "\"sticky:balance\"",
	.open = lp_node_open,
	.close = lp_node_close,
	.address = lp_node_address,
	.receive = lp_node_receive,
	.outlive = lp_node_outlive,
	.resume = lp_node_resume,
	.resync = lp_node_resync,
	.drain = lp_node_drain,
	.ask = lp_node_ask,
};
