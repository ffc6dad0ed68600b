/*
 * What does the preloaded library cost a program's other descriptors? One byte is written into a pipe and read again, a
 * million times, by a process that has the library and by one that has not, in turn; figures are medians of both.
 *
 *     untouched LIBRARY [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PAIRS 1000000
#define ROUNDS_MAX 100

/* Nanoseconds for a write and a read. */
static double pass_bytes(void)
{
	int ends[2];
	char byte = 'x';
	if (pipe(ends))
		bench_fail("no pipe");
	double began = bench_now();
	for (int i = 0; i < PAIRS; i++)
		if (write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1)
			bench_fail("a byte got lost");
	return (bench_now() - began) * 1e9 / PAIRS;
}

static double measure(const char *self, const char *library)
{
	char command[4096];
	double result;
	snprintf(command, sizeof(command), "%s%s%s '%s'", library ? "LD_PRELOAD='" : "", library ? library : "",
		 library ? "'" : "", self);
	FILE *child = popen(command, "re");
	if (!child || fscanf(child, "%lf", &result) != 1 || pclose(child) != 0)
		bench_fail("%s: no figure", command);
	return result;
}

int main(int argc, char **argv)
{
	static double with[ROUNDS_MAX];
	static double without[ROUNDS_MAX];
	unsigned rounds = bench_number(argc > 2 ? argv[2] : NULL, 15);
	if (argc < 2) { /* The child. */
		printf("%f\n", pass_bytes());
		return 0;
	}
	if (rounds > ROUNDS_MAX)
		bench_fail("at most %d rounds", ROUNDS_MAX);
	for (unsigned round = 0; round < rounds; round++) {
		with[round] = measure(argv[0], argv[1]);
		without[round] = measure(argv[0], NULL);
	}
	double slow = bench_median(with, rounds);
	double fast = bench_median(without, rounds);
	printf("a byte through a pipe: %.0f ns with the library, %.0f ns without it: %.1f ns a call\n", slow, fast,
	       (slow - fast) / 2);
	return 0;
}
