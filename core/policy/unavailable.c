/*
 * What Lua has and policies have not: each name answers with what to use instead.
 *
 * The environment's __index looks names up here that the file has not set, and the libraries' own that of their fields. A
 * library that is missing as a whole is a table without anything, whose fields are the errors: "os.time is not available
 * in a policy; use limpet.now()". A name that is not in this list was never Lua's, and is nil as ever.
 */
#include <lua.h>
#include <string.h>

#include "policy/private.h"

#define FILES "give policies what they need with --set key=value and setup(options)"
#define CODE "put code into a file of the policy's folder and use require \"name\""
#define ENVIRONMENTS "a file's globals are its own; hand tables to functions"
#define ENDING "refuse a connection with limpet.refuse(status); end a load with error(message)"
#define COROUTINES "a hook runs to its end at once; keep what is to be known later in limpet.shared"
#define MEMORY "limpet collects garbage itself, between calls"
#define ERRORS "a policy's errors are logged with file, line and callers"
#define BYTECODE "bytecode cannot be loaded, so there is nothing to make it for"

/* A library, a field of one or NULL for all others of a missing one, and what to use instead. */
static const struct {
	const char *library; /* NULL: the name belongs to none. */
	const char *name;
	const char *instead;
} missing[] = {
	{"os", "time", "use limpet.now()"},
	{"os", "clock", "use limpet.now()"},
	{"os", "difftime", "subtract what limpet.now() gave"},
	{"os", "date", "use limpet.now(), which counts seconds; limpet's log has the time of day"},
	{"os", "getenv", "use --set key=value and setup(options)"},
	{"os", "exit", ENDING},
	{"os", "execute", "nothing that it does may wait for a process"},
	{"os", NULL, FILES},
	{"io", "write", "use limpet.log.info(...)"},
	{"io", "stderr", "use limpet.log.error(...)"},
	{"io", "stdout", "use limpet.log.info(...)"},
	{"io", NULL, FILES},
	{"debug", NULL, ERRORS},
	{"package", NULL, "use require \"name\", which finds name.lua in the policy's folder"},
	{"coroutine", NULL, COROUTINES},
	{"jit", NULL, "policies run in the interpreter, so that they can be stopped"},
	{"ffi", NULL, "nothing may reach limpet's memory; use bit, string and limpet's own functions"},
	{"string", "dump", BYTECODE},
	{"string", "gfind", "use string.gmatch(text, pattern)"},
	{"table", "foreach", "use for key, value in pairs(table) do … end"},
	{"table", "foreachi", "use for i, value in ipairs(table) do … end"},
	{"table", "getn", "use #table"},
	{"table", "setn", "a table's length is that of what is in it"},
	{"table", "unpack", "use unpack(table)"},
	{"table", "pack", "use {...}"},
	{"table", "move", "copy with for i, value in ipairs(table) do … end"},
	{NULL, "load", CODE},
	{NULL, "loadstring", CODE},
	{NULL, "loadfile", CODE},
	{NULL, "dofile", CODE},
	{NULL, "module", "return a table from the module's file"},
	{NULL, "getfenv", ENVIRONMENTS},
	{NULL, "setfenv", ENVIRONMENTS},
	{NULL, "newproxy", "use setmetatable({}, …)"},
	{NULL, "collectgarbage", MEMORY},
	{NULL, "gcinfo", MEMORY},
	{NULL, "print", "use limpet.log.info(...)"},
	{NULL, "arg", "use --set key=value and setup(options)"},
	{NULL, "_G", "name a global itself; those of other files are out of reach"},
	{NULL, "_VERSION", "the language is Lua 5.1, as LuaJIT has it"},
};

#define MISSING (sizeof(missing) / sizeof(missing[0]))

static bool is_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Libraries of which nothing is there have an entry for all of their names. */
static bool is_library(const char *name)
{
	for (size_t i = 0; i < MISSING; i++)
		if (!missing[i].name && is_same(missing[i].library, name))
			return true;
	return false;
}

const char *lp_unavailable_instead(const char *library, const char *name)
{
	for (size_t i = 0; i < MISSING; i++)
		if (is_same(missing[i].library, library) && (!missing[i].name || is_same(missing[i].name, name)))
			return missing[i].instead;
	for (size_t i = 0; i < MISSING && !library; i++)
		if (!missing[i].name && is_same(missing[i].library, name))
			return missing[i].instead;
	return NULL;
}

/* __index of a library, whose name is upvalue 1. */
static int on_field(lua_State *L)
{
	const char *library = lua_tostring(L, lua_upvalueindex(1));
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
	const char *instead = lp_unavailable_instead(library, name);

	if (instead)
		return luaL_error(L, "%s.%s is not available in a policy; %s", library, name, instead);
	return 0;
}

void lp_unavailable_watch(lua_State *L, const char *library)
{
	lua_createtable(L, 0, 2);
	lua_pushstring(L, library);
	lua_pushcclosure(L, on_field, 1);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
}

/* __index of an environment. */
static int on_global(lua_State *L)
{
	const char *name = lua_tostring(L, 2);
	const char *instead;

	if (is_library(name)) {
		lua_newtable(L);
		lp_unavailable_watch(L, name);
		return 1;
	}
	instead = lp_unavailable_instead(NULL, name);
	if (instead)
		return luaL_error(L, "%s is not available in a policy; %s", name, instead);
	return 0;
}

void lp_unavailable_watch_globals(lua_State *L)
{
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, on_global);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
}
