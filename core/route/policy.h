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
#ifndef LP_ROUTE_POLICY_H
#define LP_ROUTE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/error.h"
#include "base/log.h"
#include "route/forwarded.h"
#include "route/head.h"
#include "route/hello.h"
#include "route/sessions.h"
#include "route/shared.h"
#include "route/workers.h"

/** What policies can reach. All borrowed; must outlive every policy made with it. */
struct lp_policy_host {
	struct lp_workers *workers;
	struct lp_sessions *sessions;
	struct lp_shared *shared;
	struct lp_log *log;
	struct lp_trust trust;
	const char *const *settings; /**< "key=value" each: setup(options). */
	size_t setting_count;
};

/** What a connection's first bytes turned out to be. */
enum lp_protocol {
	LP_PROTOCOL_UNSEEN, /**< Nobody has looked yet, or not enough has come. */
	LP_PROTOCOL_HTTP,   /**< `head` is complete. */
	LP_PROTOCOL_TLS,    /**< `hello` is complete. */
	LP_PROTOCOL_OTHER,  /**< Anything else: neither on_hello nor on_request runs. */
};

/** A connection as policies see it. Valid for one call. */
struct lp_policy_conn {
	struct lp_ip ip;
	uint16_t port;
	const char *listener; /**< As --listen names it. Borrowed. */
	enum lp_protocol protocol;
	const struct lp_head *head;   /**< For LP_PROTOCOL_HTTP. */
	const struct lp_hello *hello; /**< For LP_PROTOCOL_TLS. */
	bool session_awaited;         /**< It has waited for its sid already: an unknown one is just unknown. */
};

enum lp_verdict_kind {
	LP_VERDICT_NONE,   /**< No policy has an opinion: the least busy worker. */
	LP_VERDICT_WORKER, /**< That worker, which is usable. */
	LP_VERDICT_REFUSE, /**< Answer with that status. */
	LP_VERDICT_LOOK,   /**< Peek, fill protocol, and walk on. */
	LP_VERDICT_AWAIT,  /**< conn.sid is no known session: hear the workers first, then ask again; at last with
				session_awaited set. */
};

struct lp_verdict {
	enum lp_verdict_kind kind;
	unsigned worker;       /**< LP_VERDICT_WORKER: its id. */
	int status;            /**< LP_VERDICT_REFUSE: 400 – 599. */
	uint64_t session_hash; /**< LP_VERDICT_AWAIT: lp_sessions_hash of the sid. */
};

/** How far a connection has walked. Starts as 0; good only for the policy it was used with. */
typedef uint32_t lp_policy_cursor;

struct lp_policy;

/**
 * Load policies: read, compile, run each file, check its shape, call its setup(options).
 *
 * @param policy  Set on success; free with lp_policy_free.
 * @param host    Borrowed; must outlive the policy.
 * @param names   Each a path (it has a '/' or ends in ".lua") or the name of an included policy. Borrowed for the call.
 * @param count   How many. 0 is allowed: no opinion ever.
 * @param error   Filled on failure with file and line: "policy tenants.lua:12: …".
 *
 * @return 0; LP_EPOLICY, or negative errno for a file that cannot be read, with *policy NULL.
 */
int lp_policy_load(struct lp_policy **policy, const struct lp_policy_host *host, const char *const *names, size_t count,
		   struct lp_error *error);

/** Free a policy and its Lua state. @param policy NULL is allowed. */
void lp_policy_free(struct lp_policy *policy);

/** Whether any hook can ask for a look at the bytes (on_hello or on_request). @param policy Borrowed. */
bool lp_policy_looks(const struct lp_policy *policy);

/**
 * Ask where a connection belongs.
 *
 * An error in a hook, or an answer that is none, is logged with file and line (bounded) and counted, and is no opinion.
 *
 * @param policy  Borrowed.
 * @param conn    Borrowed for the call.
 * @param cursor  How far it has walked; 0 at first. Moved on.
 *
 * @return The verdict. After LP_VERDICT_LOOK and LP_VERDICT_AWAIT the cursor stands at the hook that asked.
 */
struct lp_verdict lp_policy_decide(struct lp_policy *policy, const struct lp_policy_conn *conn,
				   lp_policy_cursor *cursor);

/** Tell policies that a worker became usable: on_worker_up. @param policy Borrowed. @param worker Its id. */
void lp_policy_worker_up(struct lp_policy *policy, unsigned worker);

/** Tell policies that a worker is gone: on_worker_down. @param policy Borrowed. @param worker Its id. */
void lp_policy_worker_down(struct lp_policy *policy, unsigned worker);

/** Errors of hooks, and answers that were none, since loading. @param policy Borrowed. */
uint64_t lp_policy_errors(const struct lp_policy *policy);

#endif
