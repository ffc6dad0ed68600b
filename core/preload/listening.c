/*
 * The program is told what it would be told of a TCP socket. What it sets on one has no meaning here and is accepted.
 */
#include "preload/listening.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "preload/descriptors.h"
#include "preload/real.h"
#include "preload/self.h"
#include "worker/placeholder.h"

/* limpet's addresses, and sockets that this process has bound to them. */
#define ADDRESSES_MAX 16
#define BINDINGS_MAX 64

/* One of limpet's addresses, and one that the program has bound. */
struct binding {
	unsigned which; /* Of the addresses. */
	socklen_t length;
	struct sockaddr_storage address;
};

/* As in self.h: there is nobody to hand this to. */
static struct {
	char texts[ADDRESSES_MAX][sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	unsigned count;
	char door[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct binding bindings[BINDINGS_MAX];
	_Atomic unsigned bound;
	_Atomic unsigned placeholders;
	_Atomic int listeners; /* Descriptors that are LISTENER. */
} ours;

static int find_port(in_port_t port)
{
	for (unsigned i = 0; i < ours.count; i++)
		if (strncmp(ours.texts[i], "unix:", 5) != 0 && strtoul(ours.texts[i], NULL, 10) == ntohs(port))
			return (int)i;
	return -1;
}

static int find_path(const struct sockaddr_un *address, socklen_t length)
{
	size_t room = length - offsetof(struct sockaddr_un, sun_path);
	for (unsigned i = 0; i < ours.count; i++) {
		const char *text = ours.texts[i];
		if (strncmp(text, "unix:", 5) == 0 && strnlen(address->sun_path, room) == strlen(text + 5) &&
		    memcmp(address->sun_path, text + 5, strlen(text + 5)) == 0)
			return (int)i;
	}
	return -1;
}

static int find_address(const struct sockaddr *address, socklen_t length)
{
	if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in))
		return find_port(((const struct sockaddr_in *)address)->sin_port);
	if (address->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6))
		return find_port(((const struct sockaddr_in6 *)address)->sin6_port);
	if (address->sa_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path))
		return find_path((const struct sockaddr_un *)address, length);
	return -1;
}

static bool is_stream(int fd)
{
	int type;
	socklen_t size = sizeof(type);
	return lp_real()->getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* Keep what a socket was bound to. Returns its index, or -1 when there are too many. */
static int add_binding(unsigned which, const struct sockaddr *address, socklen_t length)
{
	unsigned index = ours.bound++;
	if (index >= BINDINGS_MAX || length > sizeof(struct sockaddr_storage))
		return -1;
	ours.bindings[index].which = which;
	ours.bindings[index].length = length;
	memcpy(&ours.bindings[index].address, address, length);
	return (int)index;
}

static void become(int fd, enum lp_descriptor_kind kind, unsigned binding)
{
	lp_descriptor_set(fd, &(struct lp_descriptor){.kind = (uint8_t)kind, .address = (uint16_t)binding});
	ours.listeners += kind == LP_LISTENER;
}

static int make_placeholder(const struct binding *binding)
{
	struct sockaddr_un name;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	socklen_t length =
		lp_placeholder_name(&name, ours.door, binding->address.ss_family, binding->which, ours.placeholders++);
	if (lp_real()->bind(fd, (struct sockaddr *)&name, length) == 0)
		return fd;
	int status = -errno;
	lp_real()->close(fd);
	return status;
}

/* Let the number name a placeholder. Returns 0 or negative errno, with nothing changed. */
static int stand_in(int fd, const struct binding *binding)
{
	int placeholder = make_placeholder(binding);
	if (placeholder < 0)
		return placeholder;
	int status = lp_descriptor_name(fd, placeholder);
	lp_real()->close(placeholder);
	return status;
}

bool lp_listening_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	int which = ours.count && address && (unsigned)fd < LP_DESCRIPTORS_MAX ? find_address(address, length) : -1;
	if (which < 0 || !is_stream(fd))
		return false;
	int binding = add_binding((unsigned)which, address, length);
	if (binding < 0 || stand_in(fd, &ours.bindings[binding]))
		return false;
	become(fd, LP_BOUND, (unsigned)binding);
	return true;
}

void lp_listening_listen(int fd)
{
	if (lp_descriptors[fd].kind == LP_BOUND)
		become(fd, LP_LISTENER, lp_descriptors[fd].address);
}

void lp_listening_name(int fd, struct sockaddr *address, socklen_t *length)
{
	const struct binding *binding = &ours.bindings[lp_descriptors[fd].address];
	memcpy(address, &binding->address, *length < binding->length ? *length : binding->length);
	*length = binding->length;
}

/* The client's address; of one that has left already, only its family is known. */
static void fill_peer(int listener, int fd, struct sockaddr *address, socklen_t *length)
{
	if (lp_real()->getpeername(fd, address, length) == 0)
		return;
	struct sockaddr_storage nobody = {.ss_family =
						  ours.bindings[lp_descriptors[listener].address].address.ss_family};
	socklen_t size = nobody.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	if (nobody.ss_family == AF_UNIX)
		size = sizeof(sa_family_t);
	memcpy(address, &nobody, *length < size ? *length : size);
	*length = size;
}

static void begin_connection(int fd)
{
	if (fd >= LP_DESCRIPTORS_MAX)
		return;
	bool followed = lp_self_each() != LP_EACH_NONE;
	lp_descriptor_set(fd, &(struct lp_descriptor){.kind = LP_CONNECTION,
						      .phase = followed ? LP_AT_HEAD : LP_OPAQUE,
						      .first = true,
						      .to_learn = LP_LEARN_BYTES,
						      .in_head = true,
						      .epoll = -1});
}

int lp_listening_accept(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	int status = lp_self_interest(fd);
	bool waits = !(lp_real()->fcntl(fd, F_GETFL) & O_NONBLOCK);
	while (!status) {
		int connection = lp_self_take(flags);
		if (connection >= 0) {
			begin_connection(connection);
			if (address)
				fill_peer(fd, connection, address, length);
			return connection;
		}
		struct pollfd one = {.fd = fd, .events = POLLIN};
		if (connection != -EAGAIN || !waits)
			status = connection;
		else if (lp_real()->poll(&one, 1, -1) < 0)
			status = -errno;
	}
	errno = -status;
	return -1;
}

void lp_listening_closing(int fd)
{
	if (lp_descriptor_kind(fd) == LP_LISTENER && --ours.listeners == 0)
		lp_self_leave();
	lp_descriptor_forget(fd);
}

void lp_listening_copied(int fd, int like)
{
	enum lp_descriptor_kind kind = lp_descriptor_kind(like);
	if (kind == LP_OTHER || (unsigned)fd >= LP_DESCRIPTORS_MAX)
		return;
	lp_descriptor_set(fd, &lp_descriptors[like]);
	ours.listeners += kind == LP_LISTENER;
}

int lp_listening_option(int fd, int level, int name, void *value, socklen_t *length)
{
	int family = ours.bindings[lp_descriptors[fd].address].address.ss_family;
	int number = 0;
	if (level == SOL_SOCKET && name == SO_TYPE)
		number = SOCK_STREAM;
	else if (level == SOL_SOCKET && name == SO_DOMAIN)
		number = family;
	else if (level == SOL_SOCKET && name == SO_PROTOCOL)
		number = family == AF_UNIX ? 0 : IPPROTO_TCP;
	else if (level == SOL_SOCKET && (name == SO_REUSEADDR || name == SO_ACCEPTCONN))
		number = name == SO_REUSEADDR || lp_descriptors[fd].kind == LP_LISTENER;
	memset(value, 0, *length);
	memcpy(value, &number, *length < sizeof(number) ? *length : sizeof(number));
	if (level == SOL_SOCKET && *length > sizeof(number))
		*length = sizeof(number);
	return 0;
}

/* What a program bound that has ended since, as far as a placeholder's name tells. */
static int binding_of(int family, unsigned which)
{
	struct sockaddr_storage address = {.ss_family = (sa_family_t)family};
	in_port_t port = htons((uint16_t)strtoul(ours.texts[which], NULL, 10));
	if (family == AF_INET) {
		((struct sockaddr_in *)&address)->sin_port = port;
		return add_binding(which, (struct sockaddr *)&address, sizeof(struct sockaddr_in));
	}
	if (family == AF_INET6) {
		((struct sockaddr_in6 *)&address)->sin6_port = port;
		return add_binding(which, (struct sockaddr *)&address, sizeof(struct sockaddr_in6));
	}
	const char *path = ours.texts[which] + strcspn(ours.texts[which], ":") + 1;
	strcpy(((struct sockaddr_un *)&address)->sun_path, path);
	return add_binding(which, (struct sockaddr *)&address,
			   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1));
}

/* Mark a descriptor that this program began with, if it is a placeholder of ours. */
static void recognise(int fd)
{
	struct sockaddr_un name;
	socklen_t length = sizeof(name);
	int family;
	unsigned which;
	if ((unsigned)fd >= LP_DESCRIPTORS_MAX || lp_real()->getsockname(fd, (struct sockaddr *)&name, &length) ||
	    !lp_placeholder_read(&name, length, ours.door, &family, &which) || which >= ours.count)
		return;
	int binding = binding_of(family, which);
	if (binding >= 0)
		become(fd, LP_LISTENER, (unsigned)binding);
}

static void recognise_all(void)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			recognise(atoi(entry->d_name));
	if (folder)
		closedir(folder);
}

void lp_listening_begin(const char *addresses, const char *door)
{
	snprintf(ours.door, sizeof(ours.door), "%s", door);
	while (*addresses && ours.count < ADDRESSES_MAX) {
		size_t length = strcspn(addresses, ",");
		if (length && length < sizeof(ours.texts[0])) {
			memcpy(ours.texts[ours.count], addresses, length);
			ours.count++;
		}
		addresses += length + (addresses[length] == ',');
	}
	recognise_all();
}
