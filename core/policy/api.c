/*
 * How an API is registered, how an unknown name is reported, and the helpers that all types share.
 *
 * Each object of the API is a struct lp_api_type, one line a member. Functions are registered from it, "did you mean" is
 * answered from it, and the test of policies/limpet.meta.lua reads it: there is no second list to keep in step.
 */
#include <lua.h>
#include <string.h>

#include "base/did_you_mean.h"
#include "policy/private.h"

const struct lp_api_type *const lp_api_types[] = {
	&lp_api_conn,   &lp_api_workers,  &lp_api_worker,  &lp_api_limpet, &lp_api_log,    &lp_api_shared,
	&lp_api_policy, &lp_api_networks, &lp_api_testing, &lp_api_scene,  &lp_api_loaded, NULL,
};

/* "conn.ip, conn.port, conn:header(name)" */
static void push_uses(lua_State *L, const struct lp_api_type *type)
{
	luaL_Buffer buffer;

	luaL_buffinit(L, &buffer);
	for (const struct lp_api_member *member = type->members; member->name; member++) {
		if (member != type->members)
			luaL_addstring(&buffer, ", ");
		luaL_addstring(&buffer, member->use);
	}
	luaL_pushresult(&buffer);
}

void lp_api_push_unknown(lua_State *L, const struct lp_api_type *type, const char *name)
{
	struct lp_did_you_mean nearest = {0};

	for (const struct lp_api_member *member = type->members; member->name; member++)
		lp_did_you_mean_consider(&nearest, name, member->name);
	for (const struct lp_api_member *member = type->members; nearest.name && member->name; member++)
		if (member->name == nearest.name) {
			lua_pushfstring(L, "%s has no field '%s'; did you mean %s?", type->name, name, member->use);
			return;
		}
	push_uses(L, type);
	lua_pushfstring(L, "%s has no field '%s'; there are %s", type->name, name, lua_tostring(L, -1));
	lua_remove(L, -2);
}

int lp_api_unknown(lua_State *L, const struct lp_api_type *type, const char *name)
{
	luaL_where(L, 1);
	lp_api_push_unknown(L, type, name);
	lua_concat(L, 2);
	return lua_error(L);
}

/* __index, with the type as upvalue. */
static int on_miss(lua_State *L)
{
	if (lua_type(L, 2) != LUA_TSTRING)
		return 0;
	return lp_api_unknown(L, lua_touserdata(L, lua_upvalueindex(1)), lua_tostring(L, 2));
}

/* __newindex, with the type as upvalue. */
static int on_set(lua_State *L)
{
	const struct lp_api_type *type = lua_touserdata(L, lua_upvalueindex(1));

	push_uses(L, type);
	return luaL_error(L, "%s is read-only; there are %s", type->name, lua_tostring(L, -1));
}

static void set_with_type(lua_State *L, const char *event, lua_CFunction function, const struct lp_api_type *type)
{
	lua_pushlightuserdata(L, (void *)(uintptr_t)type);
	lua_pushcclosure(L, function, 1);
	lua_setfield(L, -2, event);
}

void lp_api_seal(lua_State *L, const struct lp_api_type *type)
{
	set_with_type(L, "__newindex", on_set, type);
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
}

void lp_api_close(lua_State *L, const struct lp_api_type *type)
{
	lua_createtable(L, 0, 3);
	lp_api_seal(L, type);
	set_with_type(L, "__index", on_miss, type);
	lua_setmetatable(L, -2);
}

void lp_api_set_functions(lua_State *L, const struct lp_api_type *type, int upvalues)
{
	int table = lua_gettop(L);

	for (const struct lp_api_member *member = type->members; member->name; member++) {
		if (!member->function)
			continue;
		for (int i = 0; i < upvalues; i++)
			lua_pushvalue(L, table - upvalues + i);
		lua_pushcclosure(L, member->function, upvalues);
		lp_trace_wrap_function(L, member);
		lua_setfield(L, table, member->name);
	}
	for (int i = 0; i < upvalues; i++)
		lua_remove(L, table - upvalues);
}

struct lp_slice lp_api_string(lua_State *L, int index, const char *use, const char *name)
{
	struct lp_slice slice;

	slice.bytes = lua_tolstring(L, index, &slice.length);
	if (slice.bytes)
		return slice;
	if (lua_isnoneornil(L, index))
		luaL_error(L, "%s: %s is nil; where it may be, test it first: \"x and %s\"", use, name, use);
	luaL_error(L, "%s: %s must be a string, not a %s", use, name, luaL_typename(L, index));
	return slice;
}

int lp_api_needs_colon(lua_State *L, const char *use)
{
	return luaL_error(L, "%s: call it with a colon, as it is written here", use);
}

void *lp_object_push_new(lua_State *L, enum lp_object_kind kind, unsigned number, size_t size)
{
	struct lp_object *object = lua_newuserdata(L, size);

	memset(object, 0, size);
	object->kind = kind;
	object->number = number;
	return object;
}

void *lp_object_at(lua_State *L, int index, enum lp_object_kind kind)
{
	struct lp_object *object = lua_touserdata(L, index);

	return object && object->kind == kind ? object : NULL;
}
