/**
 * Why a program that runs is not ready: what can be seen of it, and what to do, in words.
 */
#ifndef LP_WORKER_NOT_READY_H
#define LP_WORKER_NOT_READY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "worker/dialect.h"
#include "worker/listening_ports.h"
#include "worker/program.h"

/** Bytes of what lp_not_ready_describe writes, at most. */
#define LP_NOT_READY_TEXT_MAX 1536

struct lp_not_ready {
	const char *name;                  /**< "worker 1", or the program's. Borrowed. */
	pid_t pid;                         /**< Leads its session. */
	const struct lp_dialect *dialect;  /**< Borrowed. */
	const char *addresses;             /**< What limpet listens on, "5000,unix:/run/x". Borrowed. */
	unsigned seconds;                  /**< It has run so long. */
	struct lp_listening_ports listens; /**< Where it listens by itself. */
	bool has_library;                  /**< The library is in it, or in the process that listens. */
	enum lp_obstacle obstacle;         /**< Why not, if that can be seen. */
	char path[PATH_MAX];               /**< Of the program that this is about. */
};

/** See what there is to see. @param unready Its name, pid, dialect, addresses and seconds are set; filled. */
void lp_not_ready_look(struct lp_not_ready *unready);

/**
 * Say what is wrong, and what to do.
 *
 * @param unready  As lp_not_ready_look has filled it.
 * @param text     Filled; LP_NOT_READY_TEXT_MAX bytes.
 */
void lp_not_ready_describe(const struct lp_not_ready *unready, char *text);

#endif
