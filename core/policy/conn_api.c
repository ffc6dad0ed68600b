/*
 * `conn`: the connection that a hook is asked about.
 *
 * One userdata serves all connections. Nothing is put into it: fields are looked up in C when they are named, and
 * become Lua strings only then. Between calls there is no connection behind it, and naming a field raises; a conn that
 * was kept shows the next call's connection.
 *
 * ip, sid, session and client_ip are what policies name twice ("x and f(x)") and what takes work to find; the running call keeps
 * them in the registry, which also keeps the strings alive.
 */
#include <lua.h>
#include <string.h>

#include "policy/private.h"

enum field {
	FIELD_IP,
	FIELD_PORT,
	FIELD_LISTENER,
	FIELD_METHOD,
	FIELD_PATH,
	FIELD_SID,
	FIELD_SESSION,
	FIELD_CLIENT_IP,
	FIELD_SNI,
	FIELD_ALPN,
	FIELDS = LP_CONN_FIELDS
};

#define NAME_SID LP_SLICE("sid")

static const struct lp_policy_conn *conn_of(lua_State *L, const struct lp_policy *policy)
{
	if (!policy->call.conn)
		luaL_error(L, "conn is only valid during the call; keep what you need of it in locals");
	return policy->call.conn;
}

/* What on_request knows; NULL in the other hooks, whatever has been seen for an earlier policy. */
static const struct lp_head *head_of(const struct lp_policy *policy)
{
	const struct lp_policy_conn *conn = policy->call.conn;

	return policy->call.hook->kind == LP_HOOK_REQUEST && conn->protocol == LP_PROTOCOL_HTTP ? conn->head : NULL;
}

static const struct lp_hello *hello_of(const struct lp_policy *policy)
{
	const struct lp_policy_conn *conn = policy->call.conn;

	return policy->call.hook->kind == LP_HOOK_HELLO && conn->protocol == LP_PROTOCOL_TLS ? conn->hello : NULL;
}

static void push_slice(lua_State *L, struct lp_slice slice)
{
	if (slice.bytes)
		lua_pushlstring(L, slice.bytes, slice.length);
	else
		lua_pushnil(L);
}

/* A unix peer has no address: nil, for all of them hashed as "" would meet on one worker. */
static void push_ip(lua_State *L, const struct lp_ip *ip)
{
	char text[LP_IP_TEXT_SIZE];

	if (ip->family == LP_FAMILY_UNIX)
		lua_pushnil(L);
	else
		lua_pushlstring(L, text, lp_ip_format(ip, text));
}

/* Push a parameter's value, or nil when it is not there or shorter than that. */
static void push_query(lua_State *L, const struct lp_head *head, struct lp_slice name, int least)
{
	char small[LP_SESSION_KEY_MAX];
	char *value = small;
	size_t size = sizeof(small);
	int length;

	if (head->query.length > size) {
		size = head->query.length;
		value = lp_object_push_new(L, LP_OBJECT_SCRATCH, 0, sizeof(struct lp_object) + size);
		value += sizeof(struct lp_object);
	}
	length = lp_head_query(head, name, value, size);
	if (length < least)
		lua_pushnil(L);
	else
		lua_pushlstring(L, value, (size_t)length);
}

/* Empty is as good as absent: no session has such a key. */
static void push_sid(lua_State *L, const struct lp_head *head)
{
	push_query(L, head, NAME_SID, 1);
}

/* What a rule names in a request; absent when it is not there, or empty. */
static struct lp_slice find_carried(const struct lp_session_rule *rule, const struct lp_head *head,
				    char value[LP_SESSION_KEY_MAX])
{
	struct lp_slice name = rule->carried.name;
	struct lp_slice found = {0};
	const struct lp_header *header;
	int length;

	switch (rule->carried.place) {
	case LP_SESSION_COOKIE:
		found = lp_head_cookie(head, name);
		break;
	case LP_SESSION_HEADER:
		header = lp_head_header(head, name, NULL);
		found = header ? header->value : found;
		break;
	case LP_SESSION_QUERY:
		length = lp_head_query(head, name, value, LP_SESSION_KEY_MAX);
		found = (struct lp_slice){value, length > 0 ? (size_t)length : 0};
		break;
	}
	return found.length > 0 && found.length <= LP_SESSION_KEY_MAX ? found : (struct lp_slice){0};
}

/* Of the first rule that finds any. */
static struct lp_slice find_session(const struct lp_policy *policy, const struct lp_head *head,
				    char value[LP_SESSION_KEY_MAX])
{
	const struct lp_policy_host *host = policy->host;
	struct lp_slice found = {0};

	for (size_t i = 0; i < host->rule_count && !found.bytes; i++)
		found = find_carried(&host->rules[i], head, value);
	return found;
}

static void push_session(lua_State *L, const struct lp_policy *policy, const struct lp_head *head)
{
	char value[LP_SESSION_KEY_MAX];

	push_slice(L, find_session(policy, head, value));
}

static void push_client_ip(lua_State *L, const struct lp_policy *policy, const struct lp_head *head)
{
	struct lp_ip client;

	if (lp_forwarded_client(head, &policy->call.conn->ip, &policy->host->trust, &client) == 0)
		push_ip(L, &client);
	else
		lua_pushnil(L);
}

static void push_alpn(lua_State *L, const struct lp_hello *hello)
{
	lua_createtable(L, (int)hello->alpn_count, 0);
	for (size_t i = 0; i < hello->alpn_count; i++) {
		push_slice(L, hello->alpn[i]);
		lua_rawseti(L, -2, (int)i + 1);
	}
}

/* Push a cached field; if it is not there yet, the caller pushes it and calls keep. */
static bool push_kept(lua_State *L, const struct lp_policy *policy, enum lp_cached which)
{
	if (!(policy->call.cached & 1u << which))
		return false;
	lua_rawgeti(L, LUA_REGISTRYINDEX, policy->cache[which]);
	return true;
}

static void cache_value(lua_State *L, struct lp_policy *policy, enum lp_cached which)
{
	lua_pushvalue(L, -1);
	lua_rawseti(L, LUA_REGISTRYINDEX, policy->cache[which]);
	policy->call.cached |= 1u << which;
}

/* A field that is the same in all hooks. */
static void push_peer_field(lua_State *L, struct lp_policy *policy, enum field field)
{
	const struct lp_policy_conn *conn = policy->call.conn;

	switch (field) {
	case FIELD_IP:
		if (push_kept(L, policy, LP_CACHED_IP))
			break;
		push_ip(L, &conn->ip);
		cache_value(L, policy, LP_CACHED_IP);
		break;
	case FIELD_PORT:
		if (conn->ip.family == LP_FAMILY_UNIX)
			lua_pushnil(L);
		else
			lua_pushinteger(L, conn->port);
		break;
	default:
		lua_pushstring(L, conn->listener);
	}
}

static void push_request_field(lua_State *L, struct lp_policy *policy, enum field field)
{
	const struct lp_head *head = head_of(policy);

	if (!head) {
		lua_pushnil(L);
		return;
	}
	switch (field) {
	case FIELD_METHOD:
		push_slice(L, head->method);
		break;
	case FIELD_PATH:
		push_slice(L, head->path);
		break;
	case FIELD_SID:
		if (push_kept(L, policy, LP_CACHED_SID))
			break;
		push_sid(L, head);
		cache_value(L, policy, LP_CACHED_SID);
		break;
	case FIELD_SESSION:
		if (push_kept(L, policy, LP_CACHED_SESSION))
			break;
		push_session(L, policy, head);
		cache_value(L, policy, LP_CACHED_SESSION);
		break;
	default:
		if (push_kept(L, policy, LP_CACHED_CLIENT_IP))
			break;
		push_client_ip(L, policy, head);
		cache_value(L, policy, LP_CACHED_CLIENT_IP);
	}
}

static void push_hello_field(lua_State *L, const struct lp_policy *policy, enum field field)
{
	const struct lp_hello *hello = hello_of(policy);

	if (!hello)
		lua_pushnil(L);
	else if (field == FIELD_SNI)
		push_slice(L, hello->sni);
	else
		push_alpn(L, hello);
}

/* The field of that name, or FIELDS. Equal strings are one and the same in Lua, so their addresses tell. */
static enum field find_field(const struct lp_policy *policy, const void *name)
{
	enum field field = 0;

	while (field < FIELDS && policy->conn_names[field] != name)
		field++;
	return field;
}

/* Upvalue 1 has the methods. */
static int push_method(lua_State *L)
{
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	if (lua_isnil(L, -1))
		return lp_api_unknown(L, &lp_api_conn,
				      lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2));
	return 1;
}

static int conn_index(lua_State *L)
{
	struct lp_policy *policy = lp_policy_of(L);
	enum field field = find_field(policy, lua_topointer(L, 2));

	if (field == FIELDS)
		return push_method(L);
	conn_of(L, policy);
	if (field <= FIELD_LISTENER)
		push_peer_field(L, policy, field);
	else if (field <= FIELD_CLIENT_IP)
		push_request_field(L, policy, field);
	else
		push_hello_field(L, policy, field);
	return 1;
}

/* Check a method's call and take its name. Returns NULL in hooks that know no request. */
static const struct lp_head *start_method(lua_State *L, const char *use, struct lp_slice *name)
{
	const struct lp_policy *policy = lp_policy_of(L);

	if (!lp_object_at(L, 1, LP_OBJECT_CONN))
		lp_api_needs_colon(L, use);
	*name = lp_api_string(L, 2, use, "name");
	conn_of(L, policy);
	return head_of(policy);
}

static bool is_cookie(struct lp_slice name)
{
	return name.length == strlen("cookie") && strncasecmp(name.bytes, "cookie", name.length) == 0;
}

/* Cookies are joined as HTTP/2 joins them; a comma may stand inside of one. */
static void push_joined(lua_State *L, const struct lp_head *head, struct lp_slice name, const struct lp_header *first)
{
	const char *between = is_cookie(name) ? "; " : ", ";
	luaL_Buffer buffer;

	luaL_buffinit(L, &buffer);
	luaL_addlstring(&buffer, first->value.bytes, first->value.length);
	for (const struct lp_header *next = first; (next = lp_head_header(head, name, next));) {
		luaL_addlstring(&buffer, between, 2);
		luaL_addlstring(&buffer, next->value.bytes, next->value.length);
	}
	luaL_pushresult(&buffer);
}

static int conn_header(lua_State *L)
{
	struct lp_slice name;
	const struct lp_head *head = start_method(L, "conn:header(name)", &name);
	const struct lp_header *first = head ? lp_head_header(head, name, NULL) : NULL;

	if (!first)
		lua_pushnil(L);
	else if (!lp_head_header(head, name, first))
		push_slice(L, first->value);
	else
		push_joined(L, head, name, first);
	return 1;
}

static int conn_query(lua_State *L)
{
	struct lp_slice name;
	const struct lp_head *head = start_method(L, "conn:query(name)", &name);

	if (head)
		push_query(L, head, name, 0);
	else
		lua_pushnil(L);
	return 1;
}

static int conn_cookie(lua_State *L)
{
	struct lp_slice name;
	const struct lp_head *head = start_method(L, "conn:cookie(name)", &name);

	push_slice(L, head ? lp_head_cookie(head, name) : (struct lp_slice){0});
	return 1;
}

static int conn_tostring(lua_State *L)
{
	lua_pushliteral(L, "conn");
	return 1;
}

/* The fields by enum field, then the methods. */
static const struct lp_api_member members[] = {
	[FIELD_IP] = {"ip", "conn.ip", NULL},
	[FIELD_PORT] = {"port", "conn.port", NULL},
	[FIELD_LISTENER] = {"listener", "conn.listener", NULL},
	[FIELD_METHOD] = {"method", "conn.method", NULL},
	[FIELD_PATH] = {"path", "conn.path", NULL},
	[FIELD_SID] = {"sid", "conn.sid", NULL},
	[FIELD_SESSION] = {"session", "conn.session", NULL},
	[FIELD_CLIENT_IP] = {"client_ip", "conn.client_ip", NULL},
	[FIELD_SNI] = {"sni", "conn.sni", NULL},
	[FIELD_ALPN] = {"alpn", "conn.alpn", NULL},
	[FIELDS] = {"query", "conn:query(name)", conn_query},
	{"header", "conn:header(name)", conn_header},
	{"cookie", "conn:cookie(name)", conn_cookie},
	{0},
};

const struct lp_api_type lp_api_conn = {"conn", members};

/* The registry keeps the names where they are, and has room for what is cached. */
static void prepare_fields(lua_State *L, struct lp_policy *policy)
{
	for (int field = 0; field < FIELDS; field++) {
		lua_pushstring(L, members[field].name);
		policy->conn_names[field] = lua_topointer(L, -1);
		luaL_ref(L, LUA_REGISTRYINDEX);
	}
	for (int which = 0; which < LP_CACHED; which++) {
		lua_pushboolean(L, false);
		policy->cache[which] = luaL_ref(L, LUA_REGISTRYINDEX);
	}
}

void lp_conn_push_new(lua_State *L)
{
	prepare_fields(L, lp_policy_of(L));
	lp_object_push_new(L, LP_OBJECT_CONN, 0, sizeof(struct lp_object));
	lua_newtable(L);
	lp_api_seal(L, &lp_api_conn);

	lua_newtable(L);
	lp_api_set_functions(L, &lp_api_conn, 0);
	lua_pushcclosure(L, conn_index, 1);
	lp_trace_wrap_index(L, &lp_api_conn);
	lua_setfield(L, -2, "__index");

	lua_pushcfunction(L, conn_tostring);
	lua_setfield(L, -2, "__tostring");
	lua_setmetatable(L, -2);
}

static bool is_sid(const struct lp_head *head, struct lp_slice key)
{
	char value[LP_SESSION_KEY_MAX];

	return lp_head_query(head, NAME_SID, value, sizeof(value)) == (int)key.length &&
	       memcmp(value, key.bytes, key.length) == 0;
}

static bool has_query(const struct lp_head *head, struct lp_slice name)
{
	char value[LP_SESSION_KEY_MAX];

	return lp_head_query(head, name, value, sizeof(value)) >= 0;
}

bool lp_conn_is_session(const struct lp_policy *policy, struct lp_slice key)
{
	const struct lp_head *head = policy->call.conn ? head_of(policy) : NULL;
	char value[LP_SESSION_KEY_MAX];
	struct lp_slice session;

	if (!head || key.length == 0 || key.length > sizeof(value))
		return false;
	if (is_sid(head, key))
		return true;
	session = find_session(policy, head, value);
	return session.length == key.length && memcmp(session.bytes, key.bytes, key.length) == 0;
}

bool lp_conn_is_known_in_one(const char *name, enum lp_hook_kind *hook)
{
	for (int i = 0; members[i].name; i++) {
		if (strcmp(members[i].name, name) != 0)
			continue;
		*hook = i == FIELD_SNI || i == FIELD_ALPN ? LP_HOOK_HELLO : LP_HOOK_REQUEST;
		return i > FIELD_LISTENER;
	}
	return false;
}

bool lp_conn_may_be_new(const struct lp_policy *policy, struct lp_slice key)
{
	if (!lp_conn_is_session(policy, key) || lp_sessions_is_dead(policy->host->sessions, key))
		return false;
	const struct lp_head *head = head_of(policy);
	return !is_sid(head, key) || has_query(head, LP_SLICE("EIO")) || has_query(head, LP_SLICE("transport"));
}
