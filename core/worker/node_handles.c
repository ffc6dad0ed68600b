/*
 * Servers of workers of the dialect `node`: what they ask for with queryServer. Each gets a handle, as under a Node primary
 * that does not share out connections itself (cluster.SCHED_NONE):
 *
 *     asks for                       gets
 *     one of limpet's ports, paths   a placeholder: the preloaded library knows it by its name, and the connections that
 *                                    limpet hands over arrive at it
 *     anything else, port 0 too      a real socket, one for each address, which all workers accept from
 *
 * So what is not limpet's (a server for metrics, a tool's pipe) is reached as if limpet was not there. A handle is all that
 * comes from here: where a worker listens, and that it takes connections, is the library's to say, for what two channels
 * say comes in no order.
 *
 * A placeholder that is sent does not block: Node 18 accepts until there is no more.
 */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "worker/node_servers.h"

/* As libuv numbers it: the IPv6 server is none for IPv4. */
#define TCP_IPV6ONLY 1

static int read_address(struct lp_socket_address *address, json_t *message)
{
	const char *host = json_string_value(json_object_get(message, "address"));
	json_t *port = json_object_get(message, "port");
	json_t *fd = json_object_get(message, "fd");
	json_int_t type = json_integer_value(json_object_get(message, "addressType"));
	if (json_is_integer(fd) && json_integer_value(fd) >= 0)
		return UV_EBADF; /* A number of the primary's descriptors, and limpet has opened none for it. */
	if (host && strlen(host) >= sizeof(address->host))
		return UV_ENAMETOOLONG;
	*address = (struct lp_socket_address){
		.kind = json_integer_value(port) < 0 ? LP_SOCKET_PATH : LP_SOCKET_TCP,
		.port = json_integer_value(port) < 0 ? 0 : (int)json_integer_value(port),
		.index = (int)json_integer_value(json_object_get(message, "index")),
		.six = host ? type == 6 : true,
		.only_six = json_integer_value(json_object_get(message, "flags")) & TCP_IPV6ONLY,
	};
	strcpy(address->host, host ? host : "");
	return 0;
}

static bool has_six(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* The address of a listener at one of limpet's, as getsockname(2) is to say it. */
static int fill_listener(struct sockaddr_storage *listener, const struct lp_socket_address *address)
{
	*listener = (struct sockaddr_storage){.ss_family = AF_UNIX};
	if (address->kind == LP_SOCKET_PATH)
		return 0;
	if (address->six && (address->host[0] || has_six()))
		return uv_ip6_addr(address->host[0] ? address->host : "::", address->port,
				   (struct sockaddr_in6 *)listener);
	return uv_ip4_addr(address->host[0] ? address->host : "0.0.0.0", address->port, (struct sockaddr_in *)listener);
}

/* Returns the placeholder, the caller's to close, or negative errno. */
static int make_placeholder(struct lp_channel *channel, const struct lp_socket_address *address, unsigned which)
{
	struct sockaddr_storage listener;
	int status = fill_listener(&listener, address);
	if (!status && address->index > 0)
		status = UV_EADDRINUSE; /* This worker has one there. */
	int fd = status ? status : channel->events->on_placeholder(channel, (struct sockaddr *)&listener, which);
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

static struct lp_node_server *add_server(struct lp_node *node)
{
	size_t i = 0;
	while (i < node->server_count && node->servers[i].open)
		i++;
	if (i == LP_NODE_SERVERS_MAX)
		return NULL;
	if (i == node->server_count)
		node->server_count++;
	node->servers[i] = (struct lp_node_server){.open = true, .fd = -1};
	snprintf(node->servers[i].key, sizeof(node->servers[i].key), "limpet:%llu",
		 (unsigned long long)node->servers_made++);
	return &node->servers[i];
}

/* Returns 0, or negative errno with nothing sent. */
static int answer(struct lp_channel *channel, json_t *message, struct lp_node_server *server)
{
	struct lp_socket_address address;
	int status = read_address(&address, message);
	if (status)
		return status;
	int which = lp_ports_number(channel->ports, address.kind == LP_SOCKET_PATH ? address.host : NULL, address.port);
	int fd = which < 0 ? channel->events->on_socket(channel, &address)
			   : make_placeholder(channel, &address, (unsigned)which);
	if (fd < 0)
		return fd;
	status = lp_node_send_handle(channel, "net.Native", fd,
				     json_pack("{s:O, s:s, s:i, s:o}", "ack", json_object_get(message, "seq"), "key",
					       server->key, "errno", 0, "data", lp_node_share_data(channel, message)));
	if (which >= 0)
		close(fd);
	else if (status)
		channel->events->on_socket_dropped(channel, fd, false);
	else
		server->fd = fd;
	return status;
}

void lp_node_query_handle(struct lp_channel *channel, json_t *message)
{
	struct lp_node_server *server = add_server(channel->dialect_state);
	int status = server ? answer(channel, message, server) : UV_ENFILE;
	if (!status)
		return;
	const char *address = json_string_value(json_object_get(message, "address"));
	if (server)
		server->open = false;
	lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
		       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
		       "worker %u cannot listen at %s:%d: %s", channel->worker, address ? address : "",
		       (int)json_integer_value(json_object_get(message, "port")), lp_error_words(status));
	lp_node_send_cluster(channel, json_pack("{s:O, s:s, s:o, s:i}", "ack", json_object_get(message, "seq"), "key",
						server ? server->key : "", "data", lp_node_share_data(channel, message),
						"errno", status));
}
