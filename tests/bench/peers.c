/*
 * What does a new connection cost limpet, and what its peers? Processor time of the balancers' own processes, never of
 * their workers, for a connection with one request, which the server closes. All are up at once, each with two workers
 * or in front of two servers of Node's, and are loaded in turn, in an order that rotates, so that whatever else the
 * machine does meets them all; a ratio is the median of the rounds' ratios to the limpet that does the same job.
 *
 * Every balancer is one process (nginx: and its master) with one thread that does the work. The proxies are given what
 * makes them cheapest here: no log, a listening socket that holds connections back until the client has spoken
 * (TCP_DEFER_ACCEPT: both have the option, and limpet uses it; Node has none), and in http mode idle connections to
 * their servers, to use again. These spare the servers the work of accepting, which shows in the requests a second.
 *
 * What it does not show: a websocket cannot use an idle connection again, and a proxy goes on to copy every byte of a
 * connection's life, which the others do not.
 *
 *     peers LIMPET [ROUNDS [CONNECTIONS [CLIENTS]]]
 *
 * A peer that is not installed is left out, with a line that says so.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define WORKERS 2
#define ROUNDS_MAX 100

/* Rounds end early then, however slow the machine. */
#define ROUNDS_S 65

#define HERE LIMPET_SOURCE_DIR "/tests/bench/peers/"
#define MODULES LIMPET_SOURCE_DIR "/tests/e2e/node_modules/"
#define MODULES_SOURCE "npm install in tests/e2e"

enum kind { LIMPET, PRIMARY, PROXY };

struct peer {
	const char *name;
	enum kind kind;
	const char *program; /* The script of a Node program; what the script `proxy` is to become. */
	const char *dialect; /* Of limpet, as is the policy. */
	const char *policy;
	const char *needs;  /* A program in PATH, or a file. */
	const char *source; /* Where that comes from. */
};

/* A limpet stands before those that do the same job. */
static const struct peer peers[] = {
	{"limpet, dialect node, ip_hash", LIMPET, "plain.js", "node", "ip_hash", "node", "package nodejs"},
	{"limpet, dialect cluster, ip_hash", LIMPET, "plain.js", "cluster", "ip_hash", "node", "package nodejs"},
	{"Node's cluster primary, round robin", PRIMARY, "plain.js", NULL, NULL, "node", "package nodejs"},
	{"sticky-session 1.1.2", PRIMARY, "sticky_session.js", NULL, NULL, MODULES "sticky-session", MODULES_SOURCE},
	{"HAProxy, tcp", PROXY, "haproxy-tcp", NULL, NULL, "haproxy", "package haproxy"},
	{"HAProxy, http", PROXY, "haproxy-http", NULL, NULL, "haproxy", "package haproxy"},
	{"nginx, http", PROXY, "nginx", NULL, NULL, "nginx", "package nginx-light"},
	{"limpet, dialect socket.io-sticky, sid", LIMPET, "socketio_sticky.js", "socket.io-sticky", "sid",
	 MODULES "sticky201", MODULES_SOURCE},
	{"@socket.io/sticky 2.0.1", PRIMARY, "socketio_sticky.js", NULL, NULL, MODULES "sticky201", MODULES_SOURCE},
};

#define PEERS (sizeof(peers) / sizeof(*peers))

/* One peer's figures, a round each. */
struct result {
	double costs[ROUNDS_MAX]; /* Microseconds a connection. */
	double ratios[ROUNDS_MAX];
	double rates[ROUNDS_MAX]; /* Requests a second, end to end. */
};

struct bench {
	const char *limpet;
	char *folder; /* The proxies' files. */
	struct bench_program servers[WORKERS];
	struct bench_program programs[PEERS];
	bool runs[PEERS];
	struct result results[PEERS];
	unsigned connections;
	unsigned clients;
};

static bool is_there(const char *needs)
{
	char command[256];
	if (strchr(needs, '/'))
		return access(needs, F_OK) == 0;
	snprintf(command, sizeof(command), "command -v %s >/dev/null", needs);
	return system(command) == 0;
}

static void start_node(struct bench_program *program, const char *script, unsigned workers)
{
	char path[512];
	char count[16];
	snprintf(path, sizeof(path), HERE "%s", script);
	snprintf(count, sizeof(count), "%u", workers);
	bench_start(program, workers, (const char *[]){"/usr/bin/env", "node", path, count, NULL});
}

static void start_limpet(struct bench_program *program, const char *limpet, const struct peer *peer)
{
	char path[512];
	char count[16];
	snprintf(path, sizeof(path), HERE "%s", peer->program);
	snprintf(count, sizeof(count), "%d", WORKERS);
	const char *command[] = {limpet, "run",      "--listen",   "127.0.0.1:0", "--workers",
				 count,  "--policy", peer->policy, "--dialect",   peer->dialect,
				 "--",   "node",     path,         NULL};
	bench_start(program, WORKERS, command);
}

/* A socket that listens, for a program to inherit. */
static int listen_here(int *port)
{
	int seconds = 1;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&address, &size))
		bench_fail("cannot listen: %s", strerror(errno));
	*port = ntohs(address.sin_port);
	return fd;
}

static void start_proxy(struct bench_program *program, const struct bench *bench, const char *name)
{
	char numbers[4][16];
	int port;
	int listener = listen_here(&port);
	int values[4] = {port, listener, bench->servers[0].port, bench->servers[1].port};
	for (unsigned i = 0; i < 4; i++)
		snprintf(numbers[i], sizeof(numbers[i]), "%d", values[i]);
	const char *command[] = {"/bin/sh",  HERE "proxy", name,       bench->folder, numbers[0],
				 numbers[1], numbers[2],   numbers[3], NULL};
	bench_start(program, 0, command);
	close(listener);
}

static void start_peers(struct bench *bench)
{
	for (unsigned i = 0; i < WORKERS; i++)
		start_node(&bench->servers[i], "plain.js", 0);
	for (unsigned i = 0; i < PEERS; i++) {
		const struct peer *peer = &peers[i];
		bench->runs[i] = is_there(peer->needs);
		if (!bench->runs[i])
			printf("%s: left out, %s is not here (%s)\n", peer->name, peer->needs, peer->source);
		else if (peer->kind == LIMPET)
			start_limpet(&bench->programs[i], bench->limpet, peer);
		else if (peer->kind == PRIMARY)
			start_node(&bench->programs[i], peer->program, WORKERS);
		else
			start_proxy(&bench->programs[i], bench, peer->program);
	}
}

static void stop_peers(struct bench *bench)
{
	for (unsigned i = 0; i < PEERS; i++) {
		if (bench->runs[i])
			bench_stop(&bench->programs[i]);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		bench_stop(&bench->servers[i]);
}

/* Seconds of processor time. A proxy's children are balancers too; those of the others are workers. */
static double balancer_cpu(const struct bench *bench, unsigned which)
{
	pid_t pid = bench->programs[which].pid;
	double used = bench_cpu(pid);
	char path[64];
	int child;
	if (peers[which].kind != PROXY)
		return used;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	FILE *children = fopen(path, "re");
	while (children && fscanf(children, "%d", &child) == 1)
		used += bench_cpu(child);
	if (!children)
		bench_fail("%s: %s", path, strerror(errno));
	fclose(children);
	return used;
}

static void measure(struct bench *bench, unsigned which, unsigned round)
{
	struct result *result = &bench->results[which];
	double cpu = balancer_cpu(bench, which);
	double begun = bench_now();
	bench_connections(bench->programs[which].port, WORKERS, bench->connections, bench->clients);
	result->rates[round] = bench->connections / (bench_now() - begun);
	result->costs[round] = (balancer_cpu(bench, which) - cpu) * 1e6 / bench->connections;
}

static void measure_round(struct bench *bench, unsigned round)
{
	const double *limpet = NULL;
	for (unsigned i = 0; i < PEERS; i++) {
		unsigned which = (round + i) % PEERS;
		if (bench->runs[which])
			measure(bench, which, round);
	}
	for (unsigned i = 0; i < PEERS; i++) {
		if (peers[i].kind == LIMPET)
			limpet = &bench->results[i].costs[round];
		bench->results[i].ratios[round] = bench->results[i].costs[round] / *limpet;
	}
}

static void print_results(struct bench *bench, unsigned rounds)
{
	printf("%-38s %s %s %s\n", "", "µs a connection", "of limpet's", "requests/s");
	for (unsigned i = 0; i < PEERS; i++) {
		struct result *result = &bench->results[i];
		if (!bench->runs[i])
			continue;
		if (i > 0 && peers[i].kind == LIMPET)
			printf("\n");
		printf("%-38s %15.1f %11.2f %10.0f\n", peers[i].name, bench_median(result->costs, rounds),
		       bench_median(result->ratios, rounds), bench_median(result->rates, rounds));
	}
}

/* Make a folder for the proxies, and have programs found where packages put those for the administrator. */
static void prepare(char *folder)
{
	char *path;
	const char *before = getenv("PATH");
	if (!mkdtemp(folder) || asprintf(&path, "%s:/usr/local/sbin:/usr/sbin", before ? before : "/usr/bin:/bin") < 0)
		bench_fail("no folder %s: %s", folder, strerror(errno));
	setenv("PATH", path, 1);
	free(path);
	bench_raise_limits();
}

static void remove_folder(const char *folder)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -r %s", folder);
	if (system(command))
		bench_fail("%s is left over", folder);
}

int main(int argc, char **argv)
{
	static struct bench bench;
	char folder[] = "/tmp/peers-XXXXXX";
	unsigned round = 0;
	if (argc < 2)
		bench_fail("usage: peers LIMPET [ROUNDS [CONNECTIONS [CLIENTS]]]");
	unsigned rounds = bench_number(argc > 2 ? argv[2] : NULL, 16);
	bench.connections = bench_number(argc > 3 ? argv[3] : NULL, 1000);
	bench.clients = bench_number(argc > 4 ? argv[4] : NULL, 64);
	if (rounds > ROUNDS_MAX || bench.clients > BENCH_CLIENTS_MAX)
		bench_fail("at most %d rounds and %d clients", ROUNDS_MAX, BENCH_CLIENTS_MAX);
	prepare(folder);
	if (!is_there("node")) {
		printf("left out: node is not here (package nodejs)\n");
		remove_folder(folder);
		return 0;
	}
	bench.limpet = argv[1];
	bench.folder = folder;
	start_peers(&bench);

	for (unsigned i = 0; i < 2; i++)
		measure_round(&bench, 0); /* Warm caches, traced policies and compiled scripts; measured again below. */
	double until = bench_now() + ROUNDS_S;
	while (round < rounds && bench_now() < until)
		measure_round(&bench, round++);
	printf("processor time of the balancers for a new connection: %u rounds, %u connections from %u clients each\n",
	       round, bench.connections, bench.clients);
	print_results(&bench, round);
	stop_peers(&bench);
	remove_folder(folder);
	return 0;
}
