/*
 * `socketio-sticky-session`: workers of socketio-sticky-session 0.2 to 0.4.3, of sticky-session 0.1 and of
 * node-cluster-socket.io. In proxy mode, too, the plain message with an unread socket serves: which client it is was
 * decided here, by a policy such as forwarded_for.
 */
#include <sys/socket.h>

#include "worker/node.h"

const struct lp_dialect lp_dialect_socketio_sticky_session = {
	.name = "socketio-sticky-session",
	.socket_type = SOCK_STREAM,
	.readiness = "speaks on Node's channel, which npm, npx and shells do not pass on",
	.keep_until_read = true,
	.environment = LP_NODE_ENVIRONMENT(NULL),
	.message = "\"sticky-session:connection\"",
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
