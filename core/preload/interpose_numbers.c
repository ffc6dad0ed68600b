/*
 * What the program does with the numbers of descriptors. One that was a connection's and is closed must be nobody's in our
 * table before something else has it: what is read there would be taken for requests.
 *
 * libuv closes by syscall(2), and a stream closes inside the C library. Where we miss a close all the same, a new socket's
 * number is wiped when it is made, and connection_traffic.c finds out files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "limpet/export.h"
#include "preload/descriptors.h"
#include "preload/libc.h"
#include "preload/listening.h"

LIMPET_EXPORT int socket(int family, int type, int protocol)
{
	int fd = lp_libc()->socket(family, type, protocol);
	lp_descriptor_forget(fd);
	return fd;
}

LIMPET_EXPORT int socketpair(int family, int type, int protocol, int pair[2])
{
	int status = lp_libc()->socketpair(family, type, protocol, pair);
	if (status == 0) {
		lp_descriptor_forget(pair[0]);
		lp_descriptor_forget(pair[1]);
	}
	return status;
}

LIMPET_EXPORT int close(int fd)
{
	lp_listening_closing(fd);
	return lp_libc()->close(fd);
}

LIMPET_EXPORT int fclose(FILE *stream)
{
	lp_listening_closing(fileno(stream));
	return lp_libc()->fclose(stream);
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
	return lp_libc()->close_range(first, last, flags);
}

LIMPET_EXPORT void closefrom(int first)
{
	forget_range((unsigned)first, UINT32_MAX);
	lp_libc()->closefrom(first);
}

/*
 * The kernel's calls have six arguments at most, and pass over those that they do not have.
 *
 * libuv 1.49 and later (Node 22 and 24) batches its epoll_ctl(2) through an io_uring, so we would never see that a listener
 * is watched. Programs must be able to do without io_uring, which kernels and containers often refuse: here it is refused,
 * too.
 */
LIMPET_EXPORT long syscall(long number, ...)
{
	long argument[6];
	va_list arguments;
	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(arguments, long);
	va_end(arguments);
	if (number == SYS_close)
		return close((int)argument[0]);
	if (number == SYS_close_range)
		return close_range((unsigned)argument[0], (unsigned)argument[1], (int)argument[2]);
	if (number == SYS_io_uring_setup) {
		errno = ENOSYS;
		return -1;
	}
	return lp_libc()->syscall(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}

LIMPET_EXPORT int dup(int fd)
{
	int copy = lp_libc()->dup(fd);
	lp_listening_copied(copy, fd);
	return copy;
}

LIMPET_EXPORT int dup3(int fd, int copy, int flags)
{
	if (copy != fd)
		lp_listening_closing(copy);
	int status = lp_libc()->dup3(fd, copy, flags);
	if (status >= 0)
		lp_listening_copied(copy, fd);
	return status;
}

LIMPET_EXPORT int dup2(int fd, int copy)
{
	if (copy == fd)
		return lp_libc()->dup2(fd, copy);
	return dup3(fd, copy, 0);
}

/* What rides behind the command is a number or a pointer; either goes on as it came. */
static int control_descriptor(int fd, int command, void *argument)
{
	int result = lp_libc()->fcntl(fd, command, argument);
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
	return control_descriptor(fd, command, argument);
}

LIMPET_EXPORT int fcntl64(int fd, int command, ...)
{
	va_list arguments;
	va_start(arguments, command);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	return control_descriptor(fd, command, argument);
}
