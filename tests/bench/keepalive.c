/*
 * What does limpet cost a connection once it is handed over? Nothing, so requests on kept connections that came through
 * limpet are as many a second as on those that the same worker accepted by itself. Both workers are up at once and are
 * loaded in turn, the order changing; the ratio is the median of the pairs' ratios.
 *
 *     keepalive LIMPET [PAIRS [SECONDS]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define PAIRS_MAX 100

#define AIM 0.97

int main(int argc, char **argv)
{
	static double ratios[PAIRS_MAX];
	static double through[PAIRS_MAX];
	static double direct[PAIRS_MAX];
	struct bench_program limpet;
	struct bench_program alone;
	if (argc < 2)
		bench_fail("usage: keepalive LIMPET [PAIRS [SECONDS]]");
	unsigned pairs = bench_number(argc > 2 ? argv[2] : NULL, 11);
	double seconds = bench_number(argc > 3 ? argv[3] : NULL, 1);
	if (pairs > PAIRS_MAX)
		bench_fail("at most %d pairs", PAIRS_MAX);
	char *worker = bench_beside("native_worker");
	bench_raise_limits();
	bench_start_limpet(&limpet, argv[1], 1, "sid");
	bench_start(&alone, 0, (const char *[]){worker, "--listen", NULL});
	bench_requests(limpet.port, seconds / 4);
	bench_requests(alone.port, seconds / 4);
	for (unsigned i = 0; i < pairs; i++) {
		if (i % 2)
			direct[i] = bench_requests(alone.port, seconds);
		through[i] = bench_requests(limpet.port, seconds);
		if (i % 2 == 0)
			direct[i] = bench_requests(alone.port, seconds);
		ratios[i] = through[i] / direct[i];
		printf("pair %u   through limpet %.0f   direct %.0f   %.3f\n", i + 1, through[i], direct[i], ratios[i]);
		fflush(stdout);
	}
	double ratio = bench_median(ratios, pairs);
	printf("requests a second on kept connections: %.0f through limpet, %.0f direct: %.3f (aim: at least %.2f)%s\n",
	       bench_median(through, pairs), bench_median(direct, pairs), ratio, AIM, ratio < AIM ? " MISSED" : "");
	bench_stop(&limpet);
	bench_stop(&alone);
	free(worker);
	return ratio < AIM;
}
