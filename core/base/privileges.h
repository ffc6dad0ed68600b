/**
 * From root to a user who may do nothing special, for good.
 */
#ifndef LP_BASE_PRIVILEGES_H
#define LP_BASE_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/** Whom to become. */
struct lp_user {
	const char *text; /**< As --user names it. */
	uid_t uid;        /**< Not 0. */
	gid_t gid;
};

/**
 * Look a user up.
 *
 * @param text   "NAME", "NAME:GROUP", names or numbers. Without a group it is the user's own. Borrowed like the user.
 * @param user   Filled on success only.
 * @param error  Filled on failure: says which user or group there is not.
 *
 * @return 0, or LP_EUSAGE.
 */
int lp_user_find(const char *text, struct lp_user *user, struct lp_error *error);

/** The number of a user, named or numbered. @param name Ends in NUL. @param uid Filled if there is one. @return Whether there is. */
bool lp_user_find_id(const char *name, uid_t *uid);

/** The number of a group, named or numbered. @param name Ends in NUL. @param gid Filled if there is one. @return Whether there is. */
bool lp_group_find_id(const char *name, gid_t *gid);

/**
 * Give a unix socket that we have just made to a user.
 *
 * @param user   Found.
 * @param path   Of the socket; nothing else is given away.
 * @param error  Filled on failure; names the path.
 *
 * @return 0, or negative errno.
 */
int lp_user_own_socket(const struct lp_user *user, const char *path, struct lp_error *error);

/**
 * Become a user: user and group, no other groups, no capabilities, and no way back, for every thread and every program
 * that is started from now on (no new privileges: what is set-user-id, too, runs as the user).
 *
 * The process is not dumpable afterwards: those of the same user, such as its workers, cannot read its memory.
 *
 * @param user   Found.
 * @param error  Filled on failure.
 *
 * @return 0; or negative errno, and then the process may be anything in between: end it.
 */
int lp_user_become(const struct lp_user *user, struct lp_error *error);

/** Keep the ambient capabilities, with which a service manager lets a user open port 80, from programs that are started from now on. */
void lp_privileges_keep_to_ourselves(void);

#endif
