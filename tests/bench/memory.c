/*
 * What does a connection weigh in limpet's memory? Resident size with many connections handed over and open, and with
 * some that wait for the rest of their request head, each beside the size before. Clients hold the connections in
 * processes of their own, since one process may not have so many open files.
 *
 *     memory LIMPET [OPEN [WAITING]]
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define WORKERS 4
#define HOLDERS 4

/* Half of a request's head. */
#define HALF 300

/* Client processes; they hold what they opened until `release` is closed. */
struct holders {
	int done;
	int release;
	pid_t pids[HOLDERS];
};

static void hold(int port, unsigned first, unsigned count, bool whole)
{
	char request[BENCH_REQUEST_MAX];
	char key[32];
	for (unsigned i = first; i < first + count; i++) {
		bench_session_key(key, 1 + i % WORKERS, i % BENCH_SESSIONS);
		size_t length = bench_request(request, key, true);
		int fd = bench_connect(port, i);
		if (whole)
			bench_ask(fd, request, length, false);
		else if (send(fd, request, HALF, MSG_NOSIGNAL) != HALF)
			bench_fail("a client cannot send: %s", strerror(errno));
	}
}

/* Open connections and return when all are there. */
static void start_holders(struct holders *holders, int port, unsigned count, bool whole)
{
	int done[2];
	int release[2];
	char byte;
	if (pipe(done) || pipe(release))
		bench_fail("pipe: %s", strerror(errno));
	for (unsigned i = 0; i < HOLDERS; i++) {
		unsigned first = count * i / HOLDERS;
		holders->pids[i] = fork();
		if (holders->pids[i] < 0)
			bench_fail("fork: %s", strerror(errno));
		if (holders->pids[i] > 0)
			continue;
		close(release[1]);
		hold(port, first, count * (i + 1) / HOLDERS - first, whole);
		_exit(write(done[1], "", 1) != 1 || read(release[0], &byte, 1) != 0);
	}
	close(done[1]);
	close(release[0]);
	holders->done = done[0];
	holders->release = release[1];
	for (unsigned i = 0; i < HOLDERS; i++) {
		if (read(holders->done, &byte, 1) != 1)
			bench_fail("a client process ended early");
	}
}

static void stop_holders(struct holders *holders)
{
	close(holders->release);
	close(holders->done);
	for (unsigned i = 0; i < HOLDERS; i++)
		waitpid(holders->pids[i], NULL, 0);
}

/* `held` is how many of the connections' descriptors limpet has while they are open. */
static void measure(const struct bench_program *limpet, unsigned count, unsigned held, const char *what)
{
	struct holders holders;
	unsigned files = bench_files(limpet->pid);
	size_t before = bench_resident(limpet->pid);
	start_holders(&holders, limpet->port, count, held == 0);
	bench_await_files(limpet->pid, files + held);
	size_t with = bench_resident(limpet->pid);
	printf("%u connections %s: resident %zu KiB before, %zu KiB with them: %.1f bytes a connection\n", count, what,
	       before / 1024, with / 1024, ((double)with - (double)before) / count);
	fflush(stdout);
	stop_holders(&holders);
	bench_await_files(limpet->pid, files);
}

int main(int argc, char **argv)
{
	struct bench_program limpet;
	if (argc < 2)
		bench_fail("usage: memory LIMPET [OPEN [WAITING]]");
	bench_raise_limits();
	bench_start_limpet(&limpet, argv[1], WORKERS, "sid");
	unsigned files = bench_files(limpet.pid);
	bench_connections(limpet.port, WORKERS, 2000,
			  16); /* What a first connection allocates is not a connection's. */
	bench_await_files(limpet.pid, files);
	unsigned waiting = bench_number(argc > 3 ? argv[3] : NULL, 5000);
	measure(&limpet, bench_number(argc > 2 ? argv[2] : NULL, 20000), 0, "handed over and open");
	measure(&limpet, waiting, waiting, "waiting with half a head");
	bench_stop(&limpet);
	return 0;
}
