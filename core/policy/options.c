/*
 * setup(options): a table that notices which of its keys are read.
 *
 *     state       the table has           leaves on
 *     watched     what was read or set    all of it is wanted (pairs, next, …) -> plain
 *     plain       everything              never
 *
 * A key that is read moves from the settings behind the table into the table, so that reading it again costs what it costs
 * in any table. What needs all keys at once makes the table an ordinary one first, and counts as reading them all.
 *
 * A setup may keep its table and read it in hooks. Those that live on after the last setup are noted: of them more will be
 * read than was.
 */
#include <lua.h>
#include <string.h>

#include "policy/private.h"

/* The registry's field with all options tables that are alive, by reference that does not keep them so. */
#define TABLES "limpet.options"

static void note_read(lua_State *L, const char *key)
{
	struct lp_policy *policy = lp_policy_of(L);
	struct lp_settings_use *use = &policy->settings;
	size_t length = strlen(key);
	bool found = false;

	if (!policy->loading)
		return; /* It has been judged by then. */
	for (size_t i = 0; i < policy->host->setting_count; i++)
		if (strncmp(policy->host->settings[i], key, length) == 0 && policy->host->settings[i][length] == '=')
			found = use->read[i] = true;
	if (found || length >= sizeof(use->missed[0]) || use->missed_count == LP_SETTINGS_MISSED)
		return;
	for (size_t i = 0; i < use->missed_count; i++)
		if (strcmp(use->missed[i], key) == 0)
			return;
	strcpy(use->missed[use->missed_count++], key);
}

/* __index, with what is behind the table as upvalue: the settings that were not read yet. */
static int on_read(lua_State *L)
{
	lua_settop(L, 2);
	if (lua_type(L, 2) == LUA_TSTRING)
		note_read(L, lua_tostring(L, 2));
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	if (lua_isnil(L, -1))
		return 1;
	lua_pushvalue(L, 2);
	lua_pushnil(L);
	lua_rawset(L, lua_upvalueindex(1));
	lua_pushvalue(L, 2);
	lua_pushvalue(L, -2);
	lua_rawset(L, 1);
	return 1;
}

/* __newindex: what a setup sets itself replaces what was given. */
static int on_write(lua_State *L)
{
	lua_settop(L, 3);
	lua_pushvalue(L, 2);
	lua_pushnil(L);
	lua_rawset(L, lua_upvalueindex(1));
	lua_rawset(L, 1);
	return 0;
}

void lp_options_push(lua_State *L)
{
	const struct lp_policy_host *host = lp_policy_of(L)->host;

	lua_newtable(L);
	lua_createtable(L, 0, 4);
	lua_createtable(L, 0, (int)host->setting_count);
	for (size_t i = 0; i < host->setting_count; i++) {
		const char *equals = strchrnul(host->settings[i], '=');

		lua_pushlstring(L, host->settings[i], (size_t)(equals - host->settings[i]));
		lua_pushstring(L, *equals ? equals + 1 : equals);
		lua_rawset(L, -3);
	}
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, on_write, 1);
	lua_setfield(L, -3, "__newindex");
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, on_read, 1);
	lua_setfield(L, -3, "__index");
	lua_rawseti(L, -2, 1);
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);

	lua_getfield(L, LUA_REGISTRYINDEX, TABLES);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_newtable(L);
		lua_pushliteral(L, "k");
		lua_setfield(L, -2, "__mode");
		lua_setmetatable(L, -2);
		lua_pushvalue(L, -1);
		lua_setfield(L, LUA_REGISTRYINDEX, TABLES);
	}
	lua_pushvalue(L, -2);
	lua_pushboolean(L, true);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

/* Whether the value at an index is an options table that is still watched; then its metatable is pushed. */
static bool push_watched(lua_State *L, int index)
{
	if (!lua_istable(L, index) || !lua_getmetatable(L, index))
		return false;
	lua_getfield(L, LUA_REGISTRYINDEX, TABLES);
	if (lua_istable(L, -1)) {
		lua_pushvalue(L, index);
		lua_rawget(L, -2);
		if (lua_toboolean(L, -1)) {
			lua_pop(L, 2);
			return true;
		}
		lua_pop(L, 1);
	}
	lua_pop(L, 2);
	return false;
}

void lp_options_unfold(lua_State *L, int index)
{
	struct lp_policy *policy = lp_policy_of(L);

	if (lua_gettop(L) < index || !push_watched(L, index))
		return;
	for (size_t i = 0; policy->loading && i < policy->host->setting_count; i++)
		policy->settings.read[i] = true;
	lua_rawgeti(L, -1, 1);
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		lua_pushvalue(L, -2);
		lua_pushvalue(L, -2);
		lua_rawset(L, index);
	}
	lua_pop(L, 2);
	lua_pushnil(L);
	lua_setmetatable(L, index);
}

void lp_options_note_kept(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, TABLES);
	if (lua_istable(L, -1)) {
		lua_pushnil(L);
		lp_policy_of(L)->settings.kept = lua_next(L, -2) != 0;
	}
	lua_settop(L, 0);
}
