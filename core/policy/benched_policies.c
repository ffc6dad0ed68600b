/*
 * Policies that are stopped too often are not asked for a while: one at a time, by the name that --policy has for them, so
 * that a policy that never ends costs nobody else's refusals.
 *
 *     state     its hooks                                    goes on to
 *     asked     run                                          benched, by one stop too many; unloaded, when it does not
 *                                                            load again
 *     benched   are passed over                              asked, when its time is over
 *     unloaded  the same; it is not in the Lua state either  asked, when its time is over and it loads again
 *
 * Benches get longer while one follows soon after another. When one ends, the state is made anew, so that the policy hears
 * of all workers.
 *
 * Limits: policies share one Lua state, and so its memory; a hook that meets the end of it is the one that is stopped.
 */
#include <stdio.h>

#include "policy/private.h"

/* Benches in a row get longer until here. */
#define BENCH_MS_MAX (UINT64_C(15) * 60000)

#define MS_NS UINT64_C(1000000)

static void bench_source(struct lp_policy *policy, size_t source, const char *why)
{
	struct lp_policy_bench *one = &policy->benches[source];
	const char *name = policy->sources[source].name;

	if (!one->benched)
		policy->benched_count++;
	one->benched = true;
	if (!one->next_ms)
		one->next_ms = policy->limits.bench_ms;
	one->until_ns = lp_policy_now_ns(policy) + one->next_ms * MS_NS;
	lp_log_write(policy->host->log, LP_LOG_ERROR, LP_LOG_ABOUT(.policy = name),
		     "policy %s is benched for %g s, %s; %s (a reload ends it)", name, (double)one->next_ms / 1000, why,
		     policy->source_count > 1 ? "the other policies are asked as before"
					      : "until then each connection goes to the least busy worker");
	one->next_ms *= 2;
	if (one->next_ms > BENCH_MS_MAX)
		one->next_ms = BENCH_MS_MAX;
}

static void note_kill(struct lp_policy *policy, size_t source)
{
	struct lp_policy_bench *one = &policy->benches[source];
	const struct lp_policy_limits *limits = &policy->limits;
	uint64_t window_ns = limits->kill_window_ms * MS_NS;
	uint64_t now_ns = lp_policy_now_ns(policy);
	uint64_t first_ns = one->kill_ns[(one->kills + 1) % limits->kills];
	char why[64];

	one->kill_ns[one->kills % limits->kills] = now_ns;
	one->kills++;
	if (one->kills < limits->kills || now_ns - (limits->kills > 1 ? first_ns : now_ns) > window_ns)
		return;
	if (one->until_ns && now_ns > one->until_ns + window_ns + one->next_ms * MS_NS)
		one->next_ms = limits->bench_ms;
	snprintf(why, sizeof(why), "after being stopped %u times in %g s", limits->kills,
		 (double)limits->kill_window_ms / 1000);
	bench_source(policy, source, why);
}

/* Of a call of none, all are suspected. */
void lp_policy_note_kill(struct lp_policy *policy, size_t source)
{
	policy->kills++;
	for (size_t i = 0; i < policy->source_count; i++)
		if (i == source || source == LP_NO_SOURCE)
			note_kill(policy, i);
}

void lp_policy_unload(struct lp_policy *policy, size_t source)
{
	for (size_t i = 0; i < policy->source_count; i++) {
		if (i != source && source != LP_NO_SOURCE)
			continue;
		policy->benches[i].unloaded = true;
		bench_source(policy, i, "because it no longer loads");
	}
}

bool lp_policy_end_benches(struct lp_policy *policy)
{
	uint64_t now_ns = policy->benched_count ? lp_policy_now_ns(policy) : 0;
	bool ended = false;

	for (size_t i = 0; policy->benched_count && i < policy->source_count; i++) {
		struct lp_policy_bench *one = &policy->benches[i];

		if (!one->benched || one->until_ns > now_ns)
			continue;
		one->benched = one->unloaded = false;
		policy->benched_count--;
		ended = true;
	}
	return ended;
}

uint64_t lp_policy_benched_ms(const struct lp_policy *policy)
{
	uint64_t now_ns = policy->benched_count ? lp_policy_now_ns(policy) : 0;
	uint64_t longest_ns = 0;

	for (size_t i = 0; policy->benched_count && i < policy->source_count; i++) {
		const struct lp_policy_bench *one = &policy->benches[i];

		if (one->benched && one->until_ns > now_ns && one->until_ns - now_ns > longest_ns)
			longest_ns = one->until_ns - now_ns;
	}
	return (longest_ns + MS_NS - 1) / MS_NS;
}
