/*
 * `cluster`: any Node cluster worker, with a plain server.listen(port) and no sticky code. A connection goes to the
 * worker's own server as node:cluster's round robin would send it ("newconn"), so the worker cannot tell the difference.
 *
 * A worker may have several servers; ports.h says which of them a connection goes to. The server answers whether it
 * accepts; if not (closed meanwhile, or at its maxConnections) the connection comes back.
 */
#include <stdio.h>
#include <sys/socket.h>

#include "worker/node.h"

static size_t address(struct lp_channel *channel, const struct lp_parcel *parcel, char *out)
{
	const struct lp_node_server *server = lp_node_server_for(channel->state, parcel->port);
	if (!server)
		return 0;
	int length = snprintf(out, LP_DIALECT_MESSAGE_MAX,
			      "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"cmd\":\"NODE_CLUSTER\","
			      "\"act\":\"newconn\",\"key\":\"%s\",\"seq\":%llu}}\n",
			      server->key, (unsigned long long)parcel->number);
	return lp_node_seal(channel, out, (size_t)length);
}

const struct lp_dialect lp_dialect_cluster = {
	.name = "cluster",
	.socket_type = SOCK_STREAM,
	.readiness = "calls server.listen()",
	.keep_until_read = true,
	.environment = LP_NODE_ENVIRONMENT(LP_NODE_PM2_ENVIRONMENT, NULL),
	.open = lp_node_open_cluster,
	.close = lp_node_close,
	.address = address,
	.receive = lp_node_receive,
	.drain = lp_node_drain,
};
