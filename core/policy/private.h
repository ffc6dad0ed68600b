/**
 * What the policy*.c files share. Nobody else includes this: it knows Lua.
 *
 *     state.c             a Lua state: made from the sources, guarded, abandoned, made again
 *     benched_policies.c  policies that are not asked for a while
 *     policy.c            asking hooks, judging what they answer, telling errors
 *     call.c              one guarded call into Lua, and what it raised as one line
 *     collector.c         when garbage is collected
 *     assignments.c       whether a policy could change `workers`
 *     source.c            from names to texts: finding, reading, keeping, compiling
 *     load.c              from texts to hooks: running, checking the shape
 *     options.c           what setup(options) is given, and which of it is read
 *     sandbox.c           the environment of a file: which of Lua's functions it sees
 *     unavailable.c       which it does not, and what to use instead
 *     require.c           `require`
 *     warm_up.c           no function is looked up by the dynamic linker while a policy runs
 *     api.c               how an API is registered, and an unknown name reported
 *     limpet_api.c        `limpet`
 *     conn_api.c          `conn`
 *     workers_api.c       `workers` and its workers
 *     trace.c             telling what hooks read and ask
 *     testing*.c          running *.test.lua
 *     bytecode.c          reading what functions were compiled to
 *     survey.c            what policies do with sessions and settings
 *     check.c             mistakes that can be seen without running
 *
 * A Lua state knows its policy: it is the owner of the state's allocator. Everything of Lua's that a call needs lies
 * made and ready in the first slots of the state's stack (enum lp_slot), so that a call by itself allocates nothing.
 *
 * An error raised by C code leaves its function for good, as longjmp does: such a function holds nothing that wants
 * freeing when it calls what may raise. "Raises" below means that.
 */
#ifndef LP_POLICY_PRIVATE_H
#define LP_POLICY_PRIVATE_H

#include <lauxlib.h>
#include <lua.h>

#include "base/clock.h"
#include "policy/arena.h"
#include "policy/guard.h"
#include "policy/policy.h"
#include "policy/source.h"

/** The most that lp_policy_limits.kills can be. */
#define LP_POLICY_KILLS_MAX 16

/** What lp_policy_call returns beside Lua's own: the call was left, and the state is not to be touched. */
#define LP_POLICY_ABANDONED (-1)

/** Where on the stack of a state, outside of calls. */
enum lp_slot {
	LP_SLOT_HANDLER = 1, /**< Turns what was raised into one line. */
	LP_SLOT_CONN,
	LP_SLOT_WORKERS, /**< The table that policies see. */
	LP_SLOT_OBJECTS, /**< Every worker's userdata by id. */
	LP_SLOTS = LP_SLOT_OBJECTS,
};

/** What a userdata is: all that a state has begin with this. */
enum lp_object_kind {
	LP_OBJECT_CONN,
	LP_OBJECT_WORKER,
	LP_OBJECT_REFUSAL,
	LP_OBJECT_SHARED,
	LP_OBJECT_NETWORKS,
	LP_OBJECT_SCRATCH,
	LP_OBJECT_POLICY, /**< Of tests. */
};

struct lp_object {
	enum lp_object_kind kind;
	unsigned number; /**< A worker's id, a refusal's status; else 0. */
};

enum lp_hook_kind {
	LP_HOOK_CONNECT,
	LP_HOOK_HELLO,
	LP_HOOK_REQUEST,
	LP_HOOK_SETUP,
	LP_HOOK_WORKER_UP,
	LP_HOOK_WORKER_DOWN,
	LP_HOOKS,
	LP_FIELD_NAME = LP_HOOKS, /**< A policy's other fields. */
	LP_FIELD_ROUTE_EACH,
	LP_FIELDS
};

/** One table with hooks: a file's own, or one of the list that a file returned. */
struct lp_policy_unit {
	size_t source; /**< Index of what it was loaded from. */
	char *script;  /**< As --policy names it. */
	char *name;    /**< The table's `name`, or NULL. */
	enum lp_route_each each;
};

struct lp_hook {
	enum lp_hook_kind kind;
	uint32_t unit; /**< Index of its unit. */
	int function;  /**< Reference in the registry; LUA_NOREF where its source is unloaded. */
	int line;      /**< Where the function begins. */
};

/** A module that is being run. Lies on the C stack of require. */
struct lp_requiring {
	const struct lp_source *module;
	const struct lp_requiring *outer; /**< The one that required it, or NULL. */
};

struct lp_hooks {
	struct lp_hook *all;
	uint32_t count;
};

/** What the running call has found out about its connection, so that asking twice costs once. */
enum lp_cached { LP_CACHED_IP, LP_CACHED_SID, LP_CACHED_SESSION, LP_CACHED_CLIENT_IP, LP_CACHED };

/** How many fields `conn` has, methods not counted. */
#define LP_CONN_FIELDS 10

/** The call that runs now. All zero when none does. */
struct lp_policy_call {
	const struct lp_policy_conn *conn; /**< NULL: `conn` is not to be used. */
	const char *script;                /**< For what is raised where Lua tells no place. */
	const struct lp_hook *hook;        /**< NULL while a script itself runs. */
	unsigned cached;                   /**< A bit for each enum lp_cached: it is in the cache. */
	enum lp_verdict_kind suspended;    /**< AWAIT, HOLD: being unwound; whoever catches an error must pass it on. */
	uint64_t session_hash;             /**< When suspended. */
	unsigned held_for;                 /**< HOLD: the session's worker. */
	bool may_be_new;                   /**< AWAIT: as the verdict has it. */
	unsigned keeper;                   /**< The draining worker that workers:session() gave last; 0: none. */
	int stopped_line;                  /**< With stopped: where it was. */
	bool stopped;                      /**< Also being unwound, because its time is over. */
	const struct lp_requiring *requiring; /**< The modules that run now, the innermost first. */
};

/** No source in particular. */
#define LP_NO_SOURCE SIZE_MAX

/** How often what one --policy names was stopped, and until when it is not asked (benched_policies.c). */
struct lp_policy_bench {
	uint64_t kills;
	uint64_t kill_ns[LP_POLICY_KILLS_MAX]; /**< When the last ones were; kill n at n % limits.kills. */
	uint64_t until_ns;                     /**< When the last bench ends, or ended; 0: there was none. */
	uint64_t next_ms;                      /**< How long the next one is; 0: as long as the first. */
	bool benched;
	bool unloaded; /**< It does not load, and is left out of the state. */
};

/** Names of settings that are noted although none of them is given. */
#define LP_SETTINGS_MISSED 8

/** Which settings setup(options) has read. */
struct lp_settings_use {
	bool *read;                          /**< By setting. */
	bool kept;                           /**< A setup has kept its options. */
	char missed[LP_SETTINGS_MISSED][32]; /**< Keys that were read and are not given. */
	size_t missed_count;
};

struct lp_policy {
	lua_State *lua; /**< NULL after a call that was stopped, until lp_policy_ready. */
	struct lp_arena *arena;
	struct lp_guard *guard; /**< NULL when there are no sources. */
	bool loading;           /**< The guard runs all of the loading, and not each call. */
	volatile bool asked;    /**< By the guard, to end; the hook is set. */
	struct lp_source *sources;
	size_t source_count;
	struct lp_policy_limits limits; /**< The host's, with the defaults. */
	uint64_t kills;
	struct lp_policy_bench *benches; /**< By source. */
	size_t benched_count;            /**< How many of them are benched. */
	size_t loading_source;           /**< Which is being loaded, or set up; LP_NO_SOURCE: none. */
	const struct lp_policy_host *host;
	struct lp_policy_unit *units;
	uint32_t unit_count;
	struct lp_hooks routing; /**< In the order in which a connection walks through them. */
	struct lp_hooks events;  /**< setup, on_worker_up, on_worker_down. */
	uint8_t told[LP_WORKERS_MAX /
		     8];          /**< A bit a worker: on_worker_up was called in this state, for this process. */
	uint32_t told_generation; /**< Of host->workers, when policies had been told about all usable ones. */
	struct lp_settings_use settings;
	struct lp_policy_call call;
	uint64_t errors;
	uint64_t (*counts)
		[LP_POLICY_RESULTS];   /**< By hook of the first state; a state that is made again has the same. */
	uint32_t counted;              /**< Hooks that have counts. */
	unsigned asks;                 /**< Of all hooks. */
	struct lp_histogram durations; /**< Nanoseconds of one in LP_POLICY_TIMED. */
	uint64_t asked_ns;             /**< Traced: when the running hook was asked. */
	uint64_t traced_ns;            /**< Of the time since, what telling has taken. */
	const void *conn_names[LP_CONN_FIELDS]; /**< The fields' names inside Lua, in the order of its members. */
	int cache[LP_CACHED];                   /**< References in the registry to what has been found out. */
	const void *workers_table;              /**< LP_SLOT_WORKERS, to know it again. */
	uint32_t workers_generation;            /**< Of host->workers, when that table was filled. */
	bool workers_filled;                    /**< At all. */
	bool assigns;                           /**< A hook may have changed that table. */
	unsigned calls;                         /**< Since the collector last ran. */
	int collected_kb;                       /**< In use when it last ran. */
	int collect_at_kb;                      /**< The next collection begins when this much is in use. */
};

/** One thing that policies can name. */
struct lp_api_member {
	const char *name;
	const char *use;        /**< How a policy writes it: "conn:header(name)". */
	lua_CFunction function; /**< NULL for a field. */
};

/** One of the API's objects. The names end with one that is NULL. */
struct lp_api_type {
	const char *name; /**< "conn". */
	const struct lp_api_member *members;
};

/** Every object of the API, and what only tests have, ended by NULL; what limpet.meta.lua is held against. */
extern const struct lp_api_type *const lp_api_types[];

extern const struct lp_api_type lp_api_conn;    /**< conn_api.c. */
extern const struct lp_api_type lp_api_workers; /**< workers_api.c. */
extern const struct lp_api_type lp_api_worker;  /**< workers_api.c. */
extern const struct lp_api_type lp_api_limpet;  /**< limpet_api.c, as the next three. */
extern const struct lp_api_type lp_api_log;
extern const struct lp_api_type lp_api_shared;
extern const struct lp_api_type lp_api_networks;
extern const struct lp_api_type lp_api_policy;  /**< load.c: the hooks and fields by enum lp_hook_kind. */
extern const struct lp_api_type lp_api_testing; /**< testing.c; globals of tests, so it has no name. */
extern const struct lp_api_type lp_api_scene;   /**< testing_scene.c; the same. */
extern const struct lp_api_type lp_api_loaded;  /**< testing.c: what load_policy gives. */

/** The policy of a state. @param lua Made for a policy. */
static inline struct lp_policy *lp_policy_of(lua_State *lua)
{
	void *owner;

	lua_getallocf(lua, &owner);
	return owner;
}

/** How many times longer than a hook a file or a setup() may take: no connection waits for it. */
#define LP_POLICY_LOADING_TIMES 10u

/** How long the present call may take, in milliseconds. @param policy Borrowed. */
static inline unsigned lp_policy_patience_ms(const struct lp_policy *policy)
{
	return policy->loading ? LP_POLICY_LOADING_TIMES * policy->limits.time_ms : policy->limits.time_ms;
}

/** The clock of a policy, in nanoseconds. @param policy Borrowed. */
static inline uint64_t lp_policy_now_ns(const struct lp_policy *policy)
{
	return policy->host->now_ns ? *policy->host->now_ns : lp_clock_ns();
}

/**
 * Call Lua: the one way in, where a call is guarded. Like lua_pcall, with the handler at LP_SLOT_HANDLER of the current
 * frame: what was raised is on the stack as one line with file and line. The caller sets the policy's `call` before, and
 * clears it after.
 *
 * @param lua        Function and arguments on top.
 * @param arguments  How many.
 * @param results    How many to leave.
 *
 * @return 0 or LUA_ERR*; LP_POLICY_ABANDONED when it was left, of which lp_policy_kill says more. While scripts are
 *         loaded, a call that is left does not return at all: the whole loading is left.
 */
int lp_policy_call(lua_State *lua, int arguments, int results);

/**
 * Say what lp_policy_call caught, which is on top of the stack.
 *
 * @param lua     Its policy's `call` still says what was called.
 * @param status  What lp_policy_call returned.
 * @param error   Filled. NULL is allowed.
 *
 * @return LP_EPOLICY.
 */
int lp_policy_raised(lua_State *lua, int status, struct lp_error *error);

/**
 * What a log line about the present call is about.
 *
 * @param policy  Its `call` still says what was called.
 * @param client  Room for LP_IP_TEXT_SIZE bytes, which the answer points to.
 *
 * @return The script, and the connection's client and listener if there is a connection.
 */
struct lp_log_about lp_policy_about(const struct lp_policy *policy, char *client);

/** Whether errors must pass whoever would catch them: the call is suspended, stopped or out of memory. @param policy Borrowed. */
static inline bool lp_policy_unwinds(const struct lp_policy *policy)
{
	return policy->call.suspended || policy->call.stopped || lp_arena_refusals(policy->arena) > 0;
}

/** Begin what a stop must not leave halfway: what allocates, locks or logs. Nothing in it may raise. @param policy Borrowed. */
static inline void lp_policy_hold(struct lp_policy *policy)
{
	if (policy->guard)
		lp_guard_hold(policy->guard);
}

/** End it. @param policy Borrowed. */
static inline void lp_policy_release(struct lp_policy *policy)
{
	if (policy->guard)
		lp_guard_release(policy->guard);
}

/** Raise an error when calls are nested too deep for C's stack. @param lua Opened. */
void lp_policy_check_depth(lua_State *lua);

/**
 * Whether the policies can be asked: makes the state anew after a stop, or the end of a bench. False when all are benched.
 *
 * @param policy  Between calls. After false its `lua` is NULL.
 */
bool lp_policy_ready(struct lp_policy *policy);

/** Bring `workers` up to date; as lp_workers_refresh, and survives a lack of memory. @param policy Ready. @return Whether it is still. */
bool lp_policy_refresh(struct lp_policy *policy);

/**
 * Whether the call that just ended has to be the last of its state; then says so, counts it and throws the state away.
 *
 * @param policy  Its `call` still says what was called.
 * @param status  What lp_policy_call returned.
 *
 * @return Whether the state is gone.
 */
bool lp_policy_kill(struct lp_policy *policy, int status);

/** Count a stop, which may bench. @param policy Borrowed. @param source Whose hook it was, or LP_NO_SOURCE. */
void lp_policy_note_kill(struct lp_policy *policy, size_t source);

/** Bench what does not load any more, and leave it out. @param policy Borrowed. @param source Which, or LP_NO_SOURCE: all. */
void lp_policy_unload(struct lp_policy *policy, size_t source);

/** End the benches whose time is over. @param policy Borrowed. @return Whether any has ended: then make the state anew. */
bool lp_policy_end_benches(struct lp_policy *policy);

/**
 * Whether any policy, or module, assigns to a table by a number or a variable, which is how a hook could change `workers`.
 *
 * @param policy  Loaded. Borrowed.
 *
 * @return Whether; true also when out of memory.
 */
bool lp_policy_assigns(const struct lp_policy *policy);

/** Turns what was raised into one line, for LP_SLOT_HANDLER. @param lua Opened. @return 1. */
int lp_policy_on_error(lua_State *lua);

/** Rest the collector, and note what is in use. @param policy Between calls. */
void lp_policy_note_collected(struct lp_policy *policy);

/** Set when the next collection begins. @param policy Just collected. */
void lp_policy_plan_collection(struct lp_policy *policy);

/** Collect a little of what policies have left, when it is time. @param policy Between calls; its `lua` is there. */
void lp_policy_collect(struct lp_policy *policy);

/**
 * Compile, run and check one script, and add its hooks.
 *
 * @param policy  Being built: its state's libraries and slots are there.
 * @param source  A script. Must outlive the state; the modules that it requires are added to it.
 * @param error   Filled on failure.
 *
 * @return 0, LP_EPOLICY or negative errno. Units and hooks already added stay.
 */
int lp_policy_load_script(struct lp_policy *policy, struct lp_source *source, struct lp_error *error);

/**
 * Add a unit.
 *
 * @param policy  Being built.
 * @param source  Which of its sources it is from.
 * @param name    The table's `name`, or NULL. Copied.
 * @param each    The table's `route_each`.
 *
 * @return 0 or -ENOMEM.
 */
int lp_policy_add_unit(struct lp_policy *policy, size_t source, const char *name, enum lp_route_each each);

/** Add a hook. @param hooks To which. @param hook Copied. @return 0 or -ENOMEM. */
int lp_policy_add_hook(struct lp_hooks *hooks, struct lp_hook hook);

/**
 * Call every setup(options).
 *
 * @param policy  All of its scripts are loaded.
 * @param error   Filled on failure.
 *
 * @return 0, or LP_EPOLICY at the first that raised an error.
 */
int lp_policy_run_setups(struct lp_policy *policy, struct lp_error *error);

/** Make options for a setup, of the host's settings, and push them. @param lua Opened. Raises. */
void lp_options_push(lua_State *lua);

/**
 * Make options an ordinary table: all of them count as read. Anything else is left alone.
 *
 * @param lua    Opened. Raises.
 * @param index  Of a function's argument, which may be missing.
 */
void lp_options_unfold(lua_State *lua, int index);

/** Note whether any setup has kept its options. @param lua Just collected; its stack is emptied. Raises. */
void lp_options_note_kept(lua_State *lua);

/** Load Lua's libraries as far as the sandbox uses any, and seed math.random. @param lua New. Raises. */
void lp_sandbox_open(lua_State *lua);

/** Call once what policies can reach, so that the dynamic linker has looked it up. @param lua Opened, not armed. Raises. */
void lp_policy_warm_up(lua_State *lua);

/** Make an environment of the allowed part of Lua and push it. @param lua Opened. Raises. */
void lp_sandbox_push(lua_State *lua);

/**
 * What to use instead of a name that Lua has and policies have not.
 *
 * @param library  "os"; NULL for a name that belongs to none, or is a library's.
 * @param name     "time".
 *
 * @return Static; NULL for a name that is not Lua's, or is not missing.
 */
const char *lp_unavailable_instead(const char *library, const char *name);

/** Let the table on top say so of its fields. @param lua Opened. Raises. @param library What the table is called. */
void lp_unavailable_watch(lua_State *lua, const char *library);

/** Let the environment on top say so of globals. @param lua Opened. Raises. */
void lp_unavailable_watch_globals(lua_State *lua);

/**
 * Make a file's environment and push it: the allowed part of Lua, `limpet`, and `require`.
 *
 * @param lua     Opened. Raises.
 * @param source  The file's; its name is what limpet.log calls the policy. Must outlive the state.
 */
void lp_environment_push(lua_State *lua, struct lp_source *source);

/** Make `conn` and push it. @param lua Opened. Raises. */
void lp_conn_push_new(lua_State *lua);

/**
 * Whether a key is conn.sid or conn.session of the connection that the running hook sees.
 *
 * @param policy  Borrowed.
 * @param key     Not absent.
 */
bool lp_conn_is_session(const struct lp_policy *policy, struct lp_slice key);

/**
 * The hook that knows a member of `conn`.
 *
 * @param name  "header".
 * @param hook  Filled if one alone knows it.
 *
 * @return Whether; false for what all hooks know, and for what is no member.
 */
bool lp_conn_is_known_in_one(const char *name, enum lp_hook_kind *hook);

/**
 * Whether a key that nobody knows may be one that a worker has just told its client: it is the connection's session, it is
 * not known to be dead, and a sid is in a request of Engine.IO's, which says EIO or transport.
 *
 * @param policy  In a call.
 * @param key     Any.
 */
bool lp_conn_may_be_new(const struct lp_policy *policy, struct lp_slice key);

/** Make `workers`, with a userdata for every slot, and push it and the table of the userdata. @param lua Opened. Raises. */
void lp_workers_push_new(lua_State *lua);

/** Whether the table at LP_SLOT_WORKERS holds the usable workers, and nothing else. @param policy Between calls. */
bool lp_workers_are_fresh(const struct lp_policy *policy);

/** Fill the table at LP_SLOT_WORKERS anew. @param policy Between calls. */
void lp_workers_refresh(struct lp_policy *policy);

/** Make a file's `limpet` and push it. @param lua Opened. Raises. @param script What limpet.log calls the policy. Copied. */
void lp_api_push_limpet(lua_State *lua, const char *script);

/**
 * Make a userdata without a metatable and push it.
 *
 * @param lua     Opened. Raises.
 * @param kind    What it will be.
 * @param number  As in struct lp_object.
 * @param size    Of the whole, which begins with a struct lp_object.
 *
 * @return Its memory, which Lua frees; zeroed past the struct lp_object.
 */
void *lp_object_push_new(lua_State *lua, enum lp_object_kind kind, unsigned number, size_t size);

/** The userdata at an index, if it is of that kind, or NULL. @param lua Opened. @param index Valid. @param kind Which. */
void *lp_object_at(lua_State *lua, int index, enum lp_object_kind kind);

/**
 * Put a type's functions into the table on top of the stack.
 *
 * @param lua       Below the table lie the upvalues that each function gets; they are popped. Raises.
 * @param type      Static.
 * @param upvalues  How many.
 */
void lp_api_set_functions(lua_State *lua, const struct lp_api_type *type, int upvalues);

/**
 * Close the table on top of the stack: a name that it does not have is an error that says which there are, and so is
 * setting one. A number that it does not have stays nil.
 *
 * @param lua   Opened. Raises.
 * @param type  Static.
 */
void lp_api_close(lua_State *lua, const struct lp_api_type *type);

/**
 * Seal the metatable on top of the stack: policies neither see it nor set fields of what it belongs to.
 *
 * @param lua   Opened. Raises.
 * @param type  Static.
 */
void lp_api_seal(lua_State *lua, const struct lp_api_type *type);

/**
 * Push the sentence that a type has no field of a name, and what was meant or what there is.
 *
 * @param lua   Opened. Raises.
 * @param type  Static.
 * @param name  What was written.
 */
void lp_api_push_unknown(lua_State *lua, const struct lp_api_type *type, const char *name);

/**
 * Raise the error that a type has no field of a name.
 *
 * @param lua   Opened. Raises.
 * @param type  Static.
 * @param name  What was written.
 *
 * @return Never; for `return lp_api_unknown(…)`.
 */
int lp_api_unknown(lua_State *lua, const struct lp_api_type *type, const char *name);

/** Where the host traces, wrap the function on top of the stack. @param lua Opened. Raises. @param member Static. */
void lp_trace_wrap_function(lua_State *lua, const struct lp_api_member *member);

/** Where the host traces, wrap the __index on top of the stack. @param lua Opened. Raises. @param type Static. */
void lp_trace_wrap_index(lua_State *lua, const struct lp_api_type *type);

/**
 * Write a value as a person would: 'worker 3', '"acme"', 'nil'. Changes and raises nothing.
 *
 * @param lua    Opened.
 * @param index  Of the value, from 1.
 * @param text   Ends in NUL; cut at the size.
 * @param size   Of text, at least 1.
 */
void lp_trace_describe(lua_State *lua, int index, char *text, size_t size);

/** Where the host traces, tell that the running call's hook is asked. @param policy Its `call` is set. */
void lp_trace_asked(struct lp_policy *policy);

/** Where the host traces, tell what it answered. @param policy Its `call` is still set. @param verdict Borrowed. */
void lp_trace_answered(struct lp_policy *policy, const struct lp_verdict *verdict);

/**
 * A function's argument that must be a string; a number becomes one.
 *
 * @param lua     Opened. Raises when it is anything else.
 * @param index   Of the argument.
 * @param use     "workers:hash(key)": what the error calls the function.
 * @param name    "key": what the error calls the argument.
 *
 * @return Inside Lua, good while the argument is on the stack.
 */
struct lp_slice lp_api_string(lua_State *lua, int index, const char *use, const char *name);

/**
 * Raise the error that a method was called with a dot.
 *
 * @param lua  Opened. Raises.
 * @param use  As lp_api_string.
 *
 * @return Never; for `return lp_api_needs_colon(…)`.
 */
int lp_api_needs_colon(lua_State *lua, const char *use);

#endif
