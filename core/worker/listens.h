/**
 * Whether a process listens by itself, on TCP ports that its kernel knows.
 */
#ifndef LP_WORKER_LISTENS_H
#define LP_WORKER_LISTENS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * Look at the descriptors of a process and of those in its session. Reads /proc, so it takes milliseconds.
 *
 * @param pid   Leads its session.
 * @param port  Set to the first port that is found.
 *
 * @return Whether one is.
 */
bool lp_listens_itself(pid_t pid, unsigned *port);

#endif
