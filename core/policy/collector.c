/*
 * When garbage is collected.
 *
 * What policies allocate, strings mostly, is collected between calls: a little of it, every COLLECT_EVERY of them, after the
 * answer is known. So no call waits for a whole collection, and no call is interrupted by one. The exception is a policy that
 * keeps a huge table, which Lua looks through in one go; sessions and limpet.shared are for that.
 */
#include <lua.h>

#include "policy/private.h"

#define COLLECT_EVERY 64

/*
 * A collection begins when this much, and a quarter, was added to what the last one left. Little, because strings that are
 * strewn over more than a processor's nearest caches hold make calls slow, more than collecting less often saves.
 */
#define COLLECT_AFTER_KB 64

/* The collector rests from here on, except in lp_policy_collect. */
void lp_policy_note_collected(struct lp_policy *policy)
{
	lua_gc(policy->lua, LUA_GCSTOP, 0);
	policy->collected_kb = lua_gc(policy->lua, LUA_GCCOUNT, 0);
}

void lp_policy_plan_collection(struct lp_policy *policy)
{
	int used_kb = lua_gc(policy->lua, LUA_GCCOUNT, 0);

	policy->collect_at_kb = used_kb + used_kb / 4 + COLLECT_AFTER_KB;
}

/* In protected mode, as all that may move memory. The step is as large as what was allocated since the last one. */
static int collect_step(lua_State *L)
{
	struct lp_policy *policy = lp_policy_of(L);
	int used_kb = lua_gc(L, LUA_GCCOUNT, 0);
	int grown_kb = used_kb > policy->collected_kb ? used_kb - policy->collected_kb : 0;

	if (lua_gc(L, LUA_GCSTEP, grown_kb + 1))
		lp_policy_plan_collection(policy);
	return 0;
}

void lp_policy_collect(struct lp_policy *policy)
{
	if (++policy->calls < COLLECT_EVERY && lp_arena_used(policy->arena) < lp_arena_size(policy->arena) / 2)
		return;
	policy->calls = 0;
	if (lua_gc(policy->lua, LUA_GCCOUNT, 0) < policy->collect_at_kb)
		return;
	lua_cpcall(policy->lua, collect_step, NULL);
	lp_policy_note_collected(policy);
}
