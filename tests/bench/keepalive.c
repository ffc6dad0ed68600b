/*
 * What does limpet cost a connection once it is handed over? Nothing, so requests on kept connections that came through
 * limpet are as many a second as on those that the same worker accepted by itself. Both workers are up at once and are
 * loaded in turn, the order changing, in slices short enough that whatever else the machine does meets both, and long
 * enough that making the connections does not count; the ratio is the median of the pairs' ratios.
 *
 *     keepalive LIMPET [PAIRS [MILLISECONDS]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define PAIRS_MAX 1000

#define AIM 0.97

/* Figures of all pairs, requests a second. */
struct result {
	double through[PAIRS_MAX];
	double direct[PAIRS_MAX];
	double ratios[PAIRS_MAX];
};

static void measure_pair(struct result *result, unsigned pair, int through, int direct, double seconds)
{
	if (pair % 2)
		result->direct[pair] = bench_requests(direct, seconds);
	result->through[pair] = bench_requests(through, seconds);
	if (pair % 2 == 0)
		result->direct[pair] = bench_requests(direct, seconds);
	result->ratios[pair] = result->through[pair] / result->direct[pair];
}

int main(int argc, char **argv)
{
	static struct result result;
	struct bench_program limpet;
	struct bench_program alone;
	if (argc < 2)
		bench_fail("usage: keepalive LIMPET [PAIRS [MILLISECONDS]]");
	unsigned pairs = bench_number(argc > 2 ? argv[2] : NULL, 30);
	double seconds = bench_number(argc > 3 ? argv[3] : NULL, 500) / 1000.0;
	if (pairs > PAIRS_MAX)
		bench_fail("at most %d pairs", PAIRS_MAX);
	char *worker = bench_beside("native_worker");
	bench_raise_limits();
	bench_start_limpet(&limpet, argv[1], 1, "sid");
	bench_start(&alone, 0, (const char *[]){worker, "--listen", NULL});
	measure_pair(&result, 0, limpet.port, alone.port, seconds); /* Warm caches; measured again below. */
	for (unsigned pair = 0; pair < pairs; pair++)
		measure_pair(&result, pair, limpet.port, alone.port, seconds);
	double ratio = bench_median(result.ratios, pairs);
	printf("requests a second on kept connections: %.0f through limpet, %.0f direct; "
	       "ratio %.3f, half of the pairs between %.3f and %.3f (aim: at least %.2f)%s\n",
	       bench_median(result.through, pairs), bench_median(result.direct, pairs), ratio, result.ratios[pairs / 4],
	       result.ratios[pairs * 3 / 4], AIM, ratio < AIM ? " MISSED" : "");
	bench_stop(&limpet);
	bench_stop(&alone);
	free(worker);
	return ratio < AIM;
}
