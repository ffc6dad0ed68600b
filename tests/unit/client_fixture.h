/**
 * A worker's library with the test at limpet's end of its channel. A test that uses set_up and tear_down also fails when
 * it leaves a descriptor behind.
 */
#ifndef LP_TESTS_CLIENT_FIXTURE_H
#define LP_TESTS_CLIENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limpet/worker.h"

/* limpet's side of everything. */
struct fixture {
	int limpet; /* Its end of the channel; -1 once closed. */
	struct limpet_worker *worker;
	uint64_t sent;
	int clients[256]; /* Far ends of the connections, in order from 1. */
	int descriptors;  /* Open before the test. */
};

static inline int count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;
	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static inline void make_channel(int pair[2])
{
	char number[16];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	snprintf(number, sizeof(number), "%d", pair[1]);
	setenv("LIMPET_CHANNEL_FD", number, 1);
	setenv("LIMPET_WORKER_ID", "7", 1);
}

static inline int set_up_with(void **state, unsigned batch)
{
	static struct fixture fixture;
	int pair[2];
	fixture = (struct fixture){.descriptors = count_descriptors()};
	make_channel(pair);
	fixture.limpet = pair[0];
	assert_int_equal(limpet_worker_new(&fixture.worker, batch), 0);
	*state = &fixture;
	return 0;
}

static inline int set_up(void **state)
{
	return set_up_with(state, LIMPET_WORKER_BATCH_MAX);
}

static inline int set_up_one_by_one(void **state)
{
	return set_up_with(state, 1);
}

static inline void close_limpet(struct fixture *fixture)
{
	close(fixture->limpet);
	fixture->limpet = -1;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;
	limpet_worker_free(fixture->worker);
	for (uint64_t i = 1; i <= fixture->sent; i++)
		close(fixture->clients[i]);
	if (fixture->limpet >= 0)
		close_limpet(fixture);
	assert_int_equal(count_descriptors(), fixture->descriptors);
	return 0;
}

static inline void send_text(struct fixture *fixture, const char *text, int fd)
{
	struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text)};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.align = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.bytes);
	}
	assert_int_equal(sendmsg(fixture->limpet, &message, MSG_NOSIGNAL | MSG_DONTWAIT), (int)iov.iov_len);
}

/* Send the next connection, with a byte of its client's in it, from a descriptor in the given mode. */
static inline void send_connection(struct fixture *fixture, int mode)
{
	char text[32];
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | mode, 0, pair), 0);
	assert_int_equal(write(pair[0], "x", 1), 1);
	fixture->clients[++fixture->sent] = pair[0];
	snprintf(text, sizeof(text), "connection %llu", (unsigned long long)fixture->sent);
	send_text(fixture, text, pair[1]);
	close(pair[1]);
}

/* The next thing that the worker said; "" when it said nothing. */
static inline const char *hear(struct fixture *fixture)
{
	static char text[2048];
	ssize_t length = recv(fixture->limpet, text, sizeof(text) - 1, MSG_DONTWAIT);
	if (length < 0 && errno == ECONNRESET) /* Said once when the worker closed; its words are still there. */
		length = recv(fixture->limpet, text, sizeof(text) - 1, MSG_DONTWAIT);
	text[length > 0 ? length : 0] = '\0';
	return text;
}

static inline bool is_readable(int fd)
{
	struct pollfd waiting = {.fd = fd, .events = POLLIN};
	return poll(&waiting, 1, 0) == 1;
}

/* Wait until the worker's descriptor is readable; how long that takes is not the test's matter. */
static inline void await_readable(struct fixture *fixture)
{
	struct pollfd waiting = {.fd = limpet_worker_fd(fixture->worker), .events = POLLIN};
	assert_int_equal(poll(&waiting, 1, 10000), 1);
}

static inline int accept_one(struct fixture *fixture)
{
	int connection = limpet_worker_accept(fixture->worker, 0);
	assert_true(connection >= 0);
	return connection;
}

#define WITH_WORKER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
