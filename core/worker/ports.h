/**
 * Ports: limpet's own, and which of them workers' servers have asked for.
 *
 * A connection goes to the server that asked for the port it came through. Where no worker has asked for that port a
 * worker's first server gets it, so that a program which listens on 3000 serves limpet's 8080. As all workers run the
 * same program, what one has asked for is never given to another server, not even of a worker that has yet to ask.
 */
#ifndef LP_WORKER_PORTS_H
#define LP_WORKER_PORTS_H

#include <stdbool.h>
#include <stddef.h>

/** Ports that are kept in mind. Of a further one limpet knows no worker that has asked for it. */
#define LP_PORTS_MAX 64

/** The number of all unix paths. */
#define LP_PORT_UNIX (-1)

/** One that workers have asked for. */
struct lp_port {
	int number;      /**< 1 – 65535, or LP_PORT_UNIX. */
	unsigned claims; /**< By processes that live; a server that was closed counts as well. */
	bool told;       /**< That nothing comes there was said. */
};

/** Of one balancer. */
struct lp_ports {
	const char *ours; /**< "5000,unix:/run/x": where limpet listens. Borrowed. */
	struct lp_port all[LP_PORTS_MAX];
	size_t count;
};

/** A worker's server asks for a port. @param ports ours is set. @param number A port's, or negative for any path; 0 is no port. */
void lp_ports_claim(struct lp_ports *ports, int number);

/** Its process has ended. @param ports As it was claimed of. @param number The same. */
void lp_ports_release(struct lp_ports *ports, int number);

/** Whether a process that lives has asked for a port. @param ports ours is set. @param number A port's, or negative for any path. */
bool lp_ports_claimed(const struct lp_ports *ports, int number);

/** Whether limpet listens there. @param ports ours is set. @param number A port's, or negative for any path. */
bool lp_ports_is_ours(const struct lp_ports *ports, int number);

/**
 * Which of limpet's addresses this is.
 *
 * @param ports   ours is set.
 * @param path    Of a unix socket, as --listen has it, or absolute; NULL: a port.
 * @param number  The port's, if there is no path.
 *
 * @return Its place in ours, from 0; or -1.
 */
int lp_ports_number(const struct lp_ports *ports, const char *path, int number);

/** Whether limpet has a port that no worker has asked for: first servers get what comes there. @param ports ours is set. */
bool lp_ports_has_free(const struct lp_ports *ports);

/** limpet's first port, or 0 when it has unix paths only. @param ports ours is set. */
int lp_ports_first(const struct lp_ports *ports);

/** Whether it is yet to be told that nothing comes to a claimed port; it counts as told then. @param ports ours is set.
 * @param number A port's, or negative for any path. */
bool lp_ports_tell(struct lp_ports *ports, int number);

#endif
