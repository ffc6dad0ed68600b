/**
 * The decision log: what policies saw of the last connections, what they answered, and what came of it. It is kept in
 * memory, for `limpet why` and `limpet tail`.
 *
 * A ring of records of one size, made once: noting a decision allocates nothing and costs some hundred instructions. Two
 * calls are all that the way of a connection knows of it: one when it is decided, one when something has come of it. The
 * connection keeps its record's number; a record that was overwritten in the meantime is left alone.
 */
#ifndef LP_ADMIN_DECISIONS_H
#define LP_ADMIN_DECISIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "connection/connection.h"
#include "policy/policy.h"
#include "route/outcome.h"

/** Connections that are remembered. */
#define LP_DECISIONS 10000

/** Bytes of a request's method, and of its target or a TLS hello's name, that are kept. */
#define LP_DECISION_METHOD_BYTES 8
#define LP_DECISION_TARGET_BYTES 96

#define LP_DECISIONS_SALT_BYTES 16

/** The hook of a decision that no policy made. */
#define LP_DECISION_NO_HOOK UINT16_MAX

/** A connection that was decided, or that ended before. */
struct lp_decision {
	uint64_t number;      /**< Counted from 1; 0: none. */
	uint64_t begun_ms;    /**< When it was accepted, by the wall clock. */
	const char *listener; /**< As --listen names it. Outlives the log. */
	uint32_t decided_ms;  /**< After begun_ms: when it was last decided. */
	uint32_t ended_ms;    /**< After begun_ms: when its outcome was known. */
	struct lp_ip ip;
	uint8_t protocol; /**< enum lp_protocol. */
	uint8_t outcome;  /**< enum lp_outcome. */
	uint8_t verdict;  /**< enum lp_verdict_kind, LP_VERDICT_LOOK if it was never decided. */
	uint16_t port;    /**< The client's. */
	uint16_t load;    /**< Of the policies that decided, counted from 1 for the first that were loaded. */
	uint16_t hook;    /**< Of those policies' hooks, in their order; or LP_DECISION_NO_HOOK. */
	uint16_t worker;  /**< Where it went, or was to go; 0: nowhere. */
	uint16_t status;  /**< What it was answered with; 0: nothing. */
	uint16_t returns; /**< How often a worker gave it back. */
	uint16_t returned_by;
	uint8_t return_reason; /**< enum lp_return_reason, if it was returned. */
	uint8_t policy_failed; /**< A hook raised an error, or was stopped. */
	uint8_t method_length;
	uint8_t target_length; /**< Bytes that are kept. */
	bool target_cut;
	uint16_t session_length; /**< Of the key that a hook asked for last; 0: none. More than are kept is possible. */
	uint16_t session_worker; /**< Whose that session was; 0: nobody's. */
	char method[LP_DECISION_METHOD_BYTES];
	char target[LP_DECISION_TARGET_BYTES]; /**< Or the TLS hello's name. */
	char session[LP_POLICY_ASKED_BYTES];
};

/** Who a connection is from, and since when. For the call. */
struct lp_decision_client {
	const struct lp_ip *ip;
	uint16_t port;
	const char *listener;
	uint64_t begun_ms;
	uint64_t now_ms;
};

struct lp_decisions;

/** Make an empty log. @return For lp_decisions_free, or NULL when out of memory. */
struct lp_decisions *lp_decisions_new(void);

/** Free a log. @param decisions NULL is allowed. */
void lp_decisions_free(struct lp_decisions *decisions);

/** Other policies are asked from now on: their hooks' names are copied. @param decisions Borrowed. @param policy Borrowed. */
void lp_decisions_use_policy(struct lp_decisions *decisions, const struct lp_policy *policy);

/**
 * A connection was decided; also, that it waits for its session or its worker.
 *
 * @param decisions  Borrowed.
 * @param number     The connection's record; 0 at first. Set.
 * @param client     Borrowed for the call.
 * @param view       What the policies saw. Borrowed for the call.
 * @param verdict    What they answered; with LP_VERDICT_NONE the worker that was chosen because no policy had an opinion.
 * @param cursor     As lp_policy_decide left it.
 * @param failed     Whether a hook failed on the way.
 */
void lp_decisions_decided(struct lp_decisions *decisions, uint64_t *number, const struct lp_decision_client *client,
			  const struct lp_policy_conn *view, const struct lp_verdict *verdict, lp_policy_cursor cursor,
			  bool failed);

/** It was handed over. @param decisions Borrowed. @param number Its record. @param worker Whom to. */
void lp_decisions_sent(struct lp_decisions *decisions, uint64_t number, unsigned worker);

/** A worker gave it back. @param decisions Borrowed. @param number Its record. @param worker Whose. @param reason Why. */
void lp_decisions_returned(struct lp_decisions *decisions, uint64_t number, unsigned worker,
			   enum lp_return_reason reason);

/**
 * It has ended, for limpet.
 *
 * @param decisions  Borrowed.
 * @param number     Its record; 0: it was never decided, and gets one now.
 * @param client     Borrowed for the call.
 * @param outcome    How.
 * @param status     What it was answered with; 0: nothing.
 */
void lp_decisions_ended(struct lp_decisions *decisions, uint64_t number, const struct lp_decision_client *client,
			enum lp_outcome outcome, int status);

/** What sessions' hashes are salted with, LP_DECISIONS_SALT_BYTES of it. @param decisions Borrowed. */
const uint8_t *lp_decisions_salt(const struct lp_decisions *decisions);

/** How many connections ended so, since the start. @param decisions Borrowed. @param outcome How. */
uint64_t lp_decisions_count(const struct lp_decisions *decisions, enum lp_outcome outcome);

/** How many records have been made. @param decisions Borrowed. */
uint64_t lp_decisions_made(const struct lp_decisions *decisions);

/** A record by its number. @param decisions Borrowed. @param number Any. @return It, until the next is made; NULL: overwritten, or never made. */
const struct lp_decision *lp_decisions_get(const struct lp_decisions *decisions, uint64_t number);

/** How many have ended. @param decisions Borrowed. */
uint64_t lp_decisions_ends(const struct lp_decisions *decisions);

/** The record that ended as the Nth. @param decisions Borrowed. @param end From 1. @return It; NULL: overwritten, or not yet. */
const struct lp_decision *lp_decisions_ended_as(const struct lp_decisions *decisions, uint64_t end);

/**
 * Who decided: "./p.lua:12 on_request (tenants)".
 *
 * @param decisions  Borrowed.
 * @param decision   Borrowed.
 *
 * @return It, until the next policies are loaded; NULL: no hook did, or too many policies have been loaded since.
 */
const char *lp_decisions_decider(const struct lp_decisions *decisions, const struct lp_decision *decision);

#endif
