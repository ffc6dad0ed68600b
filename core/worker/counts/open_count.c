/*
 * Why the kernel: a plain Node cluster worker says nothing when a connection ends, nor does a preloaded server, and to
 * read a worker's /proc/PID/fd costs a system call for each descriptor and takes the worker's rights. The kernel sees
 * every end, whoever brings it about.
 *
 * Told, a destroyed socket is looked up and counted, and lists are only a safety net: after the kernel's messages
 * overflowed their queue, and every RESYNC_MS, for messages that it dropped silently when out of memory, and for sockets
 * that a worker closed and the kernel keeps all the same, a minute and more: the client does not acknowledge, or it does
 * not close its end (seen in one of some thousand such closes). A list shows that no process holds them.
 *
 * Asked, the lists are all there is. One list at a time, each kind of socket for itself and only while sockets of it
 * are remembered:
 *
 *     IDLE --first connection--> RESTING --timer--> LISTING --list read--> RESTING, or IDLE when nothing is remembered
 *
 * A list is read in a thread, since a single one of its system calls can take 14 ms; struct listing is the thread's until
 * it is done. What the list says is judged on the loop. It is a thread of our own: libuv ends the process when those of
 * its pool cannot be started.
 *
 * A connection is gone when a list says that no process holds it, or when it is in neither of two lists in a row: a
 * single list can leave an open socket out (socket_diag.c). Whatever is added while a list is being read counts as seen
 * by it.
 *
 * Limits. Judging a list of 10,000 connections takes the loop 40 us. A connection that was reset is gone from
 * lists at once, though its worker may not have closed it yet. Sockets of another network namespace than this process's
 * are not seen: they count as gone when asked, as open when told.
 */
#include "worker/counts/open_count.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "limpet/balancer.h"
#include "worker/counts/cookie_table.h"
#include "worker/counts/socket_diag.h"

/* From the end of one list of a kind to the next, when asked; when told, between the lists of the safety net. */
#define INTERVAL_MS 250
#define RESYNC_MS 30000

/* A list costs its processor time; afterwards nothing is asked for this many times as long: 2 % at most. */
#define REST_FACTOR 49

/* Batches of destroyed sockets that are read before the loop gets its turn. */
#define BATCHES_A_TURN 16

/* Lists in a row that a connection must be missing from. */
#define MISSES 2u

#define NO_KIND (-1)

_Static_assert(LP_COOKIE_TABLE_KINDS >= LP_SOCKET_KINDS, "the ledger keeps every kind apart");

struct kind {
	bool known;       /* The kernel can list it. */
	uint32_t lists;   /* Complete ones; the one being read is the next. */
	uint64_t due_ms;  /* When the next is wanted, on the loop's clock. */
	unsigned hurried; /* How many more lists are wanted at INTERVAL_MS although the kernel reports ends. */
};

/* A list being read, and how that went. */
struct listing {
	uv_thread_t thread;
	uv_async_t done;
	bool running;
	enum lp_socket_kind kind;
	struct lp_socket_diag_ports ports; /* A copy: the loop may add one meanwhile. */
	struct lp_socket_diag_list list;
	uint64_t cost_ns; /* Of processor time. */
	int status;
};

struct lp_open_count {
	uv_poll_t destroyed; /* Only when told. */
	int destroyed_fd;    /* -1: not told. */
	uv_timer_t timer;    /* Until the next list. */
	unsigned open_handles;
	bool stopping;

	struct lp_cookie_table ledger;
	struct lp_socket_diag_ports ports;
	struct kind kinds[LP_SOCKET_KINDS];
	struct listing listing;
	uint64_t rest_until_ms; /* No list before. */
	bool list_failed;       /* The last one did; said once. */

	unsigned gone[LIMPET_WORKERS_MAX + 1]; /* By worker, since on_closed last ran; [0]: not ours. */
	struct lp_log *log;
	lp_open_count_closed_cb on_closed;
	void *owner;
	void (*stopped)(void *owner);
	void *stopped_owner;
};

static bool is_told_of(const struct lp_open_count *count, int kind)
{
	return count->destroyed_fd >= 0 && kind != LP_SOCKET_UNIX;
}

/* Tell who has lost how many. The user may do anything, even stop, from on_closed. */
static void report_gone(struct lp_open_count *count)
{
	for (unsigned worker = 1; worker <= LIMPET_WORKERS_MAX && !count->stopping; worker++) {
		unsigned how_many = count->gone[worker];
		if (!how_many)
			continue;
		count->gone[worker] = 0;
		count->on_closed(count->owner, worker, how_many);
	}
}

static void on_timer(uv_timer_t *timer);

/* The kind whose list is wanted first, or NO_KIND. */
static int first_due(const struct lp_open_count *count)
{
	int first = NO_KIND;
	for (int kind = 0; kind < LP_SOCKET_KINDS; kind++)
		if (count->ledger.sizes[kind] &&
		    (first == NO_KIND || count->kinds[kind].due_ms < count->kinds[first].due_ms))
			first = kind;
	return first;
}

/* Set the timer for the list that is wanted first, if any is. */
static void schedule_list(struct lp_open_count *count)
{
	if (count->stopping || count->listing.running)
		return;
	int kind = first_due(count);
	if (kind == NO_KIND) {
		uv_timer_stop(&count->timer);
		return;
	}
	uint64_t when = count->kinds[kind].due_ms;
	if (when < count->rest_until_ms)
		when = count->rest_until_ms;
	uint64_t now = uv_now(count->timer.loop);
	uv_timer_start(&count->timer, on_timer, when > now ? when - now : 0, 0);
}

static void set_due(struct lp_open_count *count, int kind)
{
	bool seldom = is_told_of(count, kind) && !count->kinds[kind].hurried;
	count->kinds[kind].due_ms = uv_now(count->timer.loop) + (seldom ? RESYNC_MS : INTERVAL_MS);
}

static void read_list(void *argument)
{
	struct listing *listing = argument;
	uint64_t before = lp_clock_thread_ns();
	listing->status = lp_socket_diag_list(listing->kind, &listing->ports, &listing->list);
	listing->cost_ns = lp_clock_thread_ns() - before;
	uv_async_send(&listing->done);
}

/* What a complete list says of the connections that are remembered. */
static void judge_list(struct lp_open_count *count, const struct listing *listing)
{
	struct kind *kind = &count->kinds[listing->kind];
	kind->lists++;
	if (kind->hurried)
		kind->hurried--;
	for (size_t i = 0; i < listing->list.length; i++) {
		const struct lp_socket_diag_listed *socket = &listing->list.sockets[i];
		if (socket->held)
			lp_cookie_table_mark(&count->ledger, socket->cookie, kind->lists);
		else
			count->gone[lp_cookie_table_remove(&count->ledger, socket->cookie)]++;
	}
	lp_cookie_table_sweep(&count->ledger, listing->kind, kind->lists + 1 - MISSES, count->gone);
}

static void close_when_stopping(struct lp_open_count *count);

static void take_list(struct lp_open_count *count)
{
	struct listing *listing = &count->listing;
	if (listing->status == 0)
		judge_list(count, listing);
	else if (!count->list_failed)
		lp_log_write(count->log, LP_LOG_WARNING, NULL,
			     "the kernel's list of open connections cannot be read: %s; trying again",
			     lp_error_words(listing->status));
	count->list_failed = listing->status != 0;
	count->rest_until_ms = uv_now(count->timer.loop) + listing->cost_ns * REST_FACTOR / 1000000;
	set_due(count, listing->kind);
	schedule_list(count);
}

static void on_list_read(uv_async_t *done)
{
	struct lp_open_count *count = done->data;
	struct listing *listing = &count->listing;
	uv_thread_join(&listing->thread);
	listing->running = false;
	if (!count->stopping)
		take_list(count);
	free(listing->list.sockets);
	listing->list = (struct lp_socket_diag_list){0};
	report_gone(count);
	close_when_stopping(count);
}

static void on_timer(uv_timer_t *timer)
{
	struct lp_open_count *count = timer->data;
	struct listing *listing = &count->listing;
	int kind = first_due(count);
	if (kind == NO_KIND)
		return;
	listing->kind = (enum lp_socket_kind)kind;
	listing->ports = count->ports;
	listing->cost_ns = 0;
	int status = uv_thread_create(&listing->thread, read_list, listing);
	listing->running = status == 0;
	if (listing->running)
		return; /* Its status is the thread's to tell. */
	listing->status = status;
	take_list(count);
}

/* Messages were lost: find out soon, and as surely as when asked. */
static void hurry_lists(struct lp_open_count *count)
{
	for (int kind = 0; kind < LP_SOCKET_KINDS; kind++) {
		if (!is_told_of(count, kind))
			continue;
		count->kinds[kind].hurried = MISSES + count->listing.running; /* That one began too early. */
		count->kinds[kind].due_ms = uv_now(count->timer.loop);
	}
	schedule_list(count);
}

static void on_destroyed(uv_poll_t *poll, int status, int events)
{
	(void)events;
	struct lp_open_count *count = poll->data;
	if (status < 0) /* libuv stops at the error that says "overflow", which only reading takes away. */
		uv_poll_start(poll, UV_READABLE, on_destroyed);
	for (int batches = 0; batches < BATCHES_A_TURN; batches++) {
		uint64_t cookies[LP_SOCKET_DIAG_BATCH];
		status = lp_socket_diag_read_destroyed(count->destroyed_fd, cookies);
		for (int i = 0; i < status; i++)
			count->gone[lp_cookie_table_remove(&count->ledger, cookies[i])]++;
		if (status < 0)
			hurry_lists(count);
		if (status < LP_SOCKET_DIAG_BATCH)
			break;
	}
	report_gone(count);
}

/* Subscribe; returns 0 or why the kernel has to be asked instead. */
static int try_to_be_told(struct lp_open_count *count, uv_loop_t *loop)
{
	int fd = lp_socket_diag_open_destroyed();
	if (fd < 0)
		return fd;
	lp_socket_diag_narrow_destroyed(fd, &count->ports);
	int status = uv_poll_init(loop, &count->destroyed, fd);
	if (status) {
		close(fd);
		return status;
	}
	count->destroyed.data = count;
	count->open_handles++;
	count->destroyed_fd = fd;
	uv_poll_start(&count->destroyed, UV_READABLE, on_destroyed);
	return 0;
}

int lp_open_count_start(struct lp_open_count **started, uv_loop_t *loop, struct lp_log *log, bool ask_only,
			lp_open_count_closed_cb on_closed, void *owner)
{
	struct lp_open_count *count = calloc(1, sizeof(*count));
	if (!count)
		return UV_ENOMEM;
	count->destroyed_fd = -1;
	count->log = log;
	count->on_closed = on_closed;
	count->owner = owner;
	int status = lp_socket_diag_probe(LP_SOCKET_TCP);
	if (status) {
		free(count);
		return status;
	}
	status = uv_async_init(loop, &count->listing.done, on_list_read);
	if (status) {
		free(count);
		return status;
	}
	count->listing.done.data = count;
	count->kinds[LP_SOCKET_TCP].known = true;
	count->kinds[LP_SOCKET_UNIX].known = lp_socket_diag_probe(LP_SOCKET_UNIX) == 0;
	uv_timer_init(loop, &count->timer);
	count->timer.data = count;
	count->open_handles = 2;

	int refusal = ask_only ? 0 : try_to_be_told(count, loop);
	if (count->destroyed_fd >= 0)
		lp_log_write(log, LP_LOG_DEBUG, NULL, "counting open connections by kernel events");
	else
		lp_log_write(log, LP_LOG_DEBUG, NULL,
			     "counting open connections from the kernel's list, at most every %d ms%s%s", INTERVAL_MS,
			     refusal ? "; no kernel events: " : "", refusal ? lp_error_words(refusal) : "");
	*started = count;
	return 0;
}

int lp_open_count_add(struct lp_open_count *count, int fd, unsigned worker, uint16_t port)
{
	uint64_t cookie;
	if (worker < 1 || worker > LIMPET_WORKERS_MAX)
		return UV_EINVAL;
	enum lp_socket_kind kind = port ? LP_SOCKET_TCP : LP_SOCKET_UNIX;
	if (!count->kinds[kind].known)
		return UV_ENOTSUP;
	int status = lp_socket_diag_cookie(fd, &cookie);
	if (status)
		return status;
	if (port && lp_socket_diag_add_port(&count->ports, port) && count->destroyed_fd >= 0)
		lp_socket_diag_narrow_destroyed(count->destroyed_fd, &count->ports);
	bool as_seen = count->listing.running && count->listing.kind == kind;
	status = lp_cookie_table_add(&count->ledger, cookie, worker, kind, count->kinds[kind].lists + as_seen);
	if (status == 0 && count->ledger.sizes[kind] == 1) {
		set_due(count, kind);
		schedule_list(count);
	}
	return status;
}

unsigned lp_open_count_remove(struct lp_open_count *count, int fd)
{
	uint64_t cookie;
	return lp_socket_diag_cookie(fd, &cookie) == 0 ? lp_cookie_table_remove(&count->ledger, cookie) : 0;
}

void lp_open_count_forget_worker(struct lp_open_count *count, unsigned worker)
{
	lp_cookie_table_forget_worker(&count->ledger, worker);
	count->gone[worker] = 0;
}

size_t lp_open_count_size(const struct lp_open_count *count)
{
	return count->ledger.size;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct lp_open_count *count = handle->data;
	if (--count->open_handles)
		return;
	void (*stopped)(void *owner) = count->stopped;
	void *owner = count->stopped_owner;
	lp_cookie_table_clear(&count->ledger);
	free(count);
	if (stopped)
		stopped(owner);
}

/* A list that is being read is waited for: its thread uses what would be freed. */
static void close_when_stopping(struct lp_open_count *count)
{
	if (!count->stopping || count->listing.running || uv_is_closing((uv_handle_t *)&count->timer))
		return;
	uv_close((uv_handle_t *)&count->listing.done, on_handle_closed);
	uv_close((uv_handle_t *)&count->timer, on_handle_closed);
	if (count->destroyed_fd >= 0) {
		uv_close((uv_handle_t *)&count->destroyed, on_handle_closed);
		close(count->destroyed_fd);
	}
}

void lp_open_count_stop(struct lp_open_count *count, void (*stopped)(void *owner), void *owner)
{
	if (!count) {
		if (stopped)
			stopped(owner);
		return;
	}
	count->stopping = true;
	count->stopped = stopped;
	count->stopped_owner = owner;
	uv_timer_stop(&count->timer);
	if (count->destroyed_fd >= 0)
		uv_poll_stop(&count->destroyed);
	close_when_stopping(count);
}
