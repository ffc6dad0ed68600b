/**
 * A worker's process: started with its channel at descriptor 3, its output passed on, its end told.
 */
#ifndef LP_WORKER_PROCESS_H
#define LP_WORKER_PROCESS_H

#include <stdbool.h>
#include <uv.h>

#include "worker/dialect.h"

/** One line of output that is passed on with a prefix, at most; a longer one is passed on in pieces. */
#define LP_PROCESS_LINE_MAX 4096

struct lp_process;

/** A pipe from the process whose lines are passed on behind "[id] ". */
struct lp_process_output {
	uv_pipe_t pipe;
	struct lp_process *process;
	int to; /**< 1 or 2. */
	size_t length;
	char line[LP_PROCESS_LINE_MAX];
};

struct lp_process {
	uv_process_t handle;
	unsigned id;
	int pid; /**< 0 when it does not run. */
	unsigned open_handles;
	struct lp_process_output *outputs; /**< Two, when the output has a prefix. */
	void (*exited)(struct lp_process *process, int64_t status, int signal);
	void (*closed)(struct lp_process *process);
	void *owner; /**< The user's. */
};

/**
 * Start a process.
 *
 * @param process     The caller's memory, until closed has run.
 * @param loop        Borrowed.
 * @param command     File (looked up in PATH) and arguments, NULL-terminated.
 * @param dialect     Whose environment is added to ours.
 * @param id          The worker's, 1 and up.
 * @param channel_fd  Becomes the child's LP_CHANNEL_FD. Borrowed for the call.
 * @param prefix      Pass its output on line by line behind "[id] "; else it inherits ours.
 * @param exited      Runs once, when it ended: exit status, or the signal that ended it and 0.
 * @param owner       Kept in process->owner.
 *
 * @return 0; or negative errno (UV_ENOENT: no such program) with nothing running and exited never called; then, too,
 *         close it with lp_process_close.
 */
int lp_process_start(struct lp_process *process, uv_loop_t *loop, char *const *command,
		     const struct lp_dialect *dialect, unsigned id, int channel_fd, bool prefix,
		     void (*exited)(struct lp_process *process, int64_t status, int signal), void *owner);

/** Send a signal; nothing happens when it has ended. @param process Started. @param signal SIGTERM, SIGKILL … */
void lp_process_kill(struct lp_process *process, int signal);

/**
 * Close the handles of a process that has ended, or never started. Output that it left in its pipes is passed on first.
 *
 * @param process  As lp_process_start left it.
 * @param closed   Runs once, on the loop, maybe before this returns; the memory is free to go then.
 */
void lp_process_close(struct lp_process *process, void (*closed)(struct lp_process *process));

#endif
