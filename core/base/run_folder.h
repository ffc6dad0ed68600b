/**
 * The run-time folder: where a running balancer keeps the sockets that tools and workers find it by, its locks, and what a
 * later balancer is to believe.
 *
 * A folder that somebody else can write to is no place for them: who can replace a socket there is who gets asked. The
 * same holds for a folder that somebody else can move away.
 */
#ifndef LP_BASE_RUN_FOLDER_H
#define LP_BASE_RUN_FOLDER_H

#include <limits.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/privileges.h"

/** Room for the path of a run-time folder. */
#define LP_RUN_FOLDER_SIZE PATH_MAX

/**
 * The run-time folder of this process: $RUNTIME_DIRECTORY, which systemd sets for a service with RuntimeDirectory=; or for
 * root /run/limpet; or for others the first of $XDG_RUNTIME_DIR/limpet, /run/user/UID/limpet, /tmp/limpet-UID and
 * $HOME/.limpet that is theirs, or that nobody has made yet.
 *
 * @param path  At least LP_RUN_FOLDER_SIZE bytes; ends in NUL. The folder need not exist.
 */
void lp_run_folder_find(char *path);

/**
 * Whether a folder is one that nobody but its owner can write to or move away, and its owner is root or this user. Symbolic
 * links are not followed.
 *
 * @param path   Borrowed.
 * @param owner  Set to the owner on success. NULL is allowed.
 * @param error  Filled on failure: names the folder and says what is wrong with it.
 *
 * @return 0; -EPERM; or another negative errno: it cannot be looked at.
 */
int lp_run_folder_check(const char *path, uid_t *owner, struct lp_error *error);

/**
 * Make a run-time folder if it is not there, with mode 0711: others pass through it to a socket that they know. Then check
 * that it is this user's, as lp_run_folder_check does.
 *
 * @param path   Borrowed. Its parent exists.
 * @param flag   Of the command line, that names another place: "--preload-dir". For the error.
 * @param error  Filled on failure: names the folder, the reason and the flag.
 *
 * @return 0, or negative errno.
 */
int lp_run_folder_make(const char *path, const char *flag, struct lp_error *error);

/**
 * Make the folder of a balancer, while it is still root, if it is: then no other user can be first.
 *
 * @param path    Set to its absolute path, without symbolic links; at least LP_RUN_FOLDER_SIZE bytes.
 * @param wanted  The one that was asked for; NULL: as lp_run_folder_find has it.
 * @param user    Whom root will become: the folder is that user's, "user-UID" in a folder of root's. NULL: the user stays.
 * @param flag    Of the command line, that names another place: "--preload-dir". For the error.
 * @param error   Filled on failure: names the folder, the reason and the flag.
 *
 * @return 0, or negative errno.
 */
int lp_run_folder_make_for(char *path, const char *wanted, const struct lp_user *user, const char *flag,
			   struct lp_error *error);

#endif
