/*
 * libuv waits for the children that it has started, each by its number, when SIGCHLD has come. Ours runs a turn later, so
 * what libuv waits for is gone by then; a child of its that has ended since makes us stop, for its own signal is on the
 * way, and calls us again.
 */
#include "worker/orphans.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Reaped before the loop gets its turn. */
#define REAPED_A_TURN 64

/* Whether there may be more. */
static bool reap_one(struct lp_orphans *orphans)
{
	siginfo_t ended = {0};
	if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) || ended.si_pid == 0)
		return false;
	if (orphans->is_waited_for(orphans->owner, ended.si_pid))
		return false;
	return waitid(P_PID, (id_t)ended.si_pid, &ended, WEXITED | WNOHANG) == 0;
}

static void on_later(uv_timer_t *later)
{
	struct lp_orphans *orphans = later->data;
	bool more = true;
	for (int i = 0; i < REAPED_A_TURN && more; i++)
		more = reap_one(orphans);
	if (more)
		uv_timer_start(later, on_later, 0, 0);
}

static void on_child(uv_signal_t *child, int signal)
{
	struct lp_orphans *orphans = child->data;
	(void)signal;
	uv_timer_start(&orphans->later, on_later, 0, 0);
}

int lp_orphans_adopt(struct lp_orphans *orphans, uv_loop_t *loop, bool (*is_waited_for)(void *owner, int pid),
		     void *owner)
{
	*orphans = (struct lp_orphans){.is_waited_for = is_waited_for, .owner = owner};
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		return -errno;
	int status = uv_signal_init(loop, &orphans->child);
	if (status)
		return status;
	orphans->open_handles = 2;
	uv_timer_init(loop, &orphans->later);
	orphans->child.data = orphans;
	orphans->later.data = orphans;
	uv_signal_start(&orphans->child, on_child, SIGCHLD);
	uv_unref((uv_handle_t *)&orphans->child);
	return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct lp_orphans *orphans = handle->data;
	if (--orphans->open_handles == 0)
		orphans->closed(orphans->closed_owner);
}

void lp_orphans_close(struct lp_orphans *orphans, void (*closed)(void *owner), void *owner)
{
	orphans->closed = closed;
	orphans->closed_owner = owner;
	if (!orphans->open_handles) {
		closed(owner);
		return;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	uv_close((uv_handle_t *)&orphans->child, on_handle_closed);
	uv_close((uv_handle_t *)&orphans->later, on_handle_closed);
}
