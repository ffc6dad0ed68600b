/*
 * What the program does with sockets that listen, and with the numbers of descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "limpet/export.h"
#include "preload/descriptors.h"
#include "preload/listening.h"
#include "preload/real.h"
#include "preload/self.h"

static bool is_ours(int fd)
{
	enum lp_descriptor_kind kind = lp_descriptor_kind(fd);
	return kind == LP_BOUND || kind == LP_LISTENER;
}

/* limpet has put this library in front of a program that it started, or that such a program has. */
__attribute__((constructor)) static void begin(void)
{
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
	lp_self_begin(path, getenv("LIMPET_PRELOAD_LEARN"));
	lp_listening_begin(addresses, path);
}

LIMPET_EXPORT int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	if (lp_listening_bind(fd, address.__sockaddr__, length))
		return 0;
	return lp_real()->bind(fd, address.__sockaddr__, length);
}

LIMPET_EXPORT int listen(int fd, int backlog)
{
	if (!is_ours(fd))
		return lp_real()->listen(fd, backlog);
	lp_listening_listen(fd);
	return 0;
}

LIMPET_EXPORT int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict length, int flags)
{
	if (lp_descriptor_kind(fd) == LP_LISTENER)
		return lp_listening_accept(fd, address.__sockaddr__, length, flags);
	return lp_real()->accept4(fd, address.__sockaddr__, length, flags);
}

LIMPET_EXPORT int accept(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
	return accept4(fd, address, length, 0);
}

LIMPET_EXPORT int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
	if (!is_ours(fd))
		return lp_real()->getsockname(fd, address.__sockaddr__, length);
	lp_listening_name(fd, address.__sockaddr__, length);
	return 0;
}

LIMPET_EXPORT int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
	if (!is_ours(fd))
		return lp_real()->getpeername(fd, address.__sockaddr__, length);
	errno = ENOTCONN;
	return -1;
}

LIMPET_EXPORT int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
	if (is_ours(fd))
		return lp_listening_option(fd, level, name, value, length);
	return lp_real()->getsockopt(fd, level, name, value, length);
}

LIMPET_EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	return is_ours(fd) ? 0 : lp_real()->setsockopt(fd, level, name, value, length);
}

LIMPET_EXPORT int shutdown(int fd, int how)
{
	return lp_descriptor_kind(fd) == LP_LISTENER ? 0 : lp_real()->shutdown(fd, how);
}

LIMPET_EXPORT int close(int fd)
{
	lp_listening_closing(fd);
	return lp_real()->close(fd);
}

static void forget_range(unsigned first, unsigned last)
{
	unsigned end = (unsigned)lp_descriptors_end();
	for (unsigned fd = first; fd < end && fd <= last; fd++)
		lp_listening_closing((int)fd);
}

LIMPET_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	if (!(flags & (int)CLOSE_RANGE_CLOEXEC))
		forget_range(first, last);
	return lp_real()->close_range(first, last, flags);
}

LIMPET_EXPORT void closefrom(int first)
{
	forget_range((unsigned)first, UINT32_MAX);
	lp_real()->closefrom(first);
}

LIMPET_EXPORT int dup(int fd)
{
	int copy = lp_real()->dup(fd);
	lp_listening_copied(copy, fd);
	return copy;
}

LIMPET_EXPORT int dup3(int fd, int copy, int flags)
{
	if (copy != fd)
		lp_listening_closing(copy);
	int status = lp_real()->dup3(fd, copy, flags);
	if (status >= 0)
		lp_listening_copied(copy, fd);
	return status;
}

LIMPET_EXPORT int dup2(int fd, int copy)
{
	if (copy == fd)
		return lp_real()->dup2(fd, copy);
	return dup3(fd, copy, 0);
}

/* What rides behind the command is a number or a pointer; either goes on as it came. */
static int control(int fd, int command, void *argument)
{
	int result = lp_real()->fcntl(fd, command, argument);
	if (result >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC))
		lp_listening_copied(result, fd);
	return result;
}

LIMPET_EXPORT int fcntl(int fd, int command, ...)
{
	va_list arguments;
	va_start(arguments, command);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	return control(fd, command, argument);
}

LIMPET_EXPORT int fcntl64(int fd, int command, ...)
{
	va_list arguments;
	va_start(arguments, command);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	return control(fd, command, argument);
}
