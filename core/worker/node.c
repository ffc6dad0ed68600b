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
 *     anything else                                is the program's own: for the workers' meeting place (meeting.h)
 *
 * Numbers: Node answers NODE_HANDLEs in order, so the acknowledgement needs none.
 */
#include "worker/node.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a session's id. */
#define SESSION_MAX 1024

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

/* Send one of node:cluster's own messages. Takes over message. */
static void send_cluster(struct lp_channel *channel, json_t *message)
{
	if (!message)
		return;
	json_object_set_new(message, "cmd", json_string("NODE_CLUSTER"));
	json_object_set_new(message, "seq", json_integer((json_int_t)node_of(channel)->messages++));
	char *text = json_dumps(message, JSON_COMPACT);
	json_decref(message);
	if (!text)
		return;
	size_t length = strlen(text);
	text[length] = '\n'; /* In the NUL's place. */
	lp_channel_send(channel, text, length + 1);
	free(text);
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
	json_t *reply = json_pack("{s:O, s:n, s:n}", "ack", json_object_get(message, "seq"), "data", "errno");
	if (!reply)
		return;
	if (refused) {
		json_object_set_new(reply, "errno", json_integer(refused));
		send_cluster(channel, reply);
		return;
	}
	struct lp_node_server *server = &node->servers[node->server_count++];
	server->port = port;
	snprintf(server->key, sizeof(server->key), "limpet:%d:%llu", port, (unsigned long long)node->servers_made++);
	json_object_set_new(reply, "key", json_string(server->key));
	if (port >= 0) {
		const char *at = address ? address : "::";
		json_object_set_new(reply, "sockname",
				    json_pack("{s:s, s:s, s:i}", "address", at, "family",
					      strchr(at, ':') ? "IPv6" : "IPv4", "port", port));
	}
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

static void on_internal_message(struct lp_channel *channel, const struct lp_letter *letter)
{
	static const char received[] = "{\"cmd\":\"NODE_HANDLE_ACK\"}\n";
	struct lp_slice cmd = letter->fields[LP_LETTER_CMD];
	if (lp_json_is(cmd, LP_SLICE("NODE_CLUSTER"))) {
		json_t *message = json_loadb(letter->bytes.bytes, letter->bytes.length, 0, NULL);
		on_cluster_message(channel, message);
		json_decref(message);
	} else if (lp_json_is(cmd, LP_SLICE("NODE_HANDLE_ACK")))
		on_handle_arrived(channel);
	else if (lp_json_is(cmd, LP_SLICE("NODE_HANDLE_NACK")))
		on_handle_missing(channel);
	else if (lp_json_is(cmd, LP_SLICE("NODE_HANDLE")))
		lp_channel_send(channel, received, sizeof(received) - 1); /* Else its channel stalls for ever. */
}

static void on_session(struct lp_channel *channel, struct lp_slice data, bool bound)
{
	char sid[SESSION_MAX];
	long length = lp_json_text(data, sid, sizeof(sid));
	if (length > 0)
		lp_channel_session(channel, (struct lp_slice){sid, (size_t)length}, bound);
}

/* The program's own messages, of which a few packages' mean something to their primary. */
static void on_program_message(struct lp_channel *channel, const struct lp_letter *letter)
{
	struct lp_slice type = letter->fields[LP_LETTER_TYPE];
	if (lp_json_is(type, LP_SLICE("sticky:connection")))
		on_session(channel, letter->fields[LP_LETTER_DATA], true);
	else if (lp_json_is(type, LP_SLICE("sticky:disconnection")))
		on_session(channel, letter->fields[LP_LETTER_DATA], false);
	else if (lp_json_is(type, LP_SLICE("close")))
		lp_channel_set_ready(channel, false);
	else
		lp_channel_letter(channel, letter);
}

static bool is_internal(struct lp_slice cmd)
{
	static const char begins[] = "\"NODE_";
	return cmd.length > sizeof(begins) && memcmp(cmd.bytes, begins, sizeof(begins) - 1) == 0;
}

/* line ends in its newline. */
static void on_line(struct lp_channel *channel, const char *line, size_t length)
{
	static const char arrived[] = "{\"cmd\":\"NODE_HANDLE_ACK\"}\n";
	struct lp_letter letter;
	if (length == sizeof(arrived) - 1 && memcmp(line, arrived, length) == 0)
		on_handle_arrived(channel); /* Once a connection: not worth a look inside. */
	else if (lp_letter_read(&letter, (struct lp_slice){line, length}))
		lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       "worker %u sent a line that is not JSON: %.*s", channel->worker,
			       length > 80 ? 80 : (int)length - 1, line);
	else if (is_internal(letter.fields[LP_LETTER_CMD]))
		on_internal_message(channel, &letter);
	else
		on_program_message(channel, &letter);
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
