/*
 * `workers` and the workers in it.
 *
 * `workers` is a real table, whose array part holds the usable ones, so that #workers, workers[i] and ipairs(workers)
 * are Lua's own and fast. Lua lets nobody guard the fields that a table has, so a hook could overwrite them. Therefore,
 * where a policy's bytecode has an assignment that could do that, the table is looked through before each hook, about
 * 10 ns a worker, and filled anew when it is not what it should be. So every hook sees the workers that there are. The
 * functions that would change it without assigning are refused in the sandbox.
 *
 * A worker is a userdata that knows its id and nothing else; its fields are read in C when they are named. There is one
 * a slot, so equal workers are the same userdata, also across deaths.
 */
#include <errno.h>
#include <lua.h>
#include <math.h>
#include <string.h>

#include "policy/private.h"

enum field { FIELD_ID, FIELD_PID, FIELD_CONNECTIONS, FIELD_SESSIONS, FIELD_WAITING, FIELD_UPTIME, FIELDS };

static const struct lp_api_member worker_members[] = {
	[FIELD_ID] = {"id", "worker.id", NULL},
	[FIELD_PID] = {"pid", "worker.pid", NULL},
	[FIELD_CONNECTIONS] = {"connections", "worker.connections", NULL},
	[FIELD_SESSIONS] = {"sessions", "worker.sessions", NULL},
	[FIELD_WAITING] = {"waiting", "worker.waiting", NULL},
	[FIELD_UPTIME] = {"uptime", "worker.uptime", NULL},
	[FIELDS] = {0},
};

const struct lp_api_type lp_api_worker = {"worker", worker_members};

static struct lp_workers *workers_of(lua_State *L)
{
	return lp_policy_of(L)->host->workers;
}

static double uptime_of(lua_State *L, const struct lp_worker *worker)
{
	return worker->pid ? (double)(lp_policy_now_ns(lp_policy_of(L)) - worker->started_ns) / 1e9 : 0;
}

static void push_field(lua_State *L, const struct lp_worker *worker, enum field field)
{
	switch (field) {
	case FIELD_ID:
		lua_pushinteger(L, (lua_Integer)worker->id);
		return;
	case FIELD_PID:
		if (worker->pid)
			lua_pushinteger(L, worker->pid);
		else
			lua_pushnil(L);
		return;
	case FIELD_CONNECTIONS:
		lua_pushinteger(L, (lua_Integer)worker->connections);
		return;
	case FIELD_SESSIONS:
		lua_pushinteger(L, (lua_Integer)worker->sessions);
		return;
	case FIELD_WAITING:
		lua_pushinteger(L, (lua_Integer)worker->waiting);
		return;
	case FIELD_UPTIME:
	case FIELDS:
		lua_pushnumber(L, uptime_of(L, worker));
	}
}

/* Upvalue 1 has the enum field of each name. */
static int worker_index(lua_State *L)
{
	const struct lp_object *object = lua_touserdata(L, 1);

	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	if (lua_isnil(L, -1))
		return lp_api_unknown(L, &lp_api_worker,
				      lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2));
	push_field(L, lp_workers_find(workers_of(L), object->number), (enum field)lua_tointeger(L, -1));
	return 1;
}

static int worker_tostring(lua_State *L)
{
	const struct lp_object *object = lua_touserdata(L, 1);

	lua_pushfstring(L, "worker %d", (int)object->number);
	return 1;
}

/* Upvalue 1 of every method is the table of all workers' userdata. */
static int push_worker(lua_State *L, unsigned id)
{
	if (id)
		lua_rawgeti(L, lua_upvalueindex(1), (int)id);
	else
		lua_pushnil(L);
	return 1;
}

static struct lp_workers *start_method(lua_State *L, const char *use)
{
	if (!lua_istable(L, 1))
		lp_api_needs_colon(L, use);
	return workers_of(L);
}

static int workers_hash(lua_State *L)
{
	static const char use[] = "workers:hash(key)";
	const struct lp_workers *workers = start_method(L, use);

	return push_worker(L, lp_workers_hash(workers, lp_api_string(L, 2, use, "key")));
}

static int workers_bounded_hash(lua_State *L)
{
	static const char use[] = "workers:bounded_hash(key, load)";
	const struct lp_workers *workers = start_method(L, use);
	struct lp_slice key = lp_api_string(L, 2, use, "key");
	double load = lua_type(L, 3) == LUA_TNUMBER ? lua_tonumber(L, 3) : 0;

	if (!(load >= 1) || isinf(load))
		return luaL_error(L,
				  "%s: load must be a number from 1 up, such as 1.25: how many times the mean a worker "
				  "may have",
				  use);
	return push_worker(L, lp_workers_bounded_hash(workers, key, load));
}

/*
 * A sid that nobody knows may be one whose worker has just told its client and not yet us (or whose word we have not yet
 * read). So the caller is asked to hear the workers first: the hook is unwound, by an error that nothing catches, and
 * asked again from its beginning.
 *
 * A sid whose worker lives, but is busy or just gave the connection back, is worth waiting for, for no other worker knows
 * it: the answer there would be "Session ID unknown", and the client would lose a session that is well. The wait ends as
 * any other does, with the worker's return, its death, or the connection's deadline. A key that is not the sid may be
 * bound to another worker, so it is not waited for.
 */
static int suspend_call(lua_State *L, struct lp_policy *policy, struct lp_slice key, enum lp_verdict_kind kind)
{
	policy->call.suspended = kind;
	policy->call.session_hash = lp_sessions_hash(policy->host->sessions, key);
	lua_pushnil(L);
	return lua_error(L);
}

static bool is_away(const struct lp_policy *policy, const struct lp_worker *worker)
{
	return worker->busy || (policy->call.conn && policy->call.conn->refused_by == worker->id);
}

/* For whoever wants to know why a connection went where it did. */
static void note_asked(struct lp_policy_asked *asked, struct lp_slice key, unsigned worker)
{
	size_t kept = key.length < sizeof(asked->key) ? key.length : sizeof(asked->key);

	memset(asked->key, 0, sizeof(asked->key));
	memcpy(asked->key, key.bytes, kept);
	asked->length = key.length < UINT16_MAX ? (uint16_t)key.length : UINT16_MAX;
	asked->worker = (uint16_t)worker;
}

static int workers_session(lua_State *L)
{
	static const char use[] = "workers:session(key)";
	const struct lp_workers *workers = start_method(L, use);
	struct lp_policy *policy = lp_policy_of(L);
	struct lp_slice key = lp_api_string(L, 2, use, "key");
	const struct lp_policy_conn *conn = policy->call.conn; /* NULL: it runs for a worker's event. */
	const struct lp_worker *worker;
	unsigned id;

	lp_policy_hold(policy);
	id = lp_sessions_find(policy->host->sessions, key);
	lp_policy_release(policy);
	worker = lp_workers_find(workers, id);
	if (conn && conn->asked)
		note_asked(conn->asked, key, id);
	if (!worker && conn && conn->unheard)
		return suspend_call(L, policy, key, LP_VERDICT_HEAR);
	if (!worker && conn && lp_conn_is_session(policy, key) && !conn->session_awaited) {
		policy->call.may_be_new = lp_conn_may_be_new(policy, key);
		return suspend_call(L, policy, key, LP_VERDICT_AWAIT);
	}
	if (worker && is_away(policy, worker) && lp_conn_is_session(policy, key)) {
		policy->call.held_for = id;
		return suspend_call(L, policy, key, LP_VERDICT_HOLD);
	}
	if (worker && worker->keeps)
		policy->call.keeper = id;
	return push_worker(L, worker && (worker->usable || worker->keeps) ? id : 0);
}

static int workers_bind(lua_State *L)
{
	static const char use[] = "workers:bind(key, worker)";
	struct lp_slice key;
	const struct lp_object *worker;
	int status;

	start_method(L, use);
	key = lp_api_string(L, 2, use, "key");
	worker = lp_object_at(L, 3, LP_OBJECT_WORKER);
	if (!worker)
		return luaL_error(L, "%s: worker must be one of workers, not a %s", use, luaL_typename(L, 3));
	lp_policy_hold(lp_policy_of(L));
	status = lp_sessions_bind(lp_policy_of(L)->host->sessions, key, worker->number);
	lp_policy_release(lp_policy_of(L));
	if (status == -EINVAL)
		return luaL_error(L, "%s: key must be of 1 to %d bytes", use, LP_SESSION_KEY_MAX);
	if (status < 0)
		return luaL_error(L, "%s: out of memory", use);
	return push_worker(L, worker->number);
}

static int workers_least(lua_State *L)
{
	static const char use[] = "workers:least(measure)";
	static const char *const measures[] = {
		[LP_LEAST_CONNECTIONS] = "connections",
		[LP_LEAST_SESSIONS] = "sessions",
		[LP_LEAST_WAITING] = "waiting",
	};
	struct lp_workers *workers = start_method(L, use);
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);

	for (unsigned i = 0; i < sizeof(measures) / sizeof(measures[0]); i++)
		if (strcmp(name, measures[i]) == 0)
			return push_worker(L, lp_workers_least(workers, i));
	return luaL_error(L, "%s: measure must be \"connections\", \"sessions\" or \"waiting\", not %s", use, name);
}

static int workers_next(lua_State *L)
{
	return push_worker(L, lp_workers_next(start_method(L, "workers:next()")));
}

static int workers_random(lua_State *L)
{
	return push_worker(L, lp_workers_random(start_method(L, "workers:random()")));
}

const struct lp_api_type lp_api_workers = {
	"workers", (const struct lp_api_member[]){
			   {"hash", "workers:hash(key)", workers_hash},
			   {"bounded_hash", "workers:bounded_hash(key, load)", workers_bounded_hash},
			   {"session", "workers:session(key)", workers_session},
			   {"bind", "workers:bind(key, worker)", workers_bind},
			   {"least", "workers:least(measure)", workers_least},
			   {"next", "workers:next()", workers_next},
			   {"random", "workers:random()", workers_random},
			   {0},
		   }};

static void push_worker_metatable(lua_State *L)
{
	lua_newtable(L);
	lp_api_seal(L, &lp_api_worker);

	lua_newtable(L);
	for (int field = 0; field < FIELDS; field++) {
		lua_pushinteger(L, field);
		lua_setfield(L, -2, worker_members[field].name);
	}
	lua_pushcclosure(L, worker_index, 1);
	lp_trace_wrap_index(L, &lp_api_worker);
	lua_setfield(L, -2, "__index");

	lua_pushcfunction(L, worker_tostring);
	lua_setfield(L, -2, "__tostring");
}

static void push_objects(lua_State *L, unsigned count)
{
	lua_createtable(L, (int)count, 0);
	push_worker_metatable(L);
	for (unsigned id = 1; id <= count; id++) {
		lp_object_push_new(L, LP_OBJECT_WORKER, id, sizeof(struct lp_object));
		lua_pushvalue(L, -2);
		lua_setmetatable(L, -2);
		lua_rawseti(L, -3, (int)id);
	}
	lua_pop(L, 1);
}

void lp_workers_push_new(lua_State *L)
{
	unsigned count = workers_of(L)->count;

	lua_createtable(L, (int)count, 0);
	push_objects(L, count);

	lua_newtable(L);
	lp_api_seal(L, &lp_api_workers);
	lua_pushvalue(L, -2);
	lua_newtable(L);
	lp_api_set_functions(L, &lp_api_workers, 1);
	lp_api_close(L, &lp_api_workers);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -3);
}

/* Whether the table holds the usable workers in their order: as many as there are, each of another id than those before. */
bool lp_workers_are_fresh(const struct lp_policy *policy)
{
	const struct lp_workers *workers = policy->host->workers;
	lua_State *L = policy->lua;
	unsigned last = 0;

	if (!policy->workers_filled || policy->workers_generation != workers->generation)
		return false;
	for (unsigned place = 1; policy->assigns && place <= workers->usable_count; place++) {
		const struct lp_object *object;

		lua_rawgeti(L, LP_SLOT_WORKERS, (int)place);
		object = lua_touserdata(L, -1);
		lua_pop(L, 1);
		if (!object || object->kind != LP_OBJECT_WORKER || object->number <= last ||
		    !workers->slots[object->number - 1].usable)
			return false;
		last = object->number;
	}
	return true;
}

void lp_workers_refresh(struct lp_policy *policy)
{
	const struct lp_workers *workers = policy->host->workers;
	lua_State *L = policy->lua;
	int place = 0;

	for (unsigned id = 1; id <= workers->count; id++)
		if (workers->slots[id - 1].usable) {
			lua_rawgeti(L, LP_SLOT_OBJECTS, (int)id);
			lua_rawseti(L, LP_SLOT_WORKERS, ++place);
		}
	while (place < (int)workers->count) {
		lua_pushnil(L);
		lua_rawseti(L, LP_SLOT_WORKERS, ++place);
	}
	policy->workers_generation = workers->generation;
	policy->workers_filled = true;
}
