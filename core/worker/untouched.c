/*
 * TCP counts the bytes it has received, and what of them is still in the queue. Equal numbers, and nothing sent, are a
 * connection that nobody has used. One whose client has ended its side is not vouched for: the end counts as a byte
 * there, on the kernels that we know.
 *
 * A file of its own because the counts are in the kernel's struct tcp_info, whose header and the C library's <netinet/tcp.h>
 * exclude each other.
 */
#include "worker/untouched.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* As the kernel numbers the state. */
#define ESTABLISHED 1

int lp_bytes_waiting(int fd)
{
	int waiting = 0;
	return ioctl(fd, SIOCINQ, &waiting) == 0 ? waiting : 0;
}

bool lp_is_untouched(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
		return false;
	if (length < offsetof(struct tcp_info, tcpi_bytes_sent) + sizeof(info.tcpi_bytes_sent))
		return false; /* A kernel before 4.19 does not count. */
	return info.tcpi_state == ESTABLISHED && info.tcpi_bytes_sent == 0 &&
	       info.tcpi_bytes_received == (__u64)lp_bytes_waiting(fd);
}
