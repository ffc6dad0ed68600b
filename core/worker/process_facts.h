/**
 * What the kernel says of a process. A process number alone names nobody for long, as numbers are used again; together
 * with the time at which the process started it names one process for as long as the machine runs.
 */
#ifndef LP_WORKER_PROCESS_FACTS_H
#define LP_WORKER_PROCESS_FACTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct lp_process_facts {
	pid_t pid;
	pid_t parent;
	pid_t group;
	pid_t session;
	uint64_t started; /**< In clock ticks since the machine booted: field 22 of /proc/PID/stat. */
	char state;       /**< 'R', 'S', 'T', 'Z' … */
};

/**
 * Ask the kernel.
 *
 * @param pid    Of the process.
 * @param facts  Filled on success only.
 *
 * @return 0; or negative errno: -ESRCH there is no such process, -EPROTO its line reads like none.
 */
int lp_process_facts_read(pid_t pid, struct lp_process_facts *facts);

/**
 * Read a line of /proc/PID/stat.
 *
 * @param line   "12 (any name) S 1 12 12 …", NUL-terminated.
 * @param facts  Filled on success only.
 *
 * @return 0, or -EPROTO.
 */
int lp_process_facts_parse(const char *line, struct lp_process_facts *facts);

#endif
