/*
 * What does a flood cost others? 10,000 connections from 8 addresses that begin a head and no more, or say nothing at all,
 * are opened within two seconds and held, while clients of other addresses go on asking, on new connections. The figure is
 * their 99th percentile in such a window, beside that of a quiet window right before; of several rounds, the median. The
 * flood without limits is there to compare with.
 *
 *     flood LIMPET [ROUNDS [CONNECTIONS]]
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define WORKERS 2
#define ROUNDS_MAX 100
#define WINDOW_S 3.0
#define FLOOD_S 2.0
#define CALM_S 30.0

/* Clients, each on its own address; the flood's are before those. */
#define ADDRESSES 8
#define CLIENTS 4
#define ASK_EVERY_NS 2000000

#define AIM 2.0

struct sample {
	double *ms;
	size_t count;
	size_t room;
};

struct client {
	pthread_t thread;
	int port;
	unsigned number;
	double until;
	struct sample sample;
};

struct percentiles {
	double p50;
	double p99;
};

static void *run_client(void *argument)
{
	struct client *client = argument;
	const struct timespec pause = {.tv_nsec = ASK_EVERY_NS};
	char request[BENCH_REQUEST_MAX];
	char key[32];
	bench_session_key(key, 1 + client->number % WORKERS, 0);
	size_t length = bench_request(request, key, false);
	while (bench_now() < client->until && client->sample.count < client->sample.room) {
		double began = bench_now();
		int fd = bench_connect(client->port, ADDRESSES + client->number);
		bench_ask(fd, request, length, true);
		close(fd);
		client->sample.ms[client->sample.count++] = (bench_now() - began) * 1000;
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static struct percentiles ask_for_a_window(int port)
{
	struct client clients[CLIENTS];
	size_t room = (size_t)(WINDOW_S * 1e9 / ASK_EVERY_NS);
	double *all = calloc(CLIENTS * room, sizeof(*all));
	size_t count = 0;
	if (!all)
		bench_fail("no memory");
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i] = (struct client){.port = port,
					     .number = i,
					     .until = bench_now() + WINDOW_S,
					     .sample = {.ms = calloc(room, sizeof(double)), .room = room}};
		if (!clients[i].sample.ms || pthread_create(&clients[i].thread, NULL, run_client, &clients[i]))
			bench_fail("no thread for a client");
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		pthread_join(clients[i].thread, NULL);
		for (size_t j = 0; j < clients[i].sample.count; j++)
			all[count++] = clients[i].sample.ms[j];
		free(clients[i].sample.ms);
	}
	struct percentiles found = {.p50 = bench_median(all, count)}; /* Sorts them. */
	found.p99 = all[count * 99 / 100];
	free(all);
	return found;
}

/* A process of its own: it has as many descriptors as limpet. It holds what it opened until it is killed. */
static pid_t start_flood(int port, unsigned connections, const char *bytes, size_t length)
{
	pid_t pid = fork();
	if (pid < 0)
		bench_fail("no process for the flood");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	double began = bench_now();
	for (unsigned i = 0; i < connections; i++) {
		int fd = bench_connect(port, i % ADDRESSES);
		send(fd, bytes, length, MSG_NOSIGNAL); /* limpet may have closed it. */
		double ahead = began + FLOOD_S * i / connections - bench_now();
		if (ahead > 0.001)
			usleep((useconds_t)(ahead * 1e6));
	}
	for (;;)
		pause();
}

struct flood {
	const char *what;
	const char *max_per_ip;
	const char *bytes;
	size_t length;
	double aim; /* Of the ratio; 0: none. */
};

/* What the flood left behind is gone before the next round. */
static void await_calm(pid_t pid, unsigned files)
{
	double deadline = bench_now() + CALM_S;
	while (bench_files(pid) > files) {
		if (bench_now() > deadline)
			bench_fail("limpet keeps %u descriptors of a flood that is over", bench_files(pid) - files);
		usleep(10000);
	}
}

static bool measure(const char *limpet, const struct flood *flood, unsigned rounds, unsigned connections)
{
	double quiet50[ROUNDS_MAX], quiet99[ROUNDS_MAX], flood50[ROUNDS_MAX], flood99[ROUNDS_MAX], ratios[ROUNDS_MAX];
	char *worker = bench_beside("native_worker");
	const char *command[] = {limpet,
				 "run",
				 "--listen",
				 "127.0.0.1:0",
				 "--workers",
				 "2",
				 "--policy",
				 "sid",
				 "--dialect",
				 "native",
				 "--head-timeout",
				 "1h",
				 "--max-per-ip",
				 flood->max_per_ip,
				 "--log-level",
				 "info",
				 "--",
				 worker,
				 NULL};
	struct bench_program program;
	bench_start(&program, WORKERS, command);
	unsigned files = bench_files(program.pid);
	unsigned most = 0;
	for (unsigned round = 0; round < rounds; round++) {
		struct percentiles found = ask_for_a_window(program.port);
		quiet50[round] = found.p50;
		quiet99[round] = found.p99;
		pid_t pid = start_flood(program.port, connections, flood->bytes, flood->length);
		found = ask_for_a_window(program.port);
		flood50[round] = found.p50;
		flood99[round] = found.p99;
		ratios[round] = flood99[round] / quiet99[round];
		unsigned held = bench_files(program.pid) - files;
		most = held > most ? held : most;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		await_calm(program.pid, files);
	}
	double ratio = bench_median(ratios, rounds);
	bool missed = flood->aim > 0 && ratio > flood->aim;
	printf("%s: p50 %.2f ms quiet, %.2f ms in the flood; p99 %.2f ms quiet, %.2f ms in the flood; %u held; "
	       "ratio of p99 %.2f, half of the rounds between %.2f and %.2f",
	       flood->what, bench_median(quiet50, rounds), bench_median(flood50, rounds), bench_median(quiet99, rounds),
	       bench_median(flood99, rounds), most, ratio, ratios[rounds / 4], ratios[rounds * 3 / 4]);
	if (flood->aim > 0)
		printf(" (aim: at most %.0f)%s", flood->aim, missed ? " MISSED" : "");
	printf("\n");
	fflush(stdout);
	bench_stop(&program);
	free(worker);
	return !missed;
}

int main(int argc, char **argv)
{
	const struct flood floods[] = {
		{.what = "begun heads", .max_per_ip = "256", .bytes = "G", .length = 1, .aim = AIM},
		{.what = "silent", .max_per_ip = "256", .bytes = "", .length = 0, .aim = AIM},
		{.what = "begun heads, no limit", .max_per_ip = "0", .bytes = "G", .length = 1},
	};
	bool met = true;
	if (argc < 2)
		bench_fail("usage: flood LIMPET [ROUNDS [CONNECTIONS]]");
	unsigned rounds = bench_number(argc > 2 ? argv[2] : NULL, 9);
	unsigned connections = bench_number(argc > 3 ? argv[3] : NULL, 10000);
	if (rounds > ROUNDS_MAX)
		bench_fail("at most %d rounds", ROUNDS_MAX);
	bench_raise_limits();
	printf("%u connections from %d addresses within %.0f s\n", connections, ADDRESSES, FLOOD_S);
	for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++)
		met = measure(argv[1], &floods[i], rounds, connections) && met;
	return met ? 0 : 1;
}
