/*
 * From a source to hooks: compile and run it in its own environment, check the shape of what it returned.
 *
 * The shape is checked with care, because a policy with a misspelled hook would otherwise silently have no opinion. Only
 * a table's own fields count; metatables are not asked.
 */
#include <errno.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/did_you_mean.h"
#include "policy/private.h"

/* The most tables with hooks, and how deep lists may nest: a list that contains itself must end. */
#define UNITS_MAX 256
#define DEPTH_MAX 8

#define MIXED "the table has fields and a list; return either a policy or a list of policies"

/* A table on its way to being a unit. */
struct shape {
	struct lp_policy *policy;
	const char *script;
	char place[64]; /* "" or, in a list, "[2][1]". */
	struct lp_error *error;
};

const struct lp_api_type lp_api_policy = {
	"policy", (const struct lp_api_member[]){
			  [LP_HOOK_CONNECT] = {"on_connect", "policy.on_connect", NULL},
			  [LP_HOOK_HELLO] = {"on_hello", "policy.on_hello", NULL},
			  [LP_HOOK_REQUEST] = {"on_request", "policy.on_request", NULL},
			  [LP_HOOK_SETUP] = {"setup", "policy.setup", NULL},
			  [LP_HOOK_WORKER_UP] = {"on_worker_up", "policy.on_worker_up", NULL},
			  [LP_HOOK_WORKER_DOWN] = {"on_worker_down", "policy.on_worker_down", NULL},
			  [LP_FIELD_NAME] = {"name", "policy.name", NULL},
			  [LP_FIELD_ROUTE_EACH] = {"route_each", "policy.route_each", NULL},
			  {0},
		  }};

int lp_policy_add_hook(struct lp_hooks *hooks, struct lp_hook hook)
{
	struct lp_hook *all = reallocarray(hooks->all, hooks->count + 1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	hooks->all = all;
	all[hooks->count++] = hook;
	return 0;
}

int lp_policy_add_unit(struct lp_policy *policy, size_t source, const char *name, enum lp_route_each each)
{
	const char *script = policy->sources[source].name;
	struct lp_policy_unit *units = reallocarray(policy->units, policy->unit_count + 1, sizeof(*units));

	if (!units)
		return -ENOMEM;
	policy->units = units;
	units[policy->unit_count++] = (struct lp_policy_unit){
		.source = source,
		.script = strdup(script),
		.name = name ? strdup(name) : NULL,
		.each = each,
	};
	return units[policy->unit_count - 1].script && !name == !units[policy->unit_count - 1].name ? 0 : -ENOMEM;
}

static int refuse_shape(const struct shape *shape, const char *what, const char *hint)
{
	return lp_error_set(shape->error, LP_EPOLICY, "policy %s: %s%s%s%s", shape->script, shape->place,
			    *shape->place ? ": " : "", what, hint);
}

/* Find what is wrong with the field whose key and value are on top. */
static int check_field(lua_State *L, const struct shape *shape)
{
	const struct lp_api_member *members = lp_api_policy.members;
	struct lp_did_you_mean nearest = {0};
	const char *name;
	char what[256];

	if (lua_type(L, -2) != LUA_TSTRING)
		return refuse_shape(shape, MIXED, "");
	name = lua_tostring(L, -2);
	for (int i = 0; i < LP_FIELDS; i++) {
		int wanted = i >= LP_HOOKS ? LUA_TSTRING : LUA_TFUNCTION;

		lp_did_you_mean_consider(&nearest, name, members[i].name);
		if (strcmp(name, members[i].name) != 0)
			continue;
		if (lua_type(L, -1) == wanted)
			return 0;
		snprintf(what, sizeof(what), "%s must be a %s, not a %s", name, lua_typename(L, wanted),
			 luaL_typename(L, -1));
		return refuse_shape(shape, what, "");
	}
	snprintf(what, sizeof(what), "a policy has no field '%.64s'; ", name);
	if (!nearest.name)
		return refuse_shape(shape, what,
				    "there are on_connect, on_hello, on_request, setup, on_worker_up, "
				    "on_worker_down, name and route_each");
	snprintf(what + strlen(what), sizeof(what) - strlen(what), "did you mean %s?", nearest.name);
	return refuse_shape(shape, what, "");
}

/* Where the function on top begins. */
static int line_of(lua_State *L)
{
	lua_Debug function;

	lua_pushvalue(L, -1);
	lua_getinfo(L, ">S", &function);
	return function.linedefined;
}

static void push_own_field(lua_State *L, const char *name)
{
	lua_pushstring(L, name);
	lua_rawget(L, -2);
}

/* Which requests of a connection the table on top wants to be asked about. */
static int take_route_each(lua_State *L, const struct shape *shape, enum lp_route_each *each)
{
	static const char *const words[] = {
		[LP_ROUTE_FIRST] = "connection", [LP_ROUTE_SESSION] = "session", [LP_ROUTE_REQUEST] = "request"};
	char what[128];

	push_own_field(L, lp_api_policy.members[LP_FIELD_ROUTE_EACH].name);
	const char *word = lua_tostring(L, -1);
	for (int i = LP_ROUTE_FIRST; word && i <= LP_ROUTE_REQUEST; i++) {
		if (strcmp(word, words[i]) == 0) {
			*each = (enum lp_route_each)i;
			word = NULL;
		}
	}
	if (word)
		snprintf(what, sizeof(what), "route_each is \"%.32s\"", word);
	lua_pop(L, 1);
	return word ? refuse_shape(shape, what, "; it can be \"connection\", \"session\" or \"request\"") : 0;
}

/* Take the hooks of the table on top, which is a policy. */
static int take_policy(lua_State *L, const struct shape *shape)
{
	struct lp_policy *policy = shape->policy;
	uint32_t before = policy->routing.count + policy->events.count;
	int status = 0;

	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		status = check_field(L, shape);
		if (status < 0)
			return status;
	}
	if (policy->unit_count == UNITS_MAX)
		return refuse_shape(shape, "these are too many policies; 256 is the most", "");
	enum lp_route_each each = LP_ROUTE_FIRST;
	status = take_route_each(L, shape, &each);
	if (status < 0)
		return status;
	push_own_field(L, lp_api_policy.members[LP_FIELD_NAME].name);
	status = lp_policy_add_unit(policy, policy->loading_source, lua_tostring(L, -1), each);
	lua_pop(L, 1);

	for (int kind = 0; kind < LP_HOOKS && status == 0; kind++) {
		struct lp_hooks *hooks = kind <= LP_HOOK_REQUEST ? &policy->routing : &policy->events;
		int line;

		push_own_field(L, lp_api_policy.members[kind].name);
		if (lua_isnil(L, -1)) {
			lua_pop(L, 1);
			continue;
		}
		line = line_of(L); /* Before luaL_ref takes the function away. */
		status = lp_policy_add_hook(hooks, (struct lp_hook){
							   .kind = kind,
							   .unit = policy->unit_count - 1,
							   .line = line,
							   .function = luaL_ref(L, LUA_REGISTRYINDEX),
						   });
	}
	if (status < 0)
		return refuse_shape(shape, lp_error_words(status), "");
	if (policy->routing.count + policy->events.count == before)
		return refuse_shape(shape, "the policy has no hook", "; give it on_connect, on_hello or on_request");
	return 0;
}

static int take_returned(lua_State *L, struct shape *shape, int depth);

/* Take the list on top. */
static int take_list(lua_State *L, struct shape *shape, int depth)
{
	size_t end = strlen(shape->place);
	int count = (int)lua_objlen(L, -1);
	int keys = 0;

	if (depth == DEPTH_MAX)
		return refuse_shape(shape, "lists of policies are nested too deep; 8 is the most", "");
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1), keys++)
		if (lua_type(L, -2) != LUA_TNUMBER)
			return refuse_shape(shape, MIXED, "");
	if (keys != count)
		return refuse_shape(shape, "the list has a hole: one of its policies is nil", "");
	for (int i = 1; i <= count; i++) {
		int status;

		snprintf(shape->place + end, sizeof(shape->place) - end, "[%d]", i);
		lua_rawgeti(L, -1, i);
		status = take_returned(L, shape, depth + 1);
		lua_pop(L, 1);
		if (status < 0)
			return status;
	}
	shape->place[end] = '\0';
	return 0;
}

/* Take what is on top: a policy or a list of policies. */
static int take_returned(lua_State *L, struct shape *shape, int depth)
{
	char what[128];
	bool is_list;

	if (!lua_istable(L, -1)) {
		snprintf(what, sizeof(what), "a %s is no policy", luaL_typename(L, -1));
		if (lua_isnil(L, -1))
			snprintf(what, sizeof(what), *shape->place ? "nil is no policy" : "the file returns nothing");
		return refuse_shape(shape, what, "; return a table with on_connect, on_hello or on_request");
	}
	luaL_checkstack(L, 8, "lists of policies are nested too deep");
	lua_rawgeti(L, -1, 1);
	is_list = !lua_isnil(L, -1);
	lua_pop(L, 1);
	return is_list ? take_list(L, shape, depth) : take_policy(L, shape);
}

int lp_policy_load_script(struct lp_policy *policy, struct lp_source *source, struct lp_error *error)
{
	const char *name = source->name;
	struct shape shape = {.policy = policy, .script = name, .error = error};
	lua_State *L = policy->lua;
	int status = lp_source_compile(L, source, error);

	if (status < 0)
		return lp_source_name_policy(status, error);
	lp_environment_push(L, source);
	lua_setfenv(L, -2);
	policy->call = (struct lp_policy_call){.script = name};
	status = lp_policy_call(L, 0, 1);
	if (status != 0)
		return lp_policy_raised(L, status, error);
	policy->call = (struct lp_policy_call){0};
	status = take_returned(L, &shape, 0);
	lua_pop(L, 1);
	return status;
}

int lp_policy_run_setups(struct lp_policy *policy, struct lp_error *error)
{
	lua_State *L = policy->lua;

	for (uint32_t i = 0; i < policy->events.count; i++) {
		const struct lp_hook *hook = &policy->events.all[i];
		int status;

		if (hook->kind != LP_HOOK_SETUP || hook->function == LUA_NOREF)
			continue;
		policy->loading_source = policy->units[hook->unit].source;
		lua_rawgeti(L, LUA_REGISTRYINDEX, hook->function);
		lp_options_push(L);
		policy->call = (struct lp_policy_call){.script = policy->units[hook->unit].script, .hook = hook};
		status = lp_policy_call(L, 1, 0);
		if (status != 0)
			return lp_policy_raised(L, status, error);
		policy->call = (struct lp_policy_call){0};
	}
	return 0;
}
