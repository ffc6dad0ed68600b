/**
 * What --session names: where responses name a session, and where requests carry it.
 *
 *     WHAT             a request carries the session in   a response names it in
 *     sid              the query parameter sid            Engine.IO's open packet
 *     mcp              as header:Mcp-Session-Id           the same
 *     cookie:NAME      that cookie                        Set-Cookie of that cookie
 *     header:NAME      that header                        that header
 *     query:NAME       that query parameter               a header or a Set-Cookie of that name
 *     LEARNT=CARRIED   CARRIED, one of the three above    LEARNT, cookie:NAME or header:NAME
 *
 * A new place for either side is one row of a table in session_rule.c.
 */
#ifndef LP_BASE_SESSION_RULE_H
#define LP_BASE_SESSION_RULE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

/** The longest NAME. core/preload/session_learner.h has the same. */
#define LP_SESSION_NAME_MAX 64

/** The most places in responses that are looked at, --learn's included. core/preload/session_learner.h has the same. */
#define LP_SESSION_LEARNT_MAX 8

/** The most rules. */
#define LP_SESSION_RULES_MAX 16

/** Room for one of the places that lp_session_rules_learnt writes. */
#define LP_SESSION_FIELD_SIZE (2 * (size_t)LP_SESSION_NAME_MAX + sizeof("cookie:=,"))

/** Room for lp_session_rules_learnt. */
#define LP_SESSION_LEARNT_SIZE ((size_t)LP_SESSION_LEARNT_MAX * LP_SESSION_FIELD_SIZE)

enum lp_session_place {
	LP_SESSION_COOKIE,
	LP_SESSION_HEADER,
	LP_SESSION_QUERY, /**< Of requests only. */
};

struct lp_session_field {
	enum lp_session_place place;
	struct lp_slice name; /**< Inside the text that was parsed, or static. */
};

struct lp_session_rule {
	struct lp_session_field carried;
	struct lp_session_field learnt[2];
	unsigned learnt_count; /**< 0: Engine.IO's open packet, which is always looked for. */
};

/** The rule of "sid". */
extern const struct lp_session_rule lp_session_rule_sid;

/**
 * Take a --session apart.
 *
 * @param text   As above. Borrowed like the rule.
 * @param rule   Filled on success only.
 * @param error  Filled on failure: which part is wrong, and the forms.
 *
 * @return 0, or LP_EUSAGE.
 */
int lp_session_rule_parse(const char *text, struct lp_session_rule *rule, struct lp_error *error);

/**
 * Take several apart.
 *
 * @param texts  As --session takes them. Borrowed like the rules.
 * @param count  How many; 0 is allowed.
 * @param rules  Set on success, for free().
 * @param error  Filled on failure.
 *
 * @return 0, LP_EUSAGE (also for more than LP_SESSION_RULES_MAX), or -ENOMEM.
 */
int lp_session_rules_new(const char *const *texts, size_t count, struct lp_session_rule **rules,
			 struct lp_error *error);

/** Whether a rule is that of Engine.IO: sid. @param rule Parsed. */
bool lp_session_rule_is_sid(const struct lp_session_rule *rule);

/**
 * Write what the worker's library has to look for in responses, in the form of --learn: "cookie:NAME,header:NAME". Where
 * requests carry it under another name, that follows: "header:NAME=CARRIED".
 *
 * @param rules  Parsed.
 * @param count  How many.
 * @param also   What --learn names, or NULL.
 * @param text   At least LP_SESSION_LEARNT_SIZE bytes; ends in NUL. "" when there is nothing to look for but sids.
 * @param error  Filled on failure.
 *
 * @return 0, or LP_EUSAGE for more than LP_SESSION_LEARNT_MAX places.
 */
int lp_session_rules_learnt(const struct lp_session_rule *rules, size_t count, const char *also, char *text,
			    struct lp_error *error);

#endif
