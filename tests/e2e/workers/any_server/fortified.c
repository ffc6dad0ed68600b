/*
 * fortified PORT: a server for one connection at a time, that is compiled with _FORTIFY_SOURCE. As the compiler cannot
 * know how much is read or how many descriptors there are, it calls __recv_chk and __poll_chk in place of recv and poll.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile size_t one = 1;

/* Each request comes in one piece, from the test that this is for. */
static void serve(int fd)
{
	char request[4096];
	char answer[128];
	char body[32];
	ssize_t got;
	int length = snprintf(body, sizeof(body), "{\"pid\":%d}", (int)getpid());
	while ((got = recv(fd, request, one * sizeof(request), 0)) > 0) {
		got = snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", length, body);
		if (write(fd, answer, (size_t)got) != got)
			break;
	}
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (argc < 2)
		return 2;
	address.sin_port = htons((unsigned short)atoi(argv[1]));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 16))
		return 1;
	for (;;) {
		struct pollfd ready[2] = {{.fd = fd, .events = POLLIN}};
		if (poll(ready, one, -1) == 1)
			serve(accept(fd, NULL, NULL));
	}
}
