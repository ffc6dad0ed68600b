/*
 * Clients: threads with plain blocking sockets. They cost more than an event loop would, but they cost every program
 * under measurement the same, and only that program's own process is ever measured.
 *
 * Source addresses vary over 127.0.0.0/8, so that a policy that hashes addresses spreads them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define REQUEST_THREADS 8
#define SOURCES 200

struct load {
	int port;
	unsigned workers;
	unsigned connections;
	double until;
	atomic_uint next;
	atomic_uint requests;
};

void bench_session_key(char *key, unsigned worker, unsigned index)
{
	snprintf(key, 32, "Wkr%03uSess%06uAAAAAA", worker % 1000, index % 1000000);
}

size_t bench_request(char *request, const char *key, bool keep_alive)
{
	return (size_t)snprintf(request, BENCH_REQUEST_MAX,
				"GET /socket.io/?EIO=4&transport=polling&t=OqkX3yT&sid=%s HTTP/1.1\r\n"
				"Host: chat.example.com\r\n"
				"Connection: %s\r\n"
				"Accept: */*\r\n"
				"Accept-Encoding: gzip, deflate, br\r\n"
				"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
				"Cache-Control: no-cache\r\n"
				"Cookie: theme=dark; _ga=GA1.2.1234567890.1700000000; consent=yes\r\n"
				"Origin: https://chat.example.com\r\n"
				"Referer: https://chat.example.com/rooms/42\r\n"
				"Sec-Fetch-Mode: cors\r\n"
				"Sec-Fetch-Site: same-origin\r\n"
				"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
				"Chrome/126.0.0.0 Safari/537.36\r\n"
				"\r\n",
				key, keep_alive ? "keep-alive" : "close");
}

int bench_connect(int port, unsigned number)
{
	int on = 1;
	struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + number % SOURCES)};
	struct sockaddr_in server = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&source, sizeof(source)) ||
	    connect(fd, (struct sockaddr *)&server, sizeof(server)))
		bench_fail("client %u cannot connect: %s", number, strerror(errno));
	return fd;
}

void bench_ask(int fd, const char *request, size_t length, bool to_end)
{
	char answer[1024];
	size_t used = 0;
	if (send(fd, request, length, MSG_NOSIGNAL) != (ssize_t)length)
		bench_fail("a client cannot send: %s", strerror(errno));
	for (;;) {
		ssize_t got = recv(fd, answer + used, sizeof(answer) - 1 - used, 0);
		if (got < 0)
			bench_fail("a client got no answer: %s", strerror(errno));
		used += (size_t)got;
		answer[used] = '\0';
		bool whole = strncmp(answer, "HTTP/1.1 200 ", 13) == 0 && strstr(answer, "\r\n\r\nhello\n");
		if (whole && (!to_end || got == 0))
			return;
		if (got == 0)
			bench_fail("a client got \"%s\" and no more", answer);
	}
}

static void *run_connections(void *argument)
{
	struct load *load = argument;
	char request[BENCH_REQUEST_MAX];
	char key[32];
	unsigned number;
	while ((number = atomic_fetch_add(&load->next, 1)) < load->connections) {
		bench_session_key(key, 1 + number % load->workers, number / load->workers % BENCH_SESSIONS);
		size_t length = bench_request(request, key, false);
		int fd = bench_connect(load->port, number);
		bench_ask(fd, request, length, true);
		close(fd);
	}
	return NULL;
}

static void *run_requests(void *argument)
{
	struct load *load = argument;
	char request[BENCH_REQUEST_MAX];
	char key[32];
	bench_session_key(key, 1, 0);
	size_t length = bench_request(request, key, true);
	int fd = bench_connect(load->port, atomic_fetch_add(&load->next, 1));
	unsigned requests = 0;
	while (bench_now() < load->until) {
		bench_ask(fd, request, length, false);
		requests++;
	}
	close(fd);
	atomic_fetch_add(&load->requests, requests);
	return NULL;
}

static void run_threads(struct load *load, unsigned count, void *(*run)(void *argument))
{
	pthread_t threads[BENCH_CLIENTS_MAX];
	for (unsigned i = 0; i < count; i++) {
		if (pthread_create(&threads[i], NULL, run, load))
			bench_fail("no thread for a client");
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

void bench_connections(int port, unsigned workers, unsigned connections, unsigned clients)
{
	struct load load = {.port = port, .workers = workers, .connections = connections};
	run_threads(&load, clients, run_connections);
}

double bench_requests(int port, double seconds)
{
	struct load load = {.port = port, .until = bench_now() + seconds};
	run_threads(&load, REQUEST_THREADS, run_requests);
	return atomic_load(&load.requests) / seconds;
}
