/**
 * A channel: the socket to one worker, over which connections go out and what the worker says comes in.
 *
 * It owns its end of the socket pair. The connections are in the table (connection.h): the channel sends those that are
 * QUEUED for its worker, and tells what the worker says about those that are SENT. Each of them is accepted or returned,
 * at the latest when the channel closes.
 */
#ifndef LP_WORKER_CHANNEL_H
#define LP_WORKER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/slice.h"
#include "broker/message.h"
#include "connection/connection.h"
#include "wire/frame.h"
#include "worker/dialect.h"
#include "worker/shared_sockets.h"

/** Bytes that are read at a time; a worker's usual messages are far shorter. */
#define LP_CHANNEL_READ_SIZE 65536

/** Bytes of one message from a worker; a longer one is passed over. */
#define LP_CHANNEL_MESSAGE_MAX (4u << 20)

/** Bytes that may wait to be written to one worker; past it messages for it (never connections) are dropped. */
#define LP_CHANNEL_OUT_MAX (16u << 20)

/** Of a message in lines that is passed over, nobody knows how much has yet to come. */
#define LP_CHANNEL_SKIP_TO_NEWLINE SIZE_MAX

struct lp_channel_lasting;
struct lp_ports;

/** News from a channel. All run on the loop. Only on_end may close the channel. */
struct lp_channel_events {
	/** The worker takes connections now, or takes none any more. Only on a change. */
	void (*on_ready)(struct lp_channel *channel, bool ready);
	/** The worker takes what comes to one of limpet's addresses (counted from 0), or does so no longer; from workers
	 * that tell. */
	void (*on_listen)(struct lp_channel *channel, uint64_t address, bool listens);
	/** The worker is a Node process whose channel of Node's is its parent's. */
	void (*on_parents_channel)(struct lp_channel *channel);
	/** A connection that is `watched` is about to be sent: watch it no longer. */
	void (*on_sending)(struct lp_channel *channel, struct lp_connection *connection);
	/** The worker takes a connection. Moves it on from SENT or ARRIVED. */
	void (*on_accepted)(struct lp_channel *channel, struct lp_connection *connection);
	/** A connection comes back, unread. Moves it on from QUEUED, SENDING, SENT or ARRIVED. */
	void (*on_returned)(struct lp_channel *channel, struct lp_connection *connection, enum lp_return_reason reason);
	/** The worker has a session of that key (true), or has it no longer. */
	void (*on_session)(struct lp_channel *channel, struct lp_slice key, bool bound);
	/** How many acknowledged connections the worker has open; from workers that tell. */
	void (*on_open)(struct lp_channel *channel, uint64_t open);
	/** A message of the program's own, for the workers' broker. */
	void (*on_message)(struct lp_channel *channel, const struct lp_message *message);
	/** A native worker's frame for the workers' broker. */
	void (*on_frame)(struct lp_channel *channel, const struct lp_frame *frame);
	/** A server of the worker has this value; the first that was said under the name is answered, for all to use. */
	struct lp_slice (*on_share)(struct lp_channel *channel, struct lp_slice name, struct lp_slice value);
	/** The worker wants a socket that workers share: the descriptor, which stays the receiver's; or negative errno. */
	int (*on_socket)(struct lp_channel *channel, const struct lp_socket_address *address);
	/** The worker has such a socket no longer: it has closed it, or died. */
	void (*on_socket_dropped)(struct lp_channel *channel, int fd, bool closed);
	/** The worker wants to listen at one of limpet's addresses: a placeholder (placeholder.h), the channel's to close; or
	 * negative errno. */
	int (*on_placeholder)(struct lp_channel *channel, const struct sockaddr *address, unsigned which);
	/** The worker has answered a question (lp_dialect.ask): what it said before is all that it had to say then. */
	void (*on_answered)(struct lp_channel *channel);
	/** The worker gives a connection back between two requests. @param fd The receiver's. */
	void (*on_bounced)(struct lp_channel *channel, int fd);
	/** Whether the worker's program handles SIGTERM. Said with every "ready", before it, and after a drain. */
	void (*on_sigterm)(struct lp_channel *channel, bool handled);
	/** The worker's end is closed, or it does not speak the dialect: close the channel, now or later. */
	void (*on_end)(struct lp_channel *channel);
};

/** channel.c has the table. */
enum lp_channel_state {
	LP_CHANNEL_CLOSED,  /**< There is none, or its handles are being closed. */
	LP_CHANNEL_OPEN,    /**< It sends and hears. */
	LP_CHANNEL_BLOCKED, /**< The socket has no room: nothing is sent until it says that it has. */
	LP_CHANNEL_STARVED, /**< The kernel is out of something that no event tells the return of. */
	LP_CHANNEL_DEAF,    /**< The worker reads no more; what it said before may still be unread. */
	LP_CHANNEL_FAILING, /**< Nothing can be sent any more: on_end is called soon. */
	LP_CHANNEL_ENDED,   /**< on_end was called: the worker has closed its end. */
	LP_CHANNEL_FAILED,  /**< on_end was called: by an error, or by us; the worker has not closed its end. */
	LP_CHANNEL_STATES,
};

/** Whether the worker is to finish. */
enum lp_channel_drain {
	LP_CHANNEL_DRAIN_NOT,
	LP_CHANNEL_DRAIN_WANTED, /**< Tell it once nothing is QUEUED for it. */
	LP_CHANNEL_DRAIN_TOLD,
};

struct lp_channel {
	uv_poll_t poll;
	uv_timer_t retry; /**< STARVED: to the next try. FAILING: to on_end. */
	int fd;           /**< Our end; -1 once closed. */
	int came;         /**< The descriptor that rode with the message being taken, or -1. */
	unsigned worker;  /**< Id, for messages. */
	int pid;          /**< Of the process at its other end, for messages; its owner sets it. */
	const struct lp_dialect *dialect;
	void *dialect_state; /**< The dialect's own. */
	const struct lp_channel_events *events;
	struct lp_log *log;
	void *owner;                        /**< The user's. */
	struct lp_connections *connections; /**< The table. Borrowed. */
	unsigned sends_for; /**< The worker whose connections it sends: at first its own; 0: none. The user's to set. */
	/** Which workers' servers have asked for. Borrowed; the user's to set once it is open. */
	struct lp_ports *ports;

	struct lp_channel_lasting *lasting; /**< What outlives the balancer (channel_lasting.h); NULL: nothing does. */
	size_t half_left;                   /**< Bytes of a long message that is half sent, if it does. */
	bool resync_wanted;                 /**< The dialect is to count anew with the worker. */

	uint64_t sent;        /**< Number of the last connection that was sent. */
	struct lp_buffer out; /**< Bytes that wait to be written, before any connection. */
	size_t out_sent;      /**< As many of them are written. */
	struct lp_buffer in;  /**< The incomplete rest of what came. */

	enum lp_channel_state state;
	enum lp_channel_drain drain;
	int polled;        /**< Events that poll is started for. */
	bool ready;        /**< As on_ready last said. */
	bool hearing;      /**< Inside lp_channel_hear. */
	bool is_shut;      /**< By us, for reading: the end that is read is ours. */
	uint64_t turn;     /**< In which it was heard for a decision. */
	uint64_t turn_ns;  /**< How much processor time that has taken. */
	size_t skip_bytes; /**< Of a message that is too long, how much has yet to come. */
	uint64_t heard_ns; /**< When the worker was heard last; 0: nobody has asked yet (lp_channel_heard_ns). */
	unsigned open_handles;
	void (*closed)(struct lp_channel *channel);
};

/**
 * Make a channel: a socket pair, our end watched by the loop.
 *
 * @param channel     The caller's memory.
 * @param loop        Borrowed.
 * @param dialect     How the worker speaks.
 * @param connections The table of connections. Borrowed.
 * @param worker      Its id.
 * @param events      Borrowed; every member set.
 * @param log         Borrowed.
 * @param worker_end  Set to the worker's end (CLOEXEC): the caller's to pass on and close.
 *
 * @return 0; or negative errno with nothing to close.
 */
int lp_channel_open(struct lp_channel *channel, uv_loop_t *loop, const struct lp_dialect *dialect,
		    struct lp_connections *connections, unsigned worker, const struct lp_channel_events *events,
		    struct lp_log *log, int *worker_end);

/**
 * Make a channel of a socket that a worker has connected.
 *
 * @param channel  The caller's memory.
 * @param loop     Borrowed.
 * @param dialect  How the worker speaks.
 * @param connections  The table of connections. Borrowed.
 * @param worker   Its id.
 * @param events   Borrowed; every member set.
 * @param log      Borrowed.
 * @param fd       Non-blocking. The channel's on success.
 *
 * @return 0; or negative errno with nothing to close.
 */
int lp_channel_adopt(struct lp_channel *channel, uv_loop_t *loop, const struct lp_dialect *dialect,
		     struct lp_connections *connections, unsigned worker, const struct lp_channel_events *events,
		     struct lp_log *log, int fd);

/** Whether there is something to send, or to tell. @param channel Open. */
bool lp_channel_has_work(const struct lp_channel *channel);

/**
 * Send what waits, as far as there is room: bytes, then the connections that are QUEUED for its worker. To be called once a
 * turn of the loop.
 *
 * @param channel  Open.
 */
void lp_channel_flush(struct lp_channel *channel);

/** When the worker was heard, on the monotonic clock. @param channel Inside one of its events, except its closing. */
uint64_t lp_channel_heard_ns(struct lp_channel *channel);

/**
 * Read what the worker has said by now, without waiting; events run. Does nothing inside one of this channel's events.
 *
 * @param channel  Open.
 */
void lp_channel_hear(struct lp_channel *channel);

/** Tell the worker to finish, behind what is queued for it. @param channel Open. Twice is once. */
void lp_channel_drain(struct lp_channel *channel);

/**
 * Close: the worker sees end-of-file; on_returned (LP_RETURN_LOST) runs for every connection that it has not accepted, in the
 * order in which they were queued, before this returns.
 *
 * @param channel  Open, and not inside one of its events, except on_end.
 * @param closed   Runs once, later, on the loop; the channel's memory is free to go then. NULL is allowed.
 */
void lp_channel_close(struct lp_channel *channel, void (*closed)(struct lp_channel *channel));

/**
 * Read all that a worker has said that has ended, or whose channel has failed: its last acknowledgements count.
 *
 * @param channel  Open, and not inside one of its events.
 */
void lp_channel_hear_out(struct lp_channel *channel);

/** As lp_channel_hear, for one turn of the loop: what takes longer waits for the next. @param channel Open. */
void lp_channel_hear_some(struct lp_channel *channel);

/**
 * As lp_channel_hear, for a decision that depends on what the worker has said. It may be called often in one turn of the
 * loop: a worker whose words have taken a millisecond of it already is not heard again, so that no worker can make
 * decisions slow.
 *
 * @param channel  Open.
 * @param turn     A number that is another in each turn.
 */
void lp_channel_hear_for_decision(struct lp_channel *channel, uint64_t turn);

/** Whether what the worker says is heard still: on_end was not called. @param channel Any. */
bool lp_channel_can_hear(const struct lp_channel *channel);

/** Go on with what had come for an earlier balancer. @param channel One that outlives (channel_lasting.h), its owner ready for its
 * events. */
void lp_channel_resume(struct lp_channel *channel);

/* For dialects: what a worker's words mean. */

/** The worker takes connections (or no more). @param channel Open. @param ready Which. */
void lp_channel_set_ready(struct lp_channel *channel, bool ready);

/** The oldest connection that is SENT, or NULL. @param channel Open. */
struct lp_connection *lp_channel_oldest(struct lp_channel *channel);

/** The connection of that number that is SENT or ARRIVED, or NULL. @param channel Open. @param number Counted from 1. */
struct lp_connection *lp_channel_find(struct lp_channel *channel, uint64_t number);

/**
 * End a channel that is of no use any more, whatever the reason: something could not be said or heard, or half of it only.
 * Every error leads here, and from here to on_end, after what the worker has said already was read.
 *
 * @param channel  Open; on_end runs on the loop, not from here. Twice is once.
 * @param status   Why, for the log. UV_EPIPE and UV_ECONNRESET are not logged: workers end.
 */
void lp_channel_fail(struct lp_channel *channel, int status);

/** The descriptor that rode with the message being taken. @param channel Open. @return The caller's; or -1: there is none. */
int lp_channel_take_descriptor(struct lp_channel *channel);

/**
 * Send bytes without a descriptor, behind those that wait already.
 *
 * @param channel  Open.
 * @param bytes    Copied if the socket has no room.
 * @param length   Of a SOCK_SEQPACKET channel: one message, and only one can wait.
 */
void lp_channel_send(struct lp_channel *channel, const char *bytes, size_t length);

/**
 * Send a message with a descriptor that is no connection, at once.
 *
 * @param channel  Open; of SOCK_STREAM.
 * @param message  Copied.
 * @param fd       Borrowed.
 *
 * @return 0; or negative with nothing sent: UV_EAGAIN when there is no room, UV_EPIPE, UV_ENOBUFS.
 */
int lp_channel_send_descriptor(struct lp_channel *channel, struct lp_slice message, int fd);

/**
 * Send a message with the next flush, together with all others until then. No event runs.
 *
 * @param channel  Open.
 * @param message  The whole of it. Copied.
 *
 * @return Whether it will go; false when LP_CHANNEL_OUT_MAX bytes wait already, which is logged, or the worker is gone.
 */
bool lp_channel_post(struct lp_channel *channel, struct lp_slice message);

#endif
