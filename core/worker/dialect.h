/**
 * A dialect: how a kind of worker finds its channel, takes connections and answers.
 *
 * One file a dialect under dialects/. A dialect turns connections into bytes and the worker's bytes into the calls that
 * channel.h names "For dialects"; sockets, queues and descriptors are the channel's.
 */
#ifndef LP_WORKER_DIALECT_H
#define LP_WORKER_DIALECT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "connection/connection.h"
#include "wire/language.h"

struct lp_channel;

/** The descriptor at which every worker finds its channel. */
#define LP_CHANNEL_FD 3

/** Bytes that ride with one descriptor, at most. */
#define LP_DIALECT_MESSAGE_MAX 256

/** Variables that a dialect adds to a worker's environment. */
#define LP_DIALECT_VARIABLES 6

/** How limpet hears of sessions. */
enum lp_session_news {
	LP_SESSIONS_UNTOLD, /**< Not at all. */
	LP_SESSIONS_SIDS,   /**< The workers' package reports Engine.IO's. */
	LP_SESSIONS_NAMED,  /**< Workers name what they like. */
	LP_SESSIONS_LEARNT, /**< The library in front of the C library finds them in responses. */
};

struct lp_dialect {
	const char *name;

	/** How limpet hears of sessions. */
	enum lp_session_news sessions;

	/** SOCK_STREAM: `receive` gets whatever has come. SOCK_SEQPACKET: one message. */
	int socket_type;

	/** "NAME=%u" or "NAME=value", NULL-terminated; %u becomes the worker's id, %i the same counted from 0, %n how
	 * many there are. */
	const char *environment[LP_DIALECT_VARIABLES + 1];

	/** What a worker does to be ready, for those that wonder why theirs is not: "calls server.listen()". */
	const char *readiness;

	/** Workers acknowledge a connection before they read from it: our copy is kept until they do (taken.h). */
	bool keep_until_read;

	/** Workers register themselves (registry.h) in place of being given a channel. */
	bool registers;

	/** Node workers also have Node's own channel (node_process.h), which the rest of this structure describes. */
	bool has_node_channel;

	/** A program finds a listener at LP_CHANNEL_FD, and its environment says so (LISTEN_FDS). */
	bool gives_listener;

	/** Messages of workers may carry descriptors that mean something (lp_channel_take_descriptor). */
	bool takes_descriptors;

	/** What is spoken in the channel. */
	enum lp_language language;

	/** Node workers are not ready before they say so by process.send('ready'), too. */
	bool wait_ready;

	/** Node workers are told to finish by the message 'shutdown', as pm2 does it. */
	bool says_shutdown;

	/** A program's {"type":"close"} says that its server closes. */
	bool close_ends;

	/** JSON: the message that goes with every connection, for the Node dialects in which it is always the same. */
	const char *message;

	/** Make the dialect's own state for a channel: 0 with *state set (NULL is fine), or negative errno. */
	int (*open)(struct lp_channel *channel, void **state);

	/** Free it. */
	void (*close)(void *state);

	/** Write what goes with a connection's descriptor: the length, at most LP_DIALECT_MESSAGE_MAX; 0: the worker does
	 * not take what comes through that port, now. */
	size_t (*address)(struct lp_channel *channel, const struct lp_connection *connection, char *out);

	/** Take what came. Returns the bytes used (SOCK_STREAM may leave an incomplete rest, and gets it again with
	 * more behind it), or negative errno when the worker speaks another language: the channel is then closed. */
	long (*receive)(struct lp_channel *channel, const char *bytes, size_t length);

	/** Tell the worker to take no more and to end when it has finished. */
	void (*drain)(struct lp_channel *channel);

	/** Ask the worker for a sign that it has said all that it had to say: lp_channel_events.on_answered follows. NULL: its
	 * workers name a session before its client learns of it, and there is nothing to ask.
	 *
	 * @param fd  A descriptor that the worker may have. Borrowed.
	 * @return 0; or negative with nothing sent: UV_EAGAIN when there is no room. */
	int (*ask)(struct lp_channel *channel, int fd);

	/** Let the state outlive the balancer: it is `memory` from now on (channel_lasting.h). Zeroed: nothing is there yet. NULL: there
	 * is no state. */
	void (*outlive)(struct lp_channel *channel, void *memory);

	/** Go on with a worker of an earlier balancer: say whether it is ready, now or later. NULL: it is as it was. */
	void (*resume)(struct lp_channel *channel);

	/** Count anew with the worker what is on the way, which only an earlier balancer knew. Called while resync_wanted is set.
	 * 0; or negative with nothing sent. */
	int (*resync)(struct lp_channel *channel);

	/** Tell the worker which later requests of a connection to give back (enum lp_frame_each). NULL: it cannot. */
	void (*tell_each)(struct lp_channel *channel, unsigned each);
};

extern const struct lp_dialect lp_dialect_cluster;
extern const struct lp_dialect lp_dialect_socketio_sticky;
extern const struct lp_dialect lp_dialect_sticky_session;
extern const struct lp_dialect lp_dialect_socketio_sticky_session;
extern const struct lp_dialect lp_dialect_native;
extern const struct lp_dialect lp_dialect_preload;
extern const struct lp_dialect lp_dialect_node;

/** `preload` as `auto` chooses it: those of its processes that are Node's speak `node`. */
extern const struct lp_dialect lp_dialect_any;

/**
 * The dialect of a name.
 *
 * @param name  As --dialect takes it, but not "auto".
 *
 * @return Static, or NULL when there is none.
 */
const struct lp_dialect *lp_dialect_find(const char *name);

/**
 * The same dialect in V8's serialization, as Node calls it: `advanced`.
 *
 * @param dialect   Any.
 * @param advanced  Filled on success.
 *
 * @return Whether there is one; only dialects of Node workers have it.
 */
bool lp_dialect_advance(const struct lp_dialect *dialect, struct lp_dialect *advanced);

/**
 * The same dialect, but that workers are ready only when they say so, as pm2 calls it: `wait_ready`.
 *
 * @param dialect  Any.
 * @param waiting  Filled on success. May be dialect.
 *
 * @return Whether there is one; only dialects of Node workers have it.
 */
bool lp_dialect_wait_ready(const struct lp_dialect *dialect, struct lp_dialect *waiting);

/**
 * The same dialect, but that workers are told to finish by a message, as pm2 calls it: `shutdown_with_message`.
 *
 * @param dialect  Any.
 * @param saying   Filled on success. May be dialect.
 *
 * @return Whether there is one; only dialects of Node workers have it.
 */
bool lp_dialect_say_shutdown(const struct lp_dialect *dialect, struct lp_dialect *saying);

/**
 * Choose a dialect by looking at a command (--dialect auto).
 *
 * A Node program speaks `node`, any other `preload`, and so does what either starts, each process by what it is. Where no
 * library can be preloaded, a Node program speaks the dialect of the sticky package that is installed beside its script, or
 * `cluster`; a static program `native`.
 *
 * @param command    The worker's file and arguments, NULL-terminated.
 * @param as_root    Workers run as root.
 * @param reason     Filled with why, for the log: "found node_modules/@socket.io/sticky".
 * @param size       Bytes of reason.
 * @param lost       Filled with why nothing can be preloaded, and what is lost; "" if it can.
 * @param lost_size  Bytes of lost.
 * @param error      Filled on failure.
 *
 * @return Static; or NULL when several sticky packages are installed and the user has to say which.
 */
const struct lp_dialect *lp_dialect_detect(char *const *command, bool as_root, char *reason, size_t size, char *lost,
					   size_t lost_size, struct lp_error *error);

#endif
