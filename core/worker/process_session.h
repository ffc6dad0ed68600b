/**
 * What a program leaves behind: processes of its session (setsid(2)) that outlive it.
 */
#ifndef LP_WORKER_PROCESS_SESSION_H
#define LP_WORKER_PROCESS_SESSION_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "worker/process.h"

/** Processes of one session that are watched at a time; the others are looked for when those have ended. */
#define LP_SESSION_HELD_MAX 64

/** Those that a program left behind. The caller's memory; all zero before the first use. */
struct lp_process_session {
	pid_t id;
	uv_loop_t *loop;
	struct lp_process *left; /**< LP_SESSION_HELD_MAX, of which count are used; NULL while not in use. */
	unsigned count;
	unsigned open; /**< Of them, those whose handles are not closed. */
	bool ending;
	uv_timer_t patience; /**< To SIGKILL. */
	bool (*spares)(void *owner, pid_t pid);
	void (*ended)(struct lp_process_session *session);
	void *owner;
};

/**
 * Find the processes of a session, its leader too.
 *
 * @param id     The session's.
 * @param found  Runs for each.
 * @param owner  Passed to found.
 */
void lp_process_session_each(pid_t id, void (*found)(void *owner, pid_t pid), void *owner);

/**
 * Watch what is left of a session.
 *
 * @param session  Not in use.
 * @param loop     Borrowed.
 * @param id       The session's, which its leader had as its pid. The leader has ended just now.
 * @param spares   Whether a process gets no signals: somebody else ends it.
 * @param ended    Runs once, later, on the loop, when all processes have ended.
 * @param owner    Passed to spares, and kept in session->owner.
 *
 * @return Whether there are any; if not, or without memory, ended never runs.
 */
bool lp_process_session_hold(struct lp_process_session *session, uv_loop_t *loop, pid_t id,
			     bool (*spares)(void *owner, pid_t pid), void (*ended)(struct lp_process_session *session),
			     void *owner);

/**
 * End a session's processes: SIGTERM now, SIGKILL to what is there after patience_ms.
 *
 * @param session      Held. Twice is once.
 * @param patience_ms  From SIGTERM to SIGKILL.
 */
void lp_process_session_end(struct lp_process_session *session, uint64_t patience_ms);

/** Whether any are held: ended has not run yet. @param session Held before, or all zero. */
bool lp_process_session_is_held(const struct lp_process_session *session);

/** Kill at once what has not ended and is not spared. @param session Held or not. */
void lp_process_session_kill(struct lp_process_session *session);

#endif
