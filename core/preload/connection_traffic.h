/**
 * What a connection that limpet handed over says and is told: sessions are learnt from its responses, and, where limpet
 * wants it, each of its requests is looked at before the program reads it.
 */
#ifndef LP_PRELOAD_CONNECTION_TRAFFIC_H
#define LP_PRELOAD_CONNECTION_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "preload/http_exchange.h"

/**
 * The program is about to read.
 *
 * @param fd       CONNECTION.
 * @param want     How many bytes it has room for.
 * @param flags    Of recv(2).
 * @param allowed  Set, on 1, to how many it may read: up to want, and at least 1 where that is.
 *
 * @return 1: let it read; 0: let it see the end, the connection is no more this worker's; -1: an error, errno is set.
 */
int lp_connection_traffic_reading(int fd, size_t want, int flags, size_t *allowed);

/**
 * The program has read.
 *
 * @param fd      CONNECTION.
 * @param pieces  What it has read into.
 * @param count   How many.
 * @param got     Bytes, 1 or more.
 * @param cut     Whether it has read all that it was allowed to, and wanted more.
 */
void lp_connection_traffic_has_read(int fd, const struct iovec *pieces, size_t count, size_t got, bool cut);

/** The program is about to write. @param fd CONNECTION. @param pieces Borrowed. @param count How many. @param write Filled. */
void lp_connection_traffic_writing(int fd, const struct iovec *pieces, size_t count,
				   struct lp_http_exchange_write *write);

/** It has written. @param fd As before. @param pieces As before. @param count As before. @param write As before.
 *  @param result Bytes that were taken, or negative. */
void lp_connection_traffic_has_written(int fd, const struct iovec *pieces, size_t count,
				       struct lp_http_exchange_write *write, ssize_t result);

/** It has sent what nobody has looked at, such as a file. @param fd CONNECTION. @param count Bytes, 1 or more. */
void lp_connection_traffic_has_sent(int fd, size_t count);

/** It reads or writes in a way that cannot be followed. @param fd CONNECTION. */
void lp_connection_traffic_stop(int fd);

#endif
