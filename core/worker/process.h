/**
 * A worker's process: started with its channel at descriptor 3, its output passed on, its end told. Or one that somebody
 * else has started, of which only the end is told.
 */
#ifndef LP_WORKER_PROCESS_H
#define LP_WORKER_PROCESS_H

#include <stdbool.h>
#include <uv.h>

#include "base/descriptors.h"
#include "worker/dialect.h"
#include "worker/last_output.h"

/** One line of output that is passed on with a prefix, at most; a longer one is passed on in pieces. */
#define LP_PROCESS_LINE_MAX 4096

/** Of those, the bytes that can be the process's; the others are for "[id] " and a newline. */
#define LP_PROCESS_TEXT_MAX (LP_PROCESS_LINE_MAX - 16)

struct lp_process;

/** A pipe from the process whose lines are passed on behind "[id] ". */
struct lp_process_output {
	uv_poll_t poll;
	struct lp_process *process;
	int from;      /**< Our end of the pipe; -1 at its end. */
	int to;        /**< 1 or 2. */
	bool stalled;  /**< Nothing is read until `to` has room. */
	bool ended;    /**< Nothing more comes. */
	size_t sent;   /**< Bytes of the first line that are written already, its prefix included. */
	size_t length; /**< Bytes of text. */
	char text[LP_PROCESS_TEXT_MAX];
};

/** Where a process writes to. */
enum lp_output {
	LP_OUTPUT_INHERITED, /**< To our own output. */
	LP_OUTPUT_PREFIXED,  /**< Into pipes, whose lines are passed on behind "[id] ". */
	LP_OUTPUT_HEARD,     /**< The same without a prefix. Its last words are kept in both cases. */
};

struct lp_process {
	uv_process_t handle;
	uv_poll_t watch; /**< Of a process that we did not start. */
	int watched_fd;  /**< A pidfd, if is_watched. */
	bool is_watched;
	bool is_leader; /**< Signals go to its whole group. */
	unsigned id;
	int pid; /**< 0 when it does not run. */
	unsigned open_handles;
	enum lp_output output;
	struct lp_process_output *outputs; /**< Two, unless the output is inherited. */
	struct lp_last_output *last_words; /**< NULL without them. */
	uv_timer_t retry;                  /**< Runs while an output is stalled. */
	void (*exited)(struct lp_process *process, int64_t status, int signal);
	void (*closed)(struct lp_process *process);
	void *owner; /**< The user's. */
};

/** What is started, and how. All pointers are borrowed for the call. */
struct lp_process_config {
	char *const *command;             /**< File (looked up in PATH) and arguments, NULL-terminated. */
	const struct lp_dialect *dialect; /**< Whose environment is added to ours. */
	/** Further "NAME=value"s for its environment, which override the dialect's; with marks as in dialect.h. */
	const char *const *variables;
	size_t variable_count;
	char *const *more; /**< Further "NAME=value"s for its environment, NULL-terminated; NULL for none. */
	unsigned id;    /**< The worker's, 1 and up. What it is called, and how many of them there are, goes into the */
	unsigned count; /**< environment as dialect.h says. */
	int channel_fd; /**< Becomes the child's LP_CHANNEL_FD; -1: it has none. */
	enum lp_output output;                     /**< In pipes it waits while ours has no room. */
	struct lp_descriptors_for_programs *limit; /**< The limit of descriptors that it begins with. */
};

/**
 * Start a process.
 *
 * It has descriptors 0 (/dev/null), 1, 2 and LP_CHANNEL_FD, and of our others those that are not CLOEXEC; default signal
 * handling; our environment with the dialect's variables and LIMPET_WORKER_ID, without what a Node or limpet above us
 * had meant for us.
 *
 * @param process  The caller's memory, until closed has run.
 * @param loop     Borrowed.
 * @param config   Borrowed for the call.
 * @param exited   Runs once, when it ended: its exit status and 0, or 0 and the signal that ended it.
 * @param owner    Kept in process->owner.
 *
 * @return 0; or negative errno (UV_ENOENT: no such program) with nothing running and exited never called; then, too,
 *         close it with lp_process_close.
 */
int lp_process_start(struct lp_process *process, uv_loop_t *loop, const struct lp_process_config *config,
		     void (*exited)(struct lp_process *process, int64_t status, int signal), void *owner);

/**
 * Watch a process that was started by another.
 *
 * @param process  The caller's memory, until closed has run.
 * @param loop     Borrowed.
 * @param pid      Its number.
 * @param pidfd    A descriptor of it: signals go through that, so they reach no other process. The process's, also after
 *                 an error.
 * @param leader   It leads a process group, all of which gets the signals that are sent to it.
 * @param exited   Runs once, when it ended, with 0 and 0: how it ended, only its parent knows.
 * @param owner    Kept in process->owner.
 *
 * @return 0; or negative errno (UV_ESRCH: it has ended) with exited never called; then, too, close it with
 *         lp_process_close.
 */
int lp_process_watch(struct lp_process *process, uv_loop_t *loop, int pid, int pidfd, bool leader,
		     void (*exited)(struct lp_process *process, int64_t status, int signal), void *owner);

/**
 * Send a signal to a process and to what it has started; nothing happens when it has ended.
 *
 * @param process  Started.
 * @param signal   SIGTERM, SIGKILL …
 */
void lp_process_kill(struct lp_process *process, int signal);

/** Send a signal to a process alone; nothing happens when it has ended. @param process Started. @param signal Which. */
void lp_process_signal(struct lp_process *process, int signal);

/**
 * Kill what a process has left behind in its group: a server whose shell has ended, say.
 *
 * @param process  Ended just now: its exited runs, and its number is nobody else's yet. Nothing is done for one that was
 *                 only watched: its number may be.
 */
void lp_process_kill_rest(struct lp_process *process);

/** Whether a process does nothing: it is stopped, as SIGSTOP does it, or it has ended, and exited runs soon.
 * @param process Started. */
bool lp_process_is_stopped(const struct lp_process *process);

/**
 * What a process has said last: the line that tells most.
 *
 * @param process  Ended just now, its output in pipes; else there are no words. What is left in them is passed on.
 * @param text     Filled on success; ends in NUL.
 * @param size     Bytes of text.
 *
 * @return Whether it has said anything.
 */
bool lp_process_last_words(struct lp_process *process, char *text, size_t size);

/**
 * Close the handles of a process that has ended, or never started. Output that it left in its pipes is passed on first,
 * as far as ours has room at this moment.
 *
 * @param process  As lp_process_start left it, or all zero.
 * @param closed   Runs once, on the loop, maybe before this returns; the memory is free to go then.
 */
void lp_process_close(struct lp_process *process, void (*closed)(struct lp_process *process));

#endif
