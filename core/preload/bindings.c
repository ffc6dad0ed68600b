/*
 * A connection does not say through which listener it came, but at which address it arrived (getsockname), and that is
 * how the kernel finds a listener as well.
 *
 * Bindings are added by any thread and looked at by all, without a lock: one is filled first and published then.
 */
#include "preload/bindings.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "preload/addresses.h"
#include "preload/libc.h"

struct slot {
	struct lp_binding binding;
	atomic_bool filled;
	atomic_bool listened; /* Once at least, as the program asked. */
	atomic_int listeners; /* Descriptors. */
};

/* As in registration.c: there is nobody to hand this to. */
static struct {
	char texts[LP_ADDRESSES_MAX][sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	unsigned count;
	struct slot slots[LP_BINDINGS_MAX];
	atomic_uint used;
	atomic_int listeners;
} bindings;

/* limpet's addresses */

/* The path of one of them; NULL: it is a port. */
static const char *path_of(unsigned which)
{
	return strncmp(bindings.texts[which], "unix:", 5) == 0 ? bindings.texts[which] + 5 : NULL;
}

static int find_port(in_port_t port)
{
	for (unsigned i = 0; i < bindings.count; i++)
		if (!path_of(i) && strtoul(bindings.texts[i], NULL, 10) == ntohs(port))
			return (int)i;
	return -1;
}

static int find_path(const char *path, size_t length)
{
	for (unsigned i = 0; i < bindings.count; i++) {
		const char *ours = path_of(i);
		if (ours && strlen(ours) == length && memcmp(path, ours, length) == 0)
			return (int)i;
	}
	return -1;
}

/* Which of limpet's addresses this is, or -1. */
static int find_address(const struct sockaddr *address, socklen_t length)
{
	if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in))
		return find_port(((const struct sockaddr_in *)address)->sin_port);
	if (address->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6))
		return find_port(((const struct sockaddr_in6 *)address)->sin6_port);
	if (address->sa_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path)) {
		const char *path = ((const struct sockaddr_un *)address)->sun_path;
		return find_path(path, strnlen(path, length - offsetof(struct sockaddr_un, sun_path)));
	}
	return -1;
}

bool lp_bindings_is_path(const char *path)
{
	return path && find_path(path, strlen(path)) >= 0;
}

void lp_bindings_begin(const char *addresses)
{
	while (*addresses && bindings.count < LP_ADDRESSES_MAX) {
		size_t length = strcspn(addresses, ",");
		if (length && length < sizeof(bindings.texts[0])) {
			memcpy(bindings.texts[bindings.count], addresses, length);
			bindings.count++;
		}
		addresses += length + (addresses[length] == ',');
	}
}

/* Bindings */

static unsigned count_bindings(void)
{
	unsigned used = bindings.used;
	return used < LP_BINDINGS_MAX ? used : LP_BINDINGS_MAX;
}

/* As getsockname(2) gives it of a bound socket, however it was written. Returns its bytes. */
static socklen_t normalise_address(struct sockaddr_storage *name, const struct sockaddr *address, socklen_t length)
{
	memset(name, 0, sizeof(*name));
	if (address->sa_family == AF_INET) {
		memcpy(name, address, sizeof(struct sockaddr_in));
		memset(((struct sockaddr_in *)name)->sin_zero, 0, sizeof(((struct sockaddr_in *)name)->sin_zero));
		return sizeof(struct sockaddr_in);
	}
	if (address->sa_family == AF_INET6) {
		memcpy(name, address, sizeof(struct sockaddr_in6));
		((struct sockaddr_in6 *)name)->sin6_flowinfo = 0;
		return sizeof(struct sockaddr_in6);
	}
	memcpy(name, address, length < sizeof(struct sockaddr_un) ? length : sizeof(struct sockaddr_un));
	const struct sockaddr_un *unix_name = (const struct sockaddr_un *)name;
	size_t path = strnlen(unix_name->sun_path, sizeof(unix_name->sun_path));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path + 1);
}

static int add_binding(unsigned which, const struct sockaddr *written, socklen_t written_length)
{
	struct sockaddr_storage address;
	socklen_t length = normalise_address(&address, written, written_length);
	for (unsigned i = 0; i < count_bindings(); i++) {
		const struct slot *slot = &bindings.slots[i];
		if (slot->filled && slot->binding.which == which && slot->binding.length == length &&
		    memcmp(&slot->binding.address, &address, length) == 0)
			return (int)i;
	}
	unsigned index = bindings.used < LP_BINDINGS_MAX ? bindings.used++ : LP_BINDINGS_MAX;
	if (index >= LP_BINDINGS_MAX)
		return -1;
	struct slot *slot = &bindings.slots[index];
	slot->binding.which = which;
	slot->binding.length = length;
	slot->binding.address = address;
	slot->filled = true;
	return (int)index;
}

int lp_bindings_add(const struct sockaddr *address, socklen_t length)
{
	int which = bindings.count && address ? find_address(address, length) : -1;
	return which < 0 ? -1 : add_binding((unsigned)which, address, length);
}

int lp_bindings_inherit(const struct sockaddr_storage *host, unsigned which)
{
	struct sockaddr_storage address = *host;
	if (which >= bindings.count)
		return -1;
	in_port_t port = htons((uint16_t)strtoul(bindings.texts[which], NULL, 10));
	if (host->ss_family == AF_INET) {
		((struct sockaddr_in *)&address)->sin_port = port;
		return add_binding(which, (struct sockaddr *)&address, sizeof(struct sockaddr_in));
	}
	if (host->ss_family == AF_INET6) {
		((struct sockaddr_in6 *)&address)->sin6_port = port;
		return add_binding(which, (struct sockaddr *)&address, sizeof(struct sockaddr_in6));
	}
	const char *path = path_of(which);
	if (!path || host->ss_family != AF_UNIX)
		return -1;
	strcpy(((struct sockaddr_un *)&address)->sun_path, path);
	return add_binding(which, (struct sockaddr *)&address,
			   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1));
}

bool lp_bindings_is_free(const struct sockaddr *address, socklen_t length)
{
	int which = bindings.count && address && address->sa_family == AF_UNIX ? find_address(address, length) : -1;
	for (unsigned i = 0; which >= 0 && i < count_bindings(); i++)
		if (bindings.slots[i].listeners && bindings.slots[i].binding.which == (unsigned)which)
			return false;
	return which >= 0;
}

const struct lp_binding *lp_bindings_get(unsigned binding)
{
	return &bindings.slots[binding].binding;
}

void lp_bindings_listen(unsigned binding, bool asked)
{
	if (asked)
		bindings.slots[binding].listened = true;
	bindings.slots[binding].listeners++;
	bindings.listeners++;
}

void lp_bindings_ask(unsigned binding)
{
	bindings.slots[binding].listened = true;
}

bool lp_bindings_unlisten(unsigned binding, bool *last)
{
	*last = --bindings.listeners == 0;
	return --bindings.slots[binding].listeners == 0;
}

int lp_bindings_ask_option(sa_family_t family, int level, int name, void *value, socklen_t *length)
{
	int fd = lp_libc()->socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	int status = lp_libc()->getsockopt(fd, level, name, value, length);
	int error = errno;
	lp_libc()->close(fd);
	errno = error;
	return status;
}

/* Whose a connection is */

/* How well a binding fits what arrived at an address of its own port or path: 1 the address, 2 its wildcard, 3 neither. */
static int rank_binding(const struct sockaddr_storage *bound, const struct sockaddr_storage *here)
{
	if (bound->ss_family != here->ss_family)
		return 3;
	if (here->ss_family == AF_INET) {
		in_addr_t address = ((const struct sockaddr_in *)bound)->sin_addr.s_addr;
		if (address == ((const struct sockaddr_in *)here)->sin_addr.s_addr)
			return 1;
		return address == INADDR_ANY ? 2 : 3;
	}
	if (here->ss_family == AF_INET6) {
		const struct in6_addr *address = &((const struct sockaddr_in6 *)bound)->sin6_addr;
		if (IN6_ARE_ADDR_EQUAL(address, &((const struct sockaddr_in6 *)here)->sin6_addr))
			return 1;
		return IN6_IS_ADDR_UNSPECIFIED(address) ? 2 : 3;
	}
	return 1;
}

int lp_bindings_choose(int fd, unsigned taker, uint64_t takers)
{
	struct sockaddr_storage here = {0};
	socklen_t length = sizeof(here);
	bool known = false;
	int best = -1;
	int least = 0;
	if (count_bindings() == 1)
		return (int)taker; /* There is no other to choose. */
	int which = lp_libc()->getsockname(fd, (struct sockaddr *)&here, &length)
			    ? -1
			    : find_address((struct sockaddr *)&here, length);
	if (which < 0)
		return (int)taker;
	if (lp_address_fits(&here, AF_INET)) /* An IPv4 client of a listener for both families has come by IPv4. */
		lp_address_express(&here, length, AF_INET);
	for (unsigned i = 0; i < count_bindings(); i++) {
		const struct slot *slot = &bindings.slots[i];
		bool takes = takers >> i & 1;
		if (!(slot->listened || takes) || slot->binding.which != (unsigned)which)
			continue;
		known = true;
		int far = rank_binding(&slot->binding.address, &here);
		bool nearer = best < 0 || far < least || (far == least && i == taker);
		if (takes && nearer) {
			best = (int)i;
			least = far;
		}
	}
	return known ? best : (int)taker;
}
