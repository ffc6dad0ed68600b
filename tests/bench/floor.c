/*
 * The floor under every hand-over: the four system calls that none can do without (accept4, recv with MSG_PEEK, sendmsg
 * with SCM_RIGHTS, close) in an epoll loop, round robin, and nothing else: no routing, no acknowledgement, no error
 * that is survived. What limpet costs above it is the price of what limpet does.
 *
 *     floor WORKERS PROGRAM [ARGUMENT…]
 *
 * As limpet does, it has the kernel hold connections back until the client has spoken (TCP_DEFER_ACCEPT), marks every
 * connection close-on-exec, and leaves it in blocking mode.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define WORKERS_MAX 64
#define PEEK_SIZE 16384
#define CHANNEL_FD 3

static int start_worker(unsigned id, char **command)
{
	int pair[2];
	char text[16];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		bench_fail("floor: socketpair: %s", strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		bench_fail("floor: fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* A copy onto itself would keep close-on-exec. */
		if (pair[1] == CHANNEL_FD)
			pair[1] = dup(pair[1]);
		dup2(pair[1], CHANNEL_FD);
		execv(command[0], command);
		bench_fail("floor: %s: %s", command[0], strerror(errno));
	}
	close(pair[1]);
	if (recv(pair[0], text, sizeof(text), 0) != 5 || memcmp(text, "ready", 5) != 0)
		bench_fail("floor: worker %u did not say that it is ready", id);
	fprintf(stderr, "floor: worker %u is ready (pid %d)\n", id, (int)pid);
	return pair[0];
}

static int listen_here(void)
{
	int seconds = 1;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&address, &size))
		bench_fail("floor: cannot listen: %s", strerror(errno));
	fprintf(stderr, "floor: listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
	return fd;
}

/* Whether the channel had room, or was waited for. */
static bool hand_over(int channel, int fd, bool wait)
{
	static const char text[] = "connection 1";
	struct iovec iov = {.iov_base = (char *)text, .iov_len = sizeof(text) - 1};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.align = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes)};
	if (sendmsg(channel, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)) >= 0)
		return true;
	if (errno != EAGAIN)
		bench_fail("floor: sendmsg: %s", strerror(errno));
	return false;
}

/* The next worker in turn that has room; when none has, the next in turn. */
static unsigned choose_and_hand_over(const int *channels, unsigned workers, unsigned turn, int fd)
{
	for (unsigned tries = 0; tries < workers; tries++) {
		if (hand_over(channels[(turn + tries) % workers], fd, false))
			return turn + tries + 1;
	}
	hand_over(channels[turn % workers], fd, true);
	return turn + 1;
}

int main(int argc, char **argv)
{
	static char peeked[PEEK_SIZE];
	int channels[WORKERS_MAX];
	unsigned workers = bench_number(argc > 2 ? argv[1] : NULL, 1);
	if (argc < 3 || workers == 0 || workers > WORKERS_MAX)
		bench_fail("usage: floor WORKERS PROGRAM [ARGUMENT…]");
	int listener = listen_here();
	for (unsigned i = 0; i < workers; i++)
		channels[i] = start_worker(i + 1, argv + 2);
	int set = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	epoll_ctl(set, EPOLL_CTL_ADD, listener, &event);
	for (unsigned turn = 0;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) {
			epoll_wait(set, &event, 1, -1);
			continue;
		}
		recv(fd, peeked, sizeof(peeked), MSG_PEEK | MSG_DONTWAIT);
		turn = choose_and_hand_over(channels, workers, turn, fd);
		close(fd);
	}
}
