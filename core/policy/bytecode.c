/*
 * jit.util's functions, called by name.
 */
#include "policy/bytecode.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <stdint.h>
#include <string.h>

/* A line of Lua, and at which place of its bytecode the instruction is. */
static const struct {
	const char *source;
	int pc;
} lessons[LP_OPS] = {
	[LP_OP_GGET] = {"return x", 1},
	[LP_OP_GSET] = {"x = 1", 2},
	[LP_OP_TGETS] = {"local t; return t.x", 2},
	[LP_OP_TGETV] = {"local t, k; return t[k]", 2},
	[LP_OP_TSETV] = {"local t, k; t[k] = k", 2},
	[LP_OP_TSETB] = {"local t, k; t[1] = k", 2},
	[LP_OP_MOV] = {"local t; local u = t; return u", 2},
	[LP_OP_KSTR] = {"local t = 'x'; return t", 1},
};

/* Push what a function of jit.util says of the function at an index and a number. */
static void call_jit_util(lua_State *L, const struct lp_bytecode *bytecode, const char *what, int function, int number)
{
	lua_getfield(L, bytecode->util, what);
	lua_pushvalue(L, function);
	lua_pushinteger(L, number);
	lua_call(L, 2, 1);
}

static uint32_t word_at(lua_State *L, const struct lp_bytecode *bytecode, int function, int pc)
{
	uint32_t word;

	call_jit_util(L, bytecode, "funcbc", function, pc);
	word = (uint32_t)(int64_t)lua_tonumber(L, -1);
	lua_pop(L, 1);
	return word;
}

void lp_bytecode_open(lua_State *L, struct lp_bytecode *bytecode)
{
	lua_pushcfunction(L, luaopen_jit);
	lua_pushliteral(L, LUA_JITLIBNAME);
	lua_call(L, 1, 0);
	luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	/* Opening the library leaves jit.util where require finds it. */
	lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
	lua_getfield(L, -1, LUA_JITLIBNAME ".util");
	lua_remove(L, -2);
	lua_call(L, 0, 1);
	bytecode->util = lua_gettop(L);
	for (int op = 0; op < LP_OPS; op++) {
		luaL_loadstring(L, lessons[op].source);
		bytecode->ops[op] = (int)(word_at(L, bytecode, lua_gettop(L), lessons[op].pc) & 0xff);
		lua_pop(L, 1);
	}
}

int lp_bytecode_number(lua_State *L, const struct lp_bytecode *bytecode, int function, int pc, const char *field)
{
	int value;

	call_jit_util(L, bytecode, "funcinfo", function, pc);
	lua_getfield(L, -1, field);
	value = lua_isboolean(L, -1) ? lua_toboolean(L, -1) : (int)lua_tointeger(L, -1);
	lua_pop(L, 2);
	return value;
}

struct lp_instruction lp_bytecode_at(lua_State *L, const struct lp_bytecode *bytecode, int function, int pc)
{
	uint32_t word = word_at(L, bytecode, function, pc);
	struct lp_instruction instruction = {
		.op = LP_OP_GGET,
		.a = (int)(word >> 8 & 0xff),
		.b = (int)(word >> 24),
		.c = (int)(word >> 16 & 0xff),
		.d = (int)(word >> 16),
	};

	while (instruction.op < LP_OPS && bytecode->ops[instruction.op] != (int)(word & 0xff))
		instruction.op++;
	return instruction;
}

const char *lp_bytecode_push_text(lua_State *L, const struct lp_bytecode *bytecode, int function, int number)
{
	call_jit_util(L, bytecode, "funck", function, -number - 1);
	return lua_tostring(L, -1);
}

bool lp_bytecode_push_constant(lua_State *L, const struct lp_bytecode *bytecode, int function, int *at, bool *is_text)
{
	call_jit_util(L, bytecode, "funck", function, --*at);
	*is_text = lua_type(L, -1) == LUA_TSTRING;
	if (!lua_isnil(L, -1))
		return true;
	lua_pop(L, 1);
	return false;
}
