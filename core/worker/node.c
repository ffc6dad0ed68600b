/*
 * The primary's half of node:child_process and node:cluster, as far as a worker can see it.
 *
 *     worker says                                  we
 *     {"cmd":"NODE_HANDLE_ACK"}                    the oldest connection not arrived has arrived. That settles it, except
 *                                                  for cluster servers, which still say whether they accept
 *     {"cmd":"NODE_HANDLE_NACK"}                   it came without its descriptor: returned
 *     {"cmd":"NODE_CLUSTER","ack":N,"accepted":B}  connection N (its number is the message's seq) is acknowledged, or returned
 *     {"cmd":"NODE_CLUSTER","ack":-N,…}            the answer to question N (lp_node_ask)
 *     … "act":"online"                             ready, in the dialects by message
 *     … "act":"queryServer"                        it wants a server (node_servers.c); ready, in cluster's
 *     … "act":"close"                              that server is closed
 *     … "act":"exitedAfterDisconnect"              answered; the worker takes no more
 *     "ready"                                      with --wait-ready: not ready before this (pm2)     
 *     {"type":"sticky:connection","data":SID}      a session began ("sticky:disconnection": ended), @socket.io/sticky
 *     {"type":"close"}                             the worker takes no more and is told to end; of sticky-session's
 *     {"cmd":"NODE_HANDLE",…}, with a descriptor   acknowledged and closed
 *     {"cmd":"NODE_LIMPET","type":DIALECT}         dialect node: the program waits for that package's messages
 *     anything else                                is the program's own: for the workers' broker (broker.h)
 *
 * Advanced workers say the same as values of V8's. What concerns us of those is read as JSON (message.h), and what we say is
 * JSON until it is sent.
 *
 * Numbers: Node answers NODE_HANDLEs in order, so the acknowledgement needs none.
 */
#include "worker/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/v8frame.h"
#include "worker/channel_lasting.h"
#include "worker/node_servers.h"

/* The same as a value of V8's, at most: nine bytes are an empty array. */
#define SAID_BYTES ((size_t)5 * LP_NODE_MESSAGE_BYTES)

/* Of a worker's message as JSON, what is kept between messages. */
#define HEARD_BYTES 4096

/* A message of node:cluster's own, at most. It is taken apart, and what takes it apart needs many times its size. */
#define INTERNAL_MAX ((size_t)32 << 10)

/* Bytes of a session's id. */
#define SESSION_MAX 1024

static struct lp_node *node_of(struct lp_channel *channel)
{
	return channel->dialect_state;
}

static int open_node(struct lp_channel *channel, bool by_cluster, void **state)
{
	struct lp_node *node = calloc(1, sizeof(*node));
	if (!node)
		return -ENOMEM;
	node->channel = channel;
	node->by_cluster = by_cluster;
	node->close_ends = channel->dialect->close_ends;
	*state = node;
	if (channel->dialect->language != LP_LANGUAGE_V8 ||
	    (lp_buffer_reserve(&node->heard, HEARD_BYTES) == 0 && lp_buffer_reserve(&node->said, SAID_BYTES) == 0))
		return 0;
	lp_node_close(node);
	*state = NULL;
	return -ENOMEM;
}

int lp_node_open(struct lp_channel *channel, void **state)
{
	return open_node(channel, false, state);
}

int lp_node_open_cluster(struct lp_channel *channel, void **state)
{
	return open_node(channel, true, state);
}

int lp_node_open_by_library(struct lp_channel *channel, void **state)
{
	int status = open_node(channel, false, state);
	if (!status)
		((struct lp_node *)*state)->by_library = true;
	return status;
}

void lp_node_close(void *state)
{
	struct lp_node *node = state;
	if (!node)
		return;
	lp_node_forget_servers(node);
	lp_buffer_clear(&node->heard);
	lp_buffer_clear(&node->said);
	if (!node->lasts)
		free(node);
}

_Static_assert(sizeof(struct lp_node) <= LP_CHANNEL_STATE_MAX, "it fits in lasting memory");

/* What is on the way from an earlier balancer is not known. */
void lp_node_outlive(struct lp_channel *channel, void *memory)
{
	struct lp_node *made = channel->dialect_state;
	struct lp_node *node = memory;
	if (!node->lasts)
		*node = *made;
	node->channel = channel;
	node->heard = made->heard;
	node->said = made->said;
	node->handle_count = 0;
	node->lasts = true;
	channel->dialect_state = node;
	free(made);
}

struct lp_slice lp_node_say(struct lp_channel *channel, struct lp_slice line)
{
	struct lp_buffer *said = &node_of(channel)->said;
	if (channel->dialect->language != LP_LANGUAGE_V8)
		return line;
	said->length = 0;
	lp_v8_frame(line, said); /* The line is our own, and the room is reserved. */
	return (struct lp_slice){said->bytes, said->length};
}

size_t lp_node_seal(struct lp_channel *channel, char *text, size_t length)
{
	struct lp_slice message = lp_node_say(channel, (struct lp_slice){text, length});
	if (message.bytes != text)
		memcpy(text, message.bytes, message.length);
	return message.length;
}

size_t lp_node_address(struct lp_channel *channel, const struct lp_connection *connection, char *out)
{
	if (connection->origin->port && lp_ports_claimed(channel->ports, connection->origin->port))
		return lp_node_address_server(channel, connection, out);
	int length =
		snprintf(out, LP_DIALECT_MESSAGE_MAX, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":%s}\n",
			 channel->dialect->message);
	return lp_node_seal(channel, out, (size_t)length);
}

size_t lp_node_write_line(json_t *message, char text[LP_NODE_MESSAGE_BYTES + 1])
{
	size_t length = json_dumpb(message, text, LP_NODE_MESSAGE_BYTES, JSON_COMPACT);
	json_decref(message);
	if (length == 0 || length > LP_NODE_MESSAGE_BYTES)
		return 0;
	text[length] = '\n';
	return length + 1;
}

json_t *lp_node_number(struct lp_channel *channel, json_t *message)
{
	int status = json_object_set_new(message, "cmd", json_string("NODE_CLUSTER"));
	status |= json_object_set_new(message, "seq", json_integer((json_int_t)node_of(channel)->messages++));
	if (status == 0)
		return message;
	json_decref(message);
	return NULL;
}

static void send_line(struct lp_channel *channel, struct lp_slice line)
{
	struct lp_slice message = lp_node_say(channel, line);
	lp_channel_send(channel, message.bytes, message.length);
}

void lp_node_send_cluster(struct lp_channel *channel, json_t *message)
{
	char text[LP_NODE_MESSAGE_BYTES + 1];
	size_t length = lp_node_write_line(lp_node_number(channel, message), text);
	if (length)
		send_line(channel, (struct lp_slice){text, length});
	else
		lp_channel_fail(channel, -ENOMEM);
}

static void tell_to_disconnect(struct lp_channel *channel)
{
	lp_node_send_cluster(channel, json_pack("{s:s}", "act", "disconnect"));
}

void lp_node_drain(struct lp_channel *channel)
{
	if (channel->dialect->says_shutdown)
		send_line(channel, LP_SLICE("\"shutdown\"\n"));
	else
		tell_to_disconnect(channel);
}

/* Whether the oldest handle that has not arrived is no connection; it is taken for arrived then. */
static bool take_other_handle(struct lp_node *node, const struct lp_connection *oldest)
{
	if (node->handle_count == 0 || (oldest && oldest->number <= node->handles[0]))
		return false;
	node->handle_count--;
	memmove(node->handles, node->handles + 1, node->handle_count * sizeof(node->handles[0]));
	return true;
}

static void on_handle_arrived(struct lp_channel *channel)
{
	struct lp_connection *connection = lp_channel_oldest(channel);
	if (node_of(channel)->resync || take_other_handle(node_of(channel), connection) || !connection)
		return;
	if (lp_node_is_asked(node_of(channel), connection))
		lp_connection_move(channel->connections, connection, LP_ARRIVED);
	else
		channel->events->on_accepted(channel, connection);
}

static void on_handle_missing(struct lp_channel *channel)
{
	struct lp_connection *connection = lp_channel_oldest(channel);
	if (!node_of(channel)->resync && !take_other_handle(node_of(channel), connection) && connection)
		channel->events->on_returned(channel, connection, LP_RETURN_NO_ROOM);
}

static void update_ready(struct lp_channel *channel)
{
	const struct lp_node *node = node_of(channel);
	bool can = node->by_cluster ? lp_node_listens(node) : node->online;
	bool waits = channel->dialect->wait_ready && !node->said_ready;
	lp_channel_set_ready(channel, can && !waits && !node->leaving && !node->resync);
}

/* Handles that an earlier balancer has sent may not have been acknowledged: which those are, nobody knows. A question is
 * answered behind all of them. Where no connection goes over the channel there is nothing to count, and maybe nobody to answer. */
void lp_node_resume(struct lp_channel *channel)
{
	struct lp_node *node = node_of(channel);
	node->ports = channel->ports;
	for (size_t i = 0; i < node->server_count; i++) {
		node->servers[i].fd = -1; /* A number of the earlier balancer's. */
		if (!node->by_library)
			lp_ports_claim(node->ports, node->servers[i].port);
	}
	channel->resync_wanted = !node->by_library;
	node->resync = channel->resync_wanted ? node->questions + 1 : 0;
	update_ready(channel);
}

int lp_node_resync(struct lp_channel *channel)
{
	struct lp_node *node = node_of(channel);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	node->resync = node->questions + 1;
	int status = fd < 0 ? UV_EAGAIN : lp_node_ask(channel, fd);
	if (fd >= 0)
		close(fd);
	return status;
}

/*
 * A connection for a server that there is not: the worker closes what comes with it and says that it did not accept it.
 * @socket.io/sticky names a session in the tick that wrote the response, and a channel keeps order, so what came before this
 * answer is all that a client can have seen. The number is negative, as no connection's is.
 *
 * Without a descriptor Node 20 would throw.
 */
int lp_node_ask(struct lp_channel *channel, int fd)
{
	struct lp_node *node = node_of(channel);
	char text[LP_DIALECT_MESSAGE_MAX];
	if (node->handle_count == LP_NODE_SERVERS_MAX)
		return UV_EAGAIN;
	int length = snprintf(text, sizeof(text),
			      "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"cmd\":\"NODE_CLUSTER\","
			      "\"act\":\"newconn\",\"key\":\"limpet:ask\",\"seq\":-%llu}}\n",
			      (unsigned long long)node->questions + 1);
	int status =
		lp_channel_send_descriptor(channel, lp_node_say(channel, (struct lp_slice){text, (size_t)length}), fd);
	if (status)
		return status;
	node->questions++;
	node->handles[node->handle_count++] = channel->sent;
	return 0;
}

static void on_accepted(struct lp_channel *channel, uint64_t number, bool accepted)
{
	struct lp_connection *connection = lp_channel_find(channel, number);
	if (!connection)
		return;
	if (accepted)
		channel->events->on_accepted(channel, connection);
	else
		channel->events->on_returned(channel, connection, LP_RETURN_REFUSED);
}

/* All handles that were sent before have been acknowledged, that of the question, too. */
static void take_resync(struct lp_channel *channel, uint64_t question)
{
	struct lp_node *node = node_of(channel);
	if (question != node->resync)
		return;
	node->resync = 0;
	node->handle_count = 0;
	update_ready(channel);
}

static void on_cluster_message(struct lp_channel *channel, json_t *message)
{
	json_t *accepted = json_object_get(message, "accepted");
	if (json_is_boolean(accepted)) {
		json_int_t number = json_integer_value(json_object_get(message, "ack"));
		if (number < 0 && node_of(channel)->resync)
			take_resync(channel, (uint64_t)-number);
		else if (number < 0 && (uint64_t)-number <= node_of(channel)->questions)
			channel->events->on_answered(channel);
		else if (number > 0)
			on_accepted(channel, (uint64_t)number, json_is_true(accepted));
		return;
	}
	const char *act = json_string_value(json_object_get(message, "act"));
	if (!act)
		return;
	if (strcmp(act, "online") == 0) {
		node_of(channel)->online = true;
	} else if (strcmp(act, "queryServer") == 0) {
		if (json_is_string(json_object_get(message, "addressType")))
			lp_node_query_datagrams(channel, message); /* "udp4"; TCP and unix are numbers. */
		else
			lp_node_query_server(channel, message);
	} else if (strcmp(act, "close") == 0) {
		lp_node_close_server(channel, json_string_value(json_object_get(message, "key")));
	} else if (strcmp(act, "exitedAfterDisconnect") == 0) {
		node_of(channel)->leaving = true;
		lp_node_send_cluster(channel, json_pack("{s:O}", "ack", json_object_get(message, "seq")));
	}
	update_ready(channel);
}

/* All of a message as JSON; absent: there is no memory. */
static struct lp_slice text_of(struct lp_channel *channel, const struct lp_message *message)
{
	return channel->dialect->language == LP_LANGUAGE_V8 ? lp_message_json(message->bytes, &node_of(channel)->heard)
							    : message->bytes;
}

/* NULL: there is no memory. */
static json_t *parse_message(struct lp_channel *channel, const struct lp_message *message)
{
	struct lp_slice text = text_of(channel, message);
	return text.bytes ? json_loadb(text.bytes, text.length, 0, NULL) : NULL;
}

/* A worker's process.send(message, handle). Unanswered, its channel would stall for ever; whoever received it is the
 * primary's program, of which there is none here. */
static void on_foreign_handle(struct lp_channel *channel)
{
	send_line(channel, LP_SLICE("{\"cmd\":\"NODE_HANDLE_ACK\"}\n"));
	lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
		       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
		       "worker %u sent a socket or server by process.send(); limpet cannot use it and closed it",
		       channel->worker);
}

/* What the script that limpet has loaded into the process (preload/limpet-node.cjs) says: the program waits for a sticky
 * package's messages, and gets them from the script. Others that it sends mean what they mean in that package's dialect. */
static void on_package_found(struct lp_channel *channel, const struct lp_message *message)
{
	struct lp_node *node = node_of(channel);
	char name[64];
	long length = lp_json_text(message->fields[LP_MESSAGE_TYPE], name, sizeof(name) - 1);
	if (!node->by_library || length <= 0)
		return;
	name[length] = '\0';
	const struct lp_dialect *dialect = lp_dialect_find(name);
	if (dialect)
		node->close_ends = dialect->close_ends;
}

static void on_internal_message(struct lp_channel *channel, const struct lp_message *message)
{
	struct lp_slice cmd = message->fields[LP_MESSAGE_CMD];
	if (message->bytes.length > INTERNAL_MAX) {
		lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
			       "worker %u sent a node:cluster message of %zu bytes; the limit is %zu; it was dropped",
			       channel->worker, message->bytes.length, INTERNAL_MAX);
	} else if (lp_json_is(cmd, LP_SLICE("NODE_CLUSTER"))) {
		json_t *parsed = parse_message(channel, message);
		on_cluster_message(channel, parsed);
		json_decref(parsed);
	} else if (lp_json_is(cmd, LP_SLICE("NODE_HANDLE_ACK")))
		on_handle_arrived(channel);
	else if (lp_json_is(cmd, LP_SLICE("NODE_HANDLE_NACK")))
		on_handle_missing(channel);
	else if (lp_json_is(cmd, LP_SLICE("NODE_HANDLE")))
		on_foreign_handle(channel);
	else if (lp_json_is(cmd, LP_SLICE("NODE_LIMPET")))
		on_package_found(channel, message);
}

static void on_session(struct lp_channel *channel, struct lp_slice data, bool bound)
{
	char sid[SESSION_MAX];
	long length = lp_json_text(data, sid, sizeof(sid));
	if (length > 0)
		channel->events->on_session(channel, (struct lp_slice){sid, (size_t)length}, bound);
}

/* It would stay for ever, for its channel keeps it alive, and its place would have no worker. */
static void on_program_closes(struct lp_channel *channel)
{
	node_of(channel)->leaving = true;
	update_ready(channel);
	tell_to_disconnect(channel);
}

/* process.send('ready'), as pm2 has it. */
static void on_program_says(struct lp_channel *channel, const struct lp_message *message)
{
	static const char ready[] = "\"ready\"";
	struct lp_slice text = text_of(channel, message);
	if (text.length < sizeof(ready) - 1 || memcmp(text.bytes, ready, sizeof(ready) - 1) != 0)
		return;
	node_of(channel)->said_ready = true;
	update_ready(channel);
}

/* The program's own messages, of which a few packages' mean something to their primary. */
static void on_program_message(struct lp_channel *channel, const struct lp_message *message)
{
	struct lp_slice type = message->fields[LP_MESSAGE_TYPE];
	if (lp_json_is(type, LP_SLICE("sticky:connection")))
		on_session(channel, message->fields[LP_MESSAGE_DATA], true);
	else if (lp_json_is(type, LP_SLICE("sticky:disconnection")))
		on_session(channel, message->fields[LP_MESSAGE_DATA], false);
	else if (node_of(channel)->close_ends && lp_json_is(type, LP_SLICE("close")))
		on_program_closes(channel);
	else if (channel->dialect->wait_ready && !type.bytes && !node_of(channel)->said_ready)
		on_program_says(channel, message);
	else
		channel->events->on_message(channel, message);
}

/* Node writes its own without escapes; one that is written so must not get to another worker, which reads it as Node's. */
static bool is_internal(struct lp_slice cmd)
{
	static const char begins[] = "\"NODE_";
	if (cmd.length <= sizeof(begins))
		return false;
	return memcmp(cmd.bytes, begins, sizeof(begins) - 1) == 0 || memchr(cmd.bytes, '\\', sizeof(begins) - 1);
}

static void on_message(struct lp_channel *channel, const struct lp_message *message)
{
	if (is_internal(message->fields[LP_MESSAGE_CMD]))
		on_internal_message(channel, message);
	else
		on_program_message(channel, message);
}

/* line ends in its newline. */
static void on_line(struct lp_channel *channel, const char *line, size_t length)
{
	static const char arrived[] = "{\"cmd\":\"NODE_HANDLE_ACK\"}\n";
	struct lp_message message;
	if (length == sizeof(arrived) - 1 && memcmp(line, arrived, length) == 0)
		on_handle_arrived(channel); /* Once a connection: not worth a look inside. */
	else if (lp_message_read(&message, (struct lp_slice){line, length}))
		lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
			       "worker %u sent a line that is not JSON: %.*s", channel->worker,
			       length > 80 ? 80 : (int)length - 1, line);
	else
		on_message(channel, &message);
}

/* The frame's length, V8's version and its value. */
static void on_frame(struct lp_channel *channel, struct lp_slice frame)
{
	static const char arrived[] = "o\"\3cmd\"\17NODE_HANDLE_ACK{\1";
	const size_t before = LP_V8_FRAME_HEAD + 2;
	struct lp_message message;
	if (frame.length == before + sizeof(arrived) - 1 &&
	    memcmp(frame.bytes + before, arrived, sizeof(arrived) - 1) == 0) {
		on_handle_arrived(channel);
		return;
	}
	int status = lp_message_read_v8(&message, frame, &node_of(channel)->heard);
	if (status == 0)
		on_message(channel, &message);
	else if (status == -ENOMEM)
		lp_channel_fail(channel, status);
	else
		lp_log_limited(channel->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = channel->worker, .pid = channel->pid),
			       "worker %u sent a message of %zu bytes that is not valid V8 serialization, or uses a "
			       "part of it that limpet does not know; it was dropped",
			       channel->worker, frame.length);
	if (lp_channel_can_hear(channel))
		lp_buffer_consume(&node_of(channel)->heard,
				  node_of(channel)->heard.length); /* Large ones are given back. */
}

static long receive_frames(struct lp_channel *channel, const char *bytes, size_t length)
{
	size_t used = 0;
	while (length - used >= LP_V8_FRAME_HEAD) {
		size_t frame = lp_v8_frame_length(bytes + used);
		if (frame > length - used)
			break;
		on_frame(channel, (struct lp_slice){bytes + used, frame});
		used += frame;
	}
	return (long)used;
}

long lp_node_receive(struct lp_channel *channel, const char *bytes, size_t length)
{
	size_t used = 0;
	if (channel->dialect->language == LP_LANGUAGE_V8)
		return receive_frames(channel, bytes, length);
	for (;;) {
		const char *end = memchr(bytes + used, '\n', length - used);
		if (!end)
			return (long)used;
		size_t line = (size_t)(end - bytes) + 1 - used;
		on_line(channel, bytes + used, line);
		used += line;
	}
}
