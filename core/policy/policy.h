/**
 * Policies: the operator's Lua, asked where a connection belongs.
 *
 * One `struct lp_policy` is everything that was loaded together: all --policy files, in order, in one LuaJIT state (the
 * interpreter; the JIT is off). policy*.c are the only files that know Lua. A reload makes a new one beside the old and
 * the caller swaps them between calls; what must live longer (sessions, shared, workers) belongs to the host and is only
 * borrowed.
 *
 * A connection walks through the hooks in order: the first policy's on_connect, on_hello, on_request, then the second's.
 * A hook that needs bytes nobody has looked at yet stops the walk (LP_VERDICT_LOOK); the caller peeks and walks on from
 * the same place. So `[on_connect, on_request]` decides at once when its first policy has an opinion, and a set that only
 * has on_connect is never looked at.
 */
#ifndef LP_POLICY_POLICY_H
#define LP_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/error.h"
#include "base/histogram.h"
#include "base/log.h"
#include "base/session_rule.h"
#include "route/forwarded.h"
#include "route/head.h"
#include "route/hello.h"
#include "route/sessions.h"
#include "route/shared_values.h"
#include "route/workers.h"

struct lp_trace_event;

/** Told what a policy does, while it does it; must not call the policy. @param event For the call. @param owner The host's. */
typedef void (*lp_policy_trace_cb)(const struct lp_trace_event *event, void *owner);

/** How much a policy may take, and what becomes of one that takes more. 0 anywhere is the default. */
struct lp_policy_limits {
	size_t memory_bytes;     /**< For the Lua state of one load: 32 MiB. */
	uint32_t time_ms;        /**< For one hook: 50. A file that is loaded, and setup, each get ten times as long. */
	uint32_t kills;          /**< This number of stops, up to 16, ... : 5. */
	uint32_t kill_window_ms; /**< ... in so long ... : 60,000. */
	uint32_t bench_ms;       /**< ... and it is not asked for so long, twice as long each time in a row: 60,000. */
};

/** What policies can reach. All borrowed; must outlive every policy made with it. */
struct lp_policy_host {
	struct lp_workers *workers;
	struct lp_sessions *sessions;
	struct lp_shared *shared;
	struct lp_log *log;
	struct lp_trust trust;
	const struct lp_session_rule
		*rules; /**< Where requests carry sessions: conn.session, the first that is there. */
	size_t rule_count;
	const char *const *settings; /**< "key=value" each: setup(options). */
	size_t setting_count;
	const uint64_t *now_ns; /**< The clock that policies see. NULL: the monotonic clock. */
	struct lp_policy_limits limits;
	uint32_t random_seed; /**< For math.random. 0: a random one. */
	lp_policy_trace_cb
		trace; /**< NULL, which costs nothing; or called for each hook, and for what it reads and asks. */
	void *trace_owner;
	struct lp_retired_threads
		*retired; /**< Gets the threads of freed policies. NULL: lp_policy_free waits for them. */
};

/** What a connection's first bytes turned out to be. */
enum lp_protocol {
	LP_PROTOCOL_UNSEEN, /**< Nobody has looked yet, or not enough has come. */
	LP_PROTOCOL_HTTP,   /**< `head` is complete. */
	LP_PROTOCOL_TLS,    /**< `hello` is complete. */
	LP_PROTOCOL_OTHER,  /**< Anything else: neither on_hello nor on_request runs. */
};

/** Bytes of a session's key that are kept of what a hook has asked for. */
#define LP_POLICY_ASKED_BYTES 48

/** The session that a hook has asked workers:session() for, the last one. */
struct lp_policy_asked {
	uint16_t length;                 /**< Of the whole key, up to UINT16_MAX; 0: none was asked for. */
	uint16_t worker;                 /**< Whose it was; 0: nobody's. */
	char key[LP_POLICY_ASKED_BYTES]; /**< The key's first bytes; what is beyond a shorter one is 0. */
};

/** A connection as policies see it. Valid for one call. */
struct lp_policy_conn {
	struct lp_ip ip;
	uint16_t port;
	const char *listener; /**< As --listen names it. Borrowed. */
	enum lp_protocol protocol;
	const struct lp_head *head;    /**< For LP_PROTOCOL_HTTP. */
	const struct lp_hello *hello;  /**< For LP_PROTOCOL_TLS. */
	bool session_awaited;          /**< It has waited for its sid already: an unknown one is just unknown. */
	bool unheard;                  /**< Workers may have named sessions that nobody has heard of yet. */
	unsigned refused_by;           /**< The id of the worker that just gave it back; 0: none. */
	struct lp_policy_asked *asked; /**< Set to what hooks ask for. NULL: nobody wants to know. */
};

enum lp_verdict_kind {
	LP_VERDICT_NONE,   /**< No policy has an opinion: the least busy worker. */
	LP_VERDICT_WORKER, /**< That worker, which is usable. */
	LP_VERDICT_REFUSE, /**< Answer with that status. */
	LP_VERDICT_LOOK,   /**< Peek, fill protocol, and walk on. */
	LP_VERDICT_HEAR,   /**< An unknown session, and unheard is set: hear the workers, clear it, ask again. */
	LP_VERDICT_AWAIT,  /**< conn.sid or conn.session is no known session: ask again once a worker names it; at last
				with session_awaited set. */
	LP_VERDICT_HOLD, /**< conn.sid or conn.session is a session whose worker is busy, or gave it back: ask again once that has
			        changed, or a little later. */
};

struct lp_verdict {
	enum lp_verdict_kind kind;
	unsigned worker;       /**< LP_VERDICT_WORKER, _HOLD: its id. */
	int status;            /**< LP_VERDICT_REFUSE: 400 – 599. */
	uint64_t session_hash; /**< LP_VERDICT_AWAIT: lp_sessions_hash of the sid. */
	bool may_be_new; /**< LP_VERDICT_AWAIT: it is worth waiting for; else it is known to be nobody's, or no sid of Engine.IO's. */
};

enum lp_trace_kind {
	LP_TRACE_ASKED,    /**< A hook is about to run. */
	LP_TRACE_READ,     /**< It has read a field or called a function of the API. */
	LP_TRACE_ANSWERED, /**< It has returned, or failed, which has been logged. */
};

/** What a traced policy does. Texts are valid during the call. */
struct lp_trace_event {
	enum lp_trace_kind kind;
	const char *script; /**< As --policy names it. */
	const char *name;   /**< The table's own name, or NULL. */
	const char *what;   /**< The hook, "on_request"; of LP_TRACE_READ 'conn.ip', 'conn:header("x-tenant")'. */
	const char *value;  /**< Of LP_TRACE_READ: what it gave, '"acme"'. NULL: nothing. */
	struct lp_verdict verdict; /**< Of LP_TRACE_ANSWERED. */
	uint64_t took_ns;          /**< Of LP_TRACE_ANSWERED, the telling not counted. */
};

/** How far a connection has walked. Starts as 0; good only for the policy it was used with. */
typedef uint32_t lp_policy_cursor;

struct lp_policy;

/**
 * Load policies: read, compile, run each file, check its shape, call its setup(options).
 *
 * @param policy  Set on success; free with lp_policy_free.
 * @param host    Borrowed; must outlive the policy.
 * @param names   Each a path (it has a '/' or ends in ".lua"; the file has at most 1 MiB, and so has each of at most 64
 *                modules that it requires from its folder) or the name of an included policy. Borrowed for the call.
 * @param count   How many. 0 is allowed: no opinion ever.
 * @param error   Filled on failure with file and line: "policy tenants.lua:12: …".
 *
 * @return 0; LP_EPOLICY, or negative errno for a file that cannot be read, with *policy NULL.
 */
int lp_policy_load(struct lp_policy **policy, const struct lp_policy_host *host, const char *const *names, size_t count,
		   struct lp_error *error);

/**
 * Make the same policies once more, from the texts that were loaded: their files, and those of the modules that they
 * require, are not looked at. A module that was not required then cannot be required now.
 *
 * @param copy    Set on success; free with lp_policy_free. Independent of the other.
 * @param policy  Borrowed for the call.
 * @param host    The copy's. Borrowed; must outlive it.
 * @param error   Filled on failure, as by lp_policy_load.
 *
 * @return 0; LP_EPOLICY or -ENOMEM, with *copy NULL.
 */
int lp_policy_copy(struct lp_policy **copy, const struct lp_policy *policy, const struct lp_policy_host *host,
		   struct lp_error *error);

/** Free a policy and its Lua state. @param policy NULL is allowed. */
void lp_policy_free(struct lp_policy *policy);

/** Of which requests on one connection policies want to be asked. */
enum lp_route_each {
	LP_ROUTE_FIRST,   /**< The first: the connection then stays where it is. */
	LP_ROUTE_SESSION, /**< Also later ones that name a session which its worker has not. */
	LP_ROUTE_REQUEST, /**< Those, and later ones that name none. */
};

/**
 * The most that any of the policies wants. Where sessions are carried elsewhere than in the query's sid, LP_ROUTE_SESSION
 * is LP_ROUTE_REQUEST: workers know of each request only whether it has a sid.
 *
 * @param policy  Loaded.
 */
enum lp_route_each lp_policy_route_each(const struct lp_policy *policy);

/** A text that policies were made from. Lives as long as the policy. */
struct lp_policy_text {
	const char *name;   /**< As --policy names it; of a module, its file. */
	const char *module; /**< As require names it; NULL for what --policy names. */
	bool is_file;       /**< Not an included policy. */
	size_t bytes;
	const uint8_t *sha256; /**< LP_SHA256_BYTES. */
};

/**
 * A text that policies were made from: what --policy names, in order, each followed by its modules.
 *
 * @param policy  Borrowed.
 * @param index   0 and up.
 * @param text    Filled if there is one.
 *
 * @return Whether there is.
 */
bool lp_policy_text(const struct lp_policy *policy, size_t index, struct lp_policy_text *text);

/**
 * The same, and who wants it.
 *
 * @param policy  Loaded.
 * @param script  Set to the policy that wants most, as --policy names it; NULL when none wants more than the first.
 */
enum lp_route_each lp_policy_route_each_script(const struct lp_policy *policy, const char **script);

/** Whether any hook can ask for a look at the bytes (on_hello or on_request). @param policy Borrowed. */
bool lp_policy_needs_bytes(const struct lp_policy *policy);

/**
 * Ask where a connection belongs.
 *
 * An error in a hook, or an invalid answer, is logged with file and line (bounded), counted, and means no opinion.
 * A hook that takes more than the host's limits is stopped, and has no opinion. The set is made anew then, from the sources
 * that were loaded, and the other policies are asked: what policies kept in Lua is gone, sessions and limpet.shared stay. A policy that is stopped too often is benched: for a while it is
 * not asked, and the others are.
 *
 * @param policy  Borrowed.
 * @param conn    Borrowed for the call.
 * @param cursor  How far it has walked; 0 at first. Moved on.
 *
 * @return The verdict. After LP_VERDICT_LOOK, _AWAIT and _HOLD the cursor stands at the hook that asked, which will run
 *         (after the last two: once more) from its beginning; after any other, after the hook that answered.
 */
struct lp_verdict lp_policy_decide(struct lp_policy *policy, const struct lp_policy_conn *conn,
				   lp_policy_cursor *cursor);

/**
 * Tell policies that a worker became usable: on_worker_up. Those that are loaded later, or made again, hear of the
 * workers that are usable then with their first decision.
 *
 * @param policy  Borrowed.
 * @param worker  Its id. Twice is once.
 */
void lp_policy_worker_up(struct lp_policy *policy, unsigned worker);

/** Tell policies that a worker is gone: on_worker_down, if they know it. @param policy Borrowed. @param worker Its id. */
void lp_policy_worker_down(struct lp_policy *policy, unsigned worker);

/** Errors of hooks, and answers that were none, since loading. @param policy Borrowed. */
uint64_t lp_policy_errors(const struct lp_policy *policy);

/** Calls that took too much time, memory or stack and were stopped, since loading. @param policy Borrowed. */
uint64_t lp_policy_kills(const struct lp_policy *policy);

/** For how many more milliseconds any of the policies is benched; 0 when all are asked. @param policy Borrowed. */
uint64_t lp_policy_benched_ms(const struct lp_policy *policy);

/** Bytes that Lua holds now, garbage that is not yet collected included. @param policy Borrowed. */
size_t lp_policy_bytes(const struct lp_policy *policy);

/**
 * The hook that a connection meets at a place of its walk.
 *
 * @param policy  Borrowed.
 * @param at      0 for the first; up to where there is none.
 *
 * @return "on_connect", "on_hello" or "on_request", static; or NULL past the last.
 */
const char *lp_policy_hook_name(const struct lp_policy *policy, lp_policy_cursor at);

/** The policy of that hook, as --policy names it, or NULL. @param policy Borrowed. @param at As for lp_policy_hook_name. */
const char *lp_policy_hook_script(const struct lp_policy *policy, lp_policy_cursor at);

/** What came of asking a hook. */
enum lp_policy_result {
	LP_POLICY_CHOSE,      /**< It returned a worker. */
	LP_POLICY_REFUSED,    /**< It refused. */
	LP_POLICY_NO_OPINION, /**< It returned nil, or a worker that cannot take the connection. */
	LP_POLICY_WAITS,      /**< It asked for a session that it will be asked about again. */
	LP_POLICY_FAILED,     /**< It raised an error, or returned what is no answer. */
	LP_POLICY_STOPPED,    /**< It took too long, or too much memory. */
	LP_POLICY_RESULTS
};

/** One call in this number is timed. */
#define LP_POLICY_TIMED 64

/**
 * How often a hook was asked, by what came of it, since the policies were loaded.
 *
 * @param policy  Borrowed.
 * @param at      As for lp_policy_hook_place.
 * @param counts  LP_POLICY_RESULTS numbers; filled.
 */
void lp_policy_hook_counts(const struct lp_policy *policy, lp_policy_cursor at, uint64_t *counts);

/** Nanoseconds that hooks took; one call in LP_POLICY_TIMED is timed. @param policy Borrowed. */
const struct lp_histogram *lp_policy_durations(const struct lp_policy *policy);

/** Where a hook is written. Its texts live until the policy is freed or asked. */
struct lp_policy_hook_place {
	const char *script; /**< As --policy names it. */
	const char *table;  /**< The table's own name, or NULL. */
	unsigned number;    /**< Of the table among those of this script's name, from 1. */
	const char *hook;   /**< "on_request"; static. */
	int line;           /**< Where the function begins. */
};

/**
 * Where the hook is written that a connection meets at a place of its walk.
 *
 * @param policy  Borrowed.
 * @param at      0 for the first; up to where there is none.
 * @param place   Filled if there is one.
 *
 * @return Whether there is.
 */
bool lp_policy_hook_place(const struct lp_policy *policy, lp_policy_cursor at, struct lp_policy_hook_place *place);

#endif
