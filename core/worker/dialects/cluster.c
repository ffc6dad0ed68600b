/*
 * `cluster`: any Node cluster worker, with a plain server.listen(port) and no sticky code. A connection goes to the
 * worker's own server as node:cluster's round robin would send it ("newconn"), so the worker cannot tell the difference.
 *
 * A worker may have several servers; ports.h says which of them a connection goes to. The server answers whether it
 * accepts; if not (closed meanwhile, or at its maxConnections) the connection comes back.
 */
#include <sys/socket.h>

#include "worker/node.h"

const struct lp_dialect lp_dialect_cluster = {
	.name = "cluster",
	.socket_type = SOCK_STREAM,
	.readiness = "calls server.listen()",
	.keep_until_read = true,
	.environment = LP_NODE_ENVIRONMENT(NULL),
	.open = lp_node_open_cluster,
	.close = lp_node_close,
	.address = lp_node_address_server,
	.receive = lp_node_receive,
	.outlive = lp_node_outlive,
	.resume = lp_node_resume,
	.resync = lp_node_resync,
	.drain = lp_node_drain,
	.ask = lp_node_ask,
};
