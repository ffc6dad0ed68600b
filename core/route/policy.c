/*
 * Asking policies: the calls into Lua, what their answers and errors mean, and when garbage is collected.
 *
 * The interpreter costs what the JIT would for calls this short (about 16 ns to enter and leave), and can be stopped,
 * which the JIT cannot; so the JIT is off.
 *
 * A call allocates nothing of its own: the hook is fetched by reference, `conn` and `workers` are ready on the stack.
 * What policies do allocate, strings mostly, is collected between calls: a little of it, every COLLECT_EVERY of them,
 * after the answer is known. So no call waits for a whole collection, and none is interrupted by one. The exception is a
 * policy that keeps a huge table, which Lua looks through in one go; that is what sessions and limpet.shared are for.
 *
 * Limits: a hook that never returns, or takes all memory, is not stopped. lp_policy_call is the place where it could be.
 */
#include "route/policy.h"

#include <ctype.h>
#include <errno.h>
#include <lua.h>
#include <luajit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "route/policy_private.h"

#define COLLECT_EVERY 64

/* A collection begins when this much was added to what the last one left. */
#define COLLECT_AFTER_KB 256

/* Of the lines that called the failing one, so many are told. */
#define CALLERS_TOLD 3

/* What build is given, and leaves. */
struct loading {
	struct lp_policy *policy;
	const char *const *names;
	size_t count;
	struct lp_error *error;
	int status;
	int slots[LP_SLOTS + 1]; /* References to what goes into each. */
};

/* Through its owner the state knows its policy (lp_policy_of). */
static void *allocate(void *owner, void *block, size_t old_size, size_t size)
{
	(void)owner;
	(void)old_size;
	if (size > 0)
		return realloc(block, size);
	free(block);
	return NULL;
}

int lp_policy_call(lua_State *L, int arguments, int results)
{
	return lua_pcall(L, arguments, results, LP_SLOT_HANDLER);
}

int lp_policy_raised(lua_State *L, int status, struct lp_error *error)
{
	const char *message = lua_tostring(L, -1);

	/* No memory, or no stack: nobody was asked for a place. */
	if (status != LUA_ERRRUN || !message)
		return lp_error_set(error, LP_EPOLICY, "policy %s: %s", lp_policy_of(L)->call.script,
				    message ? message : "failed");
	return lp_error_set(error, LP_EPOLICY, "policy %s", message);
}

/* Whether a message says by itself where it is from: it begins with "source:12:". */
static bool is_placed(const char *message, const char *source)
{
	size_t length = strlen(source);
	const char *at = message + length + 1;

	if (strncmp(message, source, length) != 0 || message[length] != ':' || !isdigit((unsigned char)*at))
		return false;
	return at[strspn(at, "0123456789")] == ':';
}

/* Push " (called from x.lua:12, x.lua:34)", or nothing. */
static int push_callers(lua_State *L, int level)
{
	const char *before = " (called from ";
	int base = lua_gettop(L);
	int told = 0;
	lua_Debug frame;

	for (; told < CALLERS_TOLD && lua_getstack(L, level, &frame); level++) {
		lua_getinfo(L, "Sl", &frame);
		if (frame.currentline <= 0)
			continue;
		lua_pushfstring(L, "%s%s:%d", before, frame.short_src, frame.currentline);
		before = ", ";
		told++;
	}
	if (told > 0)
		lua_pushliteral(L, ")");
	return lua_gettop(L) - base;
}

/*
 * Push where the running call began, for errors whose place is gone: Lua forgets a function that ended in a tail call, and
 * "return workers:hash(x)" is one.
 */
static void push_beginning(lua_State *L)
{
	const struct lp_policy_call *call = &lp_policy_of(L)->call;
	lua_Debug function;

	if (!call->hook) {
		lua_pushfstring(L, "%s: ", call->script);
		return;
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, call->hook->function);
	lua_getinfo(L, ">S", &function);
	lua_pushfstring(L, "%s:%d: in a return of %s: ", call->script, function.linedefined,
			lp_api_policy.members[call->hook->kind].name);
}

/*
 * What was raised becomes a string that begins with file and line. __tostring of an error object is not asked: it is the
 * policy's code, and would run outside of what the policy's own pcall can catch.
 */
static int on_error(lua_State *L)
{
	lua_Debug frame = {.currentline = -1};
	int level = 0;

	if (lp_policy_of(L)->call.suspended)
		return 1;
	if (!lua_isstring(L, 1)) {
		lua_pushfstring(L, "error() was given a %s and no message", luaL_typename(L, 1));
		lua_replace(L, 1);
	}
	while (frame.currentline <= 0 && lua_getstack(L, level++, &frame))
		lua_getinfo(L, "Sl", &frame);

	if (frame.currentline <= 0)
		push_beginning(L);
	else if (!is_placed(lua_tostring(L, 1), frame.short_src))
		lua_pushfstring(L, "%s:%d: ", frame.short_src, frame.currentline);
	else
		lua_pushliteral(L, "");
	lua_insert(L, 1);
	lua_concat(L, 2 + push_callers(L, level));
	return 1;
}

static void note_slot(lua_State *L, struct loading *loading, enum lp_slot slot)
{
	lua_pushvalue(L, slot);
	loading->slots[slot] = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Everything of loading that may raise. The frame's first slots are those of the state, in the same places. */
static int build(lua_State *L)
{
	struct loading *loading = lua_touserdata(L, 1);
	struct lp_policy *policy = loading->policy;

	lua_settop(L, 0);
	lp_sandbox_open(L);
	lua_pushcfunction(L, on_error);
	lp_conn_push_new(L);
	lp_workers_push_new(L);
	policy->workers_table = lua_topointer(L, LP_SLOT_WORKERS);
	for (int slot = LP_SLOT_HANDLER; slot <= LP_SLOTS; slot++)
		note_slot(L, loading, slot);

	for (size_t i = 0; i < loading->count && loading->status == 0; i++)
		loading->status = lp_policy_load_script(policy, loading->names[i], loading->error);
	if (loading->status == 0)
		loading->status = lp_policy_run_setups(policy, loading->error);
	lua_gc(L, LUA_GCCOLLECT, 0);
	return 0;
}

/* The collector rests from here on, but for collect(). */
static void note_collected(struct lp_policy *policy)
{
	lua_gc(policy->lua, LUA_GCSTOP, 0);
	policy->collected_kb = lua_gc(policy->lua, LUA_GCCOUNT, 0);
}

int lp_policy_load(struct lp_policy **result, const struct lp_policy_host *host, const char *const *names, size_t count,
		   struct lp_error *error)
{
	struct lp_policy *policy = calloc(1, sizeof(*policy));
	struct loading loading = {.policy = policy, .names = names, .count = count, .error = error};

	*result = NULL;
	if (policy) {
		policy->host = host;
		policy->lua = lua_newstate(allocate, policy);
	}
	if (!policy || !policy->lua) {
		loading.status = lp_error_set(error, -ENOMEM, "policies: no memory for Lua");
		goto failed;
	}
	luaJIT_setmode(policy->lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	if (lua_cpcall(policy->lua, build, &loading) != 0)
		loading.status = lp_error_set(error, LP_EPOLICY, "policies: %s", lua_tostring(policy->lua, -1));
	if (loading.status < 0)
		goto failed;

	for (int slot = LP_SLOT_HANDLER; slot <= LP_SLOTS; slot++)
		lua_rawgeti(policy->lua, LUA_REGISTRYINDEX, loading.slots[slot]);
	note_collected(policy);
	policy->collect_at_kb = policy->collected_kb + COLLECT_AFTER_KB;
	*result = policy;
	return 0;

failed:
	lp_policy_free(policy);
	return loading.status;
}

void lp_policy_free(struct lp_policy *policy)
{
	if (!policy)
		return;
	if (policy->lua)
		lua_close(policy->lua);
	for (uint32_t i = 0; i < policy->unit_count; i++) {
		free(policy->units[i].script);
		free(policy->units[i].name);
	}
	free(policy->units);
	free(policy->routing.all);
	free(policy->events.all);
	free(policy);
}

bool lp_policy_looks(const struct lp_policy *policy)
{
	for (uint32_t i = 0; i < policy->routing.count; i++)
		if (policy->routing.all[i].kind != LP_HOOK_CONNECT)
			return true;
	return false;
}

uint64_t lp_policy_errors(const struct lp_policy *policy)
{
	return policy->errors;
}

/* In protected mode, as all that may move memory. The step is as large as what was allocated since the last one. */
static int step(lua_State *L)
{
	struct lp_policy *policy = lp_policy_of(L);
	int used_kb = lua_gc(L, LUA_GCCOUNT, 0);
	int grown_kb = used_kb > policy->collected_kb ? used_kb - policy->collected_kb : 0;

	if (lua_gc(L, LUA_GCSTEP, grown_kb + 1))
		policy->collect_at_kb = lua_gc(L, LUA_GCCOUNT, 0) + COLLECT_AFTER_KB;
	return 0;
}

static void collect(struct lp_policy *policy)
{
	if (++policy->calls < COLLECT_EVERY)
		return;
	policy->calls = 0;
	if (lua_gc(policy->lua, LUA_GCCOUNT, 0) < policy->collect_at_kb)
		return;
	lua_cpcall(policy->lua, step, NULL);
	note_collected(policy);
}

static void tell_error(struct lp_policy *policy, int status)
{
	struct lp_error line;

	policy->errors++;
	lp_policy_raised(policy->lua, status, &line);
	lp_log_limited(policy->host->log, LP_LOG_ERROR, LP_LOG_TOPIC_POLICY, "%s", line.text);
}

static void describe(lua_State *L, char *text, size_t size)
{
	switch (lua_type(L, -1)) {
	case LUA_TNUMBER:
		snprintf(text, size, "the number %.14g (a worker is workers[i])", lua_tonumber(L, -1));
		break;
	case LUA_TSTRING:
		snprintf(text, size, "the string \"%.40s\"", lua_tostring(L, -1));
		break;
	case LUA_TBOOLEAN:
		snprintf(text, size, "true");
		break;
	case LUA_TUSERDATA:
		snprintf(text, size, lp_object_at(L, -1, LP_OBJECT_CONN) ? "conn" : "a thing of limpet's");
		break;
	default:
		snprintf(text, size, "a %s", luaL_typename(L, -1));
	}
}

/* The answer is on top, and is none. */
static void tell_wrong_answer(struct lp_policy *policy, const struct lp_hook *hook)
{
	const struct lp_policy_unit *unit = &policy->units[hook->unit];
	lua_State *L = policy->lua;
	lua_Debug function;
	char answer[96];

	describe(L, answer, sizeof(answer));
	lua_rawgeti(L, LUA_REGISTRYINDEX, hook->function);
	lua_getinfo(L, ">S", &function);
	policy->errors++;
	lp_log_limited(policy->host->log, LP_LOG_ERROR, LP_LOG_TOPIC_POLICY,
		       "policy %s:%d: %s%s%s returned %s; return a worker, nil or limpet.refuse(status)", unit->script,
		       function.linedefined, lp_api_policy.members[hook->kind].name, unit->name ? " of " : "",
		       unit->name ? unit->name : "", answer);
}

static struct lp_verdict judge(struct lp_policy *policy, const struct lp_hook *hook)
{
	lua_State *L = policy->lua;
	const struct lp_object *object;

	if (!lua_toboolean(L, -1))
		return (struct lp_verdict){.kind = LP_VERDICT_NONE};
	object = lp_object_at(L, -1, LP_OBJECT_WORKER);
	if (object && lp_workers_find(policy->host->workers, object->number)->usable)
		return (struct lp_verdict){.kind = LP_VERDICT_WORKER, .worker = object->number};
	if (object)
		return (struct lp_verdict){.kind = LP_VERDICT_NONE};
	object = lp_object_at(L, -1, LP_OBJECT_REFUSAL);
	if (object)
		return (struct lp_verdict){.kind = LP_VERDICT_REFUSE, .status = (int)object->number};
	tell_wrong_answer(policy, hook);
	return (struct lp_verdict){.kind = LP_VERDICT_NONE};
}

static void begin(struct lp_policy *policy, const struct lp_hook *hook, const struct lp_policy_conn *conn)
{
	lp_workers_refresh(policy);
	policy->call = (struct lp_policy_call){
		.conn = conn,
		.script = policy->units[hook->unit].script,
		.hook = hook,
	};
}

static void end(struct lp_policy *policy)
{
	policy->call = (struct lp_policy_call){0};
	lua_settop(policy->lua, LP_SLOTS);
	collect(policy);
}

static struct lp_verdict ask(struct lp_policy *policy, const struct lp_hook *hook, const struct lp_policy_conn *conn)
{
	lua_State *L = policy->lua;
	struct lp_verdict verdict = {.kind = LP_VERDICT_NONE};
	int status;

	begin(policy, hook, conn);
	lua_rawgeti(L, LUA_REGISTRYINDEX, hook->function);
	lua_pushvalue(L, LP_SLOT_CONN);
	lua_pushvalue(L, LP_SLOT_WORKERS);
	status = lp_policy_call(L, 2, 1);
	if (status == 0)
		verdict = judge(policy, hook);
	else if (policy->call.suspended)
		verdict = (struct lp_verdict){
			.kind = LP_VERDICT_AWAIT,
			.session_hash = policy->call.session_hash,
		};
	else
		tell_error(policy, status);
	end(policy);
	return verdict;
}

static bool runs_on(enum lp_hook_kind kind, enum lp_protocol protocol)
{
	return kind == LP_HOOK_CONNECT || (kind == LP_HOOK_HELLO && protocol == LP_PROTOCOL_TLS) ||
	       (kind == LP_HOOK_REQUEST && protocol == LP_PROTOCOL_HTTP);
}

struct lp_verdict lp_policy_decide(struct lp_policy *policy, const struct lp_policy_conn *conn,
				   lp_policy_cursor *cursor)
{
	struct lp_verdict verdict = {.kind = LP_VERDICT_NONE};

	for (; *cursor < policy->routing.count && verdict.kind == LP_VERDICT_NONE; ++*cursor) {
		const struct lp_hook *hook = &policy->routing.all[*cursor];

		if (hook->kind != LP_HOOK_CONNECT && conn->protocol == LP_PROTOCOL_UNSEEN)
			return (struct lp_verdict){.kind = LP_VERDICT_LOOK};
		if (runs_on(hook->kind, conn->protocol))
			verdict = ask(policy, hook, conn);
		if (verdict.kind == LP_VERDICT_AWAIT)
			return verdict;
	}
	return verdict;
}

static void tell_worker_event(struct lp_policy *policy, enum lp_hook_kind kind, unsigned worker)
{
	lua_State *L = policy->lua;

	for (uint32_t i = 0; i < policy->events.count; i++) {
		const struct lp_hook *hook = &policy->events.all[i];
		int status;

		if (hook->kind != kind)
			continue;
		begin(policy, hook, NULL);
		lua_rawgeti(L, LUA_REGISTRYINDEX, hook->function);
		lua_rawgeti(L, LP_SLOT_OBJECTS, (int)worker);
		status = lp_policy_call(L, 1, 0);
		if (status != 0)
			tell_error(policy, status);
		end(policy);
	}
}

void lp_policy_worker_up(struct lp_policy *policy, unsigned worker)
{
	tell_worker_event(policy, LP_HOOK_WORKER_UP, worker);
}

void lp_policy_worker_down(struct lp_policy *policy, unsigned worker)
{
	tell_worker_event(policy, LP_HOOK_WORKER_DOWN, worker);
}
