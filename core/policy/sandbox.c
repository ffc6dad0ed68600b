/*
 * What of Lua a policy file sees.
 *
 * Every file has an environment of its own (require.c), with its own copies of the libraries, so that globals, and damage, stay in
 * the file. It is made from the list below and nothing else: what is not named does not exist. Left out are all that
 * blocks, leaves the process, reaches memory or loads code; coroutines, which would catch what must pass; and string.dump.
 * Who names them is told what to use instead (unavailable.c).
 *
 * pcall and xpcall are ours: an error that unwinds a whole hook (lp_policy_unwinds) passes through them. What calls back
 * into Lua from C is wrapped, so that recursion through it ends before C's stack does.
 */
#include <lua.h>
#include <lualib.h>
#include <string.h>
#include <sys/random.h>

#include "policy/private.h"

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

/* Pass on what must not be caught. The error is on top. */
static void pass_on(lua_State *L)
{
	if (lp_policy_unwinds(lp_policy_of(L)))
		lua_error(L);
}

/* Modules that an error has ended are no longer being run. */
static int call_protected(lua_State *L, int arguments, int handler)
{
	struct lp_policy_call *call = &lp_policy_of(L)->call;
	const struct lp_requiring *requiring = call->requiring;
	int status = lua_pcall(L, arguments, LUA_MULTRET, handler);

	call->requiring = requiring;
	if (status)
		pass_on(L);
	return status;
}

static int guarded_pcall(lua_State *L)
{
	int status;

	luaL_checkany(L, 1);
	lp_policy_check_depth(L);
	status = call_protected(L, lua_gettop(L) - 1, 0);
	luaL_checkstack(L, 1, "too many results");
	lua_pushboolean(L, status == 0);
	lua_insert(L, 1);
	return lua_gettop(L);
}

/* A handler around the policy's own, which is upvalue 1 and must not see what it cannot catch. */
static int handle_error(lua_State *L)
{
	if (lp_policy_unwinds(lp_policy_of(L)))
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
	lp_policy_check_depth(L);
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	lua_pushcclosure(L, handle_error, 1);
	lua_replace(L, 1);
	lua_replace(L, 2);
	status = call_protected(L, lua_gettop(L) - 2, 1);
	lua_pushboolean(L, status == 0);
	lua_replace(L, 1);
	return lua_gettop(L);
}

/*
 * Go on with the library's function, upvalue 1. One that is written in C runs in the frame that there is, so that its
 * messages name what the policy called.
 */
static int go_on(lua_State *L)
{
	lua_CFunction original = lua_tocfunction(L, lua_upvalueindex(1));

	if (original)
		return original(L);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

/* string.format and gsub: they call back, on C's stack. */
static int call_back(lua_State *L)
{
	lp_policy_check_depth(L);
	return go_on(L);
}

/* next, pairs, rawget and setmetatable: of setup's options they want all, or what a read would bring. */
static int unfold_options(lua_State *L)
{
	lp_options_unfold(L, 1);
	return go_on(L);
}

/* Not on `workers`, which is the next call's too. */
static void check_not_workers(lua_State *L)
{
	if (lua_topointer(L, 1) == lp_policy_of(L)->workers_table)
		luaL_error(L, "workers is read-only; change a copy of it: {unpack(workers)}");
}

/* rawset */
static int set_raw(lua_State *L)
{
	check_not_workers(L);
	return go_on(L);
}

static void check_table(lua_State *L)
{
	check_not_workers(L);
	luaL_checktype(L, 1, LUA_TTABLE);
	lp_policy_check_depth(L);
}

/* table.remove and sort. */
static int change_table(lua_State *L)
{
	check_table(L);
	return go_on(L);
}

/* Lua's own would move every place there is between the end and a position far from it. */
static int insert_into_table(lua_State *L)
{
	double end;

	check_table(L);
	if (lua_gettop(L) == 3) {
		end = (double)lua_objlen(L, 1) + 1;
		if (!(luaL_checknumber(L, 2) >= 1 && lua_tonumber(L, 2) <= end))
			return luaL_error(L, "table.insert(table, position, value): position must be from 1 to %d",
					  (int)end);
	}
	return go_on(L);
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

/* Put ours in place of a function of the table on top, with that as upvalue. */
static void wrap_function(lua_State *L, const char *name, lua_CFunction function)
{
	lua_getfield(L, -1, name);
	lua_pushcclosure(L, function, 1);
	lua_setfield(L, -2, name);
}

static void guard_strings(lua_State *L)
{
	wrap_function(L, "format", call_back);
	wrap_function(L, "gsub", call_back);
}

static void guard_tables(lua_State *L)
{
	wrap_function(L, "insert", insert_into_table);
	wrap_function(L, "remove", change_table);
	wrap_function(L, "sort", change_table);
}

static void push_copy(lua_State *L, const char *library, const char *const *names)
{
	if (library)
		lua_getfield(L, LUA_GLOBALSINDEX, library);
	else
		lua_pushvalue(L, LUA_GLOBALSINDEX);
	copy_names(L, names);
}

static uint32_t random_seed(const struct lp_policy_host *host)
{
	uint32_t seed = 0;

	if (host->random_seed)
		return host->random_seed;

	/* Without entropy yet (early at boot) the sequence is a fixed one, which is what Lua's own default is. */
	return getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed) ? seed : 0;
}

static void seed_math_random(lua_State *L)
{
	lua_getfield(L, LUA_GLOBALSINDEX, "math");
	lua_getfield(L, -1, "randomseed");
	lua_pushnumber(L, random_seed(lp_policy_of(L)->host));
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
	guard_strings(L);
	lp_unavailable_watch(L, "string");
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

void lp_sandbox_push(lua_State *L)
{
	static const char *const whole[] = {"next", "pairs", "rawget", "setmetatable"};

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		push_copy(L, allowed[i].library, allowed[i].names);
		if (!allowed[i].library)
			continue;
		if (strcmp(allowed[i].library, "table") == 0)
			guard_tables(L);
		if (strcmp(allowed[i].library, "string") == 0)
			guard_strings(L);
		lp_unavailable_watch(L, allowed[i].library);
		lua_setfield(L, -2, allowed[i].library);
	}
	wrap_function(L, "rawset", set_raw);
	/* Without settings there is nothing to notice, and pairs is Lua's own. */
	for (size_t i = 0; lp_policy_of(L)->host->setting_count && i < sizeof(whole) / sizeof(whole[0]); i++)
		wrap_function(L, whole[i], unfold_options);
	lua_pushcfunction(L, guarded_pcall);
	lua_setfield(L, -2, "pcall");
	lua_pushcfunction(L, guarded_xpcall);
	lua_setfield(L, -2, "xpcall");
	lp_unavailable_watch_globals(L);
}
