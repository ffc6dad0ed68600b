/*
 * conn{…}: from a Lua table to a made-up connection.
 *
 * Strings are not copied: they stay on Lua's stack until the function that needs them returns.
 */
#include <lua.h>
#include <string.h>

#include "base/did_you_mean.h"
#include "policy/testing_private.h"

void lp_testing_keep_word(lua_State *L, struct lp_words *words, const char *what)
{
	luaL_checkstack(L, 4, "too many words");
	if (words->count == LP_WORDS_MAX)
		luaL_error(L, "these are too many %s; %d are the most", what, LP_WORDS_MAX);
	words->all[words->count++] = lua_tostring(L, -1);
}

static const char *const conn_fields[] = {
	"ip", "port", "listener", "method", "path", "sid", "sni", "raw", "headers", "alpn", NULL,
};

/* Raises if the table at an index has a field that a connection does not have. */
static void check_conn(lua_State *L, int index)
{
	luaL_checktype(L, index, LUA_TTABLE);
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
		const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
		struct lp_did_you_mean nearest = {0};
		const char *const *known = conn_fields;

		for (; *known && strcmp(*known, name) != 0; known++)
			lp_did_you_mean_consider(&nearest, name, *known);
		if (!*known && nearest.name)
			luaL_error(L, "a connection has no '%s'; did you mean %s?", name, nearest.name);
		if (!*known)
			luaL_error(L,
				   "a connection has no '%s'; there are ip, port, listener, method, path, sid, "
				   "headers, raw, sni and alpn",
				   name);
	}
}

int lp_testing_conn(lua_State *L)
{
	check_conn(L, 1);
	lua_settop(L, 1);
	return 1;
}

/* A field of the table at an index that is a string or NULL; left on the stack, alive. */
static const char *text_field(lua_State *L, int index, const char *name)
{
	luaL_checkstack(L, 4, "a connection");
	lua_getfield(L, index, name);
	if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
		luaL_error(L, "a connection's %s must be a string, not a %s", name, luaL_typename(L, -1));
	return lua_tostring(L, -1);
}

static void push_header(lua_State *L, const char *name, int value, struct lp_words *headers)
{
	if (!lua_isstring(L, value))
		luaL_error(L, "header %s must be a string or a list of strings", name);
	lua_pushfstring(L, "%s: %s", name, lua_tostring(L, value));
	lp_testing_keep_word(L, headers, "headers");
}

/* Push a sorted list of the names of the table at an index, so that headers come in the same order on every run. */
static void push_sorted_names(lua_State *L, int index)
{
	int count = 0;

	lua_newtable(L);
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L, "headers are values by name: {[\"X-Tenant\"] = \"acme\"}");
		lua_pushvalue(L, -2);
		lua_rawseti(L, -4, ++count);
	}
	lua_getfield(L, LUA_GLOBALSINDEX, "table");
	lua_getfield(L, -1, "sort");
	lua_pushvalue(L, -3);
	lua_call(L, 1, 0);
	lua_pop(L, 1);
}

static void push_headers(lua_State *L, int index, struct lp_words *headers)
{
	int table;
	int names;

	lua_getfield(L, index, "headers");
	if (lua_isnil(L, -1))
		return;
	table = lua_gettop(L);
	luaL_checktype(L, table, LUA_TTABLE);
	push_sorted_names(L, table);
	names = table + 1;
	for (int i = 1; i <= (int)lua_objlen(L, names); i++) {
		const char *name;
		int value;

		luaL_checkstack(L, 8, "too many headers");
		lua_rawgeti(L, names, i);
		name = lua_tostring(L, -1);
		lua_pushvalue(L, -1);
		lua_rawget(L, table);
		value = lua_gettop(L);
		if (!lua_istable(L, value)) {
			push_header(L, name, value, headers);
			continue;
		}
		for (int j = 1; j <= (int)lua_objlen(L, value); j++) {
			lua_rawgeti(L, value, j);
			push_header(L, name, lua_gettop(L), headers);
		}
	}
}

static void push_alpn(lua_State *L, int index, struct lp_words *alpn)
{
	int list;

	lua_getfield(L, index, "alpn");
	if (lua_isnil(L, -1))
		return;
	list = lua_gettop(L);
	luaL_checktype(L, list, LUA_TTABLE);
	for (int i = 1; i <= (int)lua_objlen(L, list); i++) {
		lua_rawgeti(L, list, i);
		luaL_checkstring(L, -1);
		lp_testing_keep_word(L, alpn, "protocols");
	}
}

void lp_testing_read_conn(lua_State *L, int index, struct lp_scene_conn *conn, struct lp_words *headers,
			  struct lp_words *alpn)
{
	check_conn(L, index);
	push_headers(L, index, headers);
	push_alpn(L, index, alpn);
	*conn = (struct lp_scene_conn){
		.ip = text_field(L, index, "ip"),
		.listener = text_field(L, index, "listener"),
		.method = text_field(L, index, "method"),
		.path = text_field(L, index, "path"),
		.sid = text_field(L, index, "sid"),
		.sni = text_field(L, index, "sni"),
		.headers = headers->all,
		.header_count = headers->count,
		.alpn = alpn->all,
		.alpn_count = alpn->count,
	};
	text_field(L, index, "raw");
	conn->raw.bytes = lua_tolstring(L, -1, &conn->raw.length);
	lua_getfield(L, index, "port");
	conn->port = lua_isnil(L, -1) ? 0 : (uint32_t)luaL_checkinteger(L, -1);
}
