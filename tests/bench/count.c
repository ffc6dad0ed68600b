/*
 * What counting open connections costs, beside what else could be done: prints a table.
 *
 *     count [CONNECTIONS]     default 10,000; takes two descriptors each, one in this process and one in a child
 *
 * All figures are processor time of whoever spends it: this process, or the kernel's threads that send the messages.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/counts/cookie_table.h"
#include "worker/counts/open_count.h"
#include "worker/counts/socket_diag.h"

#define ROUNDS 15
#define LISTEN_BACKLOG 512

struct bench {
	int connections;
	int *fds;
	pid_t client;
	int client_pipe; /* Closed: the client ends. */
	uint16_t port;
	unsigned closed;
};

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench count: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double cpu_us(void)
{
	struct timespec used;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

/* Processor time that the kernel's worker threads have used: the first number of schedstat. */
static double kernel_threads_us(void)
{
	double sum = 0;
	DIR *all = opendir("/proc");
	for (const struct dirent *entry = all ? readdir(all) : NULL; entry; entry = readdir(all)) {
		char path[300], name[32] = "";
		unsigned long long ns = 0;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		FILE *file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen(path, "re") : NULL;
		if (!file)
			continue;
		int got = fscanf(file, "%31s", name);
		fclose(file);
		if (got != 1 || strncmp(name, "kworker", 7) != 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/schedstat", entry->d_name);
		file = fopen(path, "re");
		if (file && fscanf(file, "%llu", &ns) == 1)
			sum += (double)ns / 1e3;
		if (file)
			fclose(file);
	}
	if (all)
		closedir(all);
	return sum;
}

static void raise_limit(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* The client: a child that closes an end when the other is closed, and ends when the pipe does. */
static void be_the_client(const struct sockaddr_in *address, int connections, int until)
{
	int events = epoll_create1(0);
	struct epoll_event wanted = {.events = EPOLLIN, .data.fd = until};
	must(epoll_ctl(events, EPOLL_CTL_ADD, until, &wanted) == 0, "epoll");
	for (int i = 0; i < connections; i++) {
		wanted.data.fd = socket(AF_INET, SOCK_STREAM, 0);
		must(wanted.data.fd >= 0, "socket");
		must(connect(wanted.data.fd, (const struct sockaddr *)address, sizeof(*address)) == 0, "connect");
		must(epoll_ctl(events, EPOLL_CTL_ADD, wanted.data.fd, &wanted) == 0, "epoll");
	}
	for (;;) {
		struct epoll_event event;
		if (epoll_wait(events, &event, 1, -1) != 1)
			continue;
		if (event.data.fd == until)
			_exit(0);
		close(event.data.fd);
	}
}

static void open_connections(struct bench *bench)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ends[2];
	must(listener >= 0, "socket");
	must(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	must(listen(listener, LISTEN_BACKLOG) == 0, "listen");
	getsockname(listener, (struct sockaddr *)&address, &length);
	bench->port = ntohs(address.sin_port);
	must(pipe(ends) == 0, "pipe");
	bench->client = fork();
	must(bench->client >= 0, "fork");
	if (bench->client == 0) {
		close(ends[1]);
		be_the_client(&address, bench->connections, ends[0]);
	}
	close(ends[0]);
	bench->client_pipe = ends[1];
	for (int i = 0; i < bench->connections; i++) {
		struct pollfd wait = {.fd = listener, .events = POLLIN};
		must(poll(&wait, 1, 10000) == 1, "the client connects");
		bench->fds[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		must(bench->fds[i] >= 0, "accept");
	}
	close(listener);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void row(const char *what, double us, const char *unit, const char *note)
{
	printf("%-48s %10.2f %-14s %s\n", what, us, unit, note);
}

/* One list, as lp_count takes it, but in this thread: the median over rounds. */
static void measure_list(struct bench *bench, const char *what, enum lp_socket_kind kind, bool filtered)
{
	struct lp_socket_diag_ports ports = {0};
	struct lp_socket_diag_list list = {0};
	double costs[ROUNDS];
	if (filtered)
		lp_socket_diag_add_port(&ports, bench->port);
	for (int round = 0; round < ROUNDS; round++) {
		list.length = 0;
		double before = cpu_us();
		must(lp_socket_diag_list(kind, &ports, &list) == 0, "a list");
		costs[round] = cpu_us() - before;
	}
	qsort(costs, ROUNDS, sizeof(*costs), compare);
	char note[64];
	snprintf(note, sizeof(note), "%zu sockets", list.length);
	row(what, costs[ROUNDS / 2], "us", note);
	free(list.sockets);
}

/* A list of nothing: what walking the kernel's table costs by itself. */
static void measure_walk(struct bench *bench)
{
	uint16_t port = bench->port;
	bench->port = 1;
	measure_list(bench, "list of TCP sockets of a port that nobody uses", LP_SOCKET_TCP, true);
	bench->port = port;
}

/* What the loop does with a list. */
static void measure_judging(const struct bench *bench)
{
	struct lp_socket_diag_ports ports = {.count = 1, .ports = {bench->port}};
	struct lp_socket_diag_list list = {0};
	struct lp_cookie_table ledger = {0};
	unsigned gone[2] = {0};
	must(lp_socket_diag_list(LP_SOCKET_TCP, &ports, &list) == 0, "a list");
	for (size_t i = 0; i < list.length; i++)
		must(lp_cookie_table_add(&ledger, list.sockets[i].cookie, 1, 0, 0) == 0, "a ledger");
	double before = cpu_us();
	for (size_t i = 0; i < list.length; i++)
		lp_cookie_table_mark(&ledger, list.sockets[i].cookie, 1);
	lp_cookie_table_sweep(&ledger, 0, 1, gone);
	row("judging a list, on the loop", cpu_us() - before, "us", "");
	lp_cookie_table_clear(&ledger);
	free(list.sockets);
}

/* What a balancer without sock_diag would do, and would need the worker's rights for. */
static void measure_proc(const struct bench *bench)
{
	double costs[ROUNDS];
	int sockets = 0;
	for (int round = 0; round < ROUNDS; round++) {
		double before = cpu_us();
		char path[64], target[64];
		snprintf(path, sizeof(path), "/proc/%d/fd", bench->client);
		DIR *fds = opendir(path);
		must(fds != NULL, path);
		sockets = 0;
		for (const struct dirent *entry = readdir(fds); entry; entry = readdir(fds)) {
			ssize_t got = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target));
			sockets += got > 7 && memcmp(target, "socket:", 7) == 0;
		}
		closedir(fds);
		costs[round] = cpu_us() - before;
	}
	qsort(costs, ROUNDS, sizeof(*costs), compare);
	char note[64];
	snprintf(note, sizeof(note), "%d sockets; knows not which are ours", sockets);
	row("alternative: readlink of all in /proc/PID/fd", costs[ROUNDS / 2], "us", note);
}

static void on_closed(void *owner, unsigned worker, unsigned how_many)
{
	struct bench *bench = owner;
	(void)worker;
	bench->closed += how_many;
}

static void close_some(struct bench *bench, int from, int to)
{
	for (int i = from; i < to; i++)
		close(bench->fds[i]);
}

/* A tenth of the connections closes, with nobody listening: what closing costs by itself. */
static void measure_closing(struct bench *bench)
{
	int tenth = bench->connections / 10;
	double before_kernel = kernel_threads_us();
	double before = cpu_us();
	close_some(bench, 0, tenth);
	double closing = cpu_us() - before;
	double kernel = kernel_threads_us() - before_kernel;
	row("closing, nobody is told", closing / tenth, "us/close", "");
	row("  kernel threads meanwhile", kernel / tenth, "us/close", "");
}

/* The rest closes, in bursts, while lp_count is told. */
static void measure_told(struct bench *bench, uv_loop_t *loop)
{
	int first = bench->connections / 10;
	double closing = 0, hearing = 0;
	double before_kernel = kernel_threads_us();
	bench->closed = 0;
	for (int next = first; next < bench->connections;) {
		int to = next + 100 < bench->connections ? next + 100 : bench->connections;
		double before = cpu_us();
		close_some(bench, next, to);
		closing += cpu_us() - before;
		before = cpu_us();
		while ((int)bench->closed < to - first)
			uv_run(loop, UV_RUN_ONCE);
		hearing += cpu_us() - before;
		next = to;
	}
	double kernel = kernel_threads_us() - before_kernel;
	int closed = bench->connections - first;
	row("closing, lp_count is told", closing / closed, "us/close", "");
	row("  kernel threads meanwhile", kernel / closed, "us/close", "");
	row("  lp_count hears of it", hearing / closed, "us/close", "loop, recvmmsg, look-up, callback; bursts of 100");
}

static void on_stopped(void *owner)
{
	bool *stopped = owner;
	*stopped = true;
}

int main(int argc, char **argv)
{
	struct bench bench = {.connections = argc > 1 ? atoi(argv[1]) : 10000};
	must(bench.connections >= 1000, "at least 1000 connections");
	bench.fds = calloc((size_t)bench.connections, sizeof(*bench.fds));
	must(bench.fds != NULL, "memory");
	raise_limit();
	open_connections(&bench);
	printf("%d open connections on loopback\n", bench.connections);

	measure_list(&bench, "list of TCP sockets, our port only", LP_SOCKET_TCP, true);
	measure_list(&bench, "list of TCP sockets, all ports", LP_SOCKET_TCP, false);
	measure_walk(&bench);
	measure_list(&bench, "list of unix sockets", LP_SOCKET_UNIX, false);
	measure_judging(&bench);
	measure_proc(&bench);
	measure_closing(&bench);

	uv_loop_t loop;
	struct lp_log log;
	struct lp_open_count *count;
	uv_loop_init(&loop);
	lp_log_init(&log, STDERR_FILENO, LP_LOG_WARNING, LP_LOG_TEXT);
	must(lp_open_count_start(&count, &loop, &log, false, on_closed, &bench) == 0, "lp_open_count_start");
	double before = cpu_us();
	int added = 0;
	for (int i = bench.connections / 10; i < bench.connections; i++, added++)
		must(lp_open_count_add(count, bench.fds[i], 1 + (unsigned)i % 4, bench.port) == 0, "lp_open_count_add");
	row("lp_open_count_add", (cpu_us() - before) * 1000 / added, "ns", "");
	measure_told(&bench, &loop);

	bool stopped = false;
	lp_open_count_stop(count, on_stopped, &stopped);
	while (!stopped)
		uv_run(&loop, UV_RUN_ONCE);
	uv_loop_close(&loop);
	close(bench.client_pipe);
	waitpid(bench.client, NULL, 0);
	free(bench.fds);
	return 0;
}
