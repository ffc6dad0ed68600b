/*
 * The environment of a file, and `require`: a policy in several files. They stand together because a module's environment has a
 * `require`, too.
 *
 * A module is a file beneath the folder of the policy's own, named by words with dots between them. It runs once for each
 * policy file that requires it, directly or through another module, in the sandbox and with globals of its own, while
 * that file is loaded: the guard's deadline and memory are those of the loading. In hooks there is no require, because a
 * hook that reads files would keep every other connection waiting.
 *
 * What the module raises is not caught on its way, so that the message names the module's line and then who required it.
 * So a module that failed, and whose error the policy has caught, is one that has not been loaded; it may be tried again.
 */
#include <ctype.h>
#include <lua.h>
#include <string.h>

#include "policy/private.h"

#define NAME_MAX_BYTES 200

/* Words with dots between them, so that there is no way to write "..", an absolute path or a name with a NUL. */
static bool is_module_name(struct lp_slice name)
{
	if (name.length == 0 || name.length > NAME_MAX_BYTES || name.bytes[name.length - 1] == '.')
		return false;
	for (size_t i = 0; i < name.length; i++) {
		char c = name.bytes[i];
		bool begins = i == 0 || name.bytes[i - 1] == '.';

		if (!(isalnum((unsigned char)c) || c == '_' || (!begins && (c == '-' || c == '.'))))
			return false;
	}
	return true;
}

static const char *name_at(lua_State *L)
{
	struct lp_slice name = lp_api_string(L, 1, "require(name)", "name");
	char shown[128];

	if (is_module_name(name))
		return name.bytes;
	lp_trace_describe(L, 1, shown, sizeof(shown));
	luaL_error(L,
		   "require %s: a module is named by words with dots between them: require "
		   "\"tenants.names\" is tenants/names.lua in the policy's folder",
		   shown);
	return NULL;
}

static void refuse_in_hook(lua_State *L, const char *name)
{
	const struct lp_hook *hook = lp_policy_of(L)->call.hook;

	if (hook)
		luaL_error(L,
			   "require \"%s\": modules are read while a policy is loaded, not in %s; require it at the "
			   "top of the file and keep what it returns in a local",
			   name, lp_api_policy.members[hook->kind].name);
}

/* Push the table of what the modules of a policy have returned, by name. */
static void push_loaded(lua_State *L, struct lp_source *main)
{
	lua_pushlightuserdata(L, main);
	lua_rawget(L, LUA_REGISTRYINDEX);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushlightuserdata(L, main);
	lua_pushvalue(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

/* Raises if the module is being run by one of those that wait for this one. */
static void refuse_cycle(lua_State *L, const struct lp_source *module)
{
	const struct lp_requiring *first = lp_policy_of(L)->call.requiring;
	const struct lp_requiring *at = first;

	while (at && at->module != module)
		at = at->outer;
	if (!at)
		return;
	lua_pushstring(L, module->module);
	for (const struct lp_requiring *step = first; step != at->outer; step = step->outer) {
		lua_pushfstring(L, "%s → %s", step->module->module, lua_tostring(L, -1));
		lua_remove(L, -2);
	}
	luaL_error(L, "require \"%s\": modules require each other: %s; move what both need into a module of its own",
		   module->module, lua_tostring(L, -1));
}

/* Reading allocates outside of the arena, so it is not to be left halfway. */
static struct lp_source *find_module(lua_State *L, struct lp_source *main, const char *name)
{
	struct lp_policy *policy = lp_policy_of(L);
	struct lp_source *module = NULL;
	const char *instead;
	struct lp_error error;
	int status;

	lp_policy_hold(policy);
	status = lp_source_find_module(&module, main, name, &error);
	lp_policy_release(policy);
	if (status == 0)
		return module;
	instead = lp_unavailable_instead(NULL, name);
	if (instead)
		luaL_error(L, "require \"%s\": %s is not available in a policy; %s", name, name, instead);
	luaL_error(L, "require \"%s\": %s", name, error.text);
	return NULL;
}

/* Push what the module returns; true if that is nothing. */
static void run_module(lua_State *L, struct lp_source *module)
{
	struct lp_policy *policy = lp_policy_of(L);
	struct lp_requiring requiring = {.module = module, .outer = policy->call.requiring};
	struct lp_error error;

	if (lp_source_compile(L, module, &error) < 0)
		luaL_error(L, "require \"%s\": %s", module->module, error.text);
	lp_environment_push(L, module);
	lua_setfenv(L, -2);
	lua_pushstring(L, module->module);
	policy->call.requiring = &requiring;
	lua_call(L, 1, 1);
	policy->call.requiring = requiring.outer;
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_pushboolean(L, true);
	}
}

/* Upvalue 1 is the source of the file that has this require. */
static int require_module(lua_State *L)
{
	struct lp_source *source = lua_touserdata(L, lua_upvalueindex(1));
	struct lp_source *main = source->main ? source->main : source;
	const char *name = name_at(L);
	struct lp_source *module;

	refuse_in_hook(L, name);
	lua_settop(L, 1);
	push_loaded(L, main);
	lua_getfield(L, 2, name);
	if (!lua_isnil(L, -1))
		return 1;
	lp_policy_check_depth(L);
	module = find_module(L, main, name);
	refuse_cycle(L, module);
	run_module(L, module);
	lua_pushvalue(L, -1);
	lua_setfield(L, 2, name);
	return 1;
}

void lp_environment_push(lua_State *L, struct lp_source *source)
{
	lp_sandbox_push(L);
	lua_pushlightuserdata(L, source);
	lua_pushcclosure(L, require_module, 1);
	lua_setfield(L, -2, "require");
	lp_api_push_limpet(L, source->name);
	lua_setfield(L, -2, "limpet");
}
