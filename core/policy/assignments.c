/*
 * Whether policies assign to tables by a number or a variable. Whatever does not can leave `workers` as it is, and the table need
 * not be compared with the workers before every call.
 */
#include <lua.h>
#include <string.h>

#include "policy/bytecode.h"
#include "policy/private.h"

struct assigning {
	const struct lp_policy *policy;
	struct lp_bytecode bytecode;
	bool found;
};

static void find_assignment(lua_State *L, struct assigning *assigning, int function)
{
	int count = lp_bytecode_number(L, &assigning->bytecode, function, 0, "bytecodes");
	bool is_text;
	int at = 0;

	luaL_checkstack(L, 16, "functions are nested too deep");
	for (int pc = 1; pc < count && !assigning->found; pc++) {
		enum lp_opcode op = lp_bytecode_at(L, &assigning->bytecode, function, pc).op;

		assigning->found = op == LP_OP_TSETV || op == LP_OP_TSETB;
	}
	while (!assigning->found && lp_bytecode_push_constant(L, &assigning->bytecode, function, &at, &is_text)) {
		if (!is_text && strcmp(luaL_typename(L, -1), "proto") == 0)
			find_assignment(L, assigning, lua_gettop(L));
		lua_pop(L, 1);
	}
}

static void look_into(lua_State *L, struct assigning *assigning, const struct lp_source *source)
{
	if (lp_source_compile(L, source, NULL) != 0)
		assigning->found = true;
	else
		find_assignment(L, assigning, lua_gettop(L));
	lua_settop(L, assigning->bytecode.util);
}

/* In protected mode. */
static int look_for_assignments(lua_State *L)
{
	struct assigning *assigning = lua_touserdata(L, 1);
	const struct lp_policy *policy = assigning->policy;

	lp_bytecode_open(L, &assigning->bytecode);
	for (size_t i = 0; i < policy->source_count; i++) {
		look_into(L, assigning, &policy->sources[i]);
		for (const struct lp_source *module = policy->sources[i].modules; module; module = module->next)
			look_into(L, assigning, module);
	}
	return 0;
}

bool lp_policy_assigns(const struct lp_policy *policy)
{
	struct assigning assigning = {.policy = policy};
	lua_State *L = policy->source_count ? luaL_newstate() : NULL;
	bool failed = !L || lua_cpcall(L, look_for_assignments, &assigning) != 0;

	if (L)
		lua_close(L);
	return assigning.found || (failed && policy->source_count > 0);
}
