/*
 * A program that is started here leads a session of its own, and what it starts in turn is in it (except daemons, which
 * leave it on purpose). When the leader has ended, the kernel does not give its number to another process while the
 * session has members, so they can be found by it. Each is then held by a pidfd (lp_process_watch) and gets its signals
 * through that, since a number may be another process's by then.
 */
#include "worker/process_session.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/pidfd.h"

void lp_process_session_each(pid_t id, void (*found)(void *owner, pid_t pid), void *owner)
{
	DIR *folder = opendir("/proc");
	struct dirent *entry;
	while (folder && (entry = readdir(folder))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid > 0 && getsid(pid) == id)
			found(owner, pid);
	}
	if (folder)
		closedir(folder);
}

static void on_patience_closed(uv_handle_t *handle)
{
	struct lp_process_session *session = handle->data;
	free(session->left);
	session->left = NULL;
	session->ended(session);
}

static void hold_all(struct lp_process_session *session);

/* The last of those that were watched: what they have started meanwhile, or there was no room for, is next. */
static void on_all_closed(struct lp_process_session *session)
{
	session->count = 0;
	hold_all(session);
	if (session->count == 0)
		uv_close((uv_handle_t *)&session->patience, on_patience_closed);
}

static void on_held_closed(struct lp_process *process)
{
	struct lp_process_session *session = process->owner;
	if (--session->open == 0)
		on_all_closed(session);
}

static void on_held_ended(struct lp_process *process, int64_t status, int signal)
{
	(void)status;
	(void)signal;
	lp_process_close(process, on_held_closed);
}

static void on_nothing_closed(struct lp_process *process)
{
	(void)process;
}

static bool is_held(const struct lp_process_session *session, pid_t pid)
{
	for (unsigned i = 0; i < session->count; i++)
		if (session->left[i].pid == pid)
			return true;
	return false;
}

static void send_signal(struct lp_process_session *session, struct lp_process *process, int signal)
{
	if (process->pid && !session->spares(session->owner, process->pid))
		lp_process_kill(process, signal);
}

static void hold(void *owner, pid_t pid)
{
	struct lp_process_session *session = owner;
	if (session->count == LP_SESSION_HELD_MAX || is_held(session, pid))
		return;
	struct lp_process *process = &session->left[session->count];
	int pidfd = lp_pidfd_open(pid);
	if (pidfd < 0)
		return;
	if (getsid(pid) != session->id) { /* It has ended meanwhile, and the number is another's. */
		close(pidfd);
		return;
	}
	if (lp_process_watch(process, session->loop, pid, pidfd, false, on_held_ended, session)) {
		lp_process_close(process, on_nothing_closed); /* No handle is open, so this is done at once. */
		return;
	}
	session->count++;
	session->open++;
	if (session->ending)
		send_signal(session, process, SIGTERM);
}

static void hold_all(struct lp_process_session *session)
{
	lp_process_session_each(session->id, hold, session);
}

static void signal_all(struct lp_process_session *session, int signal)
{
	hold_all(session);
	for (unsigned i = 0; i < session->count; i++)
		send_signal(session, &session->left[i], signal);
}

static void on_patience(uv_timer_t *patience)
{
	signal_all(patience->data, SIGKILL);
}

bool lp_process_session_hold(struct lp_process_session *session, uv_loop_t *loop, pid_t id,
			     bool (*spares)(void *owner, pid_t pid), void (*ended)(struct lp_process_session *session),
			     void *owner)
{
	*session = (struct lp_process_session){.id = id,
					       .loop = loop,
					       .left = calloc(LP_SESSION_HELD_MAX, sizeof(*session->left)),
					       .spares = spares,
					       .ended = ended,
					       .owner = owner};
	if (session->left)
		hold_all(session);
	if (session->count == 0) {
		free(session->left);
		session->left = NULL;
		return false;
	}
	uv_timer_init(loop, &session->patience);
	session->patience.data = session;
	return true;
}

bool lp_process_session_is_held(const struct lp_process_session *session)
{
	return session->left != NULL;
}

static bool is_in_use(const struct lp_process_session *session)
{
	return session->left && !uv_is_closing((const uv_handle_t *)&session->patience);
}

void lp_process_session_end(struct lp_process_session *session, uint64_t patience_ms)
{
	if (!is_in_use(session) || session->ending)
		return;
	session->ending = true;
	signal_all(session, SIGTERM);
	uv_timer_start(&session->patience, on_patience, patience_ms, patience_ms);
}

void lp_process_session_kill(struct lp_process_session *session)
{
	if (is_in_use(session))
		signal_all(session, SIGKILL);
}
