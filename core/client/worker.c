/*
 * The native dialect, the worker's end. include/limpet/worker.h says what a program sees; this is how it is kept.
 *
 * A batch of connections is taken from the channel, acknowledged with one frame, and only then given out:
 *
 *     in the channel --take_batch--> TAKEN --report sent--> OURS --give--> the program's
 *          \                            \
 *           the worker dies, or the channel breaks: limpet gives these to other workers; TAKEN ones are closed unread
 *
 * Two kinds of report leave, and neither is ever lost while limpet lives: frames that say one thing each (ready, nack,
 * session, forget) wait in `out`, in order; the ack says the whole state, so a flag that one is due is all that waits.
 * The ack goes last, since a nack must not come behind an ack that covers it. When the socket is full, the flag
 * waits_for_room puts EPOLLOUT into the set that limpet_worker_fd gives to the program: its own loop then calls accept,
 * which sends on. Nothing more is taken until then, so `out` can grow by sessions only, and those have a bound.
 *
 * A connection's end does not wake limpet: the next ack reports it, or, when no connection comes, a timer that
 * the first end starts. Under load that is one message a connection instead of two.
 *
 * A connection that ends soon after it came may still have its copy at limpet, and whoever closes last does the kernel's
 * work of burying a socket: 2 of the 10 µs that such a connection costs. limpet is one process and the workers are many,
 * so a connection is shut down, which is all the client sees, and then parked for that same while before it is closed.
 *
 * The set is an epoll instance so that "there is a connection", "there is room again" and "a report is due" look the
 * same from outside: one descriptor, readable.
 */
#include "limpet/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "client/outbox.h"
#include "client/outgoing.h"
#include "wire/frame.h"
#include "wire/scm_rights.h"

/* Connections that are shut down and not yet closed. */
#define PARKED_MAX 64

/* Room for a batch of nacks, whatever happens to memory. */
#define OUT_FIRST (LIMPET_WORKER_BATCH_MAX * (sizeof(uint16_t) + LP_FRAME_SHORT_MAX))

struct limpet_worker {
	int channel;
	int timer;
	int set;         /* The epoll instance: the channel and the timer. */
	uint32_t events; /* That it watches the channel for. */
	unsigned id;
	unsigned batch;

	bool is_ready;
	bool drained;        /* No more connections will come. */
	bool broken;         /* Nothing can be sent any more; drained, too. */
	bool waits_for_room; /* A report did not fit into the socket. */
	bool report_due;     /* The state has changed since the last ack. */
	bool timer_set;
	bool unconfirmed; /* The batch is not acknowledged yet. */

	uint64_t arrived; /* The number of the last connection, with a descriptor or without. */
	uint64_t open;
	uint64_t timer_ns; /* When the timer fires, on the monotonic clock. */
	int taken[LIMPET_WORKER_BATCH_MAX];
	unsigned taken_count;
	unsigned given; /* Of taken. */

	int parked[PARKED_MAX]; /* A ring; -1 where none is. */
	unsigned parked_next;

	struct lp_outbox out;

	limpet_message_cb on_message;
	bool gone_told;
	void *owner; /* Its. */
	char *in;    /* The frame that came, and a NUL. */
};

/* Whether what comes is of interest: connections until they end, messages for as long as there is a limpet. */
static bool wants_events(const struct limpet_worker *worker)
{
	return !worker->broken && (!worker->drained || worker->on_message);
}

static void watch_socket(struct limpet_worker *worker)
{
	struct epoll_event event = {.events = wants_events(worker) ? EPOLLIN : 0};
	if (worker->waits_for_room && !worker->broken)
		event.events = EPOLLOUT; /* And only that: what comes in is not taken until there is room. */
	if (event.events == worker->events)
		return;
	/* Without events it has to leave the set: EPOLLHUP is reported unasked, for ever. */
	int verb = !event.events ? EPOLL_CTL_DEL : worker->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(worker->set, verb, worker->channel, &event) == 0)
		worker->events = event.events;
}

/* With a descriptor, or -1: 0, -EAGAIN or -EPIPE. */
static int send_with(struct limpet_worker *worker, const char *bytes, size_t length, int fd)
{
	if (worker->broken)
		return -EPIPE;
	ssize_t sent = lp_scm_rights_send(worker->channel, bytes, length, fd);
	if (sent >= 0)
		return 0;
	if (sent == -EAGAIN || sent == -EINTR || sent == -ENOBUFS || sent == -ENOMEM || sent == -ETOOMANYREFS)
		return -EAGAIN;
	worker->broken = true;
	worker->drained = true;
	return -EPIPE;
}

static int send_frame(struct limpet_worker *worker, const char *bytes, size_t length)
{
	return send_with(worker, bytes, length, -1);
}

/* Send the frames that wait: 0, -EAGAIN or -EPIPE. */
static int send_waiting(struct limpet_worker *worker)
{
	size_t sent = 0;
	size_t end = 0;
	int status = 0;
	struct lp_slice frame;
	while (status == 0 && (frame = lp_outbox_next(&worker->out, &end)).bytes) {
		status = send_frame(worker, frame.bytes, frame.length);
		if (status == 0)
			sent = end;
	}
	lp_outbox_consume(&worker->out, sent);
	return status;
}

static int send_report(struct limpet_worker *worker)
{
	char text[LP_FRAME_SHORT_MAX];
	struct lp_frame ack = {.kind = LP_FRAME_ACK, .number = worker->arrived, .open = (int64_t)worker->open};
	if (!worker->report_due)
		return 0;
	int status = send_frame(worker, text, lp_frame_write(&ack, text));
	if (status == 0) {
		worker->report_due = false;
		worker->unconfirmed = false;
	}
	return status;
}

/* Send the frames that wait and, if wanted, what the state is: 0, -EAGAIN or -EPIPE. A report that met a full socket
 * before is wanted always: forgetting that it waits for room would leave its batch unconfirmed for ever. */
static int write_frames(struct limpet_worker *worker, bool with_report)
{
	int status = send_waiting(worker);
	if (status == 0 && (with_report || worker->waits_for_room))
		status = send_report(worker);
	worker->waits_for_room = status == -EAGAIN;
	watch_socket(worker);
	return status;
}

/* Close a connection later: it replaces one that has waited to be closed. */
static void close_later(struct limpet_worker *worker, int connection)
{
	int *place = &worker->parked[worker->parked_next++ % PARKED_MAX];
	if (*place >= 0)
		close(*place);
	*place = connection;
}

static void close_parked(struct limpet_worker *worker)
{
	for (unsigned i = 0; i < PARKED_MAX; i++)
		close_later(worker, -1);
}

static void take_connection(struct limpet_worker *worker, uint64_t number, int fd)
{
	worker->arrived = number;
	worker->report_due = true;
	worker->unconfirmed = true;
	if (fd >= 0) {
		worker->taken[worker->taken_count++] = fd;
		worker->open++;
		return;
	}
	close_parked(worker); /* These count towards the limit of open files. */
	lp_outbox_put(&worker->out,
		      &(struct lp_frame){.kind = LP_FRAME_NACK, .number = number}); /* OUT_FIRST is room enough. */
}

/* Give a message to the program. Its name and its bytes get a NUL each, which replaces the byte that ended them. */
static void give_message(struct limpet_worker *worker, const struct lp_frame *frame)
{
	static const enum limpet_message_kind kinds[] = {[LP_FRAME_VALUE] = LIMPET_MESSAGE_VALUE,
							 [LP_FRAME_REFUSED] = LIMPET_MESSAGE_REFUSED,
							 [LP_FRAME_PUBLISH] = LIMPET_MESSAGE_PUBLISHED,
							 [LP_FRAME_PUSH] = LIMPET_MESSAGE_PUSHED};
	struct limpet_message message = {.kind = kinds[frame->kind],
					 .request = frame->number,
					 .name = frame->key.bytes,
					 .bytes = frame->value.bytes,
					 .length = frame->value.length};
	if (frame->key.bytes)
		worker->in[(size_t)(frame->key.bytes - worker->in) + frame->key.length] = '\0';
	if (worker->on_message)
		worker->on_message(worker, &message, worker->owner);
}

static void take_frame(struct limpet_worker *worker, size_t length, int fd)
{
	struct lp_frame frame;
	worker->in[length] = '\0';
	bool known = lp_frame_parse(&frame, worker->in, length) == 0;
	if (known && frame.kind == LP_FRAME_CONNECTION) {
		take_connection(worker, frame.number, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (known && frame.kind == LP_FRAME_DRAIN)
		worker->drained = true;
	else if (known && (frame.kind == LP_FRAME_VALUE || frame.kind == LP_FRAME_REFUSED ||
			   frame.kind == LP_FRAME_PUBLISH || frame.kind == LP_FRAME_PUSH))
		give_message(worker, &frame);
}

/* Take one message: whether there was one. */
static bool take_message(struct limpet_worker *worker)
{
	int fd;
	ssize_t length = lp_scm_rights_receive(worker->channel, worker->in, LP_FRAME_MAX, MSG_CMSG_CLOEXEC, &fd);
	if (length == -EAGAIN || length == -EINTR || length == -ENOMEM)
		return false;
	if (length <= 0) {
		worker->broken = true;
		worker->drained = true;
		return false;
	}
	take_frame(worker, (size_t)length, fd);
	return true;
}

static void take_batch(struct limpet_worker *worker)
{
	worker->taken_count = 0;
	worker->given = 0;
	for (unsigned i = 0; i < worker->batch && wants_events(worker); i++) {
		if (!take_message(worker))
			break;
	}
}

static void discard_batch(struct limpet_worker *worker)
{
	for (; worker->given < worker->taken_count; worker->given++)
		close(worker->taken[worker->given]);
}

static int give_connection(struct limpet_worker *worker, int flags)
{
	int fd = worker->taken[worker->given++];
	int mode = fcntl(fd, F_GETFL);
	int wanted = flags & SOCK_NONBLOCK ? mode | O_NONBLOCK : mode & ~O_NONBLOCK;
	if (wanted != mode)
		fcntl(fd, F_SETFL, wanted);
	return fd;
}

static uint64_t clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void set_timer(struct limpet_worker *worker)
{
	struct itimerspec once = {.it_value.tv_nsec = LIMPET_WORKER_REPORT_MS * 1000000L};
	if (worker->timer_set)
		return;
	worker->timer_ns = clock_ns() + LIMPET_WORKER_REPORT_MS * UINT64_C(1000000);
	worker->timer_set = timerfd_settime(worker->timer, 0, &once, NULL) == 0;
}

/* Whether the timer has fired since it was set. The clock is asked before the kernel: that costs no system call. */
static bool timer_fired(struct limpet_worker *worker)
{
	uint64_t times;
	if (!worker->timer_set || clock_ns() < worker->timer_ns || read(worker->timer, &times, sizeof(times)) < 0)
		return false;
	worker->timer_set = false;
	close_parked(worker);
	return true;
}

/* Nothing more will come: leave the program's loop alone. */
static int shut_down(struct limpet_worker *worker)
{
	if (worker->broken && worker->on_message && !worker->gone_told) {
		worker->gone_told = true;
		worker->on_message(worker, &(struct limpet_message){.kind = LIMPET_MESSAGE_GONE}, worker->owner);
	}
	if (worker->timer_set)
		timerfd_settime(worker->timer, 0, &(struct itimerspec){0}, NULL);
	worker->timer_set = false;
	close_parked(worker);
	return -ESHUTDOWN;
}

int limpet_worker_accept(struct limpet_worker *worker, int flags)
{
	if (!worker->unconfirmed && worker->given < worker->taken_count)
		return give_connection(worker, flags);
	bool report = timer_fired(worker);
	if (worker->waits_for_room && write_frames(worker, true) == -EAGAIN)
		return -EAGAIN;
	if (worker->given == worker->taken_count)
		take_batch(worker);
	report |= worker->unconfirmed || worker->drained;
	if (write_frames(worker, report) == -EAGAIN && worker->unconfirmed)
		return -EAGAIN;
	if (worker->unconfirmed) { /* The channel broke: these belong to another worker by now. */
		worker->open -= worker->taken_count;
		worker->unconfirmed = false;
		discard_batch(worker);
	}
	if (worker->given < worker->taken_count)
		return give_connection(worker, flags);
	return worker->drained ? shut_down(worker) : -EAGAIN;
}

void limpet_worker_closed(struct limpet_worker *worker)
{
	if (worker->open == 0)
		return;
	worker->open--;
	worker->report_due = true;
	if (worker->drained)
		write_frames(worker, true); /* There will be no other occasion. */
	else
		set_timer(worker);
}

void limpet_worker_close(struct limpet_worker *worker, int connection)
{
	shutdown(connection, SHUT_RDWR);
	if (worker->drained)
		close(connection);
	else
		close_later(worker, connection);
	limpet_worker_closed(worker);
}

int limpet_worker_bounce(struct limpet_worker *worker, int connection)
{
	char text[LP_FRAME_SHORT_MAX];
	if (worker->drained)
		return -EPIPE;
	int status = write_frames(worker, false); /* A session that was learnt here must not come behind. */
	if (status == 0)
		status = send_with(worker, text, lp_frame_write(&(struct lp_frame){.kind = LP_FRAME_BOUNCE}, text),
				   connection);
	if (status)
		return status;
	close(connection); /* limpet has a copy: the client sees nothing of this. */
	limpet_worker_closed(worker);
	return 0;
}

size_t limpet_worker_open(const struct limpet_worker *worker)
{
	return (size_t)worker->open;
}

int lp_client_send_frame(struct limpet_worker *worker, const struct lp_frame *frame)
{
	if (worker->broken)
		return -EPIPE;
	int status = lp_outbox_put(&worker->out, frame);
	if (status)
		return status;
	return write_frames(worker, false) == -EPIPE ? -EPIPE : 0;
}

int limpet_worker_ready(struct limpet_worker *worker)
{
	if (worker->is_ready)
		return 0;
	int status = lp_client_send_frame(worker, &(struct lp_frame){.kind = LP_FRAME_READY});
	if (status)
		return status;
	worker->is_ready = true;
	worker->report_due = true; /* "ack 0 0": limpet need not find out by itself what is open here. */
	return write_frames(worker, true) == -EPIPE ? -EPIPE : 0;
}

int limpet_worker_session(struct limpet_worker *worker, const char *key, size_t length)
{
	return lp_client_send_frame(worker, &(struct lp_frame){.kind = LP_FRAME_SESSION, .key = {key, length}});
}

int limpet_worker_forget(struct limpet_worker *worker, const char *key, size_t length)
{
	return lp_client_send_frame(worker, &(struct lp_frame){.kind = LP_FRAME_FORGET, .key = {key, length}});
}

void limpet_worker_on_message(struct limpet_worker *worker, limpet_message_cb on_message, void *owner)
{
	worker->on_message = on_message;
	worker->owner = owner;
	watch_socket(worker);
}

int limpet_worker_fd(const struct limpet_worker *worker)
{
	return worker->set;
}

unsigned limpet_worker_id(const struct limpet_worker *worker)
{
	return worker->id;
}

/* A number from the environment; 0 when there is none, which neither variable can be. */
static unsigned read_variable(const char *name)
{
	const char *text = getenv(name);
	char *end;
	unsigned long number = text && *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
	return number && *end == '\0' && number <= INT32_MAX ? (unsigned)number : 0;
}

/* The variable may be a stranger's, inherited through a program that closed the channel. */
static bool is_channel(int fd)
{
	int type = 0;
	int domain = 0;
	socklen_t size = sizeof(int);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

static void free_parts(struct limpet_worker *worker)
{
	if (worker->timer >= 0)
		close(worker->timer);
	if (worker->set >= 0)
		close(worker->set);
	free(worker->in);
	lp_outbox_deinit(&worker->out);
	free(worker);
}

int limpet_worker_new(struct limpet_worker **worker, unsigned batch)
{
	*worker = NULL;
	if (batch < 1 || batch > LIMPET_WORKER_BATCH_MAX)
		return -EINVAL;
	int channel = (int)read_variable("LIMPET_CHANNEL_FD");
	if (!channel || !is_channel(channel))
		return -ENOTCONN;
	struct limpet_worker *made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->in = malloc(LP_FRAME_MAX + 1);
	made->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	made->set = epoll_create1(EPOLL_CLOEXEC);
	memset(made->parked, 0xff, sizeof(made->parked));
	made->channel = channel;
	made->batch = batch;
	made->id = read_variable("LIMPET_WORKER_ID");
	watch_socket(made);
	struct epoll_event event = {.events = EPOLLIN};
	if (lp_outbox_init(&made->out, OUT_FIRST) || !made->in || !made->events ||
	    epoll_ctl(made->set, EPOLL_CTL_ADD, made->timer, &event)) {
		int status = made->timer < 0 || made->set < 0 ? -EMFILE : -ENOMEM;
		free_parts(made);
		return status;
	}
	fcntl(channel, F_SETFD, FD_CLOEXEC);
	*worker = made;
	return 0;
}

void limpet_worker_free(struct limpet_worker *worker)
{
	if (!worker)
		return;
	write_frames(worker, !worker->unconfirmed);
	discard_batch(worker);
	close_parked(worker);
	close(worker->channel);
	free_parts(worker);
}
