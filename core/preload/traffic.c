/*
 * A kept-alive connection carries requests of several sessions; only the first was routed. Each later one is looked at
 * here, unread:
 *
 *     phase    next byte                     leaves on
 *     AT_HEAD  begins a request              a head that stays here -> INSIDE; one that does not -> the connection is given back
 *     INSIDE   of a request that stays here  its last byte was read -> AT_HEAD
 *     OPAQUE   anything                      never: an upgrade, a chunked body, or no HTTP
 *
 * The program never gets bytes of two requests in one read, so that the second is still whole when it belongs elsewhere.
 * A connection is given back only when the request before it was answered: with requests sent ahead of their answers
 * (which browsers do not) the rest stays here.
 *
 * Giving back: limpet gets a copy of the descriptor, and the program's own number names a socket whose other end is
 * closed. So the program sees an end, and whatever it does to end its side meets nobody.
 */
#include "preload/traffic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "preload/descriptors.h"
#include "preload/real.h"
#include "preload/request.h"
#include "preload/self.h"

static bool begins_with(const struct iovec *piece, const char *text)
{
	return piece->iov_len >= strlen(text) && memcmp(piece->iov_base, text, strlen(text)) == 0;
}

void lp_traffic_writing(int fd, const struct iovec *pieces, size_t count)
{
	struct lp_descriptor *connection = &lp_descriptors[fd];
	connection->answered = true;
	if (connection->opaque_out || !connection->to_learn || !count)
		return;
	if (begins_with(&pieces[0], "HTTP/1.1 101")) {
		connection->opaque_out = true;
		connection->phase = LP_OPAQUE;
		return;
	}
	for (size_t i = 0; i < count && connection->to_learn; i++) {
		size_t length = pieces[i].iov_len < connection->to_learn ? pieces[i].iov_len : connection->to_learn;
		if (length)
			connection->in_head =
				lp_self_learn((struct lp_slice){pieces[i].iov_base, length}, connection->in_head);
		connection->to_learn = (uint16_t)(connection->to_learn - length);
	}
}

/* Let the number name a socket whose other end is closed. Returns 0 or negative errno, with nothing changed. */
static int name_the_end(int fd)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	int status = lp_descriptor_name(fd, pair[0]);
	lp_real()->close(pair[0]);
	lp_real()->close(pair[1]);
	return status;
}

/* The event loop's watch is of the connection, not of the number: when that changes, it has to move. */
static void move_watch(int fd, int verb)
{
	struct lp_descriptor *connection = &lp_descriptors[fd];
	if (connection->epoll >= 0)
		lp_real()->epoll_ctl(connection->epoll, verb, fd, &connection->watch);
}

static bool give_back(int fd)
{
	const struct lp_real *real = lp_real();
	int copy = real->fcntl(fd, F_DUPFD_CLOEXEC, LP_DESCRIPTORS_OURS);
	if (copy < 0)
		return false;
	move_watch(fd, EPOLL_CTL_DEL);
	bool given = name_the_end(fd) == 0;
	if (given && lp_self_bounce(copy)) {
		lp_descriptor_name(fd, copy);
		given = false;
	}
	move_watch(fd, EPOLL_CTL_ADD);
	real->close(copy);
	if (given)
		lp_descriptor_forget(fd);
	return given;
}

/* Whether a request is for limpet to decide. */
static bool is_foreign(const struct lp_request *request)
{
	enum lp_frame_each each = lp_self_each();
	if (each != LP_EACH_NONE && request->sid.bytes)
		return !lp_self_knows(request->sid);
	return each == LP_EACH_REQUEST;
}

static void set_lowat(int fd, struct lp_descriptor *connection, int bytes)
{
	lp_real()->setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
	connection->lowat = bytes > 1;
}

/* Whether nothing more can come. */
static bool is_ended(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLRDHUP};
	return lp_real()->poll(&one, 1, 0) > 0;
}

/* The next request is here, as far as it came. Returns as lp_traffic_reading, or -EAGAIN to wait for more of it. */
static int judge(int fd, const char *head, size_t length)
{
	struct lp_descriptor *connection = &lp_descriptors[fd];
	struct lp_request request;
	if (!lp_request_read(&request, head, length) && !is_ended(fd)) {
		set_lowat(fd, connection, (int)length + 1);
		return -EAGAIN;
	}
	if (connection->lowat)
		set_lowat(fd, connection, 1);
	if (!connection->first && connection->answered && is_foreign(&request) && give_back(fd))
		return 0;
	connection->first = false;
	connection->answered = false;
	connection->phase = request.opaque ? LP_OPAQUE : LP_INSIDE;
	connection->left = request.length;
	return 1;
}

/* Look at the next request. Returns as lp_traffic_reading. */
static int look(int fd, bool waits)
{
	char head[LP_REQUEST_HEAD_MAX];
	for (;;) {
		ssize_t got = lp_real()->recv(fd, head, sizeof(head), MSG_PEEK | (waits ? 0 : MSG_DONTWAIT));
		if (got < 0 && errno == ENOTSOCK)
			lp_descriptor_forget(fd); /* Closed behind our back; the number is a file's now. */
		if (got <= 0)
			return got < 0 && errno != ENOTSOCK ? -1 : 1; /* The end: the program's own read tells it. */
		int verdict = judge(fd, head, (size_t)got);
		if (verdict != -EAGAIN)
			return verdict;
		if (!waits) {
			errno = EAGAIN;
			return -1;
		}
	}
}

int lp_traffic_reading(int fd, size_t want, bool waits, size_t *allowed)
{
	struct lp_descriptor *connection = &lp_descriptors[fd];
	*allowed = want;
	if (connection->phase == LP_AT_HEAD && want) {
		int verdict = look(fd, waits);
		if (verdict <= 0)
			return verdict;
	}
	if (connection->phase == LP_INSIDE && connection->left < want)
		*allowed = (size_t)connection->left;
	return 1;
}

/* A read that was cut short may have left bytes that an edge-triggered loop was told of, and waits to be told of anew. */
static void tell_again(int fd)
{
	if (lp_descriptors[fd].watch.events & EPOLLET)
		move_watch(fd, EPOLL_CTL_MOD);
}

void lp_traffic_has_read(int fd, size_t got)
{
	struct lp_descriptor *connection = &lp_descriptors[fd];
	if (!connection->opaque_out) {
		connection->to_learn = LP_LEARN_BYTES;
		connection->in_head = true;
	}
	if (connection->phase != LP_INSIDE)
		return;
	connection->left -= got < connection->left ? got : connection->left;
	if (connection->left == 0) {
		connection->phase = LP_AT_HEAD;
		tell_again(fd);
	}
}
