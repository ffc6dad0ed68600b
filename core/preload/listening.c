/*
 * The program gets the answers that a TCP socket would give. What it sets is accepted, and has no effect.
 */
#include "preload/listening.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "preload/accepted.h"
#include "preload/addresses.h"
#include "preload/bindings.h"
#include "preload/descriptors.h"
#include "preload/libc.h"
#include "preload/registration.h"
#include "wire/placeholder.h"

/* As in registration.c: there is nobody to hand this to. */
static struct {
	char door[sizeof(((struct sockaddr_un *)0)->sun_path)];
} ours;

static bool has_option(int fd, int name, int value)
{
	int is;
	socklen_t size = sizeof(is);
	return lp_libc()->getsockopt(fd, SOL_SOCKET, name, &is, &size) == 0 && is == value;
}

/* A stream socket that can be bound to the address; any other gets the kernel's error. */
static bool is_stream_of(int fd, const struct sockaddr *address)
{
	return has_option(fd, SO_TYPE, SOCK_STREAM) && has_option(fd, SO_DOMAIN, address->sa_family);
}

static void set_descriptor_kind(int fd, enum lp_descriptor_kind kind, unsigned binding)
{
	lp_descriptor_set(fd, &(struct lp_descriptor){.kind = (uint8_t)kind, .binding = (uint16_t)binding});
}

/* Let the number name a placeholder. Returns 0 or negative errno, with nothing changed. */
static int stand_in(int fd, const struct lp_binding *binding)
{
	int placeholder = lp_placeholder_make(ours.door, (const struct sockaddr *)&binding->address, binding->which);
	if (placeholder < 0)
		return placeholder;
	int status = lp_descriptor_name(fd, placeholder);
	lp_libc()->close(placeholder);
	return status;
}

bool lp_listening_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	if (!address || (unsigned)fd >= LP_DESCRIPTORS_MAX || !is_stream_of(fd, address))
		return false;
	int binding = lp_bindings_add(address, length);
	if (binding < 0 || stand_in(fd, lp_bindings_get((unsigned)binding)))
		return false;
	set_descriptor_kind(fd, LP_BOUND, (unsigned)binding);
	return true;
}

void lp_listening_listen(int fd)
{
	unsigned binding = lp_descriptors[fd].binding;
	if (lp_descriptors[fd].kind == LP_LISTENER) { /* It came as one, and now the program says so, too. */
		lp_bindings_ask(binding);
		return;
	}
	set_descriptor_kind(fd, LP_LISTENER, binding);
	lp_bindings_listen(binding, true);
}

int lp_listening_name(int fd, struct sockaddr *address, socklen_t *length)
{
	const struct lp_binding *binding = lp_bindings_get(lp_descriptors[fd].binding);
	int status = lp_address_check(address, length);
	if (!status)
		lp_address_give(address, length, &binding->address, binding->length);
	return status;
}

/*
 * accept(2) goes on behind a signal handler that was set with SA_RESTART, and poll(2) never does. Which signal it was, nobody
 * says: where all handlers of the program restart, so do we.
 */
static bool handlers_restart(void)
{
	bool any = false;
	for (int signal = 1; signal < NSIG; signal++) {
		struct sigaction action;
		if (sigaction(signal, NULL, &action))
			continue;
		bool handled =
			action.sa_flags & SA_SIGINFO || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
		if (handled && !(action.sa_flags & SA_RESTART))
			return false;
		any |= handled;
	}
	return any;
}

/* Wait until something may have come. Returns 0 or negative errno. */
static int wait_for_connection(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};
	if (lp_libc()->poll(&one, 1, -1) >= 0 || (errno == EINTR && handlers_restart()))
		return 0;
	return -errno;
}

static int check_accept(const struct sockaddr *address, const socklen_t *length, int flags)
{
	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	return address ? lp_address_check(address, length) : 0;
}

int lp_listening_accept(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	unsigned binding = lp_descriptors[fd].binding; /* A signal handler may close it any time. */
	int status = check_accept(address, length, flags);
	if (!status)
		status = lp_registration_interest(fd);
	bool told =
		lp_descriptors[fd].watched && lp_registration_shares(); /* Perhaps of what was another listener's. */
	while (!status) {
		int connection = lp_registration_take(fd, flags);
		if (connection >= 0) {
			lp_accepted_begin(connection, binding);
			if (address)
				lp_accepted_peer(connection, binding, address, length);
			return connection;
		}
		/* Asked only now: mostly there is a connection. */
		if (connection != -EAGAIN || lp_libc()->fcntl(fd, F_GETFL) & O_NONBLOCK)
			status = connection;
		else if (told)
			status = -ECONNABORTED;
		else
			status = wait_for_connection(fd);
	}
	errno = -status;
	return -1;
}

void lp_listening_closing(int fd)
{
	if (lp_descriptor_kind(fd) == LP_OTHER || !lp_registration_is_here())
		return;
	/* A signal handler may close the same one at the same time. */
	unsigned binding = lp_descriptors[fd].binding;
	uint8_t kind = __atomic_exchange_n(&lp_descriptors[fd].kind, LP_OTHER, __ATOMIC_ACQ_REL);
	if (kind != LP_OTHER)
		lp_descriptor_wipe(fd);
	bool last;
	if (kind == LP_LISTENER && lp_bindings_unlisten(binding, &last))
		lp_registration_leave(binding, last);
}

void lp_listening_copied(int fd, int like)
{
	enum lp_descriptor_kind kind = lp_descriptor_kind(like);
	if ((unsigned)fd >= LP_DESCRIPTORS_MAX || !lp_registration_is_here())
		return;
	if (kind == LP_OTHER) {
		lp_descriptor_forget(fd);
		return;
	}
	lp_descriptor_set(fd, &lp_descriptors[like]);
	if (kind == LP_LISTENER)
		lp_bindings_listen(lp_descriptors[like].binding, false);
	if (kind == LP_CONNECTION) { /* What is read and written by two numbers is followed by neither. */
		lp_http_exchange_stop(lp_descriptor_exchange(like));
		if (lp_descriptor_make_exchange(fd))
			lp_http_exchange_stop(lp_descriptor_exchange(fd));
	}
}

int lp_listening_option(int fd, int level, int name, void *value, socklen_t *length)
{
	bool listens = level == SOL_SOCKET && name == SO_ACCEPTCONN;
	if (!listens && !(level == SOL_SOCKET && name == SO_REUSEADDR))
		return lp_bindings_ask_option(lp_bindings_get(lp_descriptors[fd].binding)->address.ss_family, level,
					      name, value, length);
	int number = !listens || lp_descriptors[fd].kind == LP_LISTENER;
	if (*length > sizeof(number))
		*length = sizeof(number);
	memcpy(value, &number, *length);
	return 0;
}

/* Mark a descriptor that this program has from another process, if it is a placeholder of ours. */
static void recognise_placeholder(int fd)
{
	struct sockaddr_un name;
	socklen_t length = sizeof(name);
	struct sockaddr_storage address;
	unsigned which;
	if ((unsigned)fd >= LP_DESCRIPTORS_MAX || lp_libc()->getsockname(fd, (struct sockaddr *)&name, &length) ||
	    !lp_placeholder_read(&name, length, ours.door, &address, &which))
		return;
	int binding = lp_bindings_inherit(&address, which);
	if (binding < 0)
		return;
	set_descriptor_kind(fd, LP_LISTENER, (unsigned)binding);
	lp_bindings_listen((unsigned)binding, false);
}

static void recognise_all(void)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			recognise_placeholder(atoi(entry->d_name));
	if (folder)
		closedir(folder);
}

/*
 * libuv asks for SO_TYPE and getsockname(2) as soon as it has a descriptor from its channel, to know what kind of handle to
 * make: a placeholder must be known by then, or it is a SEQPACKET socket, of which Node makes nothing, and says so to
 * nobody.
 */
void lp_listening_received(int fd)
{
	lp_listening_closing(fd); /* The number was free: whoever had it has closed it behind our back. */
	recognise_placeholder(fd);
}

void lp_listening_begin(const char *addresses, const char *door)
{
	snprintf(ours.door, sizeof(ours.door), "%s", door);
	lp_bindings_begin(addresses);
	recognise_all();
}
