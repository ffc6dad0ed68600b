/**
 * Take connections from limpet, in a program of your own: a small library for C (link with -llimpet-worker), and the
 * protocol beneath it for every other language. limpet calls both the `native` dialect.
 *
 * A worker is a process that `limpet run --dialect native -- PROGRAM` starts. In place of a listening socket it has a
 * channel, over which it is given connections: real TCP (or unix) sockets, accepted by limpet, from which nothing has
 * been read yet. From then on the connection is the worker's alone.
 *
 *
 * THE LIBRARY
 *
 * It fits any event loop: one descriptor becomes readable, then you accept until there is no more.
 *
 *     struct limpet_worker *worker;
 *     int error = limpet_worker_new(&worker, LIMPET_WORKER_BATCH_MAX);
 *     …
 *     limpet_worker_ready(worker);
 *     struct pollfd waiting = {.fd = limpet_worker_fd(worker), .events = POLLIN};
 *     while (poll(&waiting, 1, -1) >= 0) {
 *         int connection;
 *         while ((connection = limpet_worker_accept(worker, 0)) >= 0) {
 *             …
 *             limpet_worker_close(worker, connection);
 *         }
 *         if (connection != -EAGAIN)
 *             break;
 *     }
 *
 * What limpet is told, and when. Every connection is acknowledged before accept returns it; until then limpet keeps a
 * copy, and gives the connection to another worker if this one dies. How many connections are open, which is what
 * limpet balances on, goes out with each acknowledgement, and LIMPET_WORKER_REPORT_MS after a close if none was sent
 * since: the descriptor becomes readable then, and accept sends it. Sessions go out at once.
 *
 * Accept until it returns -EAGAIN, always: connections that the library holds already do not make its descriptor
 * readable.
 *
 * No call ever waits. What limpet has no room for is kept and sent later: the descriptor becomes readable when there is
 * room, and accept then sends it.
 *
 * The store and the bus. Workers share a store in limpet's memory, keys with values in named collections, with a lock for
 * each key; and they speak to each other through limpet: who publishes on a topic is heard by all who are subscribed to
 * it, what is pushed to a queue goes to one of those who pull, each in turn. Answers and messages come to a function of
 * yours, which accept calls:
 *
 *     static void on_message(struct limpet_worker *worker, const struct limpet_message *message, void *owner)
 *     {
 *         if (message->kind == LIMPET_MESSAGE_VALUE && message->request == 1)
 *             …the key is locked, message->bytes is its value, or NULL
 *             limpet_worker_set_release(worker, 0, "visits", "total", "8", 1);
 *     }
 *     …
 *     limpet_worker_on_message(worker, on_message, NULL);
 *     limpet_worker_acquire(worker, 1, "visits", "total");
 *
 * The store lives as long as limpet does. When a worker ends, its locks are released and what it waited for is forgotten;
 * what it has set stays.
 *
 * One thread at a time may use a worker. A process has one; its children do not inherit it.
 *
 *
 * THE PROTOCOL
 *
 * The environment has LIMPET_CHANNEL_FD, the number of the channel's descriptor (3), and LIMPET_WORKER_ID, which of
 * limpet's slots this worker is in (1 and up). The channel is a connected unix socket of type SOCK_SEQPACKET. Each
 * message is one line of text without a newline: a word, with exactly one blank before each thing that follows it.
 * Numbers are decimal, without leading zeros. Some have a value of any bytes after that line.
 *
 *     from limpet
 *     connection NUMBER   One connection; its descriptor rides with the message (SCM_RIGHTS). NUMBER counts from 1.
 *                         Whether the descriptor is in non-blocking mode is not defined: set what you need.
 *     drain               No more connections will come. Finish those that are open, then end.
 *     value NUMBER [LF VALUE]   The request NUMBER is done; with the value, if one was asked for and there is one.
 *     refused NUMBER LF WHY     The request NUMBER is not done; why, in words.
 *     publish TOPIC LF VALUE    Somebody published this on a topic that the worker is subscribed to.
 *     push QUEUE LF VALUE       This was pushed to a queue that the worker pulls on; nobody else gets it.
 *     (end-of-file)       limpet is gone, or has given this worker up: the same, and nobody hears any more. The error
 *                         ECONNRESET means it too: limpet died, and had not read all that the worker said.
 *
 *     from a worker
 *     ready               Connections may come from now on. Until then none do.
 *     ack NUMBER [OPEN]   All connections up to NUMBER are mine, except those I sent a nack for, and OPEN of them are
 *                         open now. It says the worker's whole state: one ack serves for many connections, repeating
 *                         one changes nothing, and a later one with the same NUMBER reports what has closed since.
 *                         Say "ack 0 0" after "ready" if you report OPEN, or nothing ever: else limpet asks the kernel.
 *     nack NUMBER         Connection NUMBER came without its descriptor (the process is at its limit of open files:
 *                         MSG_CTRUNC). limpet sends it elsewhere. Say so before an ack that covers NUMBER.
 *     session KEY         Connections that name KEY (a Socket.IO sid) belong to this worker. KEY is 1 to 1024 bytes
 *                         without blanks and control characters. Say so before the client learns the key.
 *     forget KEY          They belong to it no longer.
 *     bounce              One of my connections, between two requests: its descriptor rides with the message. limpet
 *                         decides anew who gets it, by the next request, which I have left unread.
 *
 *     get NUMBER COLLECTION KEY                      Tell the key's value, in a reply to NUMBER, which is 1 or more.
 *     set NUMBER COLLECTION KEY [LF VALUE]           Let it be VALUE, or without one, nothing. NUMBER 0, here and
 *                                                    below: no reply is wanted.
 *     acquire NUMBER COLLECTION KEY                  Lock the key. The reply, with its value, comes when it is this
 *                                                    worker's; until it releases it all get and set of it wait.
 *     release NUMBER COLLECTION KEY                  Unlock it.
 *     set-release NUMBER COLLECTION KEY [LF VALUE]   Set what this worker has locked, and unlock it.
 *     expire NUMBER COLLECTION SECONDS               Keys that nobody has used for so long go; 0: they stay.
 *     subscribe TOPIC      unsubscribe TOPIC         What is published there comes here, or does no more.
 *     publish TOPIC LF VALUE                         Send it to all who are subscribed, the sender too if it is.
 *     pull QUEUE           stop QUEUE                Take part in a queue, or end that. A worker that pulls twice gets
 *                                                    twice as much.
 *     push QUEUE LF VALUE                            Send it to one of those who pull; while nobody does, it waits.
 *
 * COLLECTION, TOPIC and QUEUE are named as a session's KEY is. VALUE is any bytes, LIMPET_WORKER_VALUE_MAX at most, to the
 * message's end; LF is a newline.
 *
 * Three rules make it safe:
 *   1. Acknowledge a connection before reading from it. limpet gives an unacknowledged connection of a dead worker to
 *      another one, which must find it whole.
 *   2. Acknowledge soon, and shut a connection down (shutdown(2)) before closing it. Closing alone does not end it
 *      while limpet has its copy, which is until limpet has read the ack.
 *   3. Mark the channel close-on-exec before starting other programs: while one holds it, limpet cannot see you die.
 *
 * Words that either side does not know are passed over. An empty message counts as end-of-file. A worker that
 * acknowledges what it was never sent has its channel closed. A whole worker, in Python:
 *
 *     import os, socket
 *
 *     channel = socket.socket(fileno=int(os.environ["LIMPET_CHANNEL_FD"]))
 *     channel.send(b"ready")
 *     while (got := socket.recv_fds(channel, 64, 1))[0] not in (b"", b"drain"):
 *         number, descriptors = got[0].split()[1], got[1]
 *         if not descriptors:
 *             channel.send(b"nack " + number)
 *             continue
 *         channel.send(b"ack " + number + b" 1")
 *         with socket.socket(fileno=descriptors[0]) as connection:
 *             connection.setblocking(True)
 *             try:
 *                 serve(connection)
 *                 connection.shutdown(socket.SHUT_RDWR)
 *             except OSError:
 *                 pass  # The client left first.
 *         channel.send(b"ack " + number + b" 0")
 */
#ifndef LIMPET_WORKER_H
#define LIMPET_WORKER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "limpet/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The most connections that one look at the channel takes. */
#define LIMPET_WORKER_BATCH_MAX 64

/** Milliseconds that a report of closed connections waits for an acknowledgement to ride with. */
#define LIMPET_WORKER_REPORT_MS 10

/** Bytes of the longest value in the store, or on the bus. */
#define LIMPET_WORKER_VALUE_MAX 61440

struct limpet_worker;

/**
 * Find the channel that limpet gave this process, and mark it close-on-exec. Call once in a process. Nothing is sent
 * yet.
 *
 * @param worker  Set on success, for limpet_worker_free; else set to NULL.
 * @param batch   How many connections to take from the channel ahead of the accepts that return them, 1 –
 *                LIMPET_WORKER_BATCH_MAX. An event loop takes many. A program that serves one connection after the
 *                other takes 1: limpet cannot give what was taken to anyone else.
 *
 * @return 0, or negative errno:
 *         -ENOTCONN  limpet did not start this process, or not with the native dialect
 *         -EINVAL    batch is out of range
 *         -ENOMEM, -EMFILE, -ENFILE  no memory, or no descriptor free
 */
LIMPET_EXPORT int limpet_worker_new(struct limpet_worker **worker, unsigned batch);

/**
 * Close the channel and free the worker. Connections that were not acknowledged go to other workers; those that accept
 * returned stay open and yours. Call it when accept has said -EAGAIN or -ESHUTDOWN: what the library took and accept
 * did not return yet is closed.
 *
 * @param worker  NULL is allowed.
 */
LIMPET_EXPORT void limpet_worker_free(struct limpet_worker *worker);

/** Which of limpet's slots this worker is in: 1 and up, 0 when limpet did not say. @param worker Borrowed. */
LIMPET_EXPORT unsigned limpet_worker_id(const struct limpet_worker *worker);

/**
 * The descriptor to wait on. Readable: call limpet_worker_accept until it returns -EAGAIN. After -ESHUTDOWN take it out
 * of your loop, unless messages are to come.
 *
 * @param worker  Borrowed; the descriptor stays its.
 *
 * @return For poll, epoll, uv_poll and the like, and for reading only. Do not read from it.
 */
LIMPET_EXPORT int limpet_worker_fd(const struct limpet_worker *worker);

/**
 * Tell limpet that connections may come. Call it when all is set up; limpet sends none before.
 *
 * @param worker  Borrowed. Twice is once.
 *
 * @return 0, or negative as limpet_worker_session.
 */
LIMPET_EXPORT int limpet_worker_ready(struct limpet_worker *worker);

/**
 * Take the next connection, as accept4(2) would. It was acknowledged before this returns, and nothing was read from it.
 *
 * @param worker  Borrowed.
 * @param flags   0 for a blocking descriptor, or SOCK_NONBLOCK. It is close-on-exec either way.
 *
 * @return A connected descriptor, the caller's to close with limpet_worker_close, or negative errno:
 *         -EAGAIN     none now; wait until the descriptor of limpet_worker_fd is readable
 *         -ESHUTDOWN  no more will come: limpet wants this worker to finish, or is gone. So says every later call; with
 *                     limpet_worker_on_message keep calling it when the descriptor is readable, for messages go on.
 */
LIMPET_EXPORT int limpet_worker_accept(struct limpet_worker *worker, int flags);

/**
 * End a connection that accept returned, and report it. The client sees the end at once; the descriptor is closed
 * within LIMPET_WORKER_REPORT_MS, or when 64 more connections have ended.
 *
 * @param worker      Borrowed.
 * @param connection  The library's from now on. Take it out of your epoll set first: the kernel does that by itself only
 *                    when the last copy is closed.
 */
LIMPET_EXPORT void limpet_worker_close(struct limpet_worker *worker, int connection);

/**
 * Report a connection that you end by other means (a stream of your event loop owns it, say). Shut it down before you
 * close it, if the client is to see its end even while limpet has its copy.
 *
 * @param worker  Borrowed. More reports than connections are ignored.
 */
LIMPET_EXPORT void limpet_worker_closed(struct limpet_worker *worker);

/**
 * Give a connection back: its next request belongs elsewhere. limpet decides about it as about a new connection, so it
 * may come here again.
 *
 * @param worker      Borrowed.
 * @param connection  One that accept returned. All its answers are sent, and of the next request nothing is read; look
 *                    with MSG_PEEK. On success the library's, as with limpet_worker_close, but the client notices
 *                    nothing; on error the caller's still.
 *
 * @return 0, or negative with nothing changed:
 *         -EAGAIN  limpet does not read fast enough: answer the request, or try again later
 *         -EPIPE   limpet is gone, or wants this worker to finish
 */
LIMPET_EXPORT int limpet_worker_bounce(struct limpet_worker *worker, int connection);

/** Connections taken and not reported closed. 0 after -ESHUTDOWN: time to end. @param worker Borrowed. */
LIMPET_EXPORT size_t limpet_worker_open(const struct limpet_worker *worker);

/**
 * Tell limpet that a session lives here: connections that name it come to this worker. Call it before the client learns
 * the key; limpet hears it before it routes a connection that carries the key.
 *
 * @param worker  Borrowed.
 * @param key     Copied. 1 – 1024 bytes without blanks and control characters.
 * @param length  Its bytes.
 *
 * @return 0, or negative with nothing changed:
 *         -EINVAL   not such a key
 *         -ENOBUFS  limpet does not read: a MiB of reports waits already
 *         -ENOMEM   no memory
 *         -EPIPE    limpet is gone
 */
LIMPET_EXPORT int limpet_worker_session(struct limpet_worker *worker, const char *key, size_t length);

/**
 * Tell limpet that a session is over.
 *
 * @param worker  Borrowed.
 * @param key     As limpet_worker_session was given.
 * @param length  Its bytes.
 *
 * @return As limpet_worker_session.
 */
LIMPET_EXPORT int limpet_worker_forget(struct limpet_worker *worker, const char *key, size_t length);

/** What a message is. */
enum limpet_message_kind {
	LIMPET_MESSAGE_VALUE,     /**< A request is done. bytes: the value that get or acquire asked for; NULL: none. */
	LIMPET_MESSAGE_REFUSED,   /**< A request is not done. bytes: why, in words. */
	LIMPET_MESSAGE_PUBLISHED, /**< name: the topic. bytes: what was published. */
	LIMPET_MESSAGE_PUSHED,    /**< name: the queue. bytes: what was pushed. */
	LIMPET_MESSAGE_GONE,      /**< limpet is gone. No more messages come; requests that wait are not answered. */
};

/** A message from the store or the bus. It is the library's, and gone when the function returns. */
struct limpet_message {
	enum limpet_message_kind kind;
	uint64_t request;  /**< Which is answered; 0 when it is no answer. */
	const char *name;  /**< With a NUL at its end, or NULL. */
	const char *bytes; /**< With a NUL after them, which length does not count. */
	size_t length;
};

/**
 * Receives messages, one after the other, from inside limpet_worker_accept. It may call everything but that,
 * limpet_worker_on_message and limpet_worker_free.
 */
typedef void (*limpet_message_cb)(struct limpet_worker *worker, const struct limpet_message *message, void *owner);

/**
 * Let messages come to a function. Without one they are passed over.
 *
 * @param worker      Borrowed.
 * @param on_message  NULL: pass them over again.
 * @param owner       Passed to it.
 */
LIMPET_EXPORT void limpet_worker_on_message(struct limpet_worker *worker, limpet_message_cb on_message, void *owner);

/*
 * The store. `request` is a number of yours that the reply will carry; requests of one number are not told apart. 0: no
 * reply is wanted. Collections and keys are 1 – 1024 bytes without blanks and control characters. Everything is copied.
 * All return 0, or negative with nothing changed:
 *     -EINVAL    not such a name, or the request has to have a number
 *     -EMSGSIZE  the value is longer than LIMPET_WORKER_VALUE_MAX
 *     -ENOBUFS   limpet does not read: a MiB waits already
 *     -ENOMEM    no memory
 *     -EPIPE     limpet is gone
 * A request that limpet cannot serve is answered LIMPET_MESSAGE_REFUSED: the store is full (256 MiB), or the key is not
 * this worker's to release.
 */

/** Get a value. @param worker Borrowed. @param request 1 or more. @param collection As above. @param key As above. @return As above. */
LIMPET_EXPORT int limpet_worker_get(struct limpet_worker *worker, uint64_t request, const char *collection,
				    const char *key);

/** Set a value. @param worker Borrowed. @param request Any. @param collection As above. @param key As above.
 * @param value NULL: delete the key. @param length Its bytes. @return As above. */
LIMPET_EXPORT int limpet_worker_set(struct limpet_worker *worker, uint64_t request, const char *collection,
				    const char *key, const void *value, size_t length);

/** Lock a key, and get its value: the reply may take long. Until it is released every other request for it waits, those of
 * this worker too. @param worker Borrowed. @param request 1 or more. @param collection As above. @param key As above.
 * @return As above. */
LIMPET_EXPORT int limpet_worker_acquire(struct limpet_worker *worker, uint64_t request, const char *collection,
					const char *key);

/** Unlock a key. @param worker Borrowed. @param request Any. @param collection As above. @param key As above. @return As above. */
LIMPET_EXPORT int limpet_worker_release(struct limpet_worker *worker, uint64_t request, const char *collection,
					const char *key);

/** Set a value whose key is locked by this worker, and unlock it. @param worker Borrowed. @param request Any.
 * @param collection As above. @param key As above. @param value NULL: delete the key. @param length Its bytes.
 * @return As above. */
LIMPET_EXPORT int limpet_worker_set_release(struct limpet_worker *worker, uint64_t request, const char *collection,
					    const char *key, const void *value, size_t length);

/** Let keys go that nobody has used for some time; locked ones stay. @param worker Borrowed. @param request Any.
 * @param collection As above. @param seconds At least so long, at most half as long again; 0: for ever. @return As above. */
LIMPET_EXPORT int limpet_worker_expire(struct limpet_worker *worker, uint64_t request, const char *collection,
				       uint32_t seconds);

/*
 * The bus. Topics and queues are named as collections are, everything is copied, and all return as above. What is for a
 * worker that does not read waits up to 16 MiB; past that what is published is dropped for it, what is pushed goes to
 * others. What waits for somebody to pull waits up to 64 MiB; past that it is dropped. limpet logs each.
 */

/** Hear what is published on a topic. @param worker Borrowed. @param topic As above. Twice is once. @return As above. */
LIMPET_EXPORT int limpet_worker_subscribe(struct limpet_worker *worker, const char *topic);

/** Hear it no more. @param worker Borrowed. @param topic As above. @return As above. */
LIMPET_EXPORT int limpet_worker_unsubscribe(struct limpet_worker *worker, const char *topic);

/** Tell all workers that are subscribed, this one too if it is. @param worker Borrowed. @param topic As above.
 * @param bytes Any. @param length Up to LIMPET_WORKER_VALUE_MAX. @return As above. */
LIMPET_EXPORT int limpet_worker_publish(struct limpet_worker *worker, const char *topic, const void *bytes,
					size_t length);

/** Take part in a queue. @param worker Borrowed. @param queue As above. Twice is twice as much of it. @return As above. */
LIMPET_EXPORT int limpet_worker_pull(struct limpet_worker *worker, const char *queue);

/** End one pull. @param worker Borrowed. @param queue As above. @return As above. */
LIMPET_EXPORT int limpet_worker_stop(struct limpet_worker *worker, const char *queue);

/** Give one of those who pull something to do. @param worker Borrowed. @param queue As above. @param bytes Any.
 * @param length Up to LIMPET_WORKER_VALUE_MAX. @return As above. */
LIMPET_EXPORT int limpet_worker_push(struct limpet_worker *worker, const char *queue, const void *bytes, size_t length);

#ifdef __cplusplus
}
#endif

#endif
