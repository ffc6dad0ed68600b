/*
 * A kept-alive connection carries requests of several sessions; only the first was routed. Each later one is looked at
 * here, unread, and may be for limpet to decide. Then:
 *
 *     what is known                                            the connection
 *     all requests before it are answered                      is given back
 *     some are not: it was sent ahead (browsers do not)        stays, with this request
 *     where it begins is not known (LOST), but all before it   is ended: a client may send it again, as behind any end of
 *     seem to be answered                                      a connection that it keeps
 *     nothing (OPAQUE)                                         stays
 *
 * The program never gets bytes of two requests in one read, so that the second is still whole when it belongs elsewhere.
 *
 * Giving back: limpet gets a copy of the descriptor, and the program's own number names a socket whose other end is
 * closed. So the program sees an end, and whatever it does to end its side meets nobody.
 */
#include "preload/connection_traffic.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "preload/descriptors.h"
#include "preload/http_request.h"
#include "preload/libc.h"
#include "preload/registration.h"

/* How often, and how many bytes each time, are read and dropped at the end of a connection. */
#define DISCARDS_MAX 64
#define DISCARD_SIZE 4096

/* Ends */

/* Let the number name a socket whose other end is closed. Returns 0 or negative errno, with nothing changed. */
static int name_the_end(int fd)
{
	int pair[2];
	if (lp_libc()->socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	int status = lp_descriptor_name(fd, pair[0]);
	lp_libc()->close(pair[0]);
	lp_libc()->close(pair[1]);
	return status;
}

/* The event loop's watch is of the connection, not of the number: when that changes, it has to move. */
static void move_watch(int fd, int verb)
{
	struct lp_descriptor *connection = &lp_descriptors[fd];
	if (connection->epoll >= 0)
		lp_libc()->epoll_ctl(connection->epoll, verb, fd, &connection->watch);
}

static bool give_back(int fd)
{
	const struct lp_libc *real = lp_libc();
	int copy = real->fcntl(fd, F_DUPFD_CLOEXEC, LP_DESCRIPTORS_OURS);
	if (copy < 0)
		return false;
	move_watch(fd, EPOLL_CTL_DEL);
	bool given = name_the_end(fd) == 0;
	if (given && lp_registration_bounce(copy)) {
		lp_descriptor_name(fd, copy);
		given = false;
	}
	move_watch(fd, EPOLL_CTL_ADD);
	real->close(copy);
	if (given)
		lp_http_exchange_stop(lp_descriptor_exchange(fd));
	return given;
}

/* Bytes that nobody has read would turn the end into a reset, which may take the last response with it. */
static void discard_unread(int fd)
{
	char bytes[DISCARD_SIZE];
	for (unsigned i = 0; i < DISCARDS_MAX && lp_libc()->recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0; i++)
		;
}

/* End a connection after a response. */
static void end_connection(int fd)
{
	lp_libc()->shutdown(fd, SHUT_WR);
	discard_unread(fd);
	move_watch(fd, EPOLL_CTL_DEL);
	name_the_end(fd);
	move_watch(fd, EPOLL_CTL_ADD);
	lp_http_exchange_stop(lp_descriptor_exchange(fd));
}

/* Heads */

/*
 * Whether a request is for limpet to decide. With LP_EACH_SESSION that is one of a session of another process, and one that
 * asks for a new session: behind a proxy that keeps few connections, all sessions would begin in the same process. What
 * limpet could not read with certainty stays.
 */
static bool is_foreign(const struct lp_http_request *request)
{
	enum lp_frame_each each = lp_registration_each();
	if (request->end == LP_END_UNKNOWN || request->end == LP_END_NEVER)
		return false;
	if (each != LP_EACH_NONE && request->sid.bytes)
		return !lp_registration_knows(request->sid);
	return each == LP_EACH_REQUEST || (each == LP_EACH_SESSION && request->opens_session);
}

static void set_lowat(int fd, int bytes)
{
	lp_libc()->setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
	lp_descriptors[fd].lowat = bytes > 1;
}

/* Whether nothing more can come. */
static bool is_ended(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLRDHUP};
	return lp_libc()->poll(&one, 1, 0) > 0;
}

static bool is_nonblocking(int fd, int flags)
{
	return flags & MSG_DONTWAIT || lp_libc()->fcntl(fd, F_GETFL) & O_NONBLOCK;
}

/* A request's head has come. Returns as lp_connection_traffic_reading. */
static int decide_request(int fd, const struct lp_http_request *request, size_t seen)
{
	struct lp_http_exchange *exchange = lp_descriptor_exchange(fd);
	bool lost = exchange->in.phase == LP_HTTP_EXCHANGE_LOST;
	bool foreign = exchange->in.routed && !exchange->in.first && is_foreign(request);
	if (foreign && lost) {
		end_connection(fd);
		return 0;
	}
	if (foreign && lp_http_exchange_is_answered(exchange) && give_back(fd))
		return 0;
	lp_http_exchange_take_request(exchange, request, seen, lp_registration_rules());
	return 1;
}

/*
 * Look at the next request. Returns as lp_connection_traffic_reading.
 *
 * A head is read as a whole, or a part of it would be gone when it belongs elsewhere. Where nothing is given back, no
 * program has to wait for a line that may never end.
 */
static int look_at_head(int fd, int flags)
{
	struct lp_http_exchange *exchange = lp_descriptor_exchange(fd);
	char head[LP_HTTP_REQUEST_HEAD_MAX];
	for (;;) {
		struct lp_http_request request;
		ssize_t got = lp_libc()->recv(fd, head, sizeof(head), MSG_PEEK | (flags & MSG_DONTWAIT));
		if (got < 0 && errno == ENOTSOCK)
			lp_descriptor_forget(fd); /* Closed behind our back; the number is a file's now. */
		if (got <= 0)
			return got < 0 && errno != ENOTSOCK ? -1 : 1; /* The end: the program's own read tells it. */
		enum lp_http_request_progress progress = lp_http_request_read(&request, head, (size_t)got);
		bool never = progress != LP_HTTP_REQUEST_WHOLE &&
			     ((progress == LP_HTTP_REQUEST_IN_LINE && !exchange->in.routed) || is_ended(fd));
		if (lp_descriptors[fd].lowat && (never || progress == LP_HTTP_REQUEST_WHOLE))
			set_lowat(fd, 1);
		if (progress == LP_HTTP_REQUEST_WHOLE)
			return decide_request(fd, &request, (size_t)got);
		if (never) {
			lp_http_exchange_stop(exchange);
			return 1;
		}
		set_lowat(fd, (int)got + 1);
		if (is_nonblocking(fd, flags)) {
			errno = EAGAIN;
			return -1;
		}
	}
}

/* After a request whose end is unknown, bytes that come when everything is answered may be the next head. Returns as above. */
static int look_for_head(int fd, int flags)
{
	char head[LP_HTTP_REQUEST_HEAD_MAX];
	struct lp_http_request request;
	if (!lp_http_exchange_is_answered(lp_descriptor_exchange(fd)))
		return 1;
	ssize_t got = lp_libc()->recv(fd, head, sizeof(head), MSG_PEEK | (flags & MSG_DONTWAIT));
	if (got <= 0)
		return got < 0 ? -1 : 1;
	if (lp_http_request_read(&request, head, (size_t)got) != LP_HTTP_REQUEST_WHOLE || request.end == LP_END_NEVER)
		return 1;
	return decide_request(fd, &request, (size_t)got);
}

/* How much of a request in chunks may be read. Returns as above. */
static int look_at_chunks(int fd, int flags, size_t want, size_t *allowed)
{
	struct lp_http_exchange *exchange = lp_descriptor_exchange(fd);
	char bytes[LP_HTTP_REQUEST_HEAD_MAX];
	uint64_t sure = exchange->in.left + lp_http_chunked_data_left(&exchange->in.chunked);
	if (sure < want) {
		size_t room = want < sizeof(bytes) ? want : sizeof(bytes);
		ssize_t got = lp_libc()->recv(fd, bytes, room, MSG_PEEK | (flags & MSG_DONTWAIT));
		if (got <= 0)
			return got < 0 ? -1 : 1;
		sure = lp_http_exchange_chunks(exchange, bytes, (size_t)got);
		if (exchange->in.phase == LP_HTTP_EXCHANGE_LOST)
			return 1;
	}
	*allowed = sure < want ? (size_t)sure : want;
	return 1;
}

int lp_connection_traffic_reading(int fd, size_t want, int flags, size_t *allowed)
{
	struct lp_http_exchange *exchange = lp_descriptor_exchange(fd);
	enum lp_http_exchange_phase phase = lp_http_exchange_phase(exchange);
	int verdict = 1;
	*allowed = want;
	if (phase == LP_HTTP_EXCHANGE_OPAQUE || !want)
		return 1;
	if (phase == LP_HTTP_EXCHANGE_HEAD)
		verdict = look_at_head(fd, flags);
	else if (phase == LP_HTTP_EXCHANGE_LOST)
		verdict = look_for_head(fd, flags);
	if (verdict <= 0)
		return verdict;
	phase = (enum lp_http_exchange_phase)exchange->in.phase;
	if (phase == LP_HTTP_EXCHANGE_BODY && exchange->in.left < want)
		*allowed = (size_t)exchange->in.left;
	return phase == LP_HTTP_EXCHANGE_CHUNKED ? look_at_chunks(fd, flags, want, allowed) : 1;
}

void lp_connection_traffic_has_read(int fd, const struct iovec *pieces, size_t count, size_t got, bool cut)
{
	struct lp_http_exchange *exchange = lp_descriptor_exchange(fd);
	if (exchange->in.phase == LP_HTTP_EXCHANGE_OPAQUE)
		return;
	lp_http_exchange_has_read(exchange, pieces, count, got);
	/* An edge-triggered loop has had its event for the rest, and waits for another one. */
	if (cut && exchange->in.more && lp_descriptors[fd].watch.events & EPOLLET)
		move_watch(fd, EPOLL_CTL_MOD);
}

void lp_connection_traffic_writing(int fd, const struct iovec *pieces, size_t count,
				   struct lp_http_exchange_write *write)
{
	lp_http_exchange_writes(lp_descriptor_exchange(fd), pieces, count, write, lp_registration_rules(),
				lp_registration_session);
}

void lp_connection_traffic_has_written(int fd, const struct iovec *pieces, size_t count,
				       struct lp_http_exchange_write *write, ssize_t result)
{
	lp_http_exchange_has_written(lp_descriptor_exchange(fd), pieces, count, write, lp_registration_rules(), result);
}

void lp_connection_traffic_has_sent(int fd, size_t count)
{
	lp_http_exchange_has_sent(lp_descriptor_exchange(fd), count);
}

void lp_connection_traffic_stop(int fd)
{
	lp_http_exchange_stop(lp_descriptor_exchange(fd));
}
