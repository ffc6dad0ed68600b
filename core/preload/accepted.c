/*
 * Every answer begins with the kernel's own, so that errors, and what a socket without a peer says, are the kernel's.
 */
#include "preload/accepted.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "preload/addresses.h"
#include "preload/bindings.h"
#include "preload/descriptors.h"
#include "preload/libc.h"
#include "preload/registration.h"

static const struct lp_binding *binding_of(int fd)
{
	return lp_bindings_get(lp_descriptors[fd].binding);
}

void lp_accepted_begin(int fd, unsigned binding)
{
	if (fd >= LP_DESCRIPTORS_MAX)
		return;
	struct lp_http_exchange *exchange = lp_descriptor_make_exchange(fd);
	if (exchange)
		lp_http_exchange_begin(exchange, lp_registration_each() != LP_EACH_NONE);
	lp_descriptor_set(fd,
			  &(struct lp_descriptor){.kind = LP_CONNECTION, .binding = (uint16_t)binding, .epoll = -1});
}

static sa_family_t kernel_family(int fd)
{
	int family = AF_UNSPEC;
	socklen_t size = sizeof(family);
	lp_libc()->getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
	return (sa_family_t)family;
}

/* getpeername(2) fails behind a reset; SO_PEERNAME does not, but wants no more room than the address has. */
static socklen_t read_peer(int fd, struct sockaddr_storage *address)
{
	socklen_t length = sizeof(*address);
	memset(address, 0, sizeof(*address));
	if (lp_libc()->getpeername(fd, (struct sockaddr *)address, &length) == 0)
		return length;
	sa_family_t family = kernel_family(fd);
	length = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	if (family == AF_UNIX || lp_libc()->getsockopt(fd, SOL_SOCKET, SO_PEERNAME, address, &length)) {
		memset(address, 0, sizeof(*address));
		length = sizeof(sa_family_t);
	}
	address->ss_family = family;
	return length;
}

void lp_accepted_peer(int fd, unsigned binding, struct sockaddr *address, socklen_t *length)
{
	struct sockaddr_storage peer;
	socklen_t true_length = read_peer(fd, &peer);
	true_length = lp_address_express(&peer, true_length, lp_bindings_get(binding)->address.ss_family);
	lp_address_give(address, length, &peer, true_length);
}

int lp_accepted_name(int fd, bool peer, struct sockaddr *address, socklen_t *length)
{
	const struct lp_libc *real = lp_libc();
	struct sockaddr_storage name = {0};
	socklen_t true_length = sizeof(name);
	const struct lp_binding *binding = binding_of(fd);
	sa_family_t family = binding->address.ss_family;
	if ((peer ? real->getpeername : real->getsockname)(fd, (struct sockaddr *)&name, &true_length))
		return -1;
	int status = lp_address_check(address, length);
	if (status) {
		errno = -status;
		return -1;
	}
	if (!peer && !lp_address_fits(&name, family)) {
		name = binding->address;
		true_length = binding->length;
	}
	true_length = lp_address_express(&name, true_length, family);
	lp_address_give(address, length, &name, true_length);
	return 0;
}

bool lp_accepted_is_own_family(int fd)
{
	return kernel_family(fd) == binding_of(fd)->address.ss_family;
}

/* Whether the program asks for what only sockets of its own family have. */
static bool is_of_other_family(int fd, int level)
{
	return (errno == ENOPROTOOPT || errno == EOPNOTSUPP) && level != SOL_SOCKET && !lp_accepted_is_own_family(fd);
}

int lp_accepted_get_option(int fd, int level, int name, void *value, socklen_t *length)
{
	int status = lp_libc()->getsockopt(fd, level, name, value, length);
	sa_family_t family = binding_of(fd)->address.ss_family;
	int domain = family;
	if (status && is_of_other_family(fd, level))
		return lp_bindings_ask_option(family, level, name, value, length);
	if (!status && level == SOL_SOCKET && name == SO_DOMAIN)
		memcpy(value, &domain, *length < sizeof(domain) ? *length : sizeof(domain));
	return status;
}

int lp_accepted_set_option(int fd, int level, int name, const void *value, socklen_t length)
{
	int status = lp_libc()->setsockopt(fd, level, name, value, length);
	return status && is_of_other_family(fd, level) ? 0 : status;
}
