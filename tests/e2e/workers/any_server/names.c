/*
 * A server that tells each client what the calls that give addresses have given: names FAMILY WHERE
 *
 *     inet PORT   inet6 PORT (both families)   inet6only PORT   unix PATH
 *
 * The body of an answer has a line for each call and each room it was tried with: the call, the room, the result, the
 * length, the bytes in hex as far as there was room, and "spilled" if bytes behind the room were touched. The first line is
 * accept's; the room for that is another with each connection.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BUFFER 256
#define FILLER 0xa5

static const unsigned rooms[] = {128, 0, 1, 2, 7, 8, 15, 16, 17, 27, 28, 110};

static unsigned char buffer[BUFFER];
static char text[1 << 16];
static size_t used;

static socklen_t fill(unsigned room)
{
	memset(buffer, FILLER, sizeof(buffer));
	return room;
}

static void tell(const char *call, unsigned room, int result, socklen_t length)
{
	int spilled = 0;
	for (unsigned i = room; i < BUFFER; i++)
		spilled |= buffer[i] != FILLER;
	used += (size_t)snprintf(text + used, sizeof(text) - used, "%s %u %d %u x", call, room, result < 0 ? -errno : 0,
				 length);
	for (unsigned i = 0; i < room && i < length; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%02x", buffer[i]);
	used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\n", spilled ? " spilled" : "");
}

static void tell_names(int listener, int connection)
{
	for (unsigned i = 0; i < sizeof(rooms) / sizeof(*rooms); i++) {
		socklen_t length = fill(rooms[i]);
		int result = getpeername(connection, (struct sockaddr *)buffer, &length);
		tell("getpeername", rooms[i], result, length);
		length = fill(rooms[i]);
		result = getsockname(connection, (struct sockaddr *)buffer, &length);
		tell("getsockname", rooms[i], result, length);
		length = fill(rooms[i]);
		result = getsockname(listener, (struct sockaddr *)buffer, &length);
		tell("listener", rooms[i], result, length);
	}
	socklen_t length = fill(128);
	int result = getpeername(listener, (struct sockaddr *)buffer, &length);
	tell("nobody", 0, result, 0);
	length = fill(4);
	result = getsockopt(connection, SOL_SOCKET, SO_DOMAIN, buffer, &length);
	tell("domain", 4, result, length);
	length = (socklen_t)-1;
	result = getpeername(connection, (struct sockaddr *)buffer, &length);
	fill(0);
	tell("negative", 0, result, 0);
	result = getsockname(connection, NULL, NULL);
	tell("missing", 0, result, 0);
	int yes = 1;
	fill(0);
	tell("nodelay", 0, setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)), 0);
}

/* Read a head: its first byte by recvmsg(2), the rest by recvfrom(2), with a name asked of each. */
static void read_head(int connection)
{
	char head[4096];
	struct iovec piece = {head, 1};
	socklen_t length = fill(128);
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_name = buffer, .msg_namelen = length};
	ssize_t got = recvmsg(connection, &message, 0);
	tell("recvmsg", 128, (int)got, message.msg_namelen);
	size_t have = got > 0 ? (size_t)got : 0;
	while (got > 0 && have < sizeof(head) && !memmem(head, have, "\r\n\r\n", 4)) {
		length = fill(128);
		got = recvfrom(connection, head + have, sizeof(head) - have, 0, (struct sockaddr *)buffer, &length);
		have += got > 0 ? (size_t)got : 0;
	}
	tell("recvfrom", 128, (int)got, length);
}

static void serve(int listener, unsigned room)
{
	used = 0;
	socklen_t length = fill(room);
	int connection = room % 2 ? accept(listener, (struct sockaddr *)buffer, &length)
				  : accept4(listener, (struct sockaddr *)buffer, &length, SOCK_CLOEXEC);
	tell("accept", room, connection, length);
	if (connection < 0)
		return;
	read_head(connection);
	tell_names(listener, connection);
	dprintf(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", used, text);
	close(connection);
}

static int bind_inet6(const char *port, int only)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))};
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	return bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

static int bind_inet(const char *port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	return bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

static int bind_unix(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)))
		       ? -1
		       : fd;
}

int main(int count, char **words)
{
	if (count != 3)
		return 2;
	int listener = strcmp(words[1], "unix") == 0   ? bind_unix(words[2])
		       : strcmp(words[1], "inet") == 0 ? bind_inet(words[2])
						       : bind_inet6(words[2], strcmp(words[1], "inet6only") == 0);
	if (listener < 0 || listen(listener, 16)) {
		perror(words[1]);
		return 1;
	}
	fputs("it listens\n", stderr);
	for (unsigned i = 0;; i++)
		serve(listener, rooms[i % (sizeof(rooms) / sizeof(*rooms))]);
}
