/*
 * The primary's half of node:child_process and node:cluster, as far as a worker can see it.
 *
 *     worker says                                  we
 *     {"cmd":"NODE_HANDLE_ACK"}                    the oldest parcel not arrived has arrived: the end of it, but for
 *                                                  cluster servers, which have yet to say whether they accept
 *     {"cmd":"NODE_HANDLE_NACK"}                   it came without its descriptor: returned
 *     {"cmd":"NODE_CLUSTER","ack":N,"accepted":B}  parcel N (its number is the message's seq) is acknowledged, or returned
 *     … "act":"online"                             ready, in the dialects by message
 *     … "act":"queryServer"                        "you listen": a server that limpet can hand connections to
 *     … "act":"close"                              that server is no more
 *     … "act":"exitedAfterDisconnect"              answered; the worker takes no more
 *     {"type":"sticky:connection","data":SID}      a session began ("sticky:disconnection": ended), @socket.io/sticky
 *     {"type":"close"}                             the worker takes no more, sticky-session
 *     {"source":"_sio_adapter"} {"_source":"_eio"} for the other workers, whichever they are: Socket.IO's cluster adapter
 *                                                  and engine pick their own out by request id
 *     anything else                                is the program's own; a primary without listeners ignores it
 *
 * Numbers: Node answers NODE_HANDLEs in order, so the acknowledgement needs none.
 */
#include "worker/node.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of node:cluster's messages, at most; an address that a worker wants to listen on is the longest part. */
#define MESSAGE_BYTES 4096

static struct lp_node *node_of(struct lp_channel *channel)
{
	return channel->state;
}

static int open_node(bool by_cluster, void **state)
{
	struct lp_node *node = calloc(1, sizeof(*node));
	if (!node)
		return -ENOMEM;
	node->by_cluster = by_cluster;
	*state = node;
	return 0;
}

int lp_node_open(struct lp_channel *channel, void **state)
{
	(void)channel;
	return open_node(false, state);
}

int lp_node_open_cluster(struct lp_channel *channel, void **state)
{
	(void)channel;
	return open_node(true, state);
}

void lp_node_close(void *state)
{
	free(state);
}

size_t lp_node_address(struct lp_channel *channel, const struct lp_parcel *parcel, char *out)
{
	(void)parcel;
	return (size_t)snprintf(out, LP_DIALECT_MESSAGE_MAX,
				"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":%s}\n",
				channel->dialect->message);
}

/*
 * Send one of node:cluster's own messages. Takes over message; NULL is what jansson made of a failure. What cannot be
 * said ends the channel: the worker would wait for it for ever.
 */
static void send_cluster(struct lp_channel *channel, json_t *message)
{
	char text[MESSAGE_BYTES + 1];
	int status = json_object_set_new(message, "cmd", json_string("NODE_CLUSTER"));
	status |= json_object_set_new(message, "seq", json_integer((json_int_t)node_of(channel)->messages++));
	size_t length = status ? 0 : json_dumpb(message, text, MESSAGE_BYTES, JSON_COMPACT);
	json_decref(message);
	if (length == 0 || length > MESSAGE_BYTES) {
		lp_channel_give_up(channel, length ? -EMSGSIZE : -ENOMEM);
		return;
	}
	text[length] = '\n';
	lp_channel_send(channel, text, length + 1);
}

void lp_node_drain(struct lp_channel *channel)
{
	send_cluster(channel, json_pack("{s:s}", "act", "disconnect"));
}

static void on_handle_arrived(struct lp_channel *channel)
{
	struct lp_parcel *parcel = lp_channel_oldest(channel);
	if (!parcel)
		return;
	if (node_of(channel)->by_cluster)
		parcel->arrived = true;
	else
		lp_channel_acknowledge(channel, parcel);
}

static void on_handle_missing(struct lp_channel *channel)
{
	struct lp_parcel *parcel = lp_channel_oldest(channel);
	if (parcel)
		lp_channel_return(channel, parcel, LP_RETURN_NO_ROOM);
}

static void on_accepted(struct lp_channel *channel, uint64_t number, bool accepted)
{
	struct lp_parcel *parcel = lp_channel_find(channel, number);
	if (!parcel)
		return;
	if (accepted)
		lp_channel_acknowledge(channel, parcel);
	else
		lp_channel_return(channel, parcel, LP_RETURN_REFUSED);
}

/* The error number for a kind of socket that cannot be handed over; 0 for the others. */
static int refuse_to_listen(struct lp_channel *channel, json_t *address_type)
{
	if (!json_is_string(address_type))
		return 0; /* 4, 6 and -1 are TCP and unix; "udp4" and "udp6" are the strings. */
	lp_log_write(channel->log, LP_LOG_WARNING,
		     "worker %u asked for a %s socket, which limpet does not share; open it with `exclusive: true`",
		     channel->worker, json_string_value(address_type));
	return UV_ENOTSUP;
}

static void on_query_server(struct lp_channel *channel, json_t *message)
{
	struct lp_node *node = node_of(channel);
	const char *address = json_string_value(json_object_get(message, "address"));
	int port = (int)json_integer_value(json_object_get(message, "port"));
	int refused = refuse_to_listen(channel, json_object_get(message, "addressType"));
	if (!refused && node->server_count == LP_NODE_SERVERS_MAX) {
		lp_log_write(channel->log, LP_LOG_WARNING, "worker %u has %d servers already; it gets no more",
			     channel->worker, LP_NODE_SERVERS_MAX);
		refused = UV_ENFILE;
	}
	json_t *seq = json_object_get(message, "seq");
	if (refused) {
		send_cluster(channel, json_pack("{s:O, s:n, s:i}", "ack", seq, "data", "errno", refused));
		return;
	}
	struct lp_node_server *server = &node->servers[node->server_count++];
	server->port = port;
	snprintf(server->key, sizeof(server->key), "limpet:%d:%llu", port, (unsigned long long)node->servers_made++);
	const char *at = address ? address : "::";
	json_t *name = port < 0 ? json_null()
				: json_pack("{s:s, s:s, s:i}", "address", at, "family",
					    strchr(at, ':') ? "IPv6" : "IPv4", "port", port);
	json_t *reply = json_pack("{s:O, s:n, s:n, s:s, s:o}", "ack", seq, "data", "errno", "key", server->key,
				  "sockname", name);
	send_cluster(channel, reply);
	if (node->by_cluster)
		lp_channel_set_ready(channel, true);
}

static void on_server_closed(struct lp_channel *channel, const char *key)
{
	struct lp_node *node = node_of(channel);
	for (size_t i = 0; key && i < node->server_count; i++) {
		if (strcmp(node->servers[i].key, key) != 0)
			continue;
		node->server_count--;
		memmove(&node->servers[i], &node->servers[i + 1], (node->server_count - i) * sizeof(node->servers[0]));
		break;
	}
	if (node->by_cluster && node->server_count == 0)
		lp_channel_set_ready(channel, false);
}

static void on_cluster_message(struct lp_channel *channel, json_t *message)
{
	json_t *accepted = json_object_get(message, "accepted");
	if (json_is_boolean(accepted)) {
		json_int_t number = json_integer_value(json_object_get(message, "ack"));
		on_accepted(channel, (uint64_t)number, json_is_true(accepted));
		return;
	}
	const char *act = json_string_value(json_object_get(message, "act"));
	if (!act)
		return;
	if (strcmp(act, "online") == 0) {
		if (!node_of(channel)->by_cluster)
			lp_channel_set_ready(channel, true);
	} else if (strcmp(act, "queryServer") == 0) {
		on_query_server(channel, message);
	} else if (strcmp(act, "close") == 0) {
		on_server_closed(channel, json_string_value(json_object_get(message, "key")));
	} else if (strcmp(act, "exitedAfterDisconnect") == 0) {
		lp_channel_set_ready(channel, false);
		send_cluster(channel, json_pack("{s:O}", "ack", json_object_get(message, "seq")));
	}
}

static void on_internal_message(struct lp_channel *channel, const char *cmd, json_t *message)
{
	static const char received[] = "{\"cmd\":\"NODE_HANDLE_ACK\"}\n";
	if (strcmp(cmd, "NODE_CLUSTER") == 0)
		on_cluster_message(channel, message);
	else if (strcmp(cmd, "NODE_HANDLE_ACK") == 0)
		on_handle_arrived(channel);
	else if (strcmp(cmd, "NODE_HANDLE_NACK") == 0)
		on_handle_missing(channel);
	else if (strcmp(cmd, "NODE_HANDLE") == 0)
		lp_channel_send(channel, received, sizeof(received) - 1); /* Else its channel stalls for ever. */
}

/* The program's own messages, of which a few packages' mean something to their primary. */
static void on_program_message(struct lp_channel *channel, json_t *message, const char *line, size_t length)
{
	const char *source = json_string_value(json_object_get(message, "source"));
	const char *engine_source = json_string_value(json_object_get(message, "_source"));
	if ((source && strcmp(source, "_sio_adapter") == 0) || (engine_source && strcmp(engine_source, "_eio") == 0)) {
		lp_channel_broadcast(channel, line, length);
		return;
	}
	const char *type = json_string_value(json_object_get(message, "type"));
	if (!type)
		return;
	json_t *data = json_object_get(message, "data");
	struct lp_slice sid = {.bytes = json_string_value(data), .length = json_string_length(data)};
	if (strcmp(type, "sticky:connection") == 0 && sid.length)
		lp_channel_session(channel, sid, true);
	else if (strcmp(type, "sticky:disconnection") == 0 && sid.length)
		lp_channel_session(channel, sid, false);
	else if (strcmp(type, "close") == 0)
		lp_channel_set_ready(channel, false);
}

/* line ends in its newline. */
static void on_line(struct lp_channel *channel, const char *line, size_t length)
{
	static const char arrived[] = "{\"cmd\":\"NODE_HANDLE_ACK\"}\n";
	if (length == sizeof(arrived) - 1 && memcmp(line, arrived, length) == 0) {
		on_handle_arrived(channel); /* Once a connection: not worth a parser. */
		return;
	}
	json_t *message = json_loadb(line, length, JSON_DECODE_ANY, NULL);
	if (!message) {
		lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       "worker %u sent a line that is not JSON: %.*s", channel->worker,
			       length > 80 ? 80 : (int)length - 1, line);
		return;
	}
	const char *cmd = json_string_value(json_object_get(message, "cmd"));
	if (cmd && strncmp(cmd, "NODE_", strlen("NODE_")) == 0)
		on_internal_message(channel, cmd, message);
	else if (json_is_object(message))
		on_program_message(channel, message, line, length);
	json_decref(message);
}

long lp_node_receive(struct lp_channel *channel, const char *bytes, size_t length)
{
	size_t used = 0;
	for (;;) {
		const char *end = memchr(bytes + used, '\n', length - used);
		if (!end)
			return (long)used;
		size_t line = (size_t)(end - bytes) + 1 - used;
		on_line(channel, bytes + used, line);
		used += line;
	}
}
