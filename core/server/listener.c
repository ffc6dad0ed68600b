/*
 * Binding and listening, on TCP and unix sockets; acceptor.c accepts.
 *
 * TCP_DEFER_ACCEPT leaves a connection in the kernel until its first bytes have come, so that most are decided in the
 * turn they are accepted in. The kernel gives a silent one to us after about DEFER_SECONDS all the same.
 */
#include "server/listener.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "route/hash.h"
#include "server/port_holder.h"

#define DEFER_SECONDS 1

/* Of newer headers. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static void on_accepted(struct lp_acceptor *acceptor, int fd, const union lp_peer *peer)
{
	struct lp_listener *listener = acceptor->owner;
	struct lp_ip ip;
	uint16_t port;
	lp_ip_from_socket(&peer->any, &ip, &port);
	listener->accepted++;
	lp_waiting_admit(listener->config.waiting, fd, &ip, port, &listener->origin);
}

static bool is_at_port(const struct lp_listen_address *address, const union lp_peer *local)
{
	return local->any.sa_family == AF_INET ? address->socket.in.sin_port == local->in.sin_port
					       : address->socket.in6.sin6_port == local->in6.sin6_port;
}

/* How closely a listener's address fits the local address of a connection. 0: the connection did not come through it. */
static int fit_of(const struct lp_listen_address *address, const union lp_peer *local, socklen_t length)
{
	static const struct in6_addr any6 = IN6ADDR_ANY_INIT;
	if (address->socket.any.sa_family != local->any.sa_family)
		return 0;
	if (local->any.sa_family == AF_UNIX)
		return address->length == length && memcmp(&address->socket, local, length) == 0 ? 2 : 0;
	if (!is_at_port(address, local))
		return 0;
	if (local->any.sa_family == AF_INET)
		return address->socket.in.sin_addr.s_addr == local->in.sin_addr.s_addr ? 2
		       : address->socket.in.sin_addr.s_addr == INADDR_ANY              ? 1
										       : 0;
	if (memcmp(&address->socket.in6.sin6_addr, &local->in6.sin6_addr, sizeof(any6)) == 0)
		return 2;
	return memcmp(&address->socket.in6.sin6_addr, &any6, sizeof(any6)) == 0 ? 1 : 0;
}

/*
 * The kernel gives a connection to the listener at its address, and to the one at the wildcard only where there is none.
 * A connection that came through a dual-stack listener says AF_INET6 of itself, so families never mix.
 */
const struct lp_listener *lp_listener_find(const struct lp_listener *listeners, size_t count,
					   const union lp_peer *local, socklen_t length)
{
	const struct lp_listener *found = NULL;
	int best = 0;
	for (size_t i = 0; i < count; i++) {
		int fit = fit_of(&listeners[i].address, local, length);
		if (fit > best) {
			found = &listeners[i];
			best = fit;
		}
	}
	return found;
}

static int option_of(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, option, &value, &size) ? -1 : value;
}

bool lp_listener_readmit(struct lp_listener *listeners, size_t count, int fd)
{
	union lp_peer peer = {0};
	union lp_peer here = {0};
	socklen_t peer_length = sizeof(peer);
	socklen_t here_length = sizeof(here);
	struct lp_ip ip;
	uint16_t port;
	const struct lp_listener *listener = NULL;
	if (option_of(fd, SO_TYPE) == SOCK_STREAM && option_of(fd, SO_ACCEPTCONN) == 0 &&
	    getsockname(fd, &here.any, &here_length) == 0)
		listener = lp_listener_find(listeners, count, &here, here_length);
	if (!listener)
		return false;
	getpeername(fd, &peer.any, &peer_length); /* Fails when the client has left, which is found out soon. */
	lp_ip_from_socket(&peer.any, &ip, &port);
	listeners[listener - listeners].accepted++;
	lp_waiting_readmit(listener->config.waiting, fd, &ip, port, &listener->origin);
	return true;
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

static int bind_path(struct lp_listener *listener, int fd, struct lp_error *error)
{
	const struct lp_listen_address *address = &listener->address;
	const char *path = address->socket.un.sun_path;
	int mode = address->access.has_mode ? (int)address->access.mode : -1;
	int status = lp_unix_path_bind(fd, path, mode, &listener->unix_path, error);
	return status ? status : lp_socket_access_give(&address->access, path, error);
}

static int bind_socket(struct lp_listener *listener, int fd, struct lp_error *error)
{
	struct lp_listen_address *address = &listener->address;
	if (address->socket.any.sa_family == AF_UNIX)
		return bind_path(listener, fd, error);
	return bind(fd, &address->socket.any, address->length) ? -errno : 0;
}

/* The socket of an earlier balancer, which has gone on listening; or -1. */
static int take_over(struct lp_listener *listener)
{
	struct lp_listen_address *address = &listener->address;
	socklen_t length = sizeof(address->socket);
	int fd = lp_lasting_take(listener->config.lasting, LP_LASTING_LISTENER, listener->config.index);
	if (fd < 0)
		return -1;
	if (address->socket.any.sa_family == AF_UNIX)
		lp_unix_path_find(address->socket.un.sun_path, &listener->unix_path);
	else if (getsockname(fd, &address->socket.any, &length) == 0)
		address->length = length;
	return fd;
}

/* A listening socket, or negative errno; what stands in the way of a unix path is in the error. */
static int bind_and_listen(struct lp_listener *listener, struct lp_error *error)
{
	struct lp_listen_address *address = &listener->address;
	int fd = make_socket(address);
	if (fd < 0)
		return fd;
	int status = set_options(listener, fd);
	if (!status)
		status = bind_socket(listener, fd, error);
	if (!status && listen(fd, listener->config.backlog))
		status = -errno;
	socklen_t length = sizeof(address->socket);
	if (!status && address->socket.any.sa_family != AF_UNIX && getsockname(fd, &address->socket.any, &length))
		status = -errno;
	if (!status)
		return fd;
	lp_unix_path_remove(address->socket.un.sun_path, &listener->unix_path);
	close(fd);
	return status;
}

static const char *way_out(int status)
{
	switch (status) {
	case UV_EACCES:
		return "; a port below 1024 needs CAP_NET_BIND_SERVICE, a path needs a folder that can be written";
	case UV_EADDRNOTAVAIL:
		return "; it is no address of this machine";
	default:
		return "";
	}
}

static int refuse_taken(const struct lp_listener *listener, struct lp_error *error)
{
	char holder[LP_PORT_HOLDER_SIZE];
	lp_port_holder_describe(&listener->address, holder);
	return lp_error_set(error, UV_EADDRINUSE,
			    "cannot listen on %s: address already in use by %s; stop it, or choose another address",
			    listener->name, holder);
}

int lp_listener_open(struct lp_listener *listener, const struct lp_listener_config *config, const char *text,
		     struct lp_error *error)
{
	*listener = (struct lp_listener){.config = *config};
	lp_listen_address_name(text, listener->name);
	listener->origin.name = listener->name;
	int status = lp_listen_address_parse(text, &listener->address, error);
	if (status)
		return status;
	struct lp_error reason = {0};
	int fd = take_over(listener);
	bool is_new = fd < 0;
	if (is_new)
		fd = bind_and_listen(listener, &reason);
	if (fd == UV_EADDRINUSE)
		return refuse_taken(listener, error);
	if (fd < 0 && reason.code)
		return lp_error_set(error, fd, "cannot listen on %s: %s", text, reason.text);
	if (fd < 0)
		return lp_error_set(error, fd, "cannot listen on %s: %s%s", text, lp_error_words(fd), way_out(fd));
	status = is_new ? lp_lasting_hold(config->lasting, LP_LASTING_LISTENER, config->index, fd) : 0;
	if (!status)
		status = lp_acceptor_start(&listener->acceptor, config->loop, config->log, text, fd, on_accepted,
					   listener);
	if (status) {
		lp_unix_path_remove(listener->address.socket.un.sun_path, &listener->unix_path);
		close(fd);
		return lp_error_set(error, status, "cannot listen on %s: %s", text, lp_error_words(status));
	}
	if (listener->address.socket.any.sa_family == AF_INET)
		listener->origin.port = ntohs(listener->address.socket.in.sin_port);
	else if (listener->address.socket.any.sa_family == AF_INET6)
		listener->origin.port = ntohs(listener->address.socket.in6.sin6_port);
	return 0;
}

/* Workers do not tell hosts apart: the same port twice is the first one's number. */
static int number_of(const struct lp_listener *listeners, size_t index)
{
	const struct lp_origin *origin = &listeners[index].origin;
	size_t first = 0;
	while (origin->port ? listeners[first].origin.port != origin->port
			    : strcmp(listeners[first].origin.name, origin->name) != 0)
		first++;
	return (int)first;
}

char *lp_listener_addresses(struct lp_listener *listeners, size_t count)
{
	for (size_t i = 0; i < count; i++)
		listeners[i].origin.address = number_of(listeners, i);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	for (size_t i = 0; out && i < count; i++) {
		if (listeners[i].origin.port)
			fprintf(out, "%s%u", i ? "," : "", listeners[i].origin.port);
		else
			fprintf(out, "%s%s", i ? "," : "", listeners[i].origin.name);
	}
	if (out && fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* 0 where the kernel does not tell, before Linux 5.14. */
static uint64_t network_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	struct stat namespace;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0)
		return cookie;
	return stat("/proc/self/ns/net", &namespace) == 0 ? namespace.st_ino : 0;
}

/* The socket's own inode is another after a restart; that of its folder, and its name there, are not. */
static void identify_path(const char *path, struct lp_listener_identity *identity)
{
	char folder[PATH_MAX];
	struct stat what = {0};
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(name - path) : 1, slash ? path : ".");
	stat(folder, &what);
	snprintf(identity->identity, sizeof(identity->identity), "unix-%jx-%jx-%016llx", (uintmax_t)what.st_dev,
		 (uintmax_t)what.st_ino, (unsigned long long)lp_hash((struct lp_slice){name, strlen(name)}, 0));
}

void lp_listener_identify(const struct lp_listener *listener, struct lp_listener_identity *identity)
{
	lp_listen_address_format(&listener->address, identity->name);
	if (listener->address.socket.any.sa_family == AF_UNIX)
		identify_path(listener->address.socket.un.sun_path, identity);
	else
		snprintf(identity->identity, sizeof(identity->identity), "tcp-%llu-%s",
			 (unsigned long long)network_of(listener->acceptor.fd), identity->name);
}

void lp_listener_stop(struct lp_listener *listener)
{
	if (listener->acceptor.fd < 0)
		return;
	lp_unix_path_remove(listener->address.socket.un.sun_path, &listener->unix_path);
	lp_acceptor_stop(&listener->acceptor);
	lp_lasting_drop(listener->config.lasting, LP_LASTING_LISTENER, listener->config.index);
}

static void on_acceptor_closed(struct lp_acceptor *acceptor)
{
	struct lp_listener *listener = acceptor->owner;
	listener->closed(listener);
}

void lp_listener_close(struct lp_listener *listener, void (*closed)(struct lp_listener *listener))
{
	lp_listener_stop(listener);
	listener->closed = closed;
	lp_acceptor_close(&listener->acceptor, on_acceptor_closed);
}
