/*
 * A worker that is started in a millisecond, as the test of allocations needs hundreds: it answers one request on each
 * connection with its id. Asked for /claim/KEY it first makes KEY its session.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "limpet/worker.h"

#define CLAIM "GET /claim/"

static void serve(struct limpet_worker *worker, int connection)
{
	char request[4096];
	char answer[128];
	ssize_t length = recv(connection, request, sizeof(request) - 1, 0);
	request[length > 0 ? length : 0] = '\0';
	if (strncmp(request, CLAIM, strlen(CLAIM)) == 0)
		limpet_worker_session(worker, request + strlen(CLAIM), strcspn(request + strlen(CLAIM), " "));
	int size = snprintf(answer, sizeof(answer),
			    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nworker %u\n",
			    limpet_worker_id(worker));
	if (length > 0)
		send(connection, answer, (size_t)size, MSG_NOSIGNAL);
}

int main(void)
{
	struct limpet_worker *worker;
	if (limpet_worker_new(&worker, 1))
		return 1;
	struct pollfd waiting = {.fd = limpet_worker_fd(worker), .events = POLLIN};
	limpet_worker_ready(worker);
	for (;;) {
		int connection = limpet_worker_accept(worker, 0);
		if (connection >= 0) {
			serve(worker, connection);
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
