/*
 * A pure function from addresses to addresses, and the kernel's way to write them to a program's memory.
 */
#include "preload/addresses.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>

static in_port_t port_of(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		return ((const struct sockaddr_in *)address)->sin_port;
	return address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port : 0;
}

static bool is_mapped(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 &&
	       IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

bool lp_address_fits(const struct sockaddr_storage *address, sa_family_t family)
{
	return address->ss_family == family || (address->ss_family == AF_INET && family == AF_INET6) ||
	       (is_mapped(address) && family == AF_INET);
}

static socklen_t express_inet(struct sockaddr_storage *address)
{
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = port_of(address)};
	if (is_mapped(address))
		memcpy(&four.sin_addr, &((struct sockaddr_in6 *)address)->sin6_addr.s6_addr[12], sizeof(four.sin_addr));
	memcpy(address, &four, sizeof(four));
	return sizeof(four);
}

static socklen_t express_inet6(struct sockaddr_storage *address)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = port_of(address)};
	if (address->ss_family == AF_INET) {
		memset(&six.sin6_addr.s6_addr[10], 0xff, 2);
		memcpy(&six.sin6_addr.s6_addr[12], &((struct sockaddr_in *)address)->sin_addr, sizeof(struct in_addr));
	}
	memcpy(address, &six, sizeof(six));
	return sizeof(six);
}

socklen_t lp_address_express(struct sockaddr_storage *address, socklen_t length, sa_family_t family)
{
	if (address->ss_family == family)
		return length;
	if (family == AF_INET)
		return express_inet(address);
	if (family == AF_INET6)
		return express_inet6(address);
	address->ss_family = family;
	return sizeof(sa_family_t);
}

int lp_address_check(const struct sockaddr *address, const socklen_t *length)
{
	if (!length || (!address && *length))
		return -EFAULT;
	return *length > INT_MAX ? -EINVAL : 0;
}

void lp_address_give(struct sockaddr *to, socklen_t *length, const struct sockaddr_storage *address,
		     socklen_t true_length)
{
	socklen_t room = *length < true_length ? *length : true_length;
	if (room)
		memcpy(to, address, room);
	*length = true_length;
}
