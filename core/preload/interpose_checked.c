/*
 * What a compiler calls with _FORTIFY_SOURCE in place of the functions in interpose_bytes.c and interpose_waits.c, where
 * it knows a buffer's size and not how much of it is asked for.
 */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limpet/export.h"

/* The C library's: it says that a buffer is too small, and ends the program. */
extern void __chk_fail(void) __attribute__((noreturn));

LIMPET_EXPORT ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room);
LIMPET_EXPORT ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t room, int flags);
LIMPET_EXPORT ssize_t __recvfrom_chk(int fd, void *restrict bytes, size_t size, size_t room, int flags,
				     __SOCKADDR_ARG address, socklen_t *restrict length);
LIMPET_EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room);
LIMPET_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
			      size_t room);

ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room)
{
	if (size > room)
		__chk_fail();
	return read(fd, bytes, size);
}

ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t room, int flags)
{
	if (size > room)
		__chk_fail();
	return recv(fd, bytes, size, flags);
}

ssize_t __recvfrom_chk(int fd, void *restrict bytes, size_t size, size_t room, int flags, __SOCKADDR_ARG address,
		       socklen_t *restrict length)
{
	if (size > room)
		__chk_fail();
	return recvfrom(fd, bytes, size, flags, address, length);
}

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room)
{
	if (count > room / sizeof(*fds))
		__chk_fail();
	return poll(fds, count, timeout_ms);
}

int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room)
{
	if (count > room / sizeof(*fds))
		__chk_fail();
	return ppoll(fds, count, timeout, mask);
}
