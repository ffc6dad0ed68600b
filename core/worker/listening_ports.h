/**
 * On which TCP ports a process listens by itself, as its kernel knows.
 */
#ifndef LP_WORKER_LISTENING_PORTS_H
#define LP_WORKER_LISTENING_PORTS_H

#include <stddef.h>
#include <sys/types.h>

/** Ports of one session that are told. */
#define LP_LISTENING_PORTS_MAX 4

struct lp_listening_ports {
	unsigned ports[LP_LISTENING_PORTS_MAX]; /**< Each once. */
	unsigned count;
	pid_t pid; /**< Of a process that has the first of them. */
};

/**
 * Look at the descriptors of a process and of those in its session. Reads /proc, so it takes milliseconds.
 *
 * @param pid      Leads its session.
 * @param listens  Filled: count is 0 where nobody listens.
 */
void lp_listening_ports_find(pid_t pid, struct lp_listening_ports *listens);

#endif
