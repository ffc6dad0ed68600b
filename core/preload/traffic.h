/**
 * What a connection that limpet handed over says and is told: sessions are learnt from its responses, and, where limpet
 * wants it, each of its requests is looked at before the program reads it.
 */
#ifndef LP_PRELOAD_TRAFFIC_H
#define LP_PRELOAD_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/** The program is about to write. @param fd CONNECTION. @param pieces Borrowed. @param count How many. */
void lp_traffic_writing(int fd, const struct iovec *pieces, size_t count);

/**
 * The program is about to read.
 *
 * @param fd       CONNECTION.
 * @param want     How many bytes it has room for.
 * @param waits    Whether it waits for bytes: neither O_NONBLOCK nor MSG_DONTWAIT.
 * @param allowed  Set, on 1, to how many it may read, at least 1.
 *
 * @return 1: let it read; 0: let it see the end, the connection is another worker's now; -1: an error, errno is set.
 */
int lp_traffic_reading(int fd, size_t want, bool waits, size_t *allowed);

/** The program has read. @param fd CONNECTION. @param got Bytes, 1 or more. */
void lp_traffic_has_read(int fd, size_t got);

#endif
