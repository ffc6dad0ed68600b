/*
 * "limpet-preload/DOOR/FAMILY/HOST.SCOPE/WHICH/RANDOM", in the abstract namespace: gone with the last descriptor. DOOR
 * is a hash of the door's path, which would not fit. HOST is in hexadecimal, the bytes as they are in the address, so that
 * getsockname(2) in another process says what the program that bound it had said: a listener at 127.0.0.1 is not one at
 * 0.0.0.0 because its descriptor was passed on.
 *
 * Any user of the machine can bind abstract names. Names that could be guessed could be taken, and then no worker would
 * start; so the end of each is random.
 */
#include "wire/placeholder.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define HOST_BYTES sizeof(struct in6_addr)

/* How often another name is tried when one is taken. */
#define TRIES 8

static unsigned long long hash_of(const char *path)
{
	uint64_t hash = 14695981039346656037ull;
	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 1099511628211ull;
	return hash;
}

/* A host's bytes as hexadecimal digits; "" where there is none. */
static void write_host(char text[2 * HOST_BYTES + 1], const struct sockaddr *address)
{
	const unsigned char *host = NULL;
	size_t length = 0;
	if (address->sa_family == AF_INET) {
		host = (const unsigned char *)&((const struct sockaddr_in *)address)->sin_addr;
		length = sizeof(struct in_addr);
	} else if (address->sa_family == AF_INET6) {
		host = (const unsigned char *)&((const struct sockaddr_in6 *)address)->sin6_addr;
		length = sizeof(struct in6_addr);
	}
	text[0] = '\0';
	for (size_t i = 0; i < length; i++)
		snprintf(text + 2 * i, 3, "%02x", host[i]);
}

static bool read_bytes(unsigned char *bytes, size_t length, const char *digits)
{
	unsigned byte;
	if (strlen(digits) != 2 * length)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (sscanf(digits + 2 * i, "%2x", &byte) != 1)
			return false;
		bytes[i] = (unsigned char)byte;
	}
	return true;
}

static bool read_host(struct sockaddr_storage *address, int family, const char *digits, unsigned scope)
{
	struct sockaddr_in *four = (struct sockaddr_in *)address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
	*address = (struct sockaddr_storage){.ss_family = (sa_family_t)family};
	if (family == AF_INET)
		return read_bytes((unsigned char *)&four->sin_addr, sizeof(four->sin_addr), digits);
	if (family != AF_INET6)
		return !*digits;
	six->sin6_scope_id = scope;
	return read_bytes((unsigned char *)&six->sin6_addr, sizeof(six->sin6_addr), digits);
}

/* Before the kernel has gathered any randomness, early at boot, there is nobody yet to guess. */
static unsigned long long make_random(void)
{
	struct timespec now;
	unsigned long long random;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) == (ssize_t)sizeof(random))
		return random;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long long)now.tv_nsec << 32 | (unsigned)getpid();
}

socklen_t lp_placeholder_name(struct sockaddr_un *name, const char *door, const struct sockaddr *address,
			      unsigned which)
{
	char host[2 * HOST_BYTES + 1];
	unsigned scope = address->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_scope_id : 0;
	*name = (struct sockaddr_un){.sun_family = AF_UNIX};
	write_host(host, address);
	int length =
		snprintf(name->sun_path + 1, sizeof(name->sun_path) - 1, "limpet-preload/%016llx/%d/%s.%x/%u/%016llx",
			 hash_of(door), address->sa_family, host, scope, which, make_random());
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

bool lp_placeholder_read(const struct sockaddr_un *name, socklen_t length, const char *door,
			 struct sockaddr_storage *address, unsigned *which)
{
	char text[sizeof(name->sun_path)] = "";
	char host[2 * HOST_BYTES + 1] = "";
	unsigned long long hash;
	int family;
	int host_at = 0;
	unsigned scope;
	size_t start = offsetof(struct sockaddr_un, sun_path) + 1;
	if (name->sun_family != AF_UNIX || length <= start || length > sizeof(*name) || name->sun_path[0])
		return false;
	memcpy(text, name->sun_path + 1, length - start);
	if (sscanf(text, "limpet-preload/%16llx/%d/%n", &hash, &family, &host_at) != 2 || !host_at ||
	    hash != hash_of(door))
		return false;
	/* A path has no host, and %[ takes no empty one. */
	if (text[host_at] != '.' && sscanf(text + host_at, "%32[0-9a-f]", host) != 1)
		return false;
	return sscanf(text + host_at + strlen(host), ".%x/%u/", &scope, which) == 2 &&
	       read_host(address, family, host, scope);
}

int lp_placeholder_make(const char *door, const struct sockaddr *address, unsigned which)
{
	struct sockaddr_un name;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int status = fd < 0 ? -errno : -EADDRINUSE;
	for (int i = 0; i < TRIES && status == -EADDRINUSE; i++) {
		socklen_t length = lp_placeholder_name(&name, door, address, which);
		status = bind(fd, (struct sockaddr *)&name, length) ? -errno : 0;
	}
	if (status == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return status;
}
