/**
 * Whether anybody has used a connection yet.
 */
#ifndef LP_WORKER_UNTOUCHED_H
#define LP_WORKER_UNTOUCHED_H

#include <stdbool.h>

/**
 * Whether the kernel can prove that a connection is as it was accepted: established, and no byte read or written.
 *
 * @param fd  A connected TCP socket; for any other kind the answer is no.
 */
bool lp_is_untouched(int fd);

/** Bytes that have come and were not read; 0 for what cannot tell. @param fd A connected socket. */
int lp_bytes_waiting(int fd);

#endif
