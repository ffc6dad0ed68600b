/*
 * A worker for limpet on the library: takes connections one after the other and answers one request on each.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <limpet/worker.h>

static void serve(unsigned id, int connection)
{
	char request[65536];
	char body[256];
	char answer[512];
	struct timeval patience = {.tv_sec = 5};
	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	ssize_t length = recv(connection, request, sizeof(request) - 1, 0);
	if (length <= 0)
		return;
	request[length] = '\0';
	request[strcspn(request, "\r\n")] = '\0';
	snprintf(body, sizeof(body), "worker %u got %.200s\n", id, request);
	snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
		 strlen(body), body);
	send(connection, answer, strlen(answer), MSG_NOSIGNAL);
}

int main(void)
{
	struct limpet_worker *worker;
	int status = limpet_worker_new(&worker, 1);
	if (status) {
		fprintf(stderr, "worker: %s; start it as `limpet run --dialect native -- ./worker`\n",
			strerror(-status));
		return 1;
	}
	struct pollfd waiting = {.fd = limpet_worker_fd(worker), .events = POLLIN};
	limpet_worker_ready(worker);
	for (;;) {
		int connection = limpet_worker_accept(worker, 0);
		if (connection >= 0) {
			serve(limpet_worker_id(worker), connection);
			limpet_worker_close(worker, connection);
		} else if (connection == -EAGAIN) {
			poll(&waiting, 1, -1);
		} else {
			break;
		}
	}
	limpet_worker_free(worker);
	return 0;
}
