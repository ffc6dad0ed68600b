/*
 * Blocking, with a limit on how long nothing may come: a balancer whose loop is held up answers late, and one that is
 * stopped never.
 */
#include "base/control_client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/unix_path.h"

static int connect_to(const char *path)
{
	struct sockaddr_un address;
	int status = lp_unix_path_address(&address, path);
	int fd;

	if (status)
		return status;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	status = -errno;
	close(fd);
	return status;
}

static int send_line(int fd, const char *request)
{
	char line[2048];
	int length = snprintf(line, sizeof(line), "%s\n", request);

	if (length >= (int)sizeof(line))
		return -E2BIG;
	/* A balancer that has no room for us closes at once: then it is its answer that is missing, not our signal. */
	if (send(fd, line, (size_t)length, MSG_NOSIGNAL) != length)
		return errno == EPIPE ? -ECONNRESET : -errno;
	return 0;
}

static int receive_all(int fd, struct lp_buffer *answer)
{
	char bytes[65536];

	for (;;) {
		ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
		int status;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (got == 0)
			return answer->length ? 0 : -ECONNRESET;
		if (answer->length + (size_t)got > LP_CONTROL_ANSWER_MAX)
			return -EMSGSIZE;
		status = lp_buffer_append(answer, bytes, (size_t)got);
		if (status)
			return status;
	}
}

int lp_control_ask(const char *path, const char *request, int patience_ms, char **answer, size_t *length,
		   struct lp_error *error)
{
	struct timeval patience = {.tv_sec = patience_ms / 1000, .tv_usec = (suseconds_t)(patience_ms % 1000) * 1000};
	struct lp_buffer bytes = {0};
	int fd = connect_to(path);
	int status;

	*answer = NULL;
	if (fd < 0)
		return lp_error_set(error, fd, "no balancer answers at %s: %s; is it running?", path,
				    lp_error_words(fd));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	status = send_line(fd, request);
	if (!status)
		status = receive_all(fd, &bytes);
	if (!status)
		status = lp_buffer_append(&bytes, "", 1);
	close(fd);
	if (status) {
		lp_buffer_clear(&bytes);
		return lp_error_set(error, status, "the balancer at %s does not answer: %s", path,
				    lp_error_words(status));
	}
	*answer = bytes.bytes;
	if (length)
		*length = bytes.length - 1;
	return 0;
}
