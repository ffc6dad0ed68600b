/**
 * What policies do with sessions and settings, as far as their texts tell: for those who say at start that a setup cannot
 * work.
 */
#ifndef LP_POLICY_SURVEY_H
#define LP_POLICY_SURVEY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/session_rule.h"
#include "policy/policy.h"

/** The most places of requests that are noted. */
#define LP_SURVEY_FIELDS_MAX 16

struct lp_policy_survey {
	bool looks_up;      /**< workers:session is called. */
	bool binds;         /**< workers:bind is called. */
	bool reads_sid;     /**< conn.sid, or conn:query("sid"). */
	bool reads_session; /**< conn.session. */
	bool indexes;       /**< Something is asked for a field whose name is in a variable. */
	/** What conn:cookie, conn:header and conn:query are called with, as --session takes it. */
	char fields[LP_SURVEY_FIELDS_MAX][LP_SESSION_NAME_MAX + sizeof("cookie:")];
	size_t field_count;
};

/**
 * Look through policies and the modules that they require, without running anything.
 *
 * @param policy  Loaded. Borrowed.
 * @param script  Only the one of this name, as --policy names it; NULL: all of them.
 * @param words   Texts to look for.
 * @param count   How many; 0 is allowed.
 * @param found   For each word, set to true where it is a text, or the name of a field, in one of them; else left alone.
 *                NULL when there is no word.
 * @param survey  Filled on success.
 * @param error   Filled on failure.
 *
 * @return 0; or negative: no memory.
 */
int lp_policy_survey(const struct lp_policy *policy, const char *script, const char *const *words, size_t count,
		     bool *found, struct lp_policy_survey *survey, struct lp_error *error);

/**
 * Refuse a setting that no policy reads.
 *
 * A setting is read when its key is looked up in setup's options, or options are iterated. Where a setup keeps options for
 * its hooks, a key counts as read when its text stands in one of the files, or when one asks for fields by variables.
 *
 * @param policies  Loaded with the same settings. Borrowed.
 * @param count     1 or more.
 * @param error     Filled on failure: which setting, and which one was probably meant.
 *
 * @return 0, LP_EUSAGE, or negative: no memory.
 */
int lp_policies_check_settings(const struct lp_policy *const *policies, size_t count, struct lp_error *error);

/** The same for one policy, which has all that might read a setting. @param policy Loaded. @param error Filled on failure. */
int lp_policy_check_settings(const struct lp_policy *policy, struct lp_error *error);

#endif
