/*
 * The answer is short enough for any socket's send buffer, so it is written once and never waited for.
 */
#include "server/refusal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "route/hello.h"

static const struct reason {
	int status;
	const char *phrase;
} reasons[] = {
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{410, "Gone"},
	{421, "Misdirected Request"},
	{426, "Upgrade Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{451, "Unavailable For Legal Reasons"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
};

static const char *reason_of(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].phrase;
	return status < 500 ? "Refused" : "Unavailable";
}

/* To a TLS client an answer in plain text would be garbage. */
static bool speaks_tls(int fd)
{
	char first;
	return recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && first == LP_HELLO_FIRST_BYTE;
}

void lp_refusal_send(int fd, int status)
{
	char body[64];
	char answer[256];
	unsigned left = LP_REFUSAL_DISCARD_BYTES;
	bool understands = !speaks_tls(fd);
	lp_refusal_discard(fd, &left);
	int length = snprintf(body, sizeof(body), "%d %s\n", status, reason_of(status));
	int total = snprintf(answer, sizeof(answer),
			     "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: text/plain\r\n"
			     "Content-Length: %d\r\n\r\n%s",
			     status, reason_of(status), length, body);
	if (understands)
		(void)!send(fd, answer, (size_t)total, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
}

/* The kernel writes to bytes. A client at a unix path can send descriptors, and reading past them would close them, here, however long that takes. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static ssize_t peek_without_descriptors(int fd, char *bytes, size_t size)
{
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t got = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);
	return got > 0 && message.msg_flags & MSG_CTRUNC ? 0 : got;
}

bool lp_refusal_discard(int fd, unsigned *left)
{
	char bytes[4096];
	for (;;) {
		ssize_t got = peek_without_descriptors(fd, bytes, sizeof(bytes));
		if (got > 0)
			got = recv(fd, bytes, (size_t)got, MSG_DONTWAIT);
		if (got < 0)
			return errno == EAGAIN || errno == EINTR;
		if (got == 0 || (size_t)got >= *left)
			return false;
		*left -= (unsigned)got;
	}
}
