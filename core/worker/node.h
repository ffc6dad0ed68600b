/**
 * What all Node workers have in common: the channel of node:child_process and the manners of node:cluster.
 *
 * A worker is started as node:cluster would start it, so `cluster.isWorker` is true in it. Messages are JSON, one a
 * line, or in an advanced dialect (lp_dialect_advance) values of V8's, each behind its length. Whatever the dialect, the
 * worker may ask to listen (queryServer) and is told that it does; the dialects differ in what makes a worker ready and in
 * the message that goes with a connection.
 */
#ifndef LP_WORKER_NODE_H
#define LP_WORKER_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/channel.h"
#include "worker/ports.h"

/** Servers that one worker may have listening at a time. */
#define LP_NODE_SERVERS_MAX 32

/** Room for a server's key: "limpet:", three numbers, NUL. */
#define LP_NODE_KEY_SIZE 64

/** A server.listen() of the worker. */
struct lp_node_server {
	char key[LP_NODE_KEY_SIZE]; /**< By which worker and primary name it. */
	int port;                   /**< As the worker asked for; negative for a unix path. */
	bool open;                  /**< It was not closed since. */
	uint64_t since; /**< Number of the last connection that was sent before any such server was there. */
	int fd;         /**< A shared socket that the worker listens with by itself; -1: it has none. */
};

/** A Node dialect's state of a channel. */
struct lp_node {
	struct lp_channel *channel;
	bool by_library;    /**< Connections come through the preloaded library: servers get a handle to listen with. */
	bool close_ends;    /**< A program's {"type":"close"} says that its server closes. */
	bool by_cluster;    /**< Connections go to the worker's listening servers; it is ready when it has one. */
	bool online;        /**< By message: it has begun. */
	bool said_ready;    /**< So the program itself has, by process.send('ready'). */
	bool leaving;       /**< It takes no more, for good. */
	uint64_t questions; /**< Sent by lp_node_ask. */
	uint64_t messages;  /**< Sent of node:cluster's own, which are numbered. */
	uint64_t servers_made;  /**< Keys are never used twice. */
	struct lp_ports *ports; /**< The channel's, once there was a server. */
	struct lp_node_server servers[LP_NODE_SERVERS_MAX];
	size_t server_count;
	uint64_t handles[LP_NODE_SERVERS_MAX]; /**< UDP sockets on their way: behind which connection each was sent. */
	size_t handle_count;
	bool lasts;             /**< It lies in lasting memory. */
	uint64_t resync;        /**< The question whose answer tells that all is counted; 0: it is. */
	struct lp_buffer heard; /**< Advanced: what is understood of a message, as JSON. */
	struct lp_buffer said;  /**< Advanced: a message of ours. */
};

/** The environment of a Node worker, for struct lp_dialect; with more variables, and NULL at the end. */
#define LP_NODE_ENVIRONMENT(...)                                                                                       \
	{                                                                                                              \
		"NODE_CHANNEL_FD=3", "NODE_CHANNEL_SERIALIZATION_MODE=json", "NODE_UNIQUE_ID=%u", __VA_ARGS__          \
	}

/** For lp_dialect.open: a worker that gets connections by message. @param channel Open. @param state Set. @return 0, or -ENOMEM. */
int lp_node_open(struct lp_channel *channel, void **state);

/** For lp_dialect.open: a worker whose servers get connections. @param channel Open. @param state Set. @return 0, or -ENOMEM. */
int lp_node_open_cluster(struct lp_channel *channel, void **state);

/**
 * A line of ours as the worker reads it.
 *
 * @param channel  Open.
 * @param line     JSON, at most as long as node:cluster's messages are, its newline included.
 *
 * @return The line, or its frame, which is valid until the next call; it cannot fail.
 */
struct lp_slice lp_node_say(struct lp_channel *channel, struct lp_slice line);

/**
 * Write a line of ours in place of a connection's message, for lp_dialect.address.
 *
 * @param channel  Open.
 * @param text     The line; becomes what the worker reads. LP_DIALECT_MESSAGE_MAX bytes.
 * @param length   Of the line.
 *
 * @return The new length.
 */
size_t lp_node_seal(struct lp_channel *channel, char *text, size_t length);

/** For lp_dialect.open: a worker whose connections come through the preloaded library. @param channel Open. @param state
 * Set. @return 0, or -ENOMEM. */
int lp_node_open_by_library(struct lp_channel *channel, void **state);

/** For lp_dialect.close. @param state From either open. */
void lp_node_close(void *state);

/**
 * For lp_dialect.address: the connection as a net.Socket, with the dialect's message; or to a server, when a worker has one
 * at the port that it came through.
 *
 * @param channel  Open, of a dialect with a message.
 * @param connection  Numbered.
 * @param out      At least LP_DIALECT_MESSAGE_MAX bytes.
 *
 * @return The length; 0: that server is not, or no longer, this worker's.
 */
size_t lp_node_address(struct lp_channel *channel, const struct lp_connection *connection, char *out);

/**
 * For lp_dialect.address: the connection as node:cluster's round robin hands it to a server ("newconn").
 *
 * @param channel     Open.
 * @param connection  Numbered.
 * @param out      At least LP_DIALECT_MESSAGE_MAX bytes.
 *
 * @return The length; 0: no server of this worker's gets it, for another's has asked for that port, or this one's has
 *         closed.
 */
size_t lp_node_address_server(struct lp_channel *channel, const struct lp_connection *connection, char *out);

/** For lp_dialect.receive. @param channel Open. @param bytes What came. @param length How much. @return Bytes used. */
long lp_node_receive(struct lp_channel *channel, const char *bytes, size_t length);

/** For lp_dialect.ask. @param channel Open. @param fd Borrowed. @return 0, or negative with nothing sent. */
int lp_node_ask(struct lp_channel *channel, int fd);

/** For lp_dialect.outlive. @param channel Open. @param memory Zeroed, or a struct lp_node of an earlier balancer. */
void lp_node_outlive(struct lp_channel *channel, void *memory);

/** For lp_dialect.resume. @param channel Open, its ports set. */
void lp_node_resume(struct lp_channel *channel);

/** For lp_dialect.resync. @param channel Open. @return 0, or negative with nothing sent. */
int lp_node_resync(struct lp_channel *channel);

/** For lp_dialect.drain. @param channel Open. */
void lp_node_drain(struct lp_channel *channel);

#endif
