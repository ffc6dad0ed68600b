/*
 * Bound as libuv binds for dgram in a Node primary, SO_REUSEADDR only when it is asked for.
 */
#include "worker/datagrams.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

static bool is_same(const struct lp_datagram_address *one, const struct lp_datagram_address *other)
{
	return strcmp(one->host, other->host) == 0 && one->port == other->port && one->index == other->index &&
	       one->six == other->six;
}

static int bind_to(int fd, const struct lp_datagram_address *address)
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
	if (address->reuse && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		return -errno;
	if (address->only_six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)))
		return -errno;
	return bind(fd, &to.any, address->six ? sizeof(to.six) : sizeof(to.four)) ? -errno : 0;
}

int lp_datagrams_get(struct lp_datagrams *datagrams, const struct lp_datagram_address *address)
{
	for (size_t i = 0; i < datagrams->count; i++)
		if (is_same(&datagrams->all[i].address, address))
			return datagrams->all[i].fd;
	if (datagrams->count == LP_DATAGRAMS_MAX)
		return UV_ENFILE;
	int fd = socket(address->six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int status = bind_to(fd, address);
	if (status) {
		close(fd);
		return status;
	}
	datagrams->all[datagrams->count].address = *address;
	datagrams->all[datagrams->count++].fd = fd;
	return fd;
}

void lp_datagrams_close(struct lp_datagrams *datagrams)
{
	while (datagrams->count)
		close(datagrams->all[--datagrams->count].fd);
}
