/*
 * The test file is Lua in a state of its own, made as a policy's is, so that it has the same sandbox and the same worker
 * objects; the policies that it loads have theirs. All of them live in one scene. Policies that a test loads are gone
 * when it ends, those that the file itself loads stay to the end of the file.
 *
 * Tests are collected first and run from outside, because what a test raises is then turned into a line with file and
 * place as a policy's error is.
 *
 * Limits: a test that never ends is not stopped; a policy that it asks is, where the host stops policies.
 */
#include "policy/testing.h"

#include <errno.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/survey.h"
#include "policy/testing_private.h"

#define WORKERS_AT_FIRST 4

/* test(name, run) */
static int add_test(lua_State *L)
{
	int count;

	luaL_checktype(L, 1, LUA_TSTRING);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_rawgeti(L, LUA_REGISTRYINDEX, lp_testing_of(L)->tests);
	if (lp_testing_of(L)->running)
		return luaL_error(L, "test(name, run): a test cannot contain another");
	count = (int)lua_objlen(L, -1);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, count + 1);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, count + 2);
	return 0;
}

/* expect(actual, expected) */
static int expect_equal(lua_State *L)
{
	struct lp_testing *testing = lp_testing_of(L);
	lua_Debug frame;

	if (lua_gettop(L) != 2)
		return luaL_error(L, "expect(actual, expected): takes two values, not %d", lua_gettop(L));
	if (lua_rawequal(L, 1, 2))
		return 0;
	lp_trace_describe(L, 1, testing->got, sizeof(testing->got));
	lp_trace_describe(L, 2, testing->expected, sizeof(testing->expected));
	testing->expect_failed = true;
	snprintf(testing->place, sizeof(testing->place), "%s", testing->path);
	if (lua_getstack(L, 1, &frame) && lua_getinfo(L, "Sl", &frame) && frame.currentline > 0)
		snprintf(testing->place, sizeof(testing->place), "%s:%d", frame.short_src, frame.currentline);
	return luaL_error(L, "expected %s, got %s", testing->expected, testing->got);
}

/* Push "key=value" for each option of the table at an index. */
static void push_options(lua_State *L, int index, struct lp_words *settings)
{
	lua_pushnil(L);
	while (lua_next(L, index)) {
		luaL_checkstack(L, 4, "too many options");
		if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
			luaL_error(L, "load_policy: options are strings by name: {percent = 5}");
		lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
		lp_testing_keep_word(L, settings, "options");
		lua_insert(L, -3); /* Below the key, which lua_next wants on top. */
		lua_pop(L, 1);
	}
}

/* Push the name that --policy would have: a file is beside the test. */
static void push_name(lua_State *L, const struct lp_testing *testing, const char *name)
{
	const char *slash = strrchr(testing->path, '/');

	if (!lp_source_is_file(name) || name[0] == '/') {
		lua_pushstring(L, name);
	} else if (slash) {
		lua_pushlstring(L, testing->path, (size_t)(slash - testing->path) + 1);
		lua_pushstring(L, name);
		lua_concat(L, 2);
	} else {
		lua_pushfstring(L, "./%s", name);
	}
}

/* Load into the scene, with options for this load only. Returns the policy's number. */
static unsigned load_named(lua_State *L, struct lp_testing *testing, const struct lp_words *names,
			   const struct lp_words *settings)
{
	struct lp_policy_host *host = &testing->scene.host;
	struct lp_loaded *loaded = calloc(1, sizeof(*loaded));
	struct lp_error error = {.text = "out of memory"};
	int status = -ENOMEM;

	host->settings = settings->all;
	host->setting_count = settings->count;
	if (loaded)
		status = lp_policy_load(&loaded->policy, host, names->all, names->count, &error);
	if (status == 0)
		status = lp_policy_check_settings(loaded->policy, &error);
	host->settings = NULL;
	host->setting_count = 0;
	if (status < 0) {
		if (loaded)
			lp_policy_free(loaded->policy);
		free(loaded);
		return (unsigned)luaL_error(L, "%s", error.text);
	}
	loaded->next = testing->loaded;
	testing->loaded = loaded;
	return loaded->number = ++testing->loads;
}

/* load_policy(name…, {options}) */
static int load_policy(lua_State *L)
{
	struct lp_testing *testing = lp_testing_of(L);
	struct lp_words settings = {0};
	struct lp_words names = {0};
	int count = lua_gettop(L);

	if (count > 0 && lua_istable(L, count))
		push_options(L, count--, &settings);
	for (int i = 1; i <= count; i++) {
		push_name(L, testing, luaL_checkstring(L, i));
		lp_testing_keep_word(L, &names, "policies");
	}
	if (count < 1)
		return luaL_error(L, "load_policy(name…, {options}): name a policy");
	lp_object_push_new(L, LP_OBJECT_POLICY, load_named(L, testing, &names, &settings), sizeof(struct lp_object));
	lua_pushvalue(L, lua_upvalueindex(LP_UPVALUE_METATABLE));
	lua_setmetatable(L, -2);
	return 1;
}

static struct lp_policy *policy_at(lua_State *L, const char *use)
{
	const struct lp_object *object = lp_object_at(L, 1, LP_OBJECT_POLICY);

	if (!object) {
		lp_api_needs_colon(L, use);
		return NULL;
	}
	for (const struct lp_loaded *loaded = lp_testing_of(L)->loaded; loaded; loaded = loaded->next)
		if (loaded->number == object->number)
			return loaded->policy;
	luaL_error(L, "this policy was of a test that has ended; load it in the file, or in each test");
	return NULL;
}

/* policy:route(conn) */
static int route_conn(lua_State *L)
{
	struct lp_policy *policy = policy_at(L, "policy:route(conn)");
	struct lp_testing *testing = lp_testing_of(L);
	struct lp_words headers = {0};
	struct lp_words alpn = {0};
	uint64_t errors = lp_policy_errors(policy);
	lp_policy_cursor cursor = 0;
	struct lp_verdict verdict;
	struct lp_policy_conn conn;
	struct lp_scene_conn what;
	struct lp_error error;

	if (lua_isnoneornil(L, 2))
		return luaL_error(L,
				  "policy:route(conn): conn is missing; policy:route{} is one without anything to it");
	lp_testing_read_conn(L, 2, &what, &headers, &alpn);
	if (lp_scene_connect(&testing->scene, &what, &conn, &error) < 0)
		return luaL_error(L, "%s", error.text);
	verdict = lp_policy_decide(policy, &conn, &cursor);
	lp_testing_raise_errors(L, testing, policy, errors);
	if (verdict.kind == LP_VERDICT_WORKER)
		lua_rawgeti(L, lua_upvalueindex(LP_UPVALUE_OBJECTS), (int)verdict.worker);
	else if (verdict.kind == LP_VERDICT_REFUSE)
		lua_pushfstring(L, "refused %d", verdict.status);
	else
		lua_pushnil(L);
	return 1;
}

const struct lp_api_type lp_api_testing = {"", (const struct lp_api_member[]){
						       {"test", "test(name, run)", add_test},
						       {"expect", "expect(actual, expected)", expect_equal},
						       {"load_policy", "load_policy(...)", load_policy},
						       {"conn", "conn(fields)", lp_testing_conn},
						       {0},
					       }};

const struct lp_api_type lp_api_loaded = {"policy", (const struct lp_api_member[]){
							    {"route", "policy:route(conn)", route_conn},
							    {0},
						    }};

/* Push the metatable of policies. */
static void push_metatable(lua_State *L, struct lp_testing *testing)
{
	lua_newtable(L);
	lp_api_seal(L, &lp_api_loaded);
	lua_pushlightuserdata(L, testing);
	lua_pushvalue(L, LP_SLOT_OBJECTS);
	lua_newtable(L);
	lp_api_set_functions(L, &lp_api_loaded, LP_UPVALUE_OBJECTS);
	lp_api_close(L, &lp_api_loaded);
	lua_setfield(L, -2, "__index");
}

/* Give the environment on top what only tests have. */
static void add_functions(lua_State *L, struct lp_testing *testing)
{
	const struct lp_api_type *const types[] = {&lp_api_testing, &lp_api_scene};
	int environment = lua_gettop(L);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		lua_pushlightuserdata(L, testing);
		lua_pushvalue(L, LP_SLOT_OBJECTS);
		push_metatable(L, testing);
		lua_pushvalue(L, environment);
		lp_api_set_functions(L, types[i], LP_UPVALUE_METATABLE);
		lua_pop(L, 1);
	}
}

static void free_loaded(struct lp_testing *testing, const struct lp_loaded *last)
{
	while (testing->loaded != last) {
		struct lp_loaded *loaded = testing->loaded;

		testing->loaded = loaded->next;
		lp_policy_free(loaded->policy);
		free(loaded);
	}
}

/* Call what is on top, without arguments. Returns NULL, or what was raised, on top. */
static const char *call_on_top(lua_State *L, struct lp_testing *testing)
{
	const char *raised;

	testing->expect_failed = false;
	testing->state->call = (struct lp_policy_call){.script = testing->path};
	if (lua_pcall(L, 0, 0, LP_SLOT_HANDLER) == 0)
		return NULL;
	raised = lua_tostring(L, -1);
	return raised ? raised : "out of memory";
}

/* The test's name and function are on top. */
static void run_test(lua_State *L, struct lp_testing *testing)
{
	const struct lp_loaded *of_file = testing->loaded;
	struct lp_test_result result = {.name = lua_tostring(L, -2)};

	if (lp_scene_reset(&testing->scene, WORKERS_AT_FIRST) < 0)
		luaL_error(L, "out of memory");
	result.failure = call_on_top(L, testing);
	if (result.failure && testing->expect_failed) {
		result.failure = testing->place;
		result.expected = testing->expected;
		result.got = testing->got;
	}
	testing->tested(&result, testing->owner);
	free_loaded(testing, of_file);
}

static void run_tests(lua_State *L, struct lp_testing *testing)
{
	int tests = lua_gettop(L) + 1;
	int count;

	lua_rawgeti(L, LUA_REGISTRYINDEX, testing->tests);
	count = (int)lua_objlen(L, tests);
	testing->running = true;
	if (count == 0)
		testing->status = lp_error_set(testing->error, LP_EPOLICY,
					       "%s: no test; write test(name, function() … end)", testing->path);
	for (int i = 1; i < count; i += 2) {
		lua_settop(L, tests);
		lua_rawgeti(L, tests, i);
		lua_rawgeti(L, tests, i + 1);
		run_test(L, testing);
	}
}

/* In protected mode. The frame's first slots are those of the state, in the same places. */
static int run_file(lua_State *L)
{
	struct lp_testing *testing = lua_touserdata(L, LP_SLOTS + 1);
	const char *raised;

	lua_settop(L, LP_SLOTS);
	lua_newtable(L);
	testing->tests = luaL_ref(L, LUA_REGISTRYINDEX);
	testing->status = lp_source_compile(L, &testing->source, testing->error);
	if (testing->status < 0)
		return 0;
	lp_environment_push(L, &testing->source);
	add_functions(L, testing);
	lua_setfenv(L, -2);
	raised = call_on_top(L, testing);
	if (raised)
		testing->status = lp_error_set(testing->error, LP_EPOLICY, "%s", raised);
	else
		run_tests(L, testing);
	return 0;
}

static void run_script_and_tests(struct lp_testing *testing)
{
	lua_State *L = testing->state->lua;

	lua_gc(L, LUA_GCRESTART, 0);
	lua_pushcfunction(L, run_file);
	for (int slot = LP_SLOT_HANDLER; slot <= LP_SLOTS; slot++)
		lua_pushvalue(L, slot);
	lua_pushlightuserdata(L, testing);
	if (lua_pcall(L, LP_SLOTS + 1, 0, 0) != 0)
		testing->status =
			lp_error_set(testing->error, LP_EPOLICY, "%s: %s", testing->path, lua_tostring(L, -1));
}

int lp_policy_test(const char *path, lp_tested_cb tested, void *owner, struct lp_error *error)
{
	struct lp_testing *testing = calloc(1, sizeof(*testing));
	int status = -ENOMEM;

	if (!testing)
		return lp_error_set(error, status, "%s: %s", path, lp_error_words(status));
	*testing = (struct lp_testing){.path = path, .tested = tested, .owner = owner, .error = error};
	status = lp_scene_init(&testing->scene);
	if (status == 0)
		status = lp_scene_reset(&testing->scene, WORKERS_AT_FIRST);
	if (status < 0)
		lp_error_set(error, status, "%s: %s", path, lp_error_words(status));
	testing->scene.log.level = LP_LOG_ERROR;
	if (status == 0)
		status = lp_source_init(&testing->source, path, error);
	if (status == 0)
		status = lp_policy_load(&testing->state, &testing->scene.host, NULL, 0, error);
	if (status == 0) {
		run_script_and_tests(testing);
		status = testing->status;
	}
	free_loaded(testing, NULL);
	lp_policy_free(testing->state);
	lp_source_deinit(&testing->source);
	lp_scene_deinit(&testing->scene);
	free(testing);
	return status;
}
