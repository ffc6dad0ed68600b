/*
 * `socket.io-sticky`: workers that call @socket.io/sticky's setupWorker(io), 1.0.0 to 2.0.1. Their primary sends the first
 * chunk it has read along with the socket; nothing was read here, so that chunk is empty and the worker reads the socket
 * from its first byte. The worker tells each session's beginning and end (node.c).
 *
 * @socket.io/pm2 starts the same workers.
 */
#include <sys/socket.h>

#include "worker/node.h"

const struct lp_dialect lp_dialect_socketio_sticky = {
	.name = "socket.io-sticky",
	.socket_type = SOCK_STREAM,
	.sessions = LP_SESSIONS_SIDS,
	.readiness = "speaks on Node's channel, which npm, npx and shells do not pass on",
	.keep_until_read = true,
	.environment = LP_NODE_ENVIRONMENT("NODE_APP_INSTANCE=%i", "pm_id=%i", "instances=%n", NULL),
	.message = "{\"type\":\"sticky:connection\",\"data\":\"\"}",
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
