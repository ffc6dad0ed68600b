/**
 * What traffic shows of a setup that cannot work, said once.
 */
#ifndef LP_SERVER_HINTS_H
#define LP_SERVER_HINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "policy/policy.h"

/** Listeners that are told apart; the others count as heard. */
#define LP_HINTS_LISTENERS 16

/** The caller's memory; all zero at first. */
struct lp_hints {
	bool told_tls;
	bool told_silence;
	const char *heard[LP_HINTS_LISTENERS]; /**< Listeners at which a client has said something. Borrowed. */
	size_t heard_count;
};

/**
 * A connection has said what it is. limpet logs the first TLS connection that only on_request would be asked about.
 *
 * @param hints   Borrowed.
 * @param log     Borrowed for the call.
 * @param policy  In use. Borrowed for the call.
 * @param view    Looked at. Its listener's name is borrowed as long as the hints.
 */
void lp_hints_note(struct lp_hints *hints, struct lp_log *log, const struct lp_policy *policy,
		   const struct lp_policy_conn *view);

/**
 * A client has said nothing until its deadline. Where no client ever said anything the server may be one that speaks first:
 * limpet logs the first time.
 *
 * @param hints       Borrowed.
 * @param log         Borrowed for the call.
 * @param policy      In use. Borrowed for the call.
 * @param listener    Where it came in; borrowed as long as the hints.
 * @param timeout_ms  How long it was waited for.
 */
void lp_hints_note_silence(struct lp_hints *hints, struct lp_log *log, const struct lp_policy *policy,
			   const char *listener, uint32_t timeout_ms);

#endif
