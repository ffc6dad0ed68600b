/*
 * A policy's Lua state: made from the sources, guarded while it runs, thrown away when it had to be stopped, made again.
 *
 *     state      `lua`   goes on to
 *     ready      there   gone, by a call that took too much time, memory or stack (a kill)
 *     gone       NULL    ready, at the next call, without what does not load any more (benched_policies.c)
 *
 * All of a state's memory is one arena, so that it can be thrown away at any instruction. A call that takes too long is
 * first asked to end: a hook is set that raises an error at the next instruction, which says the line, and which the
 * policy cannot catch. Inside of Lua's own C functions no hook runs (an exponential string.find); then the call is left
 * by a jump. A state that was stopped, however gently, is not used again: what was stopped may have been halfway through
 * changing the policy's own tables.
 *
 * Memory that was refused cannot be had by collecting: Lua collects between allocations, not in one. So the cap ends the
 * state too, also when the policy catches the error.
 *
 * Whatever a call does outside of the arena (what the API does with sessions, limpet.shared and the log, and the reading of
 * modules) is held (lp_policy_hold). Scripts themselves are read before.
 */
#include <errno.h>
#include <lua.h>
#include <luajit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/private.h"
#include "policy/survey.h"

#define MEMORY_BYTES ((size_t)32 << 20)
#define TIME_MS 50u
#define KILLS 5u
#define KILL_WINDOW_MS 60000u
#define BENCH_MS 60000u

#define STOPPED "stopped, because it ran for more than"

/* Which hooks there are, and whose. */
struct layout {
	struct lp_policy_unit *units;
	uint32_t unit_count;
	struct lp_hooks routing;
	struct lp_hooks events;
};

/* What build is given, and leaves. */
struct loading {
	struct lp_policy *policy;
	struct layout before; /* Of the state before. */
	struct lp_error *error;
	int status;
	int slots[LP_SLOTS + 1]; /* References to what goes into each. */
};

/* Through its owner the state knows its policy (lp_policy_of). */
static void *allocate_in_arena(void *owner, void *block, size_t old_size, size_t size)
{
	struct lp_policy *policy = owner;

	return lp_arena_allocate(policy->arena, block, old_size, size);
}

/* Lua's count hook, at the first instruction after on_ask. The place comes from here: a pcall further up has another. */
static void on_overtime(lua_State *L, lua_Debug *at)
{
	struct lp_policy *policy = lp_policy_of(L);

	policy->call.stopped = true;
	lua_getinfo(L, "Sl", at);
	policy->call.stopped_line = at->currentline;
	lua_pushfstring(L, "%s:%d: " STOPPED " %d ms", at->short_src, at->currentline,
			(int)lp_policy_patience_ms(policy));
	lua_error(L);
}

/* In a signal handler, between any two instructions: lua_sethook is made for that. */
static void on_ask(void *owner)
{
	struct lp_policy *policy = owner;

	policy->asked = true;
	lua_sethook(policy->lua, on_overtime, LUA_MASKCOUNT, 1);
}

/* An error outside of every lua_pcall, of which only a lack of memory can be the cause. */
static int on_panic(lua_State *L)
{
	struct lp_policy *policy = lp_policy_of(L);

	if (lp_guard_is_running(policy->guard))
		lp_guard_give_up(policy->guard);
	return 0;
}

static void note_slot(lua_State *L, struct loading *loading, enum lp_slot slot)
{
	lua_pushvalue(L, slot);
	loading->slots[slot] = luaL_ref(L, LUA_REGISTRYINDEX);
}

static void free_layout(struct layout *layout)
{
	for (uint32_t i = 0; i < layout->unit_count; i++) {
		free(layout->units[i].script);
		free(layout->units[i].name);
	}
	free(layout->units);
	free(layout->routing.all);
	free(layout->events.all);
}

static struct layout take_layout(struct lp_policy *policy)
{
	struct layout layout = {policy->units, policy->unit_count, policy->routing, policy->events};

	policy->units = NULL;
	policy->unit_count = 0;
	policy->routing = (struct lp_hooks){0};
	policy->events = (struct lp_hooks){0};
	return layout;
}

/* Copy the hooks of a unit, to none of whose functions there is a way. */
static int keep_hooks(struct lp_policy *policy, const struct lp_hooks *before, uint32_t unit, struct lp_hooks *hooks)
{
	int status = 0;

	for (uint32_t i = 0; i < before->count && !status; i++) {
		struct lp_hook hook = before->all[i];

		if (hook.unit != unit)
			continue;
		hook.unit = policy->unit_count - 1;
		hook.function = LUA_NOREF;
		status = lp_policy_add_hook(hooks, hook);
	}
	return status;
}

/* The places of a source that is left out: others are known by theirs, to connections that wait among them. */
static int keep_places(struct lp_policy *policy, const struct layout *before, size_t source)
{
	int status = 0;

	for (uint32_t i = 0; i < before->unit_count && !status; i++) {
		const struct lp_policy_unit *unit = &before->units[i];

		if (unit->source != source)
			continue;
		status = lp_policy_add_unit(policy, source, unit->name, unit->each);
		if (!status)
			status = keep_hooks(policy, &before->routing, i, &policy->routing);
		if (!status)
			status = keep_hooks(policy, &before->events, i, &policy->events);
	}
	return status;
}

/* Everything of loading that may raise. The frame's first slots are those of the state, in the same places. */
static int build_state(lua_State *L)
{
	struct loading *loading = lua_touserdata(L, 1);
	struct lp_policy *policy = loading->policy;

	lua_settop(L, 0);
	lp_sandbox_open(L);
	if (policy->kills == 0)
		lp_policy_warm_up(L);
	lua_pushcfunction(L, lp_policy_on_error);
	lp_conn_push_new(L);
	lp_workers_push_new(L);
	policy->workers_table = lua_topointer(L, LP_SLOT_WORKERS);
	for (int slot = LP_SLOT_HANDLER; slot <= LP_SLOTS; slot++)
		note_slot(L, loading, slot);

	for (size_t i = 0; i < policy->source_count && loading->status == 0; i++) {
		policy->loading_source = i;
		loading->status = policy->benches[i].unloaded
					  ? keep_places(policy, &loading->before, i)
					  : lp_policy_load_script(policy, &policy->sources[i], loading->error);
	}
	if (loading->status == 0)
		loading->status = lp_policy_run_setups(policy, loading->error);
	lua_gc(L, LUA_GCCOLLECT, 0);
	lp_options_note_kept(L);
	return 0;
}

/* What the guard runs. */
static void load_guarded(void *subject)
{
	struct loading *loading = subject;
	lua_State *L = loading->policy->lua;

	if (lua_cpcall(L, build_state, loading) != 0)
		loading->status = lp_error_set(loading->error, LP_EPOLICY, "policies: %s", lua_tostring(L, -1));
}

static void drop_state(struct lp_policy *policy)
{
	lp_arena_free(policy->arena);
	policy->arena = NULL;
	policy->lua = NULL;
}

static void run_loading(struct lp_policy *policy, struct loading *loading)
{
	enum lp_guard_end end = LP_GUARD_RETURNED;

	policy->loading = true;
	if (policy->guard)
		end = lp_guard_run(policy->guard, load_guarded, loading);
	else
		load_guarded(loading);
	policy->loading = false;
	policy->asked = false;
	if (end == LP_GUARD_STACK)
		loading->status =
			lp_error_set(loading->error, LP_EPOLICY, "policy %s: stopped, because it filled the C stack",
				     policy->call.script);
	else if (end != LP_GUARD_RETURNED)
		loading->status = lp_error_set(loading->error, LP_EPOLICY,
					       "policy %s: stopped, because it took more than %u ms to load, in one of "
					       "Lua's own functions",
					       policy->call.script, LP_POLICY_LOADING_TIMES * policy->limits.time_ms);
	policy->call = (struct lp_policy_call){0};
}

/* Make the state and all that is in it. On failure there is none. */
static int make_state(struct lp_policy *policy, struct lp_error *error)
{
	struct loading loading = {.policy = policy, .error = error};

	policy->loading_source = LP_NO_SOURCE;
	loading.before = take_layout(policy);
	policy->workers_filled = false;
	policy->told_generation = 0;
	memset(policy->told, 0, sizeof(policy->told));
	policy->calls = 0;
	policy->arena = lp_arena_new(policy->limits.memory_bytes);
	policy->lua = policy->arena ? lua_newstate(allocate_in_arena, policy) : NULL;
	if (policy->lua) {
		lua_atpanic(policy->lua, on_panic);
		luaJIT_setmode(policy->lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
		run_loading(policy, &loading);
	} else {
		loading.status = lp_error_set(error, -ENOMEM, "policies: no memory for Lua in %zu bytes",
					      policy->limits.memory_bytes);
	}
	if (loading.status < 0) {
		struct layout failed = take_layout(policy);

		/* The next state has the places of the last one that was. */
		free_layout(&failed);
		policy->units = loading.before.units;
		policy->unit_count = loading.before.unit_count;
		policy->routing = loading.before.routing;
		policy->events = loading.before.events;
		drop_state(policy);
		return loading.status;
	}
	free_layout(&loading.before);
	policy->loading_source = LP_NO_SOURCE;
	for (int slot = LP_SLOT_HANDLER; slot <= LP_SLOTS; slot++)
		lua_rawgeti(policy->lua, LUA_REGISTRYINDEX, loading.slots[slot]);
	lp_policy_note_collected(policy);
	lp_policy_plan_collection(policy);
	if (!policy->counts) {
		policy->counts = calloc(policy->routing.count + 1, sizeof(*policy->counts));
		policy->counted = policy->counts ? policy->routing.count : 0;
	}
	return 0;
}

static struct lp_policy_limits with_defaults(struct lp_policy_limits limits)
{
	if (!limits.memory_bytes)
		limits.memory_bytes = MEMORY_BYTES;
	if (!limits.time_ms)
		limits.time_ms = TIME_MS;
	if (!limits.kills)
		limits.kills = KILLS;
	if (limits.kills > LP_POLICY_KILLS_MAX)
		limits.kills = LP_POLICY_KILLS_MAX;
	if (!limits.kill_window_ms)
		limits.kill_window_ms = KILL_WINDOW_MS;
	if (!limits.bench_ms)
		limits.bench_ms = BENCH_MS;
	return limits;
}

static int read_sources(struct lp_policy *policy, const char *const *names, size_t count, struct lp_error *error)
{
	int status = 0;

	policy->sources = calloc(count, sizeof(*policy->sources));
	if (!policy->sources)
		return lp_error_set(error, -ENOMEM, "policies: %s", lp_error_words(-ENOMEM));
	for (size_t i = 0; i < count && status == 0; i++) {
		status = lp_source_init(&policy->sources[i], names[i], error);
		policy->source_count += status == 0;
	}
	return status < 0 ? lp_source_name_policy(status, error) : 0;
}

static int copy_sources(struct lp_policy *policy, const struct lp_policy *of, struct lp_error *error)
{
	int status = 0;

	policy->sources = calloc(of->source_count + 1, sizeof(*policy->sources));
	if (!policy->sources)
		status = -ENOMEM;
	for (size_t i = 0; i < of->source_count && status == 0; i++) {
		status = lp_source_init_copy(&policy->sources[i], &of->sources[i]);
		policy->source_count += status == 0;
	}
	return status < 0 ? lp_error_set(error, status, "policies: %s", lp_error_words(status)) : 0;
}

static struct lp_policy *new_policy(const struct lp_policy_host *host, struct lp_error *error)
{
	struct lp_policy *policy = calloc(1, sizeof(*policy));

	if (!policy) {
		lp_error_set(error, -ENOMEM, "policies: %s", lp_error_words(-ENOMEM));
		return NULL;
	}
	policy->host = host;
	policy->settings.read = calloc(host->setting_count + 1, sizeof(*policy->settings.read));
	if (!policy->settings.read) {
		free(policy);
		lp_error_set(error, -ENOMEM, "policies: %s", lp_error_words(-ENOMEM));
		return NULL;
	}
	policy->limits = with_defaults(host->limits);
	return policy;
}

/* Its sources are there; make the rest. */
static int complete_policy(struct lp_policy *policy, struct lp_error *error)
{
	int status;

	policy->benches = calloc(policy->source_count + 1, sizeof(*policy->benches));
	if (!policy->benches)
		return lp_error_set(error, -ENOMEM, "policies: %s", lp_error_words(-ENOMEM));
	if (policy->source_count > 0) {
		status = lp_guard_new(&policy->guard, on_ask, policy);
		if (status < 0)
			return lp_error_set(error, status, "policies: no thread to watch over them: %s",
					    lp_error_words(status));
	}
	status = make_state(policy, error);
	for (size_t i = 0; i < policy->source_count; i++)
		policy->sources[i].closed = true;
	policy->assigns = status == 0 && lp_policy_assigns(policy);
	return status;
}

/* Hand out what has been made, or free it. */
static int hand_out(struct lp_policy *made, int status, struct lp_policy **policy)
{
	if (status < 0)
		lp_policy_free(made);
	*policy = status < 0 ? NULL : made;
	return status;
}

int lp_policy_load(struct lp_policy **policy, const struct lp_policy_host *host, const char *const *names, size_t count,
		   struct lp_error *error)
{
	struct lp_policy *made = new_policy(host, error);
	int status = made ? 0 : -ENOMEM;

	if (made && count > 0)
		status = read_sources(made, names, count, error);
	if (status == 0)
		status = complete_policy(made, error);
	return hand_out(made, status, policy);
}

int lp_policy_copy(struct lp_policy **copy, const struct lp_policy *policy, const struct lp_policy_host *host,
		   struct lp_error *error)
{
	struct lp_policy *made = new_policy(host, error);
	int status = made ? copy_sources(made, policy, error) : -ENOMEM;

	if (status == 0)
		status = complete_policy(made, error);
	return hand_out(made, status, copy);
}

void lp_policy_free(struct lp_policy *policy)
{
	if (!policy)
		return;
	struct layout layout = take_layout(policy);

	drop_state(policy);
	free_layout(&layout);
	free(policy->counts);
	lp_guard_free(policy->guard, policy->host->retired);
	for (size_t i = 0; i < policy->source_count; i++)
		lp_source_deinit(&policy->sources[i]);
	free(policy->sources);
	free(policy->benches);
	free(policy->settings.read);
	free(policy);
}

/* From a handler of xpcall no message comes out but Lua's own, that there was an error in it. */
static void describe_stop(struct lp_policy *policy, int status, struct lp_error *line)
{
	lp_policy_raised(policy->lua, status, line);
	if (!strstr(line->text, STOPPED))
		lp_error_set(line, LP_EPOLICY, "policy %s:%d: " STOPPED " %u ms", policy->call.script,
			     policy->call.stopped_line, policy->limits.time_ms);
}

static void describe_kill(struct lp_policy *policy, int status, struct lp_error *line)
{
	const struct lp_hook *hook = policy->call.hook;
	const char *name = hook ? lp_api_policy.members[hook->kind].name : "a call";
	const char *script = policy->call.script ? policy->call.script : "";
	int at = hook ? hook->line : 0;

	if (status == LP_POLICY_ABANDONED && lp_arena_refusals(policy->arena) == 0)
		lp_error_set(line, LP_EPOLICY,
			     "policy %s:%d: %s was stopped, because it did not end within %u ms, in one of Lua's own "
			     "functions",
			     script, at, name, policy->limits.time_ms);
	else if (policy->call.stopped)
		describe_stop(policy, status, line);
	else
		lp_error_set(line, LP_EPOLICY,
			     "policy %s:%d: %s was stopped, because it took more than %zu bytes of memory", script, at,
			     name, policy->limits.memory_bytes);
}

bool lp_policy_kill(struct lp_policy *policy, int status)
{
	char client[LP_IP_TEXT_SIZE];
	struct lp_log_about about = lp_policy_about(policy, client);
	size_t source = LP_NO_SOURCE;
	struct lp_error line;

	if (status != LP_POLICY_ABANDONED && !policy->call.stopped && lp_arena_refusals(policy->arena) == 0)
		return false;
	if (policy->call.hook)
		source = policy->units[policy->call.hook->unit].source;
	describe_kill(policy, status, &line);
	policy->errors++;
	lp_log_limited(policy->host->log, LP_LOG_ERROR, LP_LOG_TOPIC_POLICY, &about, "%s; the policies start anew",
		       line.text);
	drop_state(policy);
	lp_policy_note_kill(policy, source);
	return true;
}

bool lp_policy_ready(struct lp_policy *policy)
{
	if (lp_policy_end_benches(policy))
		drop_state(policy);
	while (!policy->lua) {
		struct lp_error error;

		if (policy->source_count && policy->benched_count == policy->source_count)
			return false;
		if (make_state(policy, &error) == 0)
			break;
		policy->errors++;
		lp_log_limited(policy->host->log, LP_LOG_ERROR, LP_LOG_TOPIC_POLICY, NULL, "%s", error.text);
		lp_policy_unload(policy, policy->loading_source);
	}
	return true;
}

static void refresh_workers(void *subject)
{
	lp_workers_refresh(subject);
}

/* When a policy has made Lua's table of workers smaller than it was, filling it allocates. */
bool lp_policy_refresh(struct lp_policy *policy)
{
	if (lp_workers_are_fresh(policy))
		return true;
	if (lp_guard_run(policy->guard, refresh_workers, policy) == LP_GUARD_RETURNED)
		return true;
	lp_policy_kill(policy, LP_POLICY_ABANDONED);
	return false;
}

uint64_t lp_policy_kills(const struct lp_policy *policy)
{
	return policy->kills;
}
