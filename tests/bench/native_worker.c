/*
 * The worker of all benchmarks: an epoll loop that answers every request with the same few bytes. One binary for every
 * way of getting connections, so that what differs is the way alone:
 *
 *     native_worker            through the library, as limpet's native worker; tells of its sessions first
 *     native_worker --silent   from the same kind of channel by hand, saying nothing but "ready": under the floor
 *     native_worker --listen   from a socket of its own
 *
 * A request is expected whole in one read, as the benchmarks' clients send it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "limpet/worker.h"

#define EVENTS 256
#define CHANNEL_FD 3

/* Where connections come from. One of these two is in use. */
struct source {
	struct limpet_worker *worker;
	int fd; /* A listening socket, or a channel read by hand. */
	bool is_channel;
};

static const char kept[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";
static const char closed[] =
	"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";

/* The next connection; -EAGAIN, or another error when there will be none any more. */
static int take_by_hand(int channel)
{
	char bytes[64];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes)};
	ssize_t length = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (length <= 0 || !CMSG_FIRSTHDR(&message))
		return length < 0 ? -errno : -ESHUTDOWN;
	int fd;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static int take(struct source *source)
{
	if (source->worker)
		return limpet_worker_accept(source->worker, SOCK_NONBLOCK);
	if (source->is_channel)
		return take_by_hand(source->fd);
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static void close_connection(struct source *source, int fd)
{
	if (source->worker)
		limpet_worker_close(source->worker, fd);
	else
		close(fd);
}

/* Answer what has come: whether the connection goes on. One that has been going on is in the set. */
static bool serve(struct source *source, int fd, int set)
{
	char request[BENCH_REQUEST_MAX * 2];
	ssize_t length = recv(fd, request, sizeof(request) - 1, MSG_DONTWAIT);
	if (length < 0 && errno == EAGAIN)
		return true;
	request[length > 0 ? length : 0] = '\0';
	bool keep = strstr(request, "Connection: keep-alive\r\n") != NULL;
	if (length > 0)
		send(fd, keep ? kept : closed, strlen(keep ? kept : closed), MSG_NOSIGNAL | MSG_DONTWAIT);
	if (keep)
		return true;
	if (set >= 0)
		epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
	close_connection(source, fd);
	return false;
}

static int take_all(struct source *source, int set)
{
	int fd;
	while ((fd = take(source)) >= 0) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
		if (serve(source, fd, -1))
			epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
	}
	return fd;
}

static int run(struct source *source, int set)
{
	int waiting = source->worker ? limpet_worker_fd(source->worker) : source->fd;
	struct epoll_event events[EVENTS] = {{.events = EPOLLIN, .data.fd = waiting}};
	epoll_ctl(set, EPOLL_CTL_ADD, waiting, &events[0]);
	for (;;) {
		int count = epoll_wait(set, events, EVENTS, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.fd != waiting)
				serve(source, events[i].data.fd, set);
			else if (take_all(source, set) != -EAGAIN)
				return 0;
		}
	}
}

static int listen_here(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&address, &size))
		bench_fail("native_worker cannot listen: %s", strerror(errno));
	fprintf(stderr, "native_worker: listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
	return fd;
}

static void open_worker(struct source *source)
{
	char key[32];
	int status = limpet_worker_new(&source->worker, LIMPET_WORKER_BATCH_MAX);
	if (status)
		bench_fail("native_worker was not started by limpet: %s", strerror(-status));
	for (unsigned i = 0; i < BENCH_SESSIONS; i++) {
		bench_session_key(key, limpet_worker_id(source->worker), i);
		limpet_worker_session(source->worker, key, strlen(key));
	}
	limpet_worker_ready(source->worker);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	struct source source = {.fd = -1};
	if (strcmp(mode, "--listen") == 0) {
		source.fd = listen_here();
	} else if (strcmp(mode, "--silent") == 0) {
		source.fd = CHANNEL_FD;
		source.is_channel = true;
		send(source.fd, "ready", 5, MSG_NOSIGNAL);
	} else {
		open_worker(&source);
	}
	return run(&source, epoll_create1(EPOLL_CLOEXEC));
}
