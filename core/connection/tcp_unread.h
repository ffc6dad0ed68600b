/**
 * Whether a worker has used a TCP connection since it was handed over: read from it, or written to it.
 *
 * The kernel counts the bytes that a connection has received and sent over its whole life. A connection that a worker
 * gave back between two requests has counts already when it is handed over again. So the counts at hand-over are kept as a
 * baseline, and a connection is unread while they have not changed.
 */
#ifndef LP_CONNECTION_TCP_UNREAD_H
#define LP_CONNECTION_TCP_UNREAD_H

#include <stdbool.h>
#include <stdint.h>

/** What has been done with a connection so far. All zero is right for one that was just accepted. */
struct lp_tcp_baseline {
	uint64_t read;    /**< Bytes read from it. */
	uint64_t written; /**< Bytes written to it, sent or not. */
};

/** What the kernel says about a connection. */
enum lp_tcp_use {
	LP_TCP_UNREAD, /**< Proven: nothing was read or written since the baseline, and our side is open. */
	LP_TCP_USED,   /**< Proven: something was. */
	LP_TCP_UNKNOWN, /**< Neither: it was reset or our side was ended, it is no TCP, or the kernel does not count (before 4.19). */
};

/**
 * Take the baseline of a connection that others have used before.
 *
 * @param fd        A connected socket.
 * @param baseline  Filled; all zero if fd is no TCP socket.
 */
void lp_tcp_baseline_take(int fd, struct lp_tcp_baseline *baseline);

/**
 * Compare a connection with its baseline. The client may have sent more meanwhile, and may have ended its side.
 *
 * @param fd        A connected socket.
 * @param baseline  Taken before the connection was handed over.
 *
 * @return What the kernel can prove.
 */
enum lp_tcp_use lp_tcp_use_since(int fd, const struct lp_tcp_baseline *baseline);

/** Bytes that have come and were not read; 0 for what cannot tell. @param fd A connected socket. */
int lp_bytes_waiting(int fd);

#endif
