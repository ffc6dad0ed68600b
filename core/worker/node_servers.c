/*
 * A worker's servers: what it asks for with queryServer.
 *
 * A UDP server gets the socket itself, and shares it with all that ask for the same address. A TCP or unix server hears
 * that it listens, and gets the connections that limpet hands to it (ports.h says which), as under node:cluster's round
 * robin. In the dialects by message those are only the connections of the very port that it asked for. limpet opens no TCP
 * port or path because a worker asks for it: the operator says with --listen what can be reached from outside. limpet logs
 * a warning, once, about a server that receives no connections. Unix paths are one address here: a worker's first server
 * on a path gets the connections of all of limpet's paths.
 *
 *     state of a TCP or unix server
 *     open      it listens
 *     closed    remembered until its process ends: what comes through its port goes to other workers meanwhile
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/node_servers.h"

/* UDP: the worker gets the socket itself, and shares it with all that ask for the same address. */

static int read_datagram_address(struct lp_socket_address *address, json_t *message)
{
	const char *type = json_string_value(json_object_get(message, "addressType"));
	const char *host = json_string_value(json_object_get(message, "address"));
	json_int_t flags = json_integer_value(json_object_get(message, "flags"));
	if (strcmp(type, "udp4") != 0 && strcmp(type, "udp6") != 0)
		return UV_ENOTSUP;
	if (host && strlen(host) >= sizeof(address->host))
		return UV_EINVAL;
	*address = (struct lp_socket_address){
		.kind = LP_SOCKET_UDP,
		.port = (int)json_integer_value(json_object_get(message, "port")),
		.index = (int)json_integer_value(json_object_get(message, "index")),
		.six = strcmp(type, "udp6") == 0,
		.only_six = flags & UV_UDP_IPV6ONLY,
		.reuse = flags & UV_UDP_REUSEADDR,
	};
	strcpy(address->host, host ? host : "");
	return 0;
}

int lp_node_send_handle(struct lp_channel *channel, const char *type, int fd, json_t *reply)
{
	struct lp_node *node = channel->dialect_state;
	char text[LP_NODE_MESSAGE_BYTES + 1];
	if (node->handle_count == LP_NODE_SERVERS_MAX) {
		json_decref(reply);
		return UV_ENFILE;
	}
	reply = lp_node_number(channel, reply);
	size_t length = lp_node_write_line(
		json_pack("{s:s, s:s, s:o}", "cmd", "NODE_HANDLE", "type", type, "msg", reply), text);
	struct lp_slice message = length ? lp_node_say(channel, (struct lp_slice){text, length}) : (struct lp_slice){0};
	int status = length ? lp_channel_send_descriptor(channel, message, fd) : UV_ENOMEM;
	if (status == 0)
		node->handles[node->handle_count++] = channel->sent;
	return status;
}

void lp_node_query_datagrams(struct lp_channel *channel, json_t *message)
{
	struct lp_node *node = channel->dialect_state;
	struct lp_socket_address address;
	char key[LP_NODE_KEY_SIZE];
	json_t *sequence = json_object_get(message, "seq");
	int status = read_datagram_address(&address, message);
	int fd = status ? status : channel->events->on_socket(channel, &address);
	snprintf(key, sizeof(key), "limpet:udp:%llu", (unsigned long long)node->servers_made++);
	status = fd < 0 ? fd
			: lp_node_send_handle(
				  channel, "dgram.Native", fd,
				  json_pack("{s:O, s:s, s:i, s:n}", "ack", sequence, "key", key, "errno", 0, "data"));
	if (status == 0)
		return;
	lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
		       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
		       "worker %u gets no %s socket of port %d: %s", channel->worker,
		       json_string_value(json_object_get(message, "addressType")),
		       (int)json_integer_value(json_object_get(message, "port")), lp_error_words(status));
	lp_node_send_cluster(channel,
			     json_pack("{s:O, s:s, s:i, s:n}", "ack", sequence, "key", key, "errno", status, "data"));
}

/* TCP and unix: the worker is told that it listens. */

/* What they have in common is what the first of them has. */
json_t *lp_node_share_data(struct lp_channel *channel, json_t *message)
{
	if (!json_is_object(json_object_get(message, "data")))
		return json_null();
	char *mine = json_dumps(json_object_get(message, "data"), JSON_COMPACT);
	json_t *shared = NULL;
	const char *address = json_string_value(json_object_get(message, "address"));
	char name[512];
	int length = snprintf(name, sizeof(name), "%s:%d:%d", address ? address : "",
			      (int)json_integer_value(json_object_get(message, "port")),
			      (int)json_integer_value(json_object_get(message, "index")));
	if (mine && length > 0 && (size_t)length < sizeof(name)) {
		struct lp_slice first = channel->events->on_share(channel, (struct lp_slice){name, (size_t)length},
								  (struct lp_slice){mine, strlen(mine)});
		shared = json_loadb(first.bytes, first.length, 0, NULL);
	}
	free(mine);
	return shared ? shared : json_incref(json_object_get(message, "data"));
}

/* The key is made anew: whatever it was called by before does not reach it. */
static struct lp_node_server *add_server(struct lp_node *node, int port, uint64_t sent)
{
	struct lp_node_server *server = NULL;
	for (size_t i = 0; !server && i < node->server_count; i++)
		if (!node->servers[i].open && node->servers[i].port == port)
			server = &node->servers[i];
	if (!server && node->server_count == LP_NODE_SERVERS_MAX)
		return NULL;
	if (!server) {
		server = &node->servers[node->server_count++];
		server->since = sent;
		lp_ports_claim(node->ports, port);
	}
	server->open = true;
	server->port = port;
	server->fd = -1;
	snprintf(server->key, sizeof(server->key), "limpet:%d:%llu", port, (unsigned long long)node->servers_made++);
	return server;
}

static const struct lp_node_server *first_server(const struct lp_node *node)
{
	for (size_t i = 0; i < node->server_count; i++)
		if (node->servers[i].open)
			return &node->servers[i];
	return NULL;
}

static const struct lp_node_server *server_for(const struct lp_node *node, uint16_t port)
{
	for (size_t i = 0; i < node->server_count; i++) {
		const struct lp_node_server *server = &node->servers[i];
		if (server->open && (port ? server->port == port : server->port < 0))
			return server;
	}
	return node->ports && lp_ports_claimed(node->ports, port ? port : LP_PORT_UNIX) ? NULL : first_server(node);
}

size_t lp_node_address_server(struct lp_channel *channel, const struct lp_connection *connection, char *out)
{
	const struct lp_node_server *server = server_for(channel->dialect_state, connection->origin->port);
	if (!server)
		return 0;
	int length = snprintf(out, LP_DIALECT_MESSAGE_MAX,
			      "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"cmd\":\"NODE_CLUSTER\","
			      "\"act\":\"newconn\",\"key\":\"%s\",\"seq\":%llu}}\n",
			      server->key, (unsigned long long)connection->number);
	return lp_node_seal(channel, out, (size_t)length);
}

bool lp_node_is_asked(const struct lp_node *node, const struct lp_connection *connection)
{
	if (node->by_cluster)
		return true;
	for (size_t i = 0; connection->origin->port && i < node->server_count; i++)
		if (node->servers[i].port == connection->origin->port)
			return connection->number > node->servers[i].since;
	return false;
}

bool lp_node_listens(const struct lp_node *node)
{
	return first_server(node);
}

static void tell_of(struct lp_channel *channel, int port)
{
	if (port > 0)
		lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
			       "worker %u has a server on port %d, where limpet does not listen: nothing comes to it; "
			       "add --listen :%d",
			       channel->worker, port, port);
	else if (!lp_ports_is_ours(channel->ports, port))
		lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
			       "worker %u has a server on a unix path, and limpet none: nothing comes to it; add "
			       "--listen unix:/PATH",
			       channel->worker);
	else
		lp_log_limited(
			channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
			"worker %u has a server on a unix path: nothing comes to it, for in the dialect %s what comes "
			"through a path goes to workers by message",
			channel->worker, channel->dialect->name);
}

/* Which servers nothing comes to may only show when there is another. */
static void tell_unreached(struct lp_channel *channel)
{
	const struct lp_node *node = channel->dialect_state;
	for (size_t i = 0; i < node->server_count; i++) {
		const struct lp_node_server *server = &node->servers[i];
		bool gets_the_rest = server == first_server(node) && lp_ports_has_free(node->ports);
		bool is_reached = (node->by_cluster && gets_the_rest) || ((node->by_cluster || server->port > 0) &&
									  lp_ports_is_ours(node->ports, server->port));
		if (server->open && !is_reached && lp_ports_tell(node->ports, server->port))
			tell_of(channel, server->port);
	}
}

/* What the worker's server.address() says. */
static json_t *name_server(const struct lp_node *node, json_t *message)
{
	const char *address = json_string_value(json_object_get(message, "address"));
	int port = (int)json_integer_value(json_object_get(message, "port"));
	const char *at = address ? address : "::";
	if (port < 0)
		return json_null();
	return json_pack("{s:s, s:s, s:i}", "address", at, "family", strchr(at, ':') ? "IPv6" : "IPv4", "port",
			 port ? port : lp_ports_first(node->ports));
}

void lp_node_query_server(struct lp_channel *channel, json_t *message)
{
	struct lp_node *node = channel->dialect_state;
	if (node->by_library) {
		lp_node_query_handle(channel, message);
		return;
	}
	int port = (int)json_integer_value(json_object_get(message, "port"));
	json_t *seq = json_object_get(message, "seq");
	node->ports = channel->ports;
	const struct lp_node_server *server = add_server(node, port, channel->sent);
	if (!server) {
		lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
			       "worker %u has %d servers already; it gets no more", channel->worker,
			       LP_NODE_SERVERS_MAX);
		lp_node_send_cluster(channel, json_pack("{s:O, s:n, s:i}", "ack", seq, "data", "errno", UV_ENFILE));
		return;
	}
	lp_node_send_cluster(channel, json_pack("{s:O, s:o, s:n, s:s, s:o}", "ack", seq, "data",
						lp_node_share_data(channel, message), "errno", "key", server->key,
						"sockname", name_server(node, message)));
	tell_unreached(channel);
}

/* A worker may have a shared socket no longer. */
static void drop_socket(struct lp_channel *channel, struct lp_node_server *server, bool closed)
{
	if (server->fd >= 0)
		channel->events->on_socket_dropped(channel, server->fd, closed);
	server->fd = -1;
}

void lp_node_close_server(struct lp_channel *channel, const char *key)
{
	struct lp_node *node = channel->dialect_state;
	for (size_t i = 0; key && i < node->server_count; i++)
		if (node->servers[i].open && strcmp(node->servers[i].key, key) == 0) {
			node->servers[i].open = false;
			drop_socket(channel, &node->servers[i], true);
		}
}

void lp_node_forget_servers(struct lp_node *node)
{
	for (size_t i = 0; i < node->server_count; i++) {
		drop_socket(node->channel, &node->servers[i], false);
		if (!node->by_library)
			lp_ports_release(node->ports, node->servers[i].port);
	}
}
