/**
 * The servers that a Node worker listens with. Private to the Node dialects: node.c hears the worker, node_servers.c does
 * what it asks for.
 */
#ifndef LP_WORKER_NODE_SERVERS_H
#define LP_WORKER_NODE_SERVERS_H

#include <jansson.h>

#include "worker/node.h"

/** One of node:cluster's messages, at most; an address that a worker wants to listen on is the longest part. */
#define LP_NODE_MESSAGE_BYTES 4096

/**
 * Write a message as a line.
 *
 * @param message  Taken; NULL, what jansson makes of a failure, is allowed.
 * @param text     Filled.
 *
 * @return Its length; 0 when there was no memory for it, or it is too long.
 */
size_t lp_node_write_line(json_t *message, char text[LP_NODE_MESSAGE_BYTES + 1]);

/** What makes a message one of node:cluster's own. @param channel Open. @param message Taken, or NULL. @return It, or NULL. */
json_t *lp_node_number(struct lp_channel *channel, json_t *message);

/**
 * Send one of node:cluster's own messages. What cannot be said ends the channel: the worker would wait for it for ever.
 *
 * @param channel  Open.
 * @param message  Taken; NULL is what cannot be said.
 */
void lp_node_send_cluster(struct lp_channel *channel, json_t *message);

/** The worker wants a UDP server. @param channel Open. @param message Its queryServer; addressType is a string. Borrowed. */
void lp_node_query_datagrams(struct lp_channel *channel, json_t *message);

/** The worker wants a TCP or unix server. @param channel Open. @param message Its queryServer. Borrowed. */
void lp_node_query_server(struct lp_channel *channel, json_t *message);

/** In the dialect `node`: the worker wants a TCP or unix server. @param channel Open. @param message Its queryServer.
 * Borrowed. */
void lp_node_query_handle(struct lp_channel *channel, json_t *message);

/**
 * Send a descriptor with the reply to a queryServer.
 *
 * @param channel  Open.
 * @param type     Of Node's: what it makes of the descriptor, "net.Native" …
 * @param fd       Borrowed.
 * @param reply    Taken, its number is added.
 *
 * @return 0, or negative errno with nothing sent.
 */
int lp_node_send_handle(struct lp_channel *channel, const char *type, int fd, json_t *reply);

/**
 * What a server has in common with those of the same address in other workers: the keys of TLS sessions.
 *
 * @param channel  Open.
 * @param message  Its queryServer. Borrowed.
 *
 * @return The reply's data, the caller's.
 */
json_t *lp_node_share_data(struct lp_channel *channel, json_t *message);

/** A server was closed. @param channel Open. @param key Its own; another is nobody's. NULL is allowed. */
void lp_node_close_server(struct lp_channel *channel, const char *key);

/** The process is gone, and no server of its. @param node Open. */
void lp_node_forget_servers(struct lp_node *node);

/** Whether the worker has a server that listens. @param node Open. */
bool lp_node_listens(const struct lp_node *node);

/** Whether a connection went to a server, which has yet to say if it accepts. @param node Open. @param connection In flight. */
bool lp_node_is_asked(const struct lp_node *node, const struct lp_connection *connection);

#endif
