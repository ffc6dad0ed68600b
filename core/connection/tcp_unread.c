/*
 * Read = received - in the receive queue. A FIN counts as one received byte, which is never in the queue.
 * Written = acknowledged by the client + in the send queue. (Not tcpi_bytes_sent: that counts bytes when they go out, and
 * counts them again when they are repeated.)
 *
 * The counts and the queues come from two system calls, and the client's packets arrive in between. So the counts are
 * read once more after the queues, until they are the same.
 *
 * A file of its own because the counts are in the kernel's struct tcp_info, whose header and the C library's
 * <netinet/tcp.h> exclude each other.
 */
#include "connection/tcp_unread.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* As the kernel numbers the states. */
#define ESTABLISHED 1
#define CLOSE_WAIT 8

/* Readings until two in a row agree. */
#define READINGS_MAX 16

struct counts {
	struct lp_tcp_baseline use;
	bool open; /* Neither reset nor closed by our side, and read at rest. */
};

int lp_bytes_waiting(int fd)
{
	int waiting = 0;
	return ioctl(fd, SIOCINQ, &waiting) == 0 ? waiting : 0;
}

static int bytes_unsent(int fd)
{
	int unsent = 0;
	return ioctl(fd, SIOCOUTQ, &unsent) == 0 ? unsent : 0;
}

static bool read_info(int fd, struct tcp_info *info)
{
	socklen_t length = sizeof(*info);
	*info = (struct tcp_info){0};
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length) != 0)
		return false;
	return length >= offsetof(struct tcp_info, tcpi_bytes_sent) + sizeof(info->tcpi_bytes_sent);
}

/* Returns false where the kernel cannot tell. */
static bool read_counts(int fd, struct counts *counts)
{
	struct tcp_info before;
	struct tcp_info info;
	if (!read_info(fd, &before))
		return false;
	for (int i = 0; i < READINGS_MAX; i++) {
		__u64 in_queue = (__u64)lp_bytes_waiting(fd);
		__u64 unsent = (__u64)bytes_unsent(fd);
		if (!read_info(fd, &info))
			return false;
		__u64 fin = info.tcpi_state == CLOSE_WAIT;
		counts->use.read = info.tcpi_bytes_received - fin - in_queue;
		counts->use.written = info.tcpi_bytes_acked + unsent;
		counts->open = info.tcpi_state == ESTABLISHED || info.tcpi_state == CLOSE_WAIT;
		if (info.tcpi_bytes_received == before.tcpi_bytes_received &&
		    info.tcpi_bytes_acked == before.tcpi_bytes_acked && info.tcpi_state == before.tcpi_state)
			return true;
		before = info;
	}
	counts->open = false;
	return true;
}

void lp_tcp_baseline_take(int fd, struct lp_tcp_baseline *baseline)
{
	struct counts counts = {0};
	*baseline = read_counts(fd, &counts) ? counts.use : (struct lp_tcp_baseline){0};
}

enum lp_tcp_use lp_tcp_use_since(int fd, const struct lp_tcp_baseline *baseline)
{
	struct counts counts = {0};
	if (!read_counts(fd, &counts))
		return LP_TCP_UNKNOWN;
	if (counts.use.read != baseline->read || counts.use.written != baseline->written)
		return LP_TCP_USED;
	return counts.open ? LP_TCP_UNREAD : LP_TCP_UNKNOWN;
}
