/*
 * What the program does with sockets that listen, and with their paths.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "limpet/export.h"
#include "preload/accepted.h"
#include "preload/bindings.h"
#include "preload/descriptors.h"
#include "preload/libc.h"
#include "preload/listening.h"
#include "preload/node.h"
#include "preload/registration.h"

static bool is_ours(int fd)
{
	enum lp_descriptor_kind kind = lp_descriptor_kind(fd);
	return kind == LP_BOUND || kind == LP_LISTENER;
}

/* limpet has put this library in front of a program that it started, or that such a program has. */
__attribute__((constructor)) static void begin(void)
{
	lp_libc(); /* A signal handler's call may be the first otherwise, and dlsym(3) is not for those. */
	const char *path = getenv("LIMPET_PRELOAD");
	const char *addresses = getenv("LIMPET_PRELOAD_LISTEN");
	const char *listen_pid = getenv("LISTEN_PID");
	if (!path || !addresses)
		return;
	if (listen_pid && strcmp(listen_pid, "0") == 0) { /* It is this process that has descriptor 3. */
		char pid[16];
		snprintf(pid, sizeof(pid), "%d", (int)getpid());
		setenv("LISTEN_PID", pid, 1);
	}
	lp_registration_begin(path, getenv("LIMPET_PRELOAD_LEARN"));
	lp_listening_begin(addresses, path);
	lp_node_begin(getenv("LIMPET_PRELOAD_NODE"));
}

LIMPET_EXPORT int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	if (lp_listening_bind(fd, address.__sockaddr__, length))
		return 0;
	return lp_libc()->bind(fd, address.__sockaddr__, length);
}

LIMPET_EXPORT int listen(int fd, int backlog)
{
	if (!is_ours(fd))
		return lp_libc()->listen(fd, backlog);
	lp_listening_listen(fd);
	return 0;
}

/* Servers look whether another is at a path before they bind it. limpet is, and is none. */
LIMPET_EXPORT int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	if (!lp_bindings_is_free(address.__sockaddr__, length))
		return lp_libc()->connect(fd, address.__sockaddr__, length);
	errno = ECONNREFUSED;
	return -1;
}

LIMPET_EXPORT int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict length, int flags)
{
	if (lp_descriptor_kind(fd) == LP_LISTENER)
		return lp_listening_accept(fd, address.__sockaddr__, length, flags);
	int connection = lp_libc()->accept4(fd, address.__sockaddr__, length, flags);
	lp_descriptor_forget(connection);
	return connection;
}

LIMPET_EXPORT int accept(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
	return accept4(fd, address, length, 0);
}

/* Returns -1 with errno set where status is negative. */
static int set_errno_of(int status)
{
	if (status < 0)
		errno = -status;
	return status < 0 ? -1 : 0;
}

LIMPET_EXPORT int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
	if (is_ours(fd))
		return set_errno_of(lp_listening_name(fd, address.__sockaddr__, length));
	if (lp_descriptor_kind(fd) == LP_CONNECTION)
		return lp_accepted_name(fd, false, address.__sockaddr__, length);
	return lp_libc()->getsockname(fd, address.__sockaddr__, length);
}

LIMPET_EXPORT int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
	if (is_ours(fd))
		return set_errno_of(-ENOTCONN);
	if (lp_descriptor_kind(fd) == LP_CONNECTION)
		return lp_accepted_name(fd, true, address.__sockaddr__, length);
	return lp_libc()->getpeername(fd, address.__sockaddr__, length);
}

LIMPET_EXPORT int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
	if (is_ours(fd))
		return lp_listening_option(fd, level, name, value, length);
	if (lp_descriptor_kind(fd) == LP_CONNECTION)
		return lp_accepted_get_option(fd, level, name, value, length);
	return lp_libc()->getsockopt(fd, level, name, value, length);
}

LIMPET_EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	if (is_ours(fd))
		return 0;
	if (lp_descriptor_kind(fd) == LP_CONNECTION)
		return lp_accepted_set_option(fd, level, name, value, length);
	return lp_libc()->setsockopt(fd, level, name, value, length);
}

LIMPET_EXPORT int shutdown(int fd, int how)
{
	return lp_descriptor_kind(fd) == LP_LISTENER ? 0 : lp_libc()->shutdown(fd, how);
}

/* Servers remove what is at a path before they bind it, and behind them. At limpet's paths that would be limpet's socket. */
LIMPET_EXPORT int unlink(const char *path)
{
	return lp_bindings_is_path(path) ? 0 : lp_libc()->unlink(path);
}

LIMPET_EXPORT int unlinkat(int folder, const char *path, int flags)
{
	return lp_bindings_is_path(path) ? 0 : lp_libc()->unlinkat(folder, path, flags);
}

LIMPET_EXPORT int remove(const char *path)
{
	return lp_bindings_is_path(path) ? 0 : lp_libc()->remove(path);
}
