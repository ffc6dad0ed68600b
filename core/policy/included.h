/**
 * The policies that are part of the program: the files of policies/, compiled in by included.cmake.
 */
#ifndef LP_POLICY_INCLUDED_H
#define LP_POLICY_INCLUDED_H

#include <stddef.h>

struct lp_included_policy {
	const char *name;   /**< "sid". */
	const char *source; /**< The Lua text. */
	size_t length;
};

/** All of them by name, ended by one whose name is NULL. */
extern const struct lp_included_policy lp_included_policies[];

#endif
