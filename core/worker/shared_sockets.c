/*
 * Bound as libuv binds in a Node primary: for dgram SO_REUSEADDR only when it is asked for, for TCP always. It is the
 * worker that listens: a shared socket listens as soon as one of them does.
 */
#include "worker/shared_sockets.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

static bool is_same(const struct lp_socket_address *one, const struct lp_socket_address *other)
{
	return one->kind == other->kind && strcmp(one->host, other->host) == 0 && one->port == other->port &&
	       one->index == other->index && one->six == other->six;
}

static int bind_path(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	memcpy(to.sun_path, path, strnlen(path, sizeof(to.sun_path)));
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	int status = -errno;
	close(fd);
	return status;
}

/* Bind an open socket. Returns 0 or negative errno. */
static int bind_host(int fd, const struct lp_socket_address *address)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} to;
	int one = 1;
	const char *host = address->host[0] ? address->host : address->six ? "::" : "0.0.0.0";
	int status =
		address->six ? uv_ip6_addr(host, address->port, &to.six) : uv_ip4_addr(host, address->port, &to.four);
	if (status)
		return status;
	bool reuses = address->kind == LP_SOCKET_TCP || address->reuse;
	if (reuses && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		return -errno;
	if (address->only_six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)))
		return -errno;
	return bind(fd, &to.any, address->six ? sizeof(to.six) : sizeof(to.four)) ? -errno : 0;
}

static int open_host(const struct lp_socket_address *address)
{
	int type = address->kind == LP_SOCKET_TCP ? SOCK_STREAM : SOCK_DGRAM;
	int fd = socket(address->six ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int status = bind_host(fd, address);
	if (!status)
		return fd;
	close(fd);
	return status;
}

/* A TCP server without a host: at all addresses of both families; on a machine without IPv6, of the other. */
static int open_socket(const struct lp_socket_address *address)
{
	if (address->kind == LP_SOCKET_PATH)
		return bind_path(address->host);
	int fd = open_host(address);
	bool needs_six = fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL || fd == -EINVAL;
	if (!needs_six || address->kind != LP_SOCKET_TCP || !address->six || address->host[0])
		return fd;
	struct lp_socket_address four = *address;
	four.six = false;
	return open_host(&four);
}

static void close_at(struct lp_shared_sockets *sockets, size_t index)
{
	if (sockets->all[index].address.kind == LP_SOCKET_PATH)
		unlink(sockets->all[index].address.host);
	close(sockets->all[index].fd);
	sockets->all[index] = sockets->all[--sockets->count];
}

/* Make room by closing one that nobody has any more. */
static bool make_room(struct lp_shared_sockets *sockets)
{
	for (size_t i = 0; sockets->count == LP_SHARED_SOCKETS_MAX && i < sockets->count; i++)
		if (sockets->all[i].address.kind != LP_SOCKET_UDP && !sockets->all[i].holders)
			close_at(sockets, i);
	return sockets->count < LP_SHARED_SOCKETS_MAX;
}

int lp_shared_sockets_get(struct lp_shared_sockets *sockets, const struct lp_socket_address *address)
{
	for (size_t i = 0; i < sockets->count; i++)
		if (is_same(&sockets->all[i].address, address)) {
			sockets->all[i].holders++;
			return sockets->all[i].fd;
		}
	if (!make_room(sockets))
		return UV_ENFILE;
	int fd = open_socket(address);
	if (fd < 0)
		return fd;
	sockets->all[sockets->count].address = *address;
	sockets->all[sockets->count].holders = 1;
	sockets->all[sockets->count++].fd = fd;
	return fd;
}

void lp_shared_sockets_drop(struct lp_shared_sockets *sockets, int fd, bool closed)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->all[i].fd != fd || sockets->all[i].address.kind == LP_SOCKET_UDP)
			continue;
		if (--sockets->all[i].holders == 0 && closed)
			close_at(sockets, i);
		return;
	}
}

void lp_shared_sockets_close(struct lp_shared_sockets *sockets)
{
	while (sockets->count)
		close_at(sockets, sockets->count - 1);
}
