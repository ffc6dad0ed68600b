/*
 * A call into Lua, guarded, and what it raised as one line that begins with file and line.
 *
 * The lowest floor of this folder: it calls nothing of it except the guard and the arena.
 */
#include <ctype.h>
#include <lua.h>
#include <string.h>

#include "policy/private.h"

/* How many of the lines that called the failing one are named. */
#define CALLERS_TOLD 3

/* One lp_policy_call. */
struct passage {
	struct lp_policy *policy;
	int arguments;
	int results;
	int status;
};

static void call_armed(void *subject)
{
	struct passage *passage = subject;
	struct lp_policy *policy = passage->policy;

	lp_guard_arm(policy->guard, lp_policy_patience_ms(policy));
	passage->status = lua_pcall(policy->lua, passage->arguments, passage->results, LP_SLOT_HANDLER);
	lp_guard_disarm(policy->guard);
	if (policy->asked)
		lua_sethook(policy->lua, NULL, 0, 0);
	policy->asked = false;
}

int lp_policy_call(lua_State *L, int arguments, int results)
{
	struct lp_policy *policy = lp_policy_of(L);
	struct passage passage = {policy, arguments, results, 0};

	if (policy->loading) {
		call_armed(&passage);
		return passage.status;
	}
	if (lp_guard_run(policy->guard, call_armed, &passage) == LP_GUARD_RETURNED)
		return passage.status;
	return LP_POLICY_ABANDONED;
}

void lp_policy_check_depth(lua_State *L)
{
	const struct lp_policy *policy = lp_policy_of(L);

	if (policy->guard && lp_guard_is_deep(policy->guard))
		luaL_error(L, "calls are nested too deep: a function that gsub, sort, pcall or tostring calls, "
			      "calls them again and again");
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

struct lp_log_about lp_policy_about(const struct lp_policy *policy, char *client)
{
	const struct lp_policy_conn *conn = policy->call.conn;
	struct lp_log_about about = {.policy = policy->call.script};

	if (conn) {
		lp_ip_format(&conn->ip, client);
		about.client = *client ? client : NULL;
		about.listener = conn->listener;
	}
	return about;
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

	if (!call->hook) {
		lua_pushfstring(L, "%s: ", call->script);
		return;
	}
	lua_pushfstring(L, "%s:%d: in a return of %s: ", call->script, call->hook->line,
			lp_api_policy.members[call->hook->kind].name);
}

/*
 * What was raised becomes a string that begins with file and line. __tostring of an error object is not asked: it is the
 * policy's code, and would run outside of what the policy's own pcall can catch.
 */
int lp_policy_on_error(lua_State *L)
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
