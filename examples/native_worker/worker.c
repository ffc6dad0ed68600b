/*
 * A worker for limpet on the library: it counts the visits to all workers, in the store that they share. Nothing waits:
 * while one connection's turn to count is not there yet, the next is accepted.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <limpet/worker.h>

/* Ask for the counter; the request's number tells on_message which connection it is for. */
static void begin(struct limpet_worker *worker, int connection)
{
	if (limpet_worker_acquire(worker, (uint64_t)connection, "visits", "total"))
		limpet_worker_close(worker, connection);
}

static void answer(struct limpet_worker *worker, int connection, long visit)
{
	char request[65536];
	char body[256];
	char response[512];
	struct timeval patience = {.tv_sec = 5};
	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	ssize_t length = recv(connection, request, sizeof(request) - 1, 0);
	if (length <= 0)
		return;
	request[length] = '\0';
	request[strcspn(request, "\r\n")] = '\0';
	snprintf(body, sizeof(body), "worker %u got %.200s, visit %ld\n", limpet_worker_id(worker), request, visit);
	snprintf(response, sizeof(response), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
		 strlen(body), body);
	send(connection, response, strlen(response), MSG_NOSIGNAL);
}

/* The counter is ours until we let it go, with its new value. */
static void on_message(struct limpet_worker *worker, const struct limpet_message *message, void *owner)
{
	char total[32];
	int connection = (int)message->request;
	bool *gone = owner;
	if (message->kind == LIMPET_MESSAGE_GONE) {
		*gone = true;
		return;
	}
	if (message->kind == LIMPET_MESSAGE_VALUE) {
		long visit = message->bytes ? atol(message->bytes) + 1 : 1;
		int length = snprintf(total, sizeof(total), "%ld", visit);
		limpet_worker_set_release(worker, 0, "visits", "total", total, (size_t)length);
		answer(worker, connection, visit);
	}
	limpet_worker_close(worker, connection);
}

int main(void)
{
	struct limpet_worker *worker;
	int status = limpet_worker_new(&worker, LIMPET_WORKER_BATCH_MAX);
	if (status) {
		fprintf(stderr, "worker: %s; start it as `limpet run --dialect native -- ./worker`\n",
			strerror(-status));
		return 1;
	}
	bool gone = false;
	limpet_worker_on_message(worker, on_message, &gone);
	limpet_worker_ready(worker);
	struct pollfd waiting = {.fd = limpet_worker_fd(worker), .events = POLLIN};
	int connection = -EAGAIN;
	while (!gone && (connection != -ESHUTDOWN || limpet_worker_open(worker))) {
		if (connection < 0)
			poll(&waiting, 1, -1);
		connection = limpet_worker_accept(worker, 0);
		if (connection >= 0)
			begin(worker, connection);
	}
	limpet_worker_free(worker);
	return 0;
}
