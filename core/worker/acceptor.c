/*
 * Accepting with accept4 ourselves, not through libuv: the descriptor must stay blocking, as accept(2) would give it to
 * a worker, and when the process is out of descriptors libuv closes clients to get one back, which we never do; where it
 * gets none back it tries for ever, and the loop stands still. We pause instead: clients wait in the backlog, and PAUSE_MS
 * later it is tried again.
 *
 * Other errors are mostly one client's trouble, which is over when accept has reported it. One that is not (a system call
 * that a sandbox forbids) shows by coming a whole batch long, and is paused for, too.
 */
#include "worker/acceptor.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

/* Connections accepted before the loop gets its turn, and errors in a row that are too many. */
#define ACCEPTS_A_TURN 64

#define PAUSE_MS 100

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_resume(uv_timer_t *resume)
{
	struct lp_acceptor *acceptor = resume->data;
	uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
}

static void pause_accepting(struct lp_acceptor *acceptor, int error)
{
	lp_log_limited(acceptor->log, LP_LOG_WARNING, LP_LOG_TOPIC_ACCEPT, LP_LOG_ABOUT(.listener = acceptor->name),
		       "%s: a connection cannot be accepted: %s; clients wait in the backlog, trying again in %d ms",
		       acceptor->name, lp_error_words(-error), PAUSE_MS);
	uv_poll_stop(&acceptor->poll);
	uv_timer_start(&acceptor->resume, on_resume, PAUSE_MS, 0);
}

/* Returns 0, or the errno. */
static int accept_one(struct lp_acceptor *acceptor)
{
	union lp_peer peer = {0};
	socklen_t length = sizeof(peer);
	int fd = accept4(acceptor->fd, &peer.any, &length, SOCK_CLOEXEC);
	if (fd < 0)
		return errno;
	acceptor->accepted(acceptor, fd, &peer);
	return 0;
}

static bool is_for_want(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void accept_batch(struct lp_acceptor *acceptor)
{
	int errors = 0;
	uint64_t until_ns = acceptor->turn_ns ? lp_clock_ns() + acceptor->turn_ns : UINT64_MAX;
	for (int i = 0; i < ACCEPTS_A_TURN && acceptor->fd >= 0 && (!i || lp_clock_ns() < until_ns); i++) {
		int error = accept_one(acceptor);
		if (error == EAGAIN)
			return;
		errors = error ? errors + 1 : 0;
		if (is_for_want(error) || errors == ACCEPTS_A_TURN) {
			pause_accepting(acceptor, error);
			return;
		}
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	accept_batch(poll->data);
}

int lp_acceptor_start(struct lp_acceptor *acceptor, uv_loop_t *loop, struct lp_log *log, const char *name, int fd,
		      lp_accepted_cb accepted, void *owner)
{
	*acceptor = (struct lp_acceptor){
		.fd = fd, .log = log, .name = name, .accepted = accepted, .open_handles = 2, .owner = owner};
	int status = uv_poll_init(loop, &acceptor->poll, fd);
	if (status)
		return status;
	uv_timer_init(loop, &acceptor->resume);
	acceptor->poll.data = acceptor;
	acceptor->resume.data = acceptor;
	uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
	return 0;
}

/* Connections in the backlog now, or its largest size where the kernel does not tell (unix sockets). */
static unsigned count_backlog(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_unacked : SOMAXCONN;
}

void lp_acceptor_stop(struct lp_acceptor *acceptor)
{
	if (acceptor->fd < 0)
		return;
	/* Closing would reset those that wait in the backlog. Those that come from now on are too late: clients who keep
	 * coming would hold us up for ever. */
	for (unsigned left = count_backlog(acceptor->fd); left; left--) {
		int error = accept_one(acceptor);
		if (error == EAGAIN || is_for_want(error))
			break;
	}
	uv_poll_stop(&acceptor->poll);
	uv_timer_stop(&acceptor->resume);
	close(acceptor->fd);
	acceptor->fd = -1;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct lp_acceptor *acceptor = handle->data;
	if (--acceptor->open_handles == 0)
		acceptor->closed(acceptor);
}

void lp_acceptor_close(struct lp_acceptor *acceptor, void (*closed)(struct lp_acceptor *acceptor))
{
	lp_acceptor_stop(acceptor);
	acceptor->closed = closed;
	uv_close((uv_handle_t *)&acceptor->poll, on_handle_closed);
	uv_close((uv_handle_t *)&acceptor->resume, on_handle_closed);
}
