/**
 * limpet's side of preloaded workers: the door that they come to, their channels, and the clients whose connections they
 * get. Include after cmocka.h.
 */
#ifndef LP_TESTS_PRELOAD_FIXTURE_H
#define LP_TESTS_PRELOAD_FIXTURE_H

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire/frame.h"
#include "wire/scm_rights.h"

#define PATIENCE_MS 20000
static char folder[] = "/tmp/limpet-self-XXXXXX";
static struct sockaddr_un door_name = {.sun_family = AF_UNIX};
static int door = -1;
static int outer[2]; /* Where clients connect to: limpet's listeners. */
static in_port_t ports[2];

/* limpet's side */

static inline void wait_for(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&one, 1, PATIENCE_MS), 1);
}

static inline void open_door(void)
{
	unlink(door_name.sun_path);
	door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(door, (struct sockaddr *)&door_name, sizeof(door_name)), 0);
	assert_int_equal(listen(door, 8), 0);
}

static inline struct lp_frame receive(int channel, int *fd)
{
	static char bytes[LP_FRAME_MAX];
	struct lp_frame frame;
	wait_for(channel);
	ssize_t got = lp_scm_rights_receive(channel, bytes, sizeof(bytes), MSG_CMSG_CLOEXEC, fd);
	assert_true(got > 0);
	assert_int_equal(lp_frame_parse(&frame, bytes, (size_t)got), 0);
	return frame;
}

static inline void expect(int channel, enum lp_frame_kind kind)
{
	int fd;
	assert_int_equal(receive(channel, &fd).kind, kind);
	assert_int_equal(fd, -1);
}

static inline void expect_end(int channel)
{
	char byte;
	wait_for(channel);
	assert_int_equal(recv(channel, &byte, 1, 0), 0);
	close(channel);
}

static inline void send_frame(int channel, struct lp_frame frame, int fd)
{
	char text[LP_FRAME_HEAD_MAX];
	size_t length = lp_frame_write(&frame, text);
	assert_true(lp_scm_rights_send(channel, text, length, fd) > 0);
}

/* A process has come to the door. Returns its channel, once it is ready. */
static inline int admit(unsigned sessions)
{
	wait_for(door);
	int channel = accept4(door, NULL, NULL, SOCK_CLOEXEC);
	int fd;
	struct lp_frame frame;
	while ((frame = receive(channel, &fd)).kind != LP_FRAME_READY)
		if (frame.kind == LP_FRAME_SESSION)
			sessions--;
	assert_int_equal(sessions, 0);
	return channel;
}

/* A client, whose connection limpet gives to a process. */
static inline int give(int channel, uint64_t number, int which)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = ports[which], .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	int accepted = accept4(outer[which], NULL, NULL, SOCK_CLOEXEC);
	send_frame(channel, (struct lp_frame){.kind = LP_FRAME_CONNECTION, .number = number}, accepted);
	close(accepted);
	return client;
}

#endif
