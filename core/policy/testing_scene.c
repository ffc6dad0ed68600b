/*
 * What a test can do to the made-up balancer: its workers, sessions, proxies and clock.
 */
#include <lua.h>
#include <string.h>

#include "policy/testing_private.h"

/* The longest that advance goes, about 31 years: far from where nanoseconds overflow. */
#define ADVANCE_SECONDS_MAX 1e9

void lp_testing_raise_errors(lua_State *L, struct lp_testing *testing, const struct lp_policy *policy, uint64_t before)
{
	char line[LP_SCENE_LINE_SIZE] = "";

	while (lp_scene_next_line(&testing->scene, line))
		;
	if (lp_policy_errors(policy) > before)
		luaL_error(L, "%s", line);
}

static void set_number(lua_State *L, int worker, const char *name, uint32_t *number)
{
	lua_getfield(L, worker, name);
	if (!lua_isnil(L, -1))
		*number = (uint32_t)luaL_checkinteger(L, -1);
	lua_pop(L, 1);
}

/* Give a worker the numbers in the table on top. */
static void describe_worker(lua_State *L, struct lp_worker *worker)
{
	int table = lua_gettop(L);

	luaL_checktype(L, table, LUA_TTABLE);
	for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
		const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);

		if (strcmp(name, "connections") != 0 && strcmp(name, "waiting") != 0)
			luaL_error(L, "workers{…}: a worker can be given connections and waiting, not %s", name);
	}
	set_number(L, table, "connections", &worker->connections);
	set_number(L, table, "waiting", &worker->waiting);
}

/* workers(count) or workers{…} */
static int make_workers(lua_State *L)
{
	struct lp_scene *scene = &lp_testing_of(L)->scene;
	bool is_list = lua_istable(L, 1);
	int count = is_list ? (int)lua_objlen(L, 1) : (int)luaL_checkinteger(L, 1);

	if (count < 0 || count > LP_SCENE_WORKERS_MAX)
		return luaL_error(L, "workers: there can be 0 to %d, not %d", LP_SCENE_WORKERS_MAX, count);
	lp_scene_set_workers(scene, (unsigned)count);
	lua_createtable(L, count, 0);
	for (int id = 1; id <= count; id++) {
		if (is_list) {
			lua_rawgeti(L, 1, id);
			describe_worker(L, lp_workers_find(&scene->workers, (unsigned)id));
			lua_pop(L, 1);
		}
		lua_rawgeti(L, lua_upvalueindex(LP_UPVALUE_OBJECTS), id);
		lua_rawseti(L, -2, id);
	}
	return 1;
}

static unsigned worker_at(lua_State *L, int index)
{
	const struct lp_object *worker = lp_object_at(L, index, LP_OBJECT_WORKER);

	if (!worker)
		return (unsigned)luaL_argerror(L, index, "must be a worker, such as workers(4)[1]");
	return worker->number;
}

static int change_worker(lua_State *L, bool usable)
{
	struct lp_testing *testing = lp_testing_of(L);
	unsigned id = worker_at(L, 1);

	if (!usable)
		lp_sessions_forget_worker(testing->scene.host.sessions, id);
	lp_workers_set_usable(&testing->scene.workers, id, usable);
	for (const struct lp_loaded *loaded = testing->loaded; loaded; loaded = loaded->next) {
		uint64_t errors = lp_policy_errors(loaded->policy);

		(usable ? lp_policy_worker_up : lp_policy_worker_down)(loaded->policy, id);
		lp_testing_raise_errors(L, testing, loaded->policy, errors);
	}
	return 0;
}

/* stop(worker) */
static int stop_worker(lua_State *L)
{
	return change_worker(L, false);
}

/* start(worker) */
static int start_worker(lua_State *L)
{
	return change_worker(L, true);
}

/* session(sid, worker) */
static int bind_session(lua_State *L)
{
	struct lp_slice sid;

	sid.bytes = luaL_checklstring(L, 1, &sid.length);
	if (lp_sessions_bind(lp_testing_of(L)->scene.host.sessions, sid, worker_at(L, 2)) < 0)
		return luaL_error(L, "session(sid, worker): sid must be of 1 to %d bytes", LP_SESSION_KEY_MAX);
	return 0;
}

/* trust(cidr, header) */
static int trust_proxies(lua_State *L)
{
	struct lp_scene *scene = &lp_testing_of(L)->scene;
	const char *header = luaL_optstring(L, 2, "x-forwarded-for");
	struct lp_error error;

	if (lp_scene_trust(scene, luaL_checkstring(L, 1), &error) < 0)
		return luaL_error(L, "trust(cidr): %s", error.text);
	if (!lp_forwarded_header_find(header, &scene->host.trust.header))
		return luaL_error(L,
				  "trust(cidr, header): proxies write no header %s; it can be x-forwarded-for, "
				  "forwarded or x-real-ip",
				  header);
	return 0;
}

/* look_for(what) */
static int look_for(lua_State *L)
{
	struct lp_error error;
	const char *what = luaL_checkstring(L, 1);

	lua_pushvalue(L, 1);
	luaL_ref(L, LUA_REGISTRYINDEX); /* The scene borrows the text. */
	if (lp_scene_add_session_rule(&lp_testing_of(L)->scene, what, &error) < 0)
		return luaL_error(L, "look_for(what): %s", error.text);
	return 0;
}

/* advance(seconds) */
static int advance_clock(lua_State *L)
{
	double seconds = luaL_checknumber(L, 1);

	if (!(seconds >= 0 && seconds <= ADVANCE_SECONDS_MAX))
		return luaL_error(L, "advance(seconds): seconds must be a number from 0 to 1e9");
	lp_testing_of(L)->scene.now_ns += (uint64_t)(seconds * 1e9);
	return 0;
}

const struct lp_api_type lp_api_scene = {"", (const struct lp_api_member[]){
						     {"workers", "workers(what)", make_workers},
						     {"stop", "stop(worker)", stop_worker},
						     {"start", "start(worker)", start_worker},
						     {"session", "session(sid, worker)", bind_session},
						     {"trust", "trust(cidr, header)", trust_proxies},
						     {"look_for", "look_for(what)", look_for},
						     {"advance", "advance(seconds)", advance_clock},
						     {0},
					     }};
