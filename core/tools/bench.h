/**
 * `limpet bench`: what asking a policy costs, in time and in memory.
 */
#ifndef LP_TOOLS_BENCH_H
#define LP_TOOLS_BENCH_H

#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

/** What to measure. All borrowed. */
struct lp_bench {
	const char *const *policies; /**< As for lp_policy_load, each measured by itself; the included ones follow. */
	size_t policy_count;         /**< 0 is allowed. */
	const char *const *settings; /**< "key=value" each: the policies' setup(options), not the included ones'. */
	size_t setting_count;
	unsigned workers; /**< To choose from, 1 – 256. */
	unsigned rounds;  /**< Of 64 calls, for each figure; 1 and up. LP_BENCH_ROUNDS is enough for steady ones. */
};

#define LP_BENCH_ROUNDS 1000

/**
 * Measure and print an aligned table: for each policy and each of its hooks, nanoseconds and bytes allocated a call.
 *
 * A call is lp_policy_decide as the balancer makes it. Each is for another made-up client with a request of 12 headers,
 * behind a trusted proxy; on_request is measured without a sid and with a known one. Making and parsing the request is
 * not counted. In a file that returns several tables, a hook without an opinion is measured together with those that a
 * connection meets next.
 *
 *     median  of rounds, each the mean of 64 calls
 *     p99     of single calls, less what reading the clock takes
 *     bytes   that Lua allocated, the mean of a round; the median of rounds
 *
 * In the median is all that the balancer pays to ask: arming the guard, entering Lua, the hook, whatever it reads and
 * looks up, judging the answer. The request was parsed just before, so that it lies in the processor's second cache
 * rather than its first. Not in it is the collector, which runs after fewer than one in a thousand calls, and then for
 * some tens of microseconds: shared out, about a tenth of a call of `sid`.
 *
 * @param what   Borrowed.
 * @param out    Where to print. Borrowed.
 * @param error  Filled on failure.
 *
 * @return 0; what lp_policy_load returns, -ENOMEM, or -EIO when out cannot be written.
 */
int lp_bench(const struct lp_bench *what, FILE *out, struct lp_error *error);

#endif
