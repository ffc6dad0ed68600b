/*
 * Accepting with accept4 ourselves, not through libuv: the descriptor must stay blocking, as accept(2) would give it to
 * the worker, and when the process is out of descriptors libuv closes clients to get one back, which we never do. We
 * pause instead: clients wait in the backlog, and PAUSE_MS later it is tried again.
 *
 * TCP_DEFER_ACCEPT leaves a connection in the kernel until its first bytes have come, so that most are decided in the
 * turn they are accepted in. The kernel gives a silent one to us after about DEFER_SECONDS all the same.
 */
#include "server/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

/* Connections accepted before the loop gets its turn. */
#define ACCEPTS_A_TURN 64

#define PAUSE_MS 100
#define DEFER_SECONDS 1

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_resume(uv_timer_t *resume)
{
	struct lp_listener *listener = resume->data;
	if (listener->fd >= 0)
		uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

static void pause_accepting(struct lp_listener *listener, int error)
{
	lp_log_limited(listener->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_ACCEPT,
		       "%s: a connection cannot be accepted: %s; clients wait in the backlog, trying again in %d ms",
		       listener->origin.name, lp_error_words(-error), PAUSE_MS);
	uv_poll_stop(&listener->poll);
	uv_timer_start(&listener->resume, on_resume, PAUSE_MS, 0);
}

union any_address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static in_port_t port_of(const union any_address *address)
{
	return ntohs(address->any.sa_family == AF_INET6  ? address->in6.sin6_port
		     : address->any.sa_family == AF_INET ? address->in.sin_port
							 : 0);
}

void lp_listener_readmit(struct lp_listener *listeners, size_t count, int fd)
{
	union any_address peer = {0};
	union any_address here = {0};
	socklen_t peer_length = sizeof(peer);
	socklen_t here_length = sizeof(here);
	struct lp_listener *listener = &listeners[0];
	struct lp_ip ip;
	uint16_t port;
	getpeername(fd, &peer.any, &peer_length); /* A client that has left is nobody, and found out soon. */
	getsockname(fd, &here.any, &here_length);
	for (size_t i = 0; i < count; i++)
		if (listeners[i].origin.port == port_of(&here))
			listener = &listeners[i];
	lp_ip_from_socket(&peer.any, &ip, &port);
	lp_waiting_admit(listener->config.waiting, fd, &ip, port, &listener->origin);
}

/* Returns whether there may be more to accept. */
static bool accept_one(struct lp_listener *listener)
{
	union any_address peer = {0};
	socklen_t length = sizeof(peer);
	int fd = accept4(listener->fd, &peer.any, &length, SOCK_CLOEXEC);
	if (fd >= 0) {
		struct lp_ip ip;
		uint16_t port;
		lp_ip_from_socket(&peer.any, &ip, &port);
		lp_waiting_admit(listener->config.waiting, fd, &ip, port, &listener->origin);
		return true;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		pause_accepting(listener, errno);
		return false;
	default:
		return true; /* This client's trouble only: it has gone, or the network under it. */
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct lp_listener *listener = poll->data;
	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN && listener->fd >= 0; i++)
		if (!accept_one(listener))
			break;
}

static int set_options(const struct lp_listener *listener, int fd)
{
	const struct lp_listen_address *address = &listener->address;
	int on = 1;
	int off = 0;
	int seconds = DEFER_SECONDS;
	if (address->socket.any.sa_family == AF_UNIX)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		return -errno;
	if (address->socket.any.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, address->both_families ? &off : &on, sizeof(on)))
		return -errno;
	if (listener->config.defer_accept && setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)))
		return -errno;
	return 0;
}

/* Both families without IPv6 in the kernel: IPv4 alone. */
static int make_socket(struct lp_listen_address *address)
{
	int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	int fd = socket(address->socket.any.sa_family, type, 0);
	if (fd >= 0 || errno != EAFNOSUPPORT || !address->both_families)
		return fd >= 0 ? fd : -errno;
	in_port_t port = address->socket.in6.sin6_port;
	address->socket.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
	address->length = sizeof(address->socket.in);
	address->both_families = false;
	fd = socket(AF_INET, type, 0);
	return fd >= 0 ? fd : -errno;
}

static int bind_and_listen(struct lp_listener *listener)
{
	struct lp_listen_address *address = &listener->address;
	bool is_unix = address->socket.any.sa_family == AF_UNIX;
	int fd = make_socket(address);
	if (fd < 0)
		return fd;
	int status = set_options(listener, fd);
	if (!status && is_unix)
		lp_unix_path_remove_stale(&address->socket.un, address->length);
	if (!status && (bind(fd, &address->socket.any, address->length) || listen(fd, listener->config.backlog)))
		status = -errno;
	socklen_t length = sizeof(address->socket);
	if (!status && !is_unix && getsockname(fd, &address->socket.any, &length))
		status = -errno;
	if (status) {
		close(fd);
		return status;
	}
	struct stat path;
	if (is_unix && stat(address->socket.un.sun_path, &path) == 0)
		listener->unix_inode = path.st_ino;
	return fd;
}

static const char *way_out(int status)
{
	switch (status) {
	case UV_EADDRINUSE:
		return "; stop what listens there, or choose another address";
	case UV_EACCES:
		return "; a port below 1024 needs CAP_NET_BIND_SERVICE, a path needs a folder that can be written";
	case UV_EADDRNOTAVAIL:
		return "; it is no address of this machine";
	default:
		return "";
	}
}

int lp_listener_open(struct lp_listener *listener, const struct lp_listener_config *config, const char *text,
		     struct lp_error *error)
{
	*listener = (struct lp_listener){.config = *config, .open_handles = 2, .origin.name = text};
	int status = lp_listen_address_parse(text, &listener->address, error);
	if (status)
		return status;
	int fd = bind_and_listen(listener);
	if (fd < 0)
		return lp_error_set(error, fd, "cannot listen on %s: %s%s", text, lp_error_words(fd), way_out(fd));
	status = uv_poll_init(config->loop, &listener->poll, fd);
	if (status) {
		close(fd);
		return lp_error_set(error, status, "cannot listen on %s: %s", text, lp_error_words(status));
	}
	uv_timer_init(config->loop, &listener->resume);
	listener->fd = fd;
	listener->poll.data = listener;
	listener->resume.data = listener;
	if (listener->address.socket.any.sa_family == AF_INET)
		listener->origin.port = ntohs(listener->address.socket.in.sin_port);
	else if (listener->address.socket.any.sa_family == AF_INET6)
		listener->origin.port = ntohs(listener->address.socket.in6.sin6_port);
	uv_poll_start(&listener->poll, UV_READABLE, on_readable);
	char bound[LP_LISTEN_TEXT_SIZE];
	lp_listen_address_format(&listener->address, bound);
	lp_log_write(config->log, LP_LOG_INFO, "listening on %s", bound);
	return 0;
}

void lp_listener_stop(struct lp_listener *listener)
{
	struct stat path;
	const char *unix_path = listener->address.socket.un.sun_path;
	if (listener->fd < 0)
		return;
	while (accept_one(listener))
		continue; /* Closing would reset those that wait in the backlog. */
	if (listener->unix_inode && stat(unix_path, &path) == 0 && path.st_ino == listener->unix_inode)
		unlink(unix_path);
	uv_poll_stop(&listener->poll);
	uv_timer_stop(&listener->resume);
	close(listener->fd);
	listener->fd = -1;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct lp_listener *listener = handle->data;
	if (--listener->open_handles == 0)
		listener->closed(listener);
}

void lp_listener_close(struct lp_listener *listener, void (*closed)(struct lp_listener *listener))
{
	lp_listener_stop(listener);
	listener->closed = closed;
	uv_close((uv_handle_t *)&listener->poll, on_handle_closed);
	uv_close((uv_handle_t *)&listener->resume, on_handle_closed);
}
