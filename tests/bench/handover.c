/*
 * What does a new connection cost the balancer? Processor time of the balancer's own process, for a connection with one
 * request: of limpet with `ip_hash`, of limpet with `sid` on a full head that names a known session, and of the floor
 * (floor.c). All three are up at once and are loaded in turn, in an order that rotates, so that whatever else the
 * machine does meets them all; the ratio is the median of the rounds' ratios.
 *
 * The clients keep the processors busy: under load one wake-up serves many connections. An idle balancer wakes for
 * each, and limpet a second time for its acknowledgement; with few clients a connection costs all of them more, and
 * limpet most. The worker ends a connection as soon as it has answered. Whoever closes last then does the kernel's work
 * of burying the socket: under the floor that is always the worker, and limpet's library sees to it that it mostly is.
 *
 *     handover LIMPET [ROUNDS [CONNECTIONS [CLIENTS]]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define WORKERS 4
#define ROUNDS_MAX 100

enum subject { FLOOR, IP_HASH, SID, SUBJECTS };

static const char *const names[SUBJECTS] = {"floor", "ip_hash", "sid"};

/* The most that a connection may cost, in floors. */
static const double aims[SUBJECTS] = {1, 1.5, 2};

/* Microseconds a connection. */
static double measure(const struct bench_program *program, unsigned connections, unsigned clients)
{
	double before = bench_cpu(program->pid);
	bench_connections(program->port, WORKERS, connections, clients);
	return (bench_cpu(program->pid) - before) * 1e6 / connections;
}

static int print_result(double costs[SUBJECTS][ROUNDS_MAX], double ratios[SUBJECTS][ROUNDS_MAX], unsigned rounds)
{
	int missed = 0;
	for (unsigned subject = 0; subject < SUBJECTS; subject++) {
		double ratio = bench_median(ratios[subject], rounds);
		missed |= ratio > aims[subject];
		printf("%-8s %6.2f µs, %.2f floors", names[subject], bench_median(costs[subject], rounds), ratio);
		if (subject != FLOOR)
			printf(" (aim: at most %.1f)%s", aims[subject], ratio > aims[subject] ? " MISSED" : "");
		printf("\n");
	}
	return missed;
}

int main(int argc, char **argv)
{
	static double costs[SUBJECTS][ROUNDS_MAX];
	static double ratios[SUBJECTS][ROUNDS_MAX];
	struct bench_program programs[SUBJECTS];
	if (argc < 2)
		bench_fail("usage: handover LIMPET [ROUNDS [CONNECTIONS [CLIENTS]]]");
	unsigned rounds = bench_number(argc > 2 ? argv[2] : NULL, 15);
	unsigned connections = bench_number(argc > 3 ? argv[3] : NULL, 5000);
	unsigned clients = bench_number(argc > 4 ? argv[4] : NULL, 64);
	if (rounds > ROUNDS_MAX || clients > BENCH_CLIENTS_MAX)
		bench_fail("at most %d rounds and %d clients", ROUNDS_MAX, BENCH_CLIENTS_MAX);
	bench_raise_limits();
	char *floor = bench_beside("floor");
	char *worker = bench_beside("native_worker");
	bench_start(&programs[FLOOR], WORKERS, (const char *[]){floor, "4", worker, "--silent", NULL});
	bench_start_limpet(&programs[IP_HASH], argv[1], WORKERS, "ip_hash");
	bench_start_limpet(&programs[SID], argv[1], WORKERS, "sid");

	for (unsigned subject = 0; subject < SUBJECTS; subject++)
		measure(&programs[subject], connections / 4 + 1, clients); /* Warm caches, traced policies. */
	printf("processor time of the balancer for a new connection, %u a round from %u clients, in µs\n", connections,
	       clients);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < SUBJECTS; i++) {
			unsigned subject = (round + i) % SUBJECTS;
			costs[subject][round] = measure(&programs[subject], connections, clients);
		}
		printf("round %u", round + 1);
		for (unsigned subject = 0; subject < SUBJECTS; subject++) {
			ratios[subject][round] = costs[subject][round] / costs[FLOOR][round];
			printf("   %s %.2f", names[subject], costs[subject][round]);
		}
		printf("\n");
		fflush(stdout);
	}
	int missed = print_result(costs, ratios, rounds);
	for (unsigned subject = 0; subject < SUBJECTS; subject++)
		bench_stop(&programs[subject]);
	free(floor);
	free(worker);
	return missed;
}
