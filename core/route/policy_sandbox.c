/*
 * What of Lua a policy file sees.
 *
 * Every file has an environment of its own, with its own copies of the libraries, so that globals and mischief stay in
 * the file. It is made from the list below and nothing else: what is not named does not exist. Left out are all that
 * blocks, leaves the process, reaches memory or loads code; coroutines, which would catch what must pass; and string.dump.
 *
 * pcall and xpcall are ours: an error that unwinds a hook (struct lp_policy_call, suspended) passes through them.
 */
#include <lua.h>
#include <lualib.h>
#include <string.h>
#include <sys/random.h>

#include "route/policy_private.h"

static const struct {
	const char *library; /* NULL: the functions that belong to none. */
	const char *const *names;
} allowed[] = {
	{NULL,
	 (const char *const[]){"assert", "error", "getmetatable", "ipairs", "next", "pairs", "rawequal", "rawget",
			       "rawset", "select", "setmetatable", "tonumber", "tostring", "type", "unpack", NULL}},
	{"string", (const char *const[]){"byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match",
					 "rep", "reverse", "sub", "upper", NULL}},
	{"table", (const char *const[]){"concat", "insert", "maxn", "remove", "sort", NULL}},
	{"math", (const char *const[]){"abs",        "acos", "asin",  "atan", "atan2", "ceil", "cos",   "cosh",
				       "deg",        "exp",  "floor", "fmod", "frexp", "huge", "ldexp", "log",
				       "log10",      "max",  "min",   "modf", "pi",    "pow",  "rad",   "random",
				       "randomseed", "sin",  "sinh",  "sqrt", "tan",   "tanh", NULL}},
	{"bit", (const char *const[]){"arshift", "band", "bnot", "bor", "bswap", "bxor", "lshift", "rol", "ror",
				      "rshift", "tobit", "tohex", NULL}},
};

static const char *const changes_a_table[] = {"insert", "remove", "sort", NULL};

/* Pass on what must not be caught. The error is on top. */
static void pass_on(lua_State *L)
{
	if (lp_policy_of(L)->call.suspended)
		lua_error(L);
}

static int guarded_pcall(lua_State *L)
{
	int status;

	luaL_checkany(L, 1);
	status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
	if (status)
		pass_on(L);
	luaL_checkstack(L, 1, "too many results");
	lua_pushboolean(L, status == 0);
	lua_insert(L, 1);
	return lua_gettop(L);
}

/* A handler around the policy's own, which is upvalue 1 and must not see what it cannot catch. */
static int handle(lua_State *L)
{
	if (lp_policy_of(L)->call.suspended)
		return 1;
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, 1, 1);
	return 1;
}

/* xpcall(f, handler, ...): f and the handler change places, for the handler must lie below what is called. */
static int guarded_xpcall(lua_State *L)
{
	int status;

	luaL_checkany(L, 2);
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	lua_pushcclosure(L, handle, 1);
	lua_replace(L, 1);
	lua_replace(L, 2);
	status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 1);
	if (status)
		pass_on(L);
	lua_pushboolean(L, status == 0);
	lua_replace(L, 1);
	return lua_gettop(L);
}

/* table.insert, remove and sort, upvalue 1 being the original: not on `workers`, which is the next call's too. */
static int change_table(lua_State *L)
{
	if (lua_topointer(L, 1) == lp_policy_of(L)->workers_table)
		return luaL_error(L, "workers is read-only; change a copy of it: {unpack(workers)}");
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

/* Push a table with the names of `from`, which is on top, in place of it. */
static void copy_names(lua_State *L, const char *const *names)
{
	lua_newtable(L);
	for (; *names; names++) {
		lua_getfield(L, -2, *names);
		lua_setfield(L, -2, *names);
	}
	lua_remove(L, -2);
}

static void push_copy(lua_State *L, const char *library, const char *const *names)
{
	if (library)
		lua_getfield(L, LUA_GLOBALSINDEX, library);
	else
		lua_pushvalue(L, LUA_GLOBALSINDEX);
	copy_names(L, names);
}

static uint32_t random_seed(void)
{
	uint32_t seed = 0;

	/* Without entropy yet (early at boot) the sequence is a fixed one, which is what Lua's own default is. */
	return getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed) ? seed : 0;
}

static void seed_math_random(lua_State *L)
{
	lua_getfield(L, LUA_GLOBALSINDEX, "math");
	lua_getfield(L, -1, "randomseed");
	lua_pushnumber(L, random_seed());
	lua_call(L, 1, 0);
	lua_pop(L, 1);
}

/* ("x"):method() finds the allowed functions, in a table that no file has. */
static void seal_string_metatable(lua_State *L)
{
	lua_pushliteral(L, "");
	lua_getmetatable(L, -1);
	lua_getfield(L, LUA_GLOBALSINDEX, "string");
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (allowed[i].library && strcmp(allowed[i].library, "string") == 0)
			copy_names(L, allowed[i].names);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 2);
}

void lp_sandbox_open(lua_State *L)
{
	static const luaL_Reg libraries[] = {
		{"", luaopen_base},
		{LUA_TABLIBNAME, luaopen_table},
		{LUA_STRLIBNAME, luaopen_string},
		{LUA_MATHLIBNAME, luaopen_math},
		{LUA_BITLIBNAME, luaopen_bit},
	};

	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		lua_pushcfunction(L, libraries[i].func);
		lua_pushstring(L, libraries[i].name);
		lua_call(L, 1, 0);
	}
	seed_math_random(L);
	seal_string_metatable(L);
}

/* Put ours in place of what changes a table; the library's copy is on top. */
static void guard_tables(lua_State *L)
{
	for (const char *const *name = changes_a_table; *name; name++) {
		lua_getfield(L, -1, *name);
		lua_pushcclosure(L, change_table, 1);
		lua_setfield(L, -2, *name);
	}
}

void lp_sandbox_push_environment(lua_State *L, const char *script)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		push_copy(L, allowed[i].library, allowed[i].names);
		if (!allowed[i].library)
			continue;
		if (strcmp(allowed[i].library, "table") == 0)
			guard_tables(L);
		lua_setfield(L, -2, allowed[i].library);
	}
	lua_pushcfunction(L, guarded_pcall);
	lua_setfield(L, -2, "pcall");
	lua_pushcfunction(L, guarded_xpcall);
	lua_setfield(L, -2, "xpcall");
	lp_api_push_limpet(L, script);
	lua_setfield(L, -2, "limpet");
}
