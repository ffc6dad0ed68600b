/*
 * `limpet`: what a policy can do that concerns no single connection. Refuse, tell the time, log, know networks, remember.
 *
 * Each file has its own `limpet`, because its log lines begin with the file's name.
 */
#include <errno.h>
#include <lua.h>
#include <math.h>
#include <string.h>

#include "policy/private.h"

/* The longest time to live, about 31 years: far from where milliseconds overflow. */
#define TTL_SECONDS_MAX 1e9

struct networks {
	struct lp_object object;
	size_t count;
	struct lp_network all[];
};

/* A refusal is made once a status and kept in upvalue 1, so that refusing a flood allocates nothing. */
static int make_refusal(lua_State *L)
{
	double status = lua_type(L, 1) == LUA_TNUMBER ? lua_tonumber(L, 1) : 0;

	if (!(status >= 400 && status <= 599) || status != floor(status))
		return luaL_error(L, "limpet.refuse(status): status must be a whole number from 400 to 599");
	lua_rawgeti(L, lua_upvalueindex(1), (int)status);
	if (lua_isnil(L, -1)) {
		lp_object_push_new(L, LP_OBJECT_REFUSAL, (unsigned)status, sizeof(struct lp_object));
		lua_pushvalue(L, -1);
		lua_rawseti(L, lua_upvalueindex(1), (int)status);
	}
	return 1;
}

static int push_now(lua_State *L)
{
	lua_pushnumber(L, (double)lp_policy_now_ns(lp_policy_of(L)) / 1e9);
	return 1;
}

/* On failure the reason is on the stack, and the struct that it was in is gone before anything raises. */
static int parse_network(lua_State *L, const char *text, struct lp_network *network)
{
	struct lp_error error;
	int status = lp_network_parse(text, network, &error);

	if (status < 0)
		lua_pushstring(L, error.text);
	return status;
}

/* Upvalue 2 is the metatable of networks. */
static int make_networks(lua_State *L)
{
	int count = lua_gettop(L);
	struct networks *networks;

	if (count == 0)
		return luaL_error(L, "limpet.cidr(...): name at least one network, such as \"10.0.0.0/8\"");
	networks = lp_object_push_new(L, LP_OBJECT_NETWORKS, 0,
				      sizeof(*networks) + (size_t)count * sizeof(networks->all[0]));
	lua_pushvalue(L, lua_upvalueindex(2));
	lua_setmetatable(L, -2);
	for (int i = 1; i <= count; i++) {
		const char *text = lp_api_string(L, i, "limpet.cidr(...)", "the network").bytes;

		if (parse_network(L, text, &networks->all[networks->count++]) < 0)
			return luaL_error(L, "limpet.cidr(...): %s", lua_tostring(L, -1));
	}
	return 1;
}

/* nil is allowed: conn.client_ip is nil for a client that no proxy named, and such a client is in no network. */
static int networks_contains(lua_State *L)
{
	static const char use[] = "networks:contains(ip)";
	const struct networks *networks = lp_object_at(L, 1, LP_OBJECT_NETWORKS);
	struct lp_slice text = {0};
	struct lp_ip ip;
	bool contains = false;

	if (!networks)
		return lp_api_needs_colon(L, use);
	if (!lua_isnil(L, 2))
		text = lp_api_string(L, 2, use, "ip");
	if (text.bytes && lp_ip_parse(text.bytes, text.length, &ip) == 0)
		for (size_t i = 0; i < networks->count && !contains; i++)
			contains = lp_network_contains(&networks->all[i], &ip);
	lua_pushboolean(L, contains);
	return 1;
}

/* One who has an IPv6 network has 2^64 addresses of it; what is counted by address is counted by network. */
static int push_subnet(lua_State *L)
{
	static const char use[] = "limpet.subnet(ip)";
	char text[LP_IP_TEXT_SIZE];
	struct lp_slice address;
	struct lp_ip ip;

	if (lua_isnoneornil(L, 1)) {
		lua_pushnil(L);
		return 1;
	}
	address = lp_api_string(L, 1, use, "ip");
	if (lp_ip_parse(address.bytes, address.length, &ip) < 0)
		return luaL_error(L, "%s: \"%s\" is no address", use, address.bytes);
	if (ip.family == LP_FAMILY_IPV6)
		memset(ip.bytes + 8, 0, sizeof(ip.bytes) - 8);
	lp_ip_format(&ip, text);
	lua_pushfstring(L, ip.family == LP_FAMILY_IPV6 ? "%s/64" : "%s", text);
	return 1;
}

/* Leaves what tostring would say of each argument on the stack, with blanks in between. */
static int push_words(lua_State *L, int count)
{
	luaL_checkstack(L, 2 * count + 2, "too many words for one line");
	for (int i = 1; i <= count; i++) {
		if (i > 1)
			lua_pushliteral(L, " ");
		if (luaL_callmeta(L, i, "__tostring"))
			continue;
		if (lua_isstring(L, i))
			lua_pushvalue(L, i);
		else if (lua_isboolean(L, i))
			lua_pushstring(L, lua_toboolean(L, i) ? "true" : "false");
		else
			lua_pushstring(L, luaL_typename(L, i));
	}
	return count > 0 ? 2 * count - 1 : 0;
}

/* Upvalue 1 is the policy's name. */
static int write_log(lua_State *L, enum lp_log_level level)
{
	struct lp_log *log = lp_policy_of(L)->host->log;
	char client[LP_IP_TEXT_SIZE];
	struct lp_log_about about;
	const char *message;

	if (level > log->level)
		return 0;
	lp_policy_check_depth(L);
	lua_concat(L, push_words(L, lua_gettop(L)));
	message = lua_tostring(L, -1);
	if (!message)
		return luaL_error(L, "limpet.log: a __tostring did not return a string");
	about = lp_policy_about(lp_policy_of(L), client);
	about.policy = lua_tostring(L, lua_upvalueindex(1));
	lp_policy_hold(lp_policy_of(L));
	lp_log_limited(log, level, LP_LOG_TOPIC_SCRIPT, &about, "policy %s: %s", about.policy, message);
	lp_policy_release(lp_policy_of(L));
	return 0;
}

static int log_error(lua_State *L)
{
	return write_log(L, LP_LOG_ERROR);
}

static int log_warning(lua_State *L)
{
	return write_log(L, LP_LOG_WARNING);
}

static int log_info(lua_State *L)
{
	return write_log(L, LP_LOG_INFO);
}

static int log_debug(lua_State *L)
{
	return write_log(L, LP_LOG_DEBUG);
}

static uint64_t now_ms(lua_State *L)
{
	return lp_policy_now_ns(lp_policy_of(L)) / 1000000;
}

static struct lp_shared *shared_at(lua_State *L, const char *use)
{
	if (!lp_object_at(L, 1, LP_OBJECT_SHARED))
		lp_api_needs_colon(L, use);
	return lp_policy_of(L)->host->shared;
}

/* In milliseconds and never 0, which would be for ever. */
static uint64_t ttl_at(lua_State *L, int index, const char *use)
{
	double seconds;

	if (lua_isnoneornil(L, index))
		return 0;
	seconds = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : 0;
	if (!(seconds > 0 && seconds <= TTL_SECONDS_MAX))
		luaL_error(L, "%s: ttl must be a number of seconds above 0 and up to 1e9", use);
	return (uint64_t)ceil(seconds * 1000);
}

/* Bounds are met in everyday use: they are answers, not errors. */
static int push_shared_failure(lua_State *L, int status)
{
	lua_pushnil(L);
	switch (status) {
	case -ENOSPC:
		lua_pushliteral(L, "limpet.shared is full");
		break;
	case -EINVAL:
		lua_pushliteral(L, "the key holds no number");
		break;
	default:
		lua_pushliteral(L, "out of memory");
	}
	return 2;
}

static int shared_get(lua_State *L)
{
	static const char use[] = "limpet.shared:get(key)";
	struct lp_shared *shared = shared_at(L, use);
	struct lp_slice key = lp_api_string(L, 2, use, "key");
	struct lp_shared_value value;
	bool found;

	lp_policy_hold(lp_policy_of(L));
	found = lp_shared_find(shared, key, now_ms(L), &value);
	lp_policy_release(lp_policy_of(L));
	if (!found) {
		lua_pushnil(L);
		return 1;
	}
	switch (value.kind) {
	case LP_SHARED_NUMBER:
		lua_pushnumber(L, value.number);
		break;
	case LP_SHARED_STRING:
		lua_pushlstring(L, value.string.bytes, value.string.length);
		break;
	case LP_SHARED_BOOLEAN:
		lua_pushboolean(L, value.boolean);
		break;
	}
	return 1;
}

static int shared_set(lua_State *L)
{
	static const char use[] = "limpet.shared:set(key, value, ttl)";
	struct lp_shared *shared = shared_at(L, use);
	struct lp_slice key = lp_api_string(L, 2, use, "key");
	struct lp_shared_value value = {0};
	uint64_t ttl_ms;
	int status;

	switch (lua_type(L, 3)) {
	case LUA_TNUMBER:
		value.kind = LP_SHARED_NUMBER;
		value.number = lua_tonumber(L, 3);
		break;
	case LUA_TSTRING:
		value.kind = LP_SHARED_STRING;
		value.string.bytes = lua_tolstring(L, 3, &value.string.length);
		break;
	case LUA_TBOOLEAN:
		value.kind = LP_SHARED_BOOLEAN;
		value.boolean = lua_toboolean(L, 3);
		break;
	default:
		return luaL_error(L,
				  "%s: value must be a number, a string or a boolean, not %s; "
				  "limpet.shared:delete(key) takes a key away",
				  use, luaL_typename(L, 3));
	}
	ttl_ms = ttl_at(L, 4, use);
	lp_policy_hold(lp_policy_of(L));
	status = lp_shared_set(shared, key, &value, ttl_ms, now_ms(L));
	lp_policy_release(lp_policy_of(L));
	if (status < 0)
		return push_shared_failure(L, status);
	lua_pushboolean(L, true);
	return 1;
}

static int shared_incr(lua_State *L)
{
	static const char use[] = "limpet.shared:incr(key, by, ttl)";
	struct lp_shared *shared = shared_at(L, use);
	struct lp_slice key = lp_api_string(L, 2, use, "key");
	double by = lua_isnoneornil(L, 3) ? 1 : lua_type(L, 3) == LUA_TNUMBER ? lua_tonumber(L, 3) : NAN;
	uint64_t ttl_ms;
	double sum;
	int status;

	if (!isfinite(by))
		return luaL_error(L, "%s: by must be a number, not %s", use, luaL_typename(L, 3));
	ttl_ms = ttl_at(L, 4, use);
	lp_policy_hold(lp_policy_of(L));
	status = lp_shared_add(shared, key, by, ttl_ms, now_ms(L), &sum);
	lp_policy_release(lp_policy_of(L));
	if (status < 0)
		return push_shared_failure(L, status);
	lua_pushnumber(L, sum);
	return 1;
}

static int shared_delete(lua_State *L)
{
	static const char use[] = "limpet.shared:delete(key)";
	struct lp_shared *shared = shared_at(L, use);
	struct lp_slice key = lp_api_string(L, 2, use, "key");

	lp_policy_hold(lp_policy_of(L));
	lp_shared_delete(shared, key);
	lp_policy_release(lp_policy_of(L));
	return 0;
}

const struct lp_api_type lp_api_limpet = {"limpet", (const struct lp_api_member[]){
							    {"refuse", "limpet.refuse(status)", make_refusal},
							    {"now", "limpet.now()", push_now},
							    {"cidr", "limpet.cidr(...)", make_networks},
							    {"subnet", "limpet.subnet(ip)", push_subnet},
							    {"log", "limpet.log", NULL},
							    {"shared", "limpet.shared", NULL},
							    {0},
						    }};

const struct lp_api_type lp_api_log = {"limpet.log", (const struct lp_api_member[]){
							     {"error", "limpet.log.error(...)", log_error},
							     {"warning", "limpet.log.warning(...)", log_warning},
							     {"info", "limpet.log.info(...)", log_info},
							     {"debug", "limpet.log.debug(...)", log_debug},
							     {0},
						     }};

const struct lp_api_type lp_api_shared = {"limpet.shared",
					  (const struct lp_api_member[]){
						  {"get", "limpet.shared:get(key)", shared_get},
						  {"set", "limpet.shared:set(key, value, ttl)", shared_set},
						  {"incr", "limpet.shared:incr(key, by, ttl)", shared_incr},
						  {"delete", "limpet.shared:delete(key)", shared_delete},
						  {0},
					  }};

const struct lp_api_type lp_api_networks = {"networks",
					    (const struct lp_api_member[]){
						    {"contains", "networks:contains(ip)", networks_contains},
						    {0},
					    }};

/* A metatable for userdata that has functions and nothing else. */
static void push_metatable(lua_State *L, const struct lp_api_type *type)
{
	lua_newtable(L);
	lp_api_seal(L, type);
	lua_newtable(L);
	lp_api_set_functions(L, type, 0);
	lp_api_close(L, type);
	lua_setfield(L, -2, "__index");
}

void lp_api_push_limpet(lua_State *L, const char *script)
{
	lua_newtable(L);
	push_metatable(L, &lp_api_networks);
	lua_newtable(L);
	lp_api_set_functions(L, &lp_api_limpet, 2);

	lua_pushstring(L, script);
	lua_newtable(L);
	lp_api_set_functions(L, &lp_api_log, 1);
	lp_api_close(L, &lp_api_log);
	lua_setfield(L, -2, "log");

	lp_object_push_new(L, LP_OBJECT_SHARED, 0, sizeof(struct lp_object));
	push_metatable(L, &lp_api_shared);
	lua_setmetatable(L, -2);
	lua_setfield(L, -2, "shared");
	lp_api_close(L, &lp_api_limpet);
}
