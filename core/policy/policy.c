/*
 * Asking policies: which hooks are asked, and what their answers mean.
 *
 * The interpreter costs what the JIT would for calls this short (about 16 ns to enter and leave), and can be stopped,
 * which the JIT cannot; so the JIT is off.
 *
 * A call allocates nothing of its own: the hook is fetched by reference, `conn` and `workers` are ready on the stack.
 * What policies do allocate is collected between calls (collector.c).
 *
 * A hook that never returns, or takes all memory, is stopped by state.c, and its state with it: after every call it
 * is looked whether there still is one.
 */
#include "policy/policy.h"

#include <ctype.h>
#include <errno.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/private.h"

enum lp_route_each lp_policy_route_each_script(const struct lp_policy *policy, const char **script)
{
	enum lp_route_each most = LP_ROUTE_FIRST;

	*script = NULL;
	for (uint32_t i = 0; i < policy->unit_count; i++)
		if (policy->units[i].each > most) {
			most = policy->units[i].each;
			*script = policy->units[i].script;
		}
	for (size_t i = 0; i < policy->host->rule_count && most == LP_ROUTE_SESSION; i++)
		if (!lp_session_rule_is_sid(&policy->host->rules[i]))
			most = LP_ROUTE_REQUEST;
	return most;
}

enum lp_route_each lp_policy_route_each(const struct lp_policy *policy)
{
	const char *script;

	return lp_policy_route_each_script(policy, &script);
}

bool lp_policy_needs_bytes(const struct lp_policy *policy)
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

static void describe_text(const struct lp_source *source, struct lp_policy_text *text)
{
	*text = (struct lp_policy_text){
		.name = source->name,
		.module = source->module,
		.is_file = source->module || lp_source_is_file(source->name),
		.bytes = source->length,
		.sha256 = source->sha256,
	};
}

bool lp_policy_text(const struct lp_policy *policy, size_t index, struct lp_policy_text *text)
{
	for (size_t i = 0; i < policy->source_count; i++) {
		if (index-- == 0) {
			describe_text(&policy->sources[i], text);
			return true;
		}
		for (const struct lp_source *module = policy->sources[i].modules; module; module = module->next)
			if (index-- == 0) {
				describe_text(module, text);
				return true;
			}
	}
	return false;
}

size_t lp_policy_bytes(const struct lp_policy *policy)
{
	if (!policy->lua)
		return 0;
	return (size_t)lua_gc(policy->lua, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(policy->lua, LUA_GCCOUNTB, 0);
}

void lp_policy_hook_counts(const struct lp_policy *policy, lp_policy_cursor at, uint64_t *counts)
{
	for (unsigned i = 0; i < LP_POLICY_RESULTS; i++)
		counts[i] = at < policy->counted ? policy->counts[at][i] : 0;
}

const struct lp_histogram *lp_policy_durations(const struct lp_policy *policy)
{
	return &policy->durations;
}

bool lp_policy_hook_place(const struct lp_policy *policy, lp_policy_cursor at, struct lp_policy_hook_place *place)
{
	const struct lp_hook *hook = &policy->routing.all[at];
	unsigned number = 0;

	if (at >= policy->routing.count)
		return false;
	for (uint32_t i = 0; i <= hook->unit; i++)
		number += strcmp(policy->units[i].script, policy->units[hook->unit].script) == 0;
	*place = (struct lp_policy_hook_place){
		.number = number,
		.script = policy->units[hook->unit].script,
		.table = policy->units[hook->unit].name,
		.hook = lp_api_policy.members[hook->kind].name,
		.line = hook->line,
	};
	return true;
}

const char *lp_policy_hook_name(const struct lp_policy *policy, lp_policy_cursor at)
{
	return at < policy->routing.count ? lp_api_policy.members[policy->routing.all[at].kind].name : NULL;
}

const char *lp_policy_hook_script(const struct lp_policy *policy, lp_policy_cursor at)
{
	return at < policy->routing.count ? policy->units[policy->routing.all[at].unit].script : NULL;
}

static void tell_error(struct lp_policy *policy, int status)
{
	char client[LP_IP_TEXT_SIZE];
	struct lp_log_about about = lp_policy_about(policy, client);
	struct lp_error line;

	policy->errors++;
	lp_policy_raised(policy->lua, status, &line);
	lp_log_limited(policy->host->log, LP_LOG_ERROR, LP_LOG_TOPIC_POLICY, &about, "%s", line.text);
}

static void describe_answer(lua_State *L, char *text, size_t size)
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

/* The invalid answer is on top. */
static void tell_wrong_answer(struct lp_policy *policy, const struct lp_hook *hook)
{
	const struct lp_policy_unit *unit = &policy->units[hook->unit];
	char client[LP_IP_TEXT_SIZE];
	struct lp_log_about about = lp_policy_about(policy, client);
	char answer[96];

	describe_answer(policy->lua, answer, sizeof(answer));
	policy->errors++;
	lp_log_limited(policy->host->log, LP_LOG_ERROR, LP_LOG_TOPIC_POLICY, &about,
		       "policy %s:%d: %s%s%s returned %s; return a worker, nil or limpet.refuse(status)", unit->script,
		       hook->line, lp_api_policy.members[hook->kind].name, unit->name ? " of " : "",
		       unit->name ? unit->name : "", answer);
}

/* Verdicts are filled in place, field by field: copied right after, they cost more than what they say. */
static void judge_answer(struct lp_policy *policy, const struct lp_hook *hook, struct lp_verdict *verdict)
{
	lua_State *L = policy->lua;
	const struct lp_object *object = lua_touserdata(L, -1);

	if (object && object->kind == LP_OBJECT_WORKER) {
		const struct lp_worker *worker = lp_workers_find(policy->host->workers, object->number);

		if (!worker->usable && !(worker->keeps && policy->call.keeper == worker->id))
			return;
		verdict->kind = LP_VERDICT_WORKER;
		verdict->worker = object->number;
	} else if (object && object->kind == LP_OBJECT_REFUSAL) {
		verdict->kind = LP_VERDICT_REFUSE;
		verdict->status = (int)object->number;
	} else if (lua_toboolean(L, -1)) {
		tell_wrong_answer(policy, hook);
	}
}

static void begin_call(struct lp_policy *policy, const struct lp_hook *hook, const struct lp_policy_conn *conn)
{
	policy->call = (struct lp_policy_call){
		.conn = conn,
		.script = policy->units[hook->unit].script,
		.hook = hook,
	};
}

static void end_call(struct lp_policy *policy)
{
	policy->call = (struct lp_policy_call){0};
	if (!policy->lua)
		return;
	lp_policy_collect(policy);
	lua_settop(policy->lua, LP_SLOTS);
}

static enum lp_policy_result result_of(const struct lp_verdict *verdict, bool stopped, bool failed)
{
	return stopped                              ? LP_POLICY_STOPPED
	       : failed                             ? LP_POLICY_FAILED
	       : verdict->kind == LP_VERDICT_WORKER ? LP_POLICY_CHOSE
	       : verdict->kind == LP_VERDICT_REFUSE ? LP_POLICY_REFUSED
	       : verdict->kind == LP_VERDICT_NONE   ? LP_POLICY_NO_OPINION
						    : LP_POLICY_WAITS;
}

/* The verdict is none yet. Returns whether the hook was stopped. */
static bool call_hook(struct lp_policy *policy, const struct lp_hook *hook, const struct lp_policy_conn *conn,
		      struct lp_verdict *verdict)
{
	lua_State *L = policy->lua;
	int status;

	begin_call(policy, hook, conn);
	lp_trace_asked(policy);
	lua_rawgeti(L, LUA_REGISTRYINDEX, hook->function);
	lua_pushvalue(L, LP_SLOT_CONN);
	lua_pushvalue(L, LP_SLOT_WORKERS);
	status = lp_policy_call(L, 2, 1);
	if (lp_policy_kill(policy, status)) {
		verdict->kind = LP_VERDICT_NONE;
	} else if (status == 0) {
		judge_answer(policy, hook, verdict);
	} else if (policy->call.suspended) {
		verdict->kind = policy->call.suspended;
		verdict->session_hash = policy->call.session_hash;
		verdict->worker = policy->call.held_for;
		verdict->may_be_new = policy->call.may_be_new;
	} else {
		tell_error(policy, status);
	}
	lp_trace_answered(policy, verdict);
	end_call(policy);
	return policy->lua == NULL;
}

/* Counting costs a few instructions; two looks at the clock would cost more than a short hook, so few are timed. */
static void ask_hook(struct lp_policy *policy, const struct lp_hook *hook, const struct lp_policy_conn *conn,
		     struct lp_verdict *verdict)
{
	uint32_t index = (uint32_t)(hook - policy->routing.all);
	uint64_t errors = policy->errors;
	bool timed = policy->asks++ % LP_POLICY_TIMED == 0;
	uint64_t begun_ns = timed ? lp_clock_ns() : 0;
	bool stopped = call_hook(policy, hook, conn, verdict);

	if (timed)
		lp_histogram_add(&policy->durations, lp_clock_ns() - begun_ns);
	if (index < policy->counted)
		policy->counts[index][result_of(verdict, stopped, policy->errors != errors)]++;
}

static bool runs_on(enum lp_hook_kind kind, enum lp_protocol protocol)
{
	return kind == LP_HOOK_CONNECT || (kind == LP_HOOK_HELLO && protocol == LP_PROTOCOL_TLS) ||
	       (kind == LP_HOOK_REQUEST && protocol == LP_PROTOCOL_HTTP);
}

static bool is_benched(const struct lp_policy *policy, const struct lp_hook *hook)
{
	return policy->benched_count && policy->benches[policy->units[hook->unit].source].benched;
}

static void tell_of_workers(struct lp_policy *policy);

/* Returns whether there are policies to ask. */
static bool prepare_policies(struct lp_policy *policy)
{
	if (!lp_policy_ready(policy))
		return false;
	if (policy->events.count && policy->told_generation != policy->host->workers->generation)
		tell_of_workers(policy);
	return policy->lua || lp_policy_ready(policy);
}

struct lp_verdict lp_policy_decide(struct lp_policy *policy, const struct lp_policy_conn *conn,
				   lp_policy_cursor *cursor)
{
	struct lp_verdict verdict = {.kind = LP_VERDICT_NONE};

	/* Made ready for each hook: one that was stopped took the state with it, and the others are still to be asked. */
	for (; *cursor < policy->routing.count && verdict.kind == LP_VERDICT_NONE && prepare_policies(policy);
	     ++*cursor) {
		const struct lp_hook *hook = &policy->routing.all[*cursor];

		if (is_benched(policy, hook))
			continue;
		if (hook->kind != LP_HOOK_CONNECT && conn->protocol == LP_PROTOCOL_UNSEEN)
			verdict.kind = LP_VERDICT_LOOK;
		else if (runs_on(hook->kind, conn->protocol) && lp_policy_refresh(policy))
			ask_hook(policy, hook, conn, &verdict);
		if (verdict.kind == LP_VERDICT_LOOK || verdict.kind == LP_VERDICT_AWAIT ||
		    verdict.kind == LP_VERDICT_HOLD || verdict.kind == LP_VERDICT_HEAR)
			return verdict;
	}
	return verdict;
}

static void tell_worker_event(struct lp_policy *policy, enum lp_hook_kind kind, unsigned worker)
{
	if (!lp_policy_ready(policy))
		return;
	for (uint32_t i = 0; i < policy->events.count && policy->lua; i++) {
		const struct lp_hook *hook = &policy->events.all[i];
		lua_State *L = policy->lua;
		int status;

		if (hook->kind != kind || is_benched(policy, hook) || !lp_policy_refresh(policy))
			continue;
		begin_call(policy, hook, NULL);
		lua_rawgeti(L, LUA_REGISTRYINDEX, hook->function);
		lua_rawgeti(L, LP_SLOT_OBJECTS, (int)worker);
		status = lp_policy_call(L, 1, 0);
		if (!lp_policy_kill(policy, status) && status != 0)
			tell_error(policy, status);
		end_call(policy);
	}
}

static bool is_told(const struct lp_policy *policy, unsigned worker)
{
	return policy->told[(worker - 1) / 8] >> (worker - 1) % 8 & 1;
}

static void set_told(struct lp_policy *policy, unsigned worker, bool told)
{
	uint8_t bit = (uint8_t)(1u << (worker - 1) % 8);
	uint8_t *byte = &policy->told[(worker - 1) / 8];
	*byte = (uint8_t)(told ? *byte | bit : *byte & ~bit);
}

/* Policies that were loaded, or made again, beside workers that were up already have not heard of them. */
static void tell_of_workers(struct lp_policy *policy)
{
	const struct lp_workers *workers = policy->host->workers;

	policy->told_generation = workers->generation;
	for (unsigned id = 1; id <= workers->count; id++)
		if (workers->slots[id - 1].usable)
			lp_policy_worker_up(policy, id);
}

void lp_policy_worker_up(struct lp_policy *policy, unsigned worker)
{
	if (!policy->events.count || is_told(policy, worker) || !lp_policy_ready(policy))
		return;
	set_told(policy, worker, true);
	tell_worker_event(policy, LP_HOOK_WORKER_UP, worker);
}

void lp_policy_worker_down(struct lp_policy *policy, unsigned worker)
{
	if (!is_told(policy, worker))
		return;
	set_told(policy, worker, false);
	tell_worker_event(policy, LP_HOOK_WORKER_DOWN, worker);
}
