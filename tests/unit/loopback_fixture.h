/*
 * A TCP connection over loopback: the client's end, and ours.
 */
#ifndef LP_LOOPBACK_FIXTURE_H
#define LP_LOOPBACK_FIXTURE_H

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
	int client;
	int fd;
};

static inline void await_bytes(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&polled, 1, 10000), 1);
}

static inline struct connection make_connection(const char *request)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct connection connection = {.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	assert_int_equal(connect(connection.client, (struct sockaddr *)&address, length), 0);
	connection.fd = accept(listener, NULL, NULL);
	close(listener);
	if (*request) {
		assert_int_equal(write(connection.client, request, strlen(request)), strlen(request));
		await_bytes(connection.fd);
	}
	return connection;
}

static inline void close_connection(struct connection *connection)
{
	close(connection->client);
	close(connection->fd);
}

#endif
