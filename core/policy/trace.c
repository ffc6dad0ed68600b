/*
 * Telling what policies read and ask, for those who want to know why a connection went where it did.
 *
 * Where a host traces, every function and every __index of the API is wrapped when it is registered; where it does not,
 * nothing is, and calls cost what they cost. Lua's own accesses (#workers, workers[i], ipairs) are not seen.
 */
#include <lua.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "policy/private.h"

/* The number of bytes of a string that are shown. */
#define STRING_BYTES_MAX 80

struct text {
	char bytes[512];
	size_t length;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *text, const char *format, ...)
{
	size_t room = sizeof(text->bytes) - text->length;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text->bytes + text->length, room, format, arguments);
	va_end(arguments);
	text->length += length < 0 ? 0 : (size_t)length < room ? (size_t)length : room - 1;
}

static void add_string(struct text *text, const char *bytes, size_t length)
{
	add(text, "\"");
	for (size_t i = 0; i < length && i < STRING_BYTES_MAX; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (byte == '\n')
			add(text, "\\n");
		else if (byte < ' ' || byte == 0x7f)
			add(text, "\\%d", byte);
		else
			add(text, "%s%c", byte == '"' || byte == '\\' ? "\\" : "", byte);
	}
	add(text, length > STRING_BYTES_MAX ? "…\"" : "\"");
}

static void add_value(struct text *text, lua_State *L, int index);

/* A list of plain values, as conn.alpn is. */
static void add_table(struct text *text, lua_State *L, int index)
{
	int count = (int)lua_objlen(L, index);

	if (lua_topointer(L, index) == lp_policy_of(L)->workers_table) {
		add(text, "workers");
		return;
	}
	add(text, "{");
	for (int i = 1; i <= count && i <= LP_HELLO_ALPN_MAX; i++) {
		add(text, i > 1 ? ", " : "");
		lua_rawgeti(L, index, i);
		if (lua_istable(L, -1))
			add(text, "table");
		else
			add_value(text, L, lua_gettop(L));
		lua_pop(L, 1);
	}
	add(text, "}");
}

static void add_object(struct text *text, const struct lp_object *object)
{
	switch (object->kind) {
	case LP_OBJECT_WORKER:
		add(text, "worker %u", object->number);
		break;
	case LP_OBJECT_REFUSAL:
		add(text, "a refusal with %u", object->number);
		break;
	case LP_OBJECT_NETWORKS:
		add(text, "networks");
		break;
	default:
		add(text, "conn");
	}
}

/* Never converts in place, and asks no metatable: what is shown is what the policy has. */
static void add_value(struct text *text, lua_State *L, int index)
{
	size_t length;
	const char *bytes;

	switch (lua_type(L, index)) {
	case LUA_TNIL:
		add(text, "nil");
		break;
	case LUA_TBOOLEAN:
		add(text, lua_toboolean(L, index) ? "true" : "false");
		break;
	case LUA_TNUMBER:
		add(text, "%.14g", lua_tonumber(L, index));
		break;
	case LUA_TSTRING:
		bytes = lua_tolstring(L, index, &length);
		add_string(text, bytes, length);
		break;
	case LUA_TTABLE:
		add_table(text, L, index);
		break;
	case LUA_TUSERDATA:
		add_object(text, lua_touserdata(L, index));
		break;
	default:
		add(text, "a %s", luaL_typename(L, index));
	}
}

void lp_trace_describe(lua_State *L, int index, char *text, size_t size)
{
	struct text value = {0};

	add_value(&value, L, index);
	snprintf(text, size, "%s", value.bytes);
}

static void report_event(struct lp_policy *policy, struct lp_trace_event event)
{
	const struct lp_policy_unit *unit = &policy->units[policy->call.hook->unit];

	event.script = unit->script;
	event.name = unit->name;
	lp_policy_hold(policy);
	lp_policy_hold(policy);
	policy->host->trace(&event, policy->host->trace_owner);
	lp_policy_release(policy);
	lp_policy_release(policy);
}

/* Tell of a read or a call that a hook made; the time since `begun` is not the hook's. */
static void tell_read(struct lp_policy *policy, const struct text *what, const struct text *value, uint64_t begun)
{
	if (policy->call.conn)
		report_event(policy, (struct lp_trace_event){
					     .kind = LP_TRACE_READ,
					     .what = what->bytes,
					     .value = value->length > 0 ? value->bytes : NULL,
				     });
	policy->traced_ns += lp_clock_ns() - begun;
}

/* A function of the API: upvalue 1 is the function, upvalue 2 its member. */
static int traced_function(lua_State *L)
{
	const struct lp_api_member *member = lua_touserdata(L, lua_upvalueindex(2));
	struct lp_policy *policy = lp_policy_of(L);
	uint64_t begun = lp_clock_ns();
	struct text value = {0};
	struct text what = {0};
	int count = lua_gettop(L);
	int first = strchr(member->use, ':') ? 2 : 1;

	luaL_checkstack(L, 4, "too many arguments");
	add(&what, "%.*s(", (int)strcspn(member->use, "("), member->use);
	for (int i = first; i <= count; i++) {
		add(&what, i > first ? ", " : "");
		add_value(&what, L, i);
	}
	add(&what, ")");
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	policy->traced_ns += lp_clock_ns() - begun;
	lua_call(L, count, LUA_MULTRET);
	begun = lp_clock_ns();
	for (int i = 1; i <= lua_gettop(L); i++) {
		add(&value, i > 1 ? ", " : "");
		add_value(&value, L, i);
	}
	tell_read(policy, &what, &value, begun);
	return lua_gettop(L);
}

/* An __index: upvalue 1 is the function, upvalue 2 its type. That a method was looked up is not told. */
static int traced_index(lua_State *L)
{
	const struct lp_api_type *type = lua_touserdata(L, lua_upvalueindex(2));
	const struct lp_object *object = lua_touserdata(L, 1);
	struct text value = {0};
	struct text what = {0};
	uint64_t begun;

	lua_settop(L, 2);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	lua_call(L, 2, 1);
	if (lua_isfunction(L, -1))
		return 1;
	begun = lp_clock_ns();
	if (object->kind == LP_OBJECT_WORKER)
		add(&what, "worker %u.%s", object->number, lua_tostring(L, 2));
	else
		add(&what, "%s.%s", type->name, lua_tostring(L, 2));
	add_value(&value, L, 3);
	tell_read(lp_policy_of(L), &what, &value, begun);
	return 1;
}

static void wrap_with_trace(lua_State *L, lua_CFunction function, const void *about)
{
	if (!lp_policy_of(L)->host->trace)
		return;
	lua_pushlightuserdata(L, (void *)(uintptr_t)about);
	lua_pushcclosure(L, function, 2);
}

void lp_trace_wrap_function(lua_State *L, const struct lp_api_member *member)
{
	wrap_with_trace(L, traced_function, member);
}

void lp_trace_wrap_index(lua_State *L, const struct lp_api_type *type)
{
	wrap_with_trace(L, traced_index, type);
}

void lp_trace_asked(struct lp_policy *policy)
{
	if (!policy->host->trace)
		return;
	report_event(policy, (struct lp_trace_event){
				     .kind = LP_TRACE_ASKED,
				     .what = lp_api_policy.members[policy->call.hook->kind].name,
			     });
	policy->traced_ns = 0;
	policy->asked_ns = lp_clock_ns();
}

void lp_trace_answered(struct lp_policy *policy, const struct lp_verdict *verdict)
{
	uint64_t passed;

	if (!policy->host->trace)
		return;
	passed = lp_clock_ns() - policy->asked_ns;
	report_event(policy, (struct lp_trace_event){
				     .kind = LP_TRACE_ANSWERED,
				     .what = lp_api_policy.members[policy->call.hook->kind].name,
				     .verdict = *verdict,
				     .took_ns = passed > policy->traced_ns ? passed - policy->traced_ns : 0,
			     });
}
