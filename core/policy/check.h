/**
 * Mistakes in a policy that can be seen without running it: names that do not exist, also where no connection has yet
 * come by.
 */
#ifndef LP_POLICY_CHECK_H
#define LP_POLICY_CHECK_H

#include "base/error.h"
#include "policy/policy.h"

/** Told of a mistake. @param file As messages name it. @param line Where, from 1. @param message For the call. @param owner As given to lp_policy_check. */
typedef void (*lp_found_cb)(const char *file, int line, const char *message, void *owner);

/**
 * Look through a policy for
 *
 *     globals that are read and that neither the sandbox has nor the file sets
 *     fields that `limpet`, its log and its shared do not have
 *     fields that `conn` and `workers` do not have, and methods of theirs that are named without being called, in
 *     functions with parameters of these names
 *
 * @param name   As --policy names it.
 * @param found  Runs for each mistake.
 * @param owner  Passed to found.
 * @param error  Filled on failure.
 *
 * @return 0, with or without mistakes; LP_EPOLICY for one that does not compile, or negative errno.
 */
int lp_policy_check(const char *name, lp_found_cb found, void *owner, struct lp_error *error);

/**
 * Look through the modules that a policy has required, as lp_policy_check.
 *
 * @param policy  Loaded. Borrowed for the call.
 * @param found   As there, and so the rest.
 * @param owner   Passed to found.
 * @param error   Filled on failure.
 *
 * @return 0, with or without mistakes; or negative.
 */
int lp_policy_check_modules(const struct lp_policy *policy, lp_found_cb found, void *owner, struct lp_error *error);

/**
 * Look through the hooks of a policy for what they cannot know: conn.path in on_connect, which runs before anything has been
 * read. A function that is several hooks is passed over where one of them knows it, and so are the functions that it calls.
 *
 * @param policy  Loaded. Borrowed for the call.
 * @param found   As for lp_policy_check, and so the rest.
 * @param owner   Passed to found.
 * @param error   Filled on failure.
 *
 * @return 0, with or without mistakes; or negative.
 */
int lp_policy_check_hooks(const struct lp_policy *policy, lp_found_cb found, void *owner, struct lp_error *error);

#endif
